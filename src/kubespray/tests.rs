mod errors;
mod fixtures;
