//! Started as a frontend or as a command; owns nothing but that choice.

use std::process::ExitCode;

fn main() -> ExitCode {
    println!("kso {}", env!("CARGO_PKG_VERSION"));
    ExitCode::SUCCESS
}
