mod errors;
mod fixtures;
mod hosts;
