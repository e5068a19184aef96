//! `goldilocks calibrate latency`: how long does each phase take on this machine?

use std::{fmt::Write as _, path::PathBuf};

use anyhow::{Context, Result};

use super::{examples, out};
use crate::{
    cli::latency::{file, measure},
    config,
    planner::{LatencyModel, PhaseKey, PhaseTimes},
};

/// Times every hosted model on this machine, for `plan` and `serve`
///
/// The server does this at every start; this is for looking, and for machines where it never ran.
/// What requests taught under the same state folder stays, and is corrected.
#[derive(Debug, clap::Args)]
#[command(after_help = examples::CALIBRATE_LATENCY)]
pub(super) struct Args {
    /// The hosted models
    #[arg(long, env = "GOLDILOCKS_CONFIG", default_value = "models.toml")]
    config: PathBuf,
    /// Where the times are kept [default: goldilocks in the XDG state folder]
    #[arg(long, env = "GOLDILOCKS_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> Result<()> {
    let catalog = crate::cli::precision::load(&args.config)?;
    let state_dir = args.state_dir.or_else(config::default_state_dir);
    let state_dir = state_dir.context("there is no home folder; name one with --state-dir")?;
    let file = file(&catalog, &state_dir);
    let learned = file.load();
    let learned = learned.unwrap_or_else(|| LatencyModel::new(PhaseTimes::default()));
    let latency = measure(&catalog, learned)?;
    file.save(&latency).with_context(|| {
        let path = file.path().display();
        format!("cannot write {path}; name a folder that can be written to with --state-dir")
    })?;
    if args.json {
        return out::print_json(latency.phases());
    }
    out::print(&table(latency.phases()))
}

fn table(times: &PhaseTimes) -> String {
    let mut text = format!("{:<10}{:<28}{:>10}\n", "phase", "of", "ms");
    let mut row = |phase: &str, of: &str, ms: f64| {
        writeln!(text, "{phase:<10}{of:<28}{ms:>10.2}").expect("a string takes every line");
    };
    for time in times.entries() {
        let (phase, of) = match &time.of {
            PhaseKey::Text { family } => ("text", family.clone()),
            PhaseKey::Step { model, size, rows } => ("step", format!("{model} {size} x{rows}")),
            PhaseKey::Decode { family, size } => ("decode", format!("{family} {size}")),
            PhaseKey::Encode { size } => ("encode", size.to_string()),
            PhaseKey::Rank { family, size } => ("rank", format!("{family} {size}")),
        };
        row(phase, &of, time.ms.0);
    }
    text
}
