//! The command line: parse, call one function, map errors to exit codes.

use std::process::ExitCode;

use clap::Parser;
use goldilocks::cli::{self, Cli};

/// Exits with 0 on success, 1 when the work failed, 2 when the command line is wrong (clap's own), 3 when no plan
/// fits the budget.
fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", cli::told(&error));
            cli::exit_code(&error)
        }
    }
}
