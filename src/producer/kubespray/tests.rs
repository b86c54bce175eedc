mod errors;
mod fixtures;
mod hosts;
mod locked;
