//! `goldilocks calibrate quality`: what is every plan of a family worth?

use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{FamilyArgs, say};
use crate::{
    calibrate::{
        campaign::Sizes,
        file,
        grid::Grid,
        quality::{self, Settings},
    },
    catalog::{Family, SamplerKind},
    config,
    planner::Profile,
    telemetry::SystemClock,
    units::Steps,
};

/// Scores every plan: draws the evaluation captions with each and lets the evaluator judge
///
/// First every model at every step count, sampler and guidance scale; then, around the frontier, smaller
/// models that take the first steps, guidance at some noise levels, the best of several candidates and
/// the other samplers; plans that are shortened half way; and last a check on other captions and step
/// counts. Finished plans are kept, so an interrupted calibration goes on where it stopped. Distilled
/// models are measured with lcm at 1, 2, 3 and 4 unguided steps, whatever is said for the others.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    family: FamilyArgs,

    /// Models to measure [default: all]
    #[arg(long, value_delimiter = ',')]
    model: Vec<String>,

    /// Step counts to measure
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1,2,3,4,6,8,12,16,24,32,50"
    )]
    steps: Vec<Steps>,

    /// Guidance scales to measure; 1 is unguided
    #[arg(long, value_delimiter = ',', default_value = "1,2,3,5")]
    guidance: Vec<f64>,

    /// Samplers to measure
    #[arg(long, value_delimiter = ',', default_value = "ddim,dpmpp_2m")]
    sampler: Vec<SamplerKind>,

    /// Captions that every plan draws, each with its own seed
    #[arg(long, default_value_t = 128)]
    captions: usize,

    /// Captions that plans near the frontier draw
    #[arg(long, default_value_t = 256)]
    refined_captions: usize,

    /// Other captions, on which predictions are checked at step counts that were not measured; 0 for none
    #[arg(long, default_value_t = 256)]
    held_out_captions: usize,

    /// Stop after so many minutes; plans that are finished by then count
    #[arg(long)]
    minutes: Option<f64>,

    /// Where the profile goes [default: calibration/FAMILY.json beside the configuration]
    #[arg(long)]
    output: Option<PathBuf>,

    /// Where finished plans are kept [default: calibration in the state folder]
    #[arg(long)]
    work_dir: Option<PathBuf>,

    /// Measure everything again
    #[arg(long)]
    fresh: bool,

    /// Threads that draw at the same time [default: all cores]
    #[arg(long)]
    threads: Option<usize>,

    /// Pictures that a thread draws together
    #[arg(long, default_value_t = 32)]
    batch: usize,

    /// Commit of the program, for the profile's provenance
    #[arg(long, default_value = option_env!("GIT_SHA").unwrap_or("unknown"))]
    commit: String,
}

pub(super) fn run(args: Args) -> Result<()> {
    let family = args.family.load()?;
    let beside = args.family.config.parent().unwrap_or(Path::new(""));
    let default_output = || {
        beside
            .join("calibration")
            .join(format!("{}.json", family.id))
    };
    let output = args.output.clone().unwrap_or_else(default_output);
    let settings = settings(args, &family)?;
    let previous = std::fs::read_to_string(&output).ok();
    // A profile of other weights or of another version has nothing to hand on.
    let previous = previous.and_then(|text| Profile::from_json(&text, &family.digest).ok());
    let profile = quality::run(&family, &settings, previous.as_ref(), &SystemClock::start())?;
    file::write(&profile, &output)?;
    say(&format!(
        "{} plans of family {} are in {}",
        profile.cells.len(),
        family.id,
        output.display()
    ))
}

fn settings(args: Args, family: &Family) -> Result<Settings> {
    if let Some(unknown) = args.model.iter().find(|id| family.model(id).is_none()) {
        anyhow::bail!("family {:?} has no model {unknown:?}", family.id);
    }
    if let Some(odd) = args
        .guidance
        .iter()
        .find(|scale| !(1.0..=100.0).contains(*scale))
    {
        anyhow::bail!("guidance scale {odd} is outside 1..=100");
    }
    ensure!(
        !args.sampler.contains(&SamplerKind::Lcm),
        "lcm is for distilled models, which are measured with it in any case; leave it out"
    );
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
            refined: args.refined_captions,
            held_out: args.held_out_captions,
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

/// The command as anybody would type it, without the folder the program happens to lie in.
fn command_line(words: impl Iterator<Item = String>) -> String {
    let words = ["goldilocks".to_owned()].into_iter().chain(words.skip(1));
    words.collect::<Vec<_>>().join(" ")
}
