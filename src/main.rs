//! Started as a frontend or as a command; owns nothing but that choice.

use std::process::ExitCode;

fn main() -> ExitCode {
    // BuildKit starts a frontend without arguments and names the session; a person who starts `kso` does neither.
    match (std::env::var_os("BUILDKIT_SESSION_ID"), std::env::args_os().nth(1)) {
        (Some(_), None) => kso::frontend::main(),
        _ => kso::cli::main(),
    }
}
