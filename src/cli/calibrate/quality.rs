//! `goldilocks calibrate quality`: what is every plan of a family worth?

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use serde::Serialize;

use super::{FamilyArgs, drawing::DrawingArgs, examples, out};
use crate::{
    calibrate::{
        campaign::Sizes,
        file,
        grid::Grid,
        prompts::Prompts,
        quality::{self, Settings},
        self_reference,
    },
    catalog::{Family, SamplerKind},
    planner::{Profile, profile::ProfileKind},
    telemetry::SystemClock,
    units::Steps,
};

/// Captions that an evaluator looks at, unless said otherwise.
const N_CAPTIONS: usize = 128;

/// What is measured, unless said otherwise.
struct Usual {
    steps: &'static [Steps],
    guidance: &'static [f64],
    samplers: &'static [SamplerKind],
}

/// Of a family with an evaluator.
const USUAL: Usual = Usual {
    steps: &[1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 50],
    guidance: &[1.0, 2.0, 3.0, 5.0],
    samplers: &[SamplerKind::Ddim, SamplerKind::DpmPp2M],
};

/// Of one that is measured against itself: a Stable Diffusion, with its pipelines' guidance among others.
const USUAL_OF_SELF: Usual = Usual {
    steps: &[1, 2, 4, 8, 16, 32],
    guidance: &[1.0, 3.0, 7.5],
    samplers: &[SamplerKind::Ddim],
};

/// Scores every plan: draws the evaluation captions with each and lets the evaluator judge
///
/// First every model at every step count, sampler and guidance scale; then, around the frontier, smaller
/// models that take the first steps, guidance at some noise levels, the best of several candidates and
/// the other samplers; plans that are shortened on their way; and last a check on other captions and step
/// counts. Finished plans are kept, so an interrupted calibration goes on where it stopped. Distilled
/// models are measured with lcm at 1, 2, 3 and 4 unguided steps, whatever is said for the others.
///
/// A family without an evaluator, a Stable Diffusion folder for instance, is measured with --self: its
/// plans are scored by how close their latents come to those of its own dearest plan, the largest model
/// at 50 steps or more, for the same prompts and seeds.
#[derive(Debug, clap::Args)]
#[command(after_help = examples::CALIBRATE_QUALITY)]
pub(super) struct Args {
    #[command(flatten)]
    family: FamilyArgs,

    /// Models to measure [default: all]
    #[arg(long, value_delimiter = ',')]
    model: Vec<String>,

    /// Step counts to measure [default: 1 to 50 in eleven counts; with --self 1,2,4,8,16,32]
    #[arg(long, value_delimiter = ',')]
    steps: Vec<Steps>,

    /// Guidance scales to measure; 1 is unguided [default: 1,2,3,5; with --self 1,3,7.5]
    #[arg(long, value_delimiter = ',')]
    guidance: Vec<f64>,

    /// Samplers to measure [default: ddim,dpmpp_2m; with --self ddim]
    #[arg(long, value_delimiter = ',')]
    sampler: Vec<SamplerKind>,

    /// Captions that every plan draws, each with its own seed [default: 128; with --self all prompts]
    #[arg(long)]
    captions: Option<usize>,

    /// Compare with the family's own dearest plan instead of asking its evaluator
    #[arg(long = "self")]
    self_reference: bool,

    /// Prompts for --self, one a line [default: 64 that are built in]
    #[arg(long, requires = "self_reference")]
    prompts: Option<PathBuf>,

    /// Captions that plans near the frontier draw
    #[arg(long, default_value_t = 256)]
    refined_captions: usize,

    /// Other captions, on which predictions are checked at step counts that were not measured; 0 for none
    #[arg(long, default_value_t = 256)]
    held_out_captions: usize,

    /// Where the profile goes [default: calibration/FAMILY.json beside the configuration]
    #[arg(long)]
    output: Option<PathBuf>,

    #[command(flatten)]
    drawing: DrawingArgs,

    /// Print what was made as JSON
    #[arg(long)]
    json: bool,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Made<'a> {
    family: &'a str,
    profile: &'a Path,
    plans: usize,
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
    let previous = std::fs::read_to_string(&output).ok();
    // A profile of other weights, of another version or kind has nothing to hand on.
    let previous = previous.and_then(|text| Profile::from_json(&text, &family.digest).ok());
    let previous = previous.filter(|profile| profile.kind == ProfileKind::Measured);
    if let Some(previous) = previous
        .as_ref()
        .filter(|_| args.narrows() && args.output.is_none())
    {
        bail!(
            "{} holds {} plans, and what is measured of a part of them would take its place; name another file, or \
             this one, with --output",
            output.display(),
            previous.cells.len()
        );
    }
    let prompts = prompts(&args)?;
    let is_json = args.json;
    let settings = settings(args, &family)?;
    let clock = SystemClock::start();
    let profile = if let Some(prompts) = prompts {
        ensure!(
            previous.is_none(),
            "{} holds what an evaluator measured on these weights, which says more than --self would; \
             name another file with --output",
            output.display()
        );
        self_reference::run(&family, &settings, &prompts, &clock)?
    } else {
        ensure!(
            self_reference::has_evaluator(&family),
            "family {:?} has no evaluator ({} has no folders evaluator and evaluation); measure it against \
             its own dearest plan with --self",
            family.id,
            family.path.display()
        );
        quality::run(&family, &settings, previous.as_ref(), &clock)?
    };
    file::write(&profile, &output)?;
    let made = Made {
        family: &family.id,
        profile: &output,
        plans: profile.cells.len(),
    };
    if is_json {
        return out::print_json(&made);
    }
    out::print(&format!(
        "{} plans of family {} are in {}\n",
        made.plans,
        family.id,
        output.display()
    ))
}

impl Args {
    /// Whether less is to be measured than usual.
    fn narrows(&self) -> bool {
        let is_usual = self.model.is_empty() && self.steps.is_empty();
        !(is_usual && self.guidance.is_empty() && self.sampler.is_empty())
    }
}

/// What `--self` draws, if it was said.
fn prompts(args: &Args) -> Result<Option<Prompts>> {
    if !args.self_reference {
        return Ok(None);
    }
    let prompts = match &args.prompts {
        Some(path) => Prompts::read(path)?,
        None => Prompts::built_in(),
    };
    prompts.first(args.captions).map(Some)
}

fn settings(args: Args, family: &Family) -> Result<Settings> {
    let usual = if args.self_reference {
        USUAL_OF_SELF
    } else {
        USUAL
    };
    let grid = Grid {
        steps: said_or(args.steps, usual.steps),
        guidance: said_or(args.guidance, usual.guidance),
        samplers: said_or(args.sampler, usual.samplers),
        models: args.model,
    };
    let sizes = Sizes {
        captions: args.captions.unwrap_or(N_CAPTIONS),
        refined: args.refined_captions,
        held_out: args.held_out_captions,
    };
    args.drawing.settings(family, grid, sizes)
}

/// What was said, or what is usual where nothing was.
fn said_or<T: Clone>(said: Vec<T>, usual: &[T]) -> Vec<T> {
    if said.is_empty() {
        usual.to_vec()
    } else {
        said
    }
}
