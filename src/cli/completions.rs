//! `goldilocks completions`: how does a shell finish what somebody began to type?

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, examples, out};

/// Prints what a shell needs to complete commands and flags
#[derive(Debug, clap::Args)]
#[command(after_help = examples::COMPLETIONS)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "goldilocks", &mut script);
    out::print(&String::from_utf8(script)?)
}
