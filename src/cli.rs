//! What does the person at the terminal see? The subcommands, one file each.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::planner::Refusal;

mod ask;
pub mod calibrate;
pub mod completions;
pub mod doctor;
mod examples;
pub mod flops;
pub mod generate;
mod latency;
pub mod load;
pub mod models;
mod numbers;
pub mod openapi;
mod out;
pub mod plan;
mod precision;
pub mod serve;
pub mod simulate;
mod table;
pub mod trace;

/// A text-to-image server that takes a budget with every request: milliseconds, FLOPs, or both.
///
/// It hosts several sizes of latent diffusion model and answers with the picture of the plan (model
/// size, sampler, steps, guidance) that measured scaling data predict to be the best one that fits.
#[derive(Debug, Parser)]
#[command(name = "goldilocks", version, propagate_version = true, after_help = examples::ALL)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Everything the program can do.
#[derive(Debug, Subcommand)]
#[expect(
    missing_docs,
    reason = "each command says at its arguments what it does, and clap would not show that beside a text here"
)]
pub enum Command {
    Serve(serve::Args),
    Generate(generate::Args),
    Plan(plan::Args),
    Calibrate(calibrate::Args),
    Trace(trace::Args),
    Load(load::Args),
    Simulate(simulate::Args),
    Flops(flops::Args),
    Models(models::Args),
    Openapi(openapi::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
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
            Command::Doctor(args) => doctor::run(args),
            Command::Completions(args) => completions::run(&args),
        }
    }
}

/// What went wrong and why, each cause once: many of ours tell their source themselves.
pub fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The exit code of a command that failed. Success is 0, and what clap refuses to read is 2.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<Refusal>() {
        Some(Refusal::Infeasible(_) | Refusal::MinScoreOutOfReach { .. }) => NO_PLAN.into(),
        _ => ExitCode::FAILURE,
    }
}

/// The budget or the score cannot be had, which a script may want to tell from a fault.
const NO_PLAN: u8 = 3;

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_cause_that_its_effect_tells_already_is_not_told_again() {
        let error = anyhow::anyhow!("no such file");
        let error = error.context("cannot read x: no such file; name another");
        assert_eq!(told(&error), "cannot read x: no such file; name another");
        let error = error.context("--latents");
        assert_eq!(
            told(&error),
            "--latents: cannot read x: no such file; name another"
        );
    }

    #[test]
    fn every_command_has_examples_and_they_can_be_typed() {
        let mut n_lines = 0;
        for command in all_of(Cli::command()) {
            let help = command.get_after_help().map(ToString::to_string);
            let name = command.get_name();
            let help = help.unwrap_or_else(|| panic!("{name} has no examples"));
            assert!(help.contains("Examples:\n"), "{name}: {help}");
            for line in help
                .lines()
                .filter(|line| line.starts_with("  goldilocks "))
            {
                let typed = Cli::try_parse_from(words(line));
                let is_help = |error: &clap::Error| error.exit_code() == 0;
                let read = typed.map_or_else(|error| is_help(&error), |_| true);
                assert!(read, "{name}: {line}");
                n_lines += 1;
            }
        }
        assert!(n_lines > 25, "{n_lines}");
    }

    /// A command and all that are below it.
    fn all_of(command: clap::Command) -> Vec<clap::Command> {
        let below: Vec<clap::Command> = command.get_subcommands().cloned().collect();
        let below = below.into_iter().flat_map(all_of).collect::<Vec<_>>();
        [command].into_iter().chain(below).collect()
    }

    /// Words as a shell would see them, up to a comment or a redirection.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut quote) = (vec![String::new()], None);
        for letter in line.trim().chars() {
            match (letter, quote) {
                ('>' | '|', None) => break,
                ('"' | '\'', None) => quote = Some(letter),
                (letter, Some(closes)) if letter == closes => quote = None,
                (' ', None) => words.push(String::new()),
                (letter, _) => words.last_mut().unwrap().push(letter),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }
}
