//! `goldilocks calibrate report`: what do the measurements say?

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use super::{examples, out, write};
use crate::{
    calibrate::{
        findings::{
            Findings, Material,
            requests::{self, ObservedRequest},
        },
        literature::{self, Literature},
        report,
    },
    catalog::Family,
    cli::latency,
    config,
    planner::{LatencyModel, Objective, Profile, profile::ProfileKind},
};

/// Writes what a profile says as one HTML page that needs nothing else
///
/// Every sentence and figure on it comes from the profile; what was not measured is left out. An output that
/// ends in .svg is the main figure alone.
#[derive(Debug, clap::Args)]
#[command(after_help = examples::CALIBRATE_REPORT)]
pub(super) struct Args {
    #[command(flatten)]
    family: super::FamilyArgs,

    /// The profile to report on [default: the family's own]
    #[arg(long)]
    profile: Option<PathBuf>,

    /// The page to write, or the main figure if it ends in .svg
    #[arg(long, required_unless_present_any = ["figure", "json"])]
    output: Option<PathBuf>,

    /// The SVG of score against cost to write as well
    #[arg(long)]
    figure: Option<PathBuf>,

    /// Print the findings in numbers
    #[arg(long)]
    json: bool,

    /// Which score the findings are about
    #[arg(long, value_enum, default_value_t)]
    objective: Score,

    /// Where this machine's latencies are kept; none were learned, no latency is shown [default: goldilocks in
    /// the XDG state folder]
    #[arg(long, env = "GOLDILOCKS_STATE_DIR")]
    state_dir: Option<PathBuf>,

    /// Requests that a server observed, one JSON object a line
    #[arg(long)]
    requests: Option<PathBuf>,

    /// Printed measurements to show beside one's own [default: calibration/literature.json beside the
    /// configuration, if it is there]
    #[arg(long)]
    literature: Option<PathBuf>,
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
    let path = args.profile.as_ref().or(family.profile.as_ref());
    let path = path.context("the family has no profile; name one with --profile")?;
    let profile = Profile::from_json(&read(path)?, &family.digest)?;
    let has_alignment = profile.kind != ProfileKind::SelfReference;
    ensure!(
        has_alignment || !matches!(args.objective, Score::Alignment),
        "{} tells nothing about alignment: its plans were compared with the family's own dearest one; \
         leave --objective out",
        path.display()
    );
    let (latency, requests) = (known_latency(args)?, observed(args)?);
    let findings = Findings::of(&Material {
        family: &family,
        profile: &profile,
        objective: args.objective.into(),
        latency: latency.as_ref(),
        requests: &requests,
        literature: printed(args)?,
    });
    ensure_something(&findings, &family)?;
    if let Some(output) = &args.output {
        let is_figure = output.extension() == Some(OsStr::new("svg"));
        let text = if is_figure {
            report::figure(&findings).file()
        } else {
            report::page(&findings)
        };
        write(output, text.as_bytes())?;
    }
    if let Some(figure) = &args.figure {
        write(figure, report::figure(&findings).file().as_bytes())?;
    }
    if args.json {
        out::print_json(&findings)?;
    }
    Ok(())
}

fn ensure_something(findings: &Findings, family: &Family) -> Result<()> {
    ensure!(
        !findings.plans.is_empty(),
        "the profile has no plans of a model that family {:?} hosts; measure some with \
         `goldilocks calibrate quality`",
        family.id
    );
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// What was learned on this machine for what is hosted now; nothing is timed for a report.
fn known_latency(args: &Args) -> Result<Option<LatencyModel>> {
    let catalog = crate::cli::precision::load(&args.family.config)?;
    let state_dir = args.state_dir.clone().or_else(config::default_state_dir);
    Ok(state_dir.and_then(|folder| latency::file(&catalog, &folder).load()))
}

fn observed(args: &Args) -> Result<Vec<ObservedRequest>> {
    let Some(path) = &args.requests else {
        return Ok(Vec::new());
    };
    requests::parse(&read(path)?).with_context(|| format!("cannot use {}", path.display()))
}

fn printed(args: &Args) -> Result<Option<Literature>> {
    if let Some(path) = &args.literature {
        return literature::read(path).map(Some);
    }
    let beside = args.family.config.parent().unwrap_or(Path::new(""));
    let usual = beside.join("calibration/literature.json");
    if usual.exists() {
        literature::read(&usual).map(Some)
    } else {
        Ok(None)
    }
}
