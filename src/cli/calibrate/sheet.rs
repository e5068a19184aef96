//! `goldilocks calibrate sheet`: what do the plans look like, side by side?

use std::path::PathBuf;

use anyhow::Result;

use super::{FamilyArgs, examples, out, write};
use crate::{
    calibrate::{captions, sheet, studio::draw},
    catalog::SamplerKind,
    engine::{Pipeline, Pixels},
    planner::Plan,
    progress::Progress,
    units::{FileFormat, Steps},
};

/// Draws captions with every model and step count into one picture
///
/// Columns are step counts; rows are models, smallest first; groups of rows are captions, which are printed.
/// Distilled models have no guidance and a sampler of their own.
#[derive(Debug, clap::Args)]
#[command(after_help = examples::CALIBRATE_SHEET)]
pub(super) struct Args {
    #[command(flatten)]
    family: FamilyArgs,

    /// The PNG to write
    #[arg(long)]
    output: PathBuf,

    /// How many of the evaluation captions are drawn
    #[arg(long, default_value_t = 4)]
    captions: usize,

    /// Step counts, one column each
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16,32")]
    steps: Vec<Steps>,

    /// Guidance scale
    #[arg(long, default_value_t = 3.0)]
    guidance: f64,

    /// Sampler
    #[arg(long, default_value = "ddim")]
    sampler: SamplerKind,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let family = args.family.load()?;
    let captions = captions::read(&family.path.join("evaluation/captions.json"), args.captions)?;
    let pipeline = Pipeline::load(&family)?;
    let mut groups: Vec<Vec<Vec<Pixels>>> =
        vec![vec![Vec::new(); family.models.len()]; captions.len()];
    let n_drawings = family.models.len() * args.steps.len();
    let progress = Progress::new("drawing", n_drawings as u64);
    for (row, card) in family.models.iter().enumerate() {
        for &steps in &args.steps {
            let (sampler, guidance_scale) = if card.distilled {
                (card.samplers()[0], 1.0)
            } else {
                (args.sampler, args.guidance)
            };
            progress.say(format!("{}, {steps} steps", card.id));
            let (model, size) = (card.id.clone(), family.default_size());
            let plan = Plan::plain(model, sampler, steps, guidance_scale, size);
            let pictures = draw(&pipeline, &plan.into(), &captions)?;
            for (group, picture) in groups.iter_mut().zip(pictures) {
                group[row].push(picture);
            }
            progress.advance(1);
        }
    }
    progress.finish();
    write(
        &args.output,
        &sheet::layout(&groups).to_file(FileFormat::Png, None)?,
    )?;
    captions
        .iter()
        .try_for_each(|caption| out::print(&format!("{}\n", caption.text)))
}
