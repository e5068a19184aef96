//! `goldilocks calibrate`: measures what plans cost and are worth, and shows it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Subcommand;

use super::{examples, out};
use crate::{
    catalog::{self, Family},
    files,
};

mod drawing;
mod latency;
mod precision;
mod quality;
mod report;
mod sheet;

/// Measures what plans cost and are worth, and shows it
#[derive(Debug, clap::Args)]
#[command(after_help = examples::CALIBRATE)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Latency(latency::Args),
    Quality(quality::Args),
    Precision(precision::Args),
    Sheet(sheet::Args),
    Report(report::Args),
}

/// Runs the command.
pub fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Latency(args) => latency::run(args),
        Command::Quality(args) => quality::run(args),
        Command::Precision(args) => precision::run(args),
        Command::Sheet(args) => sheet::run(&args),
        Command::Report(args) => report::run(&args),
    }
}

/// Which family is meant.
#[derive(Debug, clap::Args)]
struct FamilyArgs {
    /// The hosted models
    #[arg(long, env = "GOLDILOCKS_CONFIG", default_value = "models.toml")]
    config: PathBuf,

    /// The family [default: the first one]
    #[arg(long)]
    family: Option<String>,
}

impl FamilyArgs {
    fn load(&self) -> Result<Family> {
        let catalog = catalog::load(&self.config)?;
        let Some(id) = &self.family else {
            return Ok(catalog.default_family().clone());
        };
        let family = catalog.family(id).cloned();
        family.with_context(|| {
            let ids: Vec<&str> = catalog
                .families
                .iter()
                .map(|family| family.id.as_str())
                .collect();
            format!(
                "there is no family {id:?}; choose one of {}",
                ids.join(", ")
            )
        })
    }
}

/// The command as anybody would type it, without the folder the program happens to lie in.
fn command_line(words: impl Iterator<Item = String>) -> String {
    let words = ["goldilocks".to_owned()].into_iter().chain(words.skip(1));
    words.collect::<Vec<_>>().join(" ")
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    files::replace(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
