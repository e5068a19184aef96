//! `goldilocks calibrate precision`: what does bf16 cost a family?

use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::{FamilyArgs, command_line, examples, out};
use crate::{
    calibrate::{campaign::Sizes, file, grid::Grid, precision, quality::Settings, self_reference},
    catalog::{Family, SamplerKind},
    cli::{numbers, serve::read_profile},
    config,
    engine::ops::native::Bf16,
    planner::precision::PrecisionCell,
    telemetry::SystemClock,
    units::Steps,
};

/// Draws the same captions from the same noise in f32 and in bf16, and compares the scores
///
/// The paired differences go into the family's profile, which must have been measured before. A model with
/// dtype = "auto" in models.toml computes in bf16 where the processor can (AVX-512 with BF16) and none of its
/// plans here scores less by more than two standard errors. Pictures that `calibrate quality` drew in f32 are
/// not drawn again. Distilled models are drawn with lcm at 1, 2, 3 and 4 unguided steps.
#[derive(Debug, clap::Args)]
#[command(after_help = examples::CALIBRATE_PRECISION)]
pub(super) struct Args {
    #[command(flatten)]
    family: FamilyArgs,

    /// Models to draw with [default: all]
    #[arg(long, value_delimiter = ',')]
    model: Vec<String>,

    /// Step counts
    #[arg(long, value_delimiter = ',', default_value = "4,16")]
    steps: Vec<Steps>,

    /// Guidance scales; 1 is unguided
    #[arg(long, value_delimiter = ',', default_value = "3")]
    guidance: Vec<f64>,

    /// Samplers
    #[arg(long, value_delimiter = ',', default_value = "ddim")]
    sampler: Vec<SamplerKind>,

    /// Captions that every plan draws, each with its own seed
    #[arg(long, default_value_t = 256)]
    captions: usize,

    /// Stop after so many minutes; plans that are finished in both by then count
    #[arg(long, allow_negative_numbers = true, value_parser = numbers::not_negative)]
    minutes: Option<f64>,

    /// The profile that is read and written [default: the family's own]
    #[arg(long)]
    profile: Option<PathBuf>,

    /// Where finished plans are kept [default: calibration in the state folder]
    #[arg(long)]
    work_dir: Option<PathBuf>,

    /// Draw everything again
    #[arg(long)]
    fresh: bool,

    /// Threads that draw at the same time [default: all cores]
    #[arg(long)]
    threads: Option<usize>,

    /// Pictures that a thread draws together
    #[arg(long, default_value_t = 32)]
    batch: usize,

    /// Commit of the program, for the provenance
    #[arg(long, default_value = option_env!("GIT_SHA").unwrap_or("unknown"))]
    commit: String,

    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Found<'a> {
    family: &'a str,
    profile: &'a Path,
    cells: &'a [PrecisionCell],
}

pub(super) fn run(args: Args) -> Result<()> {
    let family = args.family.load()?;
    ensure!(
        Bf16::detect().is_some(),
        "this processor has no avx512_bf16, so that nothing can be drawn in bf16; run it where there is, the \
         profile holds for every machine"
    );
    ensure!(
        self_reference::has_evaluator(&family),
        "family {:?} has no evaluator, so that nothing tells what bf16 costs; give its models dtype = \"f32\", or \
         \"bf16\" on your own judgement",
        family.id
    );
    let path = args.profile.clone().or_else(|| family.profile.clone());
    let path = path.context(
        "the family has no profile; measure one with `goldilocks calibrate quality`, or name one with --profile",
    )?;
    let mut profile = read_profile(&family, &path)?;
    let is_json = args.json;
    let settings = settings(args, &family)?;
    let found = precision::run(&family, &settings, &profile, &SystemClock::start())?;
    let found = profile.precision.insert(found).cells.clone();
    file::write(&profile, &path)?;
    if is_json {
        return out::print_json(&Found {
            family: &family.id,
            profile: &path,
            cells: &found,
        });
    }
    let lines = found.iter().map(|cell| {
        let verdict = if cell.balanced.is_loss() {
            "  loses"
        } else {
            ""
        };
        format!("{:<40} {}{verdict}\n", cell.plan.to_string(), cell.balanced)
    });
    out::print(&format!(
        "balanced score in bf16 less that in f32:\n{}{} plans of family {} are in {}\n",
        lines.collect::<String>(),
        found.len(),
        family.id,
        path.display()
    ))
}

fn settings(args: Args, family: &Family) -> Result<Settings> {
    if let Some(unknown) = args.model.iter().find(|id| family.model(id).is_none()) {
        anyhow::bail!("family {:?} has no model {unknown:?}", family.id);
    }
    ensure!(
        args.batch > 0,
        "a batch of 0 pictures draws nothing; 1 or more would do"
    );
    let limit = args
        .minutes
        .map(|minutes| Duration::try_from_secs_f64(60.0 * minutes));
    let work_dir = match args.work_dir {
        Some(folder) => folder,
        None => config::default_state_dir()
            .context("there is no home folder for finished plans; name one with --work-dir")?
            .join("calibration"),
    };
    Ok(Settings {
        grid: Grid {
            steps: args.steps,
            guidance: args.guidance,
            samplers: args.sampler,
            models: args.model,
        },
        sizes: Sizes {
            captions: args.captions,
            refined: args.captions,
            held_out: 0,
        },
        work_dir,
        fresh: args.fresh,
        threads: args
            .threads
            .unwrap_or_else(|| thread::available_parallelism().map_or(1, Into::into)),
        batch: args.batch,
        limit: limit
            .transpose()
            .context("--minutes must be a positive number")?,
        commit: args.commit,
        command: command_line(std::env::args()),
    })
}
