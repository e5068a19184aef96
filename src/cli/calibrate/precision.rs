//! `goldilocks calibrate precision`: what does bf16 cost a family?

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::{FamilyArgs, drawing::DrawingArgs, examples, out};
use crate::{
    calibrate::{campaign::Sizes, file, grid::Grid, precision, quality::Settings, self_reference},
    catalog::{Family, SamplerKind},
    cli::serve::read_profile,
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
/// not drawn again, and what was measured of other plans stays. Distilled models are drawn with lcm at 1, 2, 3
/// and 4 unguided steps.
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

    /// The profile that is read and written [default: the family's own]
    #[arg(long)]
    profile: Option<PathBuf>,

    #[command(flatten)]
    drawing: DrawingArgs,

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
    let measured = precision::run(&family, &settings, &profile, &SystemClock::start())?;
    ensure!(
        !measured.cells.is_empty(),
        "time was up before the first plan was measured in both precisions; {} is what it was",
        path.display()
    );
    let found = measured.cells.clone();
    profile.precision = Some(match profile.precision.take() {
        Some(earlier) => measured.beside(earlier),
        None => measured,
    });
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
    let grid = Grid {
        steps: args.steps,
        guidance: args.guidance,
        samplers: args.sampler,
        models: args.model,
    };
    let sizes = Sizes {
        captions: args.captions,
        refined: args.captions,
        held_out: 0,
    };
    args.drawing.settings(family, grid, sizes)
}
