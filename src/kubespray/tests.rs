mod errors;
mod fixtures;
mod proof;
mod releases;
