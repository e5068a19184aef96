//! `goldilocks calibrate report`: what does a profile say at a glance?

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use super::{FamilyArgs, write};
use crate::{
    calibrate::report,
    planner::{Objective, Profile, profile::ProfileKind},
};

/// Draws a profile as score against cost, one curve for each model
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    family: FamilyArgs,

    /// The profile to draw
    #[arg(long)]
    profile: PathBuf,

    /// The SVG to write
    #[arg(long)]
    output: PathBuf,

    /// Which score is drawn
    #[arg(long, value_enum, default_value_t)]
    objective: Score,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Score {
    Alignment,
    Fidelity,
    #[default]
    Balanced,
}

impl From<Score> for Objective {
    fn from(score: Score) -> Self {
        match score {
            Score::Alignment => Self::Alignment,
            Score::Fidelity => Self::Fidelity,
            Score::Balanced => Self::Balanced,
        }
    }
}

pub(super) fn run(args: &Args) -> Result<()> {
    let family = args.family.load()?;
    let text = std::fs::read_to_string(&args.profile)
        .with_context(|| format!("cannot read {}", args.profile.display()))?;
    let profile = Profile::from_json(&text, &family.digest)?;
    let has_alignment = profile.kind != ProfileKind::SelfReference;
    ensure!(
        has_alignment || !matches!(args.objective, Score::Alignment),
        "{} tells nothing about alignment: its plans were compared with the family's own dearest one; \
         leave --objective out",
        args.profile.display()
    );
    let svg = report::figure(&family, &profile, args.objective.into()).svg();
    write(&args.output, svg.as_bytes())
}
