mod errors;
mod fixtures;
mod releases;
