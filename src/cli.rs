//! What does the person at the terminal see? The subcommands, one file each.

use clap::{Parser, Subcommand};

pub mod flops;

/// A text-to-image server that takes a budget with every request: milliseconds, FLOPs, or both.
///
/// It hosts several sizes of latent diffusion model and answers with the picture of the plan (model
/// size, sampler, steps, guidance) that measured scaling data predict to be the best one that fits.
#[derive(Debug, Parser)]
#[command(name = "goldilocks", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Everything the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Count the floating-point operations of one U-Net forward
    Flops(flops::Args),
}

impl Cli {
    /// Runs the chosen subcommand.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Flops(args) => flops::run(args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
