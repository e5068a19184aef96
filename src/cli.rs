//! What does the person at the terminal see? The subcommands, one file each.

use clap::{Parser, Subcommand};

pub mod calibrate;
pub mod flops;
pub mod generate;
mod latency;
pub mod load;
pub mod models;
pub mod openapi;
pub mod plan;
pub mod serve;
pub mod simulate;
mod table;
pub mod trace;

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
    /// Serve the hosted families over HTTP
    Serve(serve::Args),
    /// Draw pictures from a caption, without a server
    Generate(generate::Args),
    /// Explain which plan a budget would buy, and why the others lose
    Plan(plan::Args),
    /// Measure what the planner uses
    Calibrate(calibrate::Args),
    /// Make up a trace of requests: who asks for what, and when
    Trace(trace::Args),
    /// Replay a trace against a running server and report what its users got
    Load(load::Args),
    /// Run a trace in virtual time, and compare policies
    Simulate(simulate::Args),
    /// Count the floating-point operations of one U-Net forward
    Flops(flops::Args),
    /// List the hosted families and models
    Models(models::Args),
    /// Print the OpenAPI document
    Openapi(openapi::Args),
}

impl Cli {
    /// Runs the chosen subcommand.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Serve(args) => serve::run(args),
            Command::Generate(args) => generate::run(&args),
            Command::Plan(args) => plan::run(&args),
            Command::Calibrate(args) => calibrate::run(args),
            Command::Trace(args) => trace::run(&args),
            Command::Load(args) => load::run(&args),
            Command::Simulate(args) => simulate::run(&args),
            Command::Flops(args) => flops::run(&args),
            Command::Models(args) => models::run(&args),
            Command::Openapi(args) => openapi::run(&args),
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
