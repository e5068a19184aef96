//! `goldilocks generate`: a picture from a caption, without a server.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use safetensors::{Dtype, tensor::TensorView};
use serde::Serialize;

use super::{ask::Wanted, examples, numbers, out};
use crate::{
    catalog::{DeviceSpec, Dtype as Precision, Family, SamplerKind},
    engine::{Latents, Pipeline, Trajectory},
    files,
    planner::{Plan, PlanToken},
    runtime::Parameters,
    units::{FileFormat, ImageSize, Steps},
};

mod choice;
mod drawing;
mod noises;

use choice::Choice;

/// Draws a picture from a caption, without a server, and writes it as PNG, JPEG or WebP
///
/// With a budget (--latency-ms, --tflops, --quality, --min-score) the plan is the one that an idle server would choose; --model,
/// --sampler, --steps and --guidance hold it to theirs. Where no plan fits, the exit code is 3. Without a budget they say all, and
/// what they leave open is usual for the model.
#[derive(Debug, clap::Args)]
#[command(after_help = examples::GENERATE)]
pub struct Args {
    /// What to draw.
    prompt: String,
    /// A model folder in diffusers layout: with `unet/`, or with several `unet-<size>/`.
    #[arg(long, value_name = "FOLDER")]
    model_dir: Option<PathBuf>,
    /// The file that lists the hosted models, used without --model-dir.
    #[arg(
        long,
        value_name = "FILE",
        env = "GOLDILOCKS_CONFIG",
        default_value = "models.toml"
    )]
    config: PathBuf,
    /// Which model: its name, or its folder such as unet-c16 [default: the largest one that is not
    /// distilled].
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Sampling steps [default: 20; 4 of a distilled model].
    #[arg(long)]
    steps: Option<Steps>,
    /// Sampling algorithm: ddim, dpmpp_2m, euler, euler_ancestral, ddpm, or lcm for distilled models
    /// [default: ddim, or lcm].
    #[arg(long)]
    sampler: Option<SamplerKind>,
    /// Scale of classifier-free guidance; 1 is unguided and takes half the time [default: 3; a distilled
    /// model has its guidance baked in].
    #[arg(long, value_name = "SCALE", allow_negative_numbers = true, value_parser = numbers::guidance)]
    guidance: Option<f64>,
    /// Names the noise; the same seed gives the same picture.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// What to steer away from.
    #[arg(long, value_name = "TEXT", default_value = "")]
    negative_prompt: String,
    /// Width and height in pixels, as in 128x128 [default: the family's own].
    #[arg(long, value_name = "WIDTHxHEIGHT")]
    size: Option<ImageSize>,
    /// Where the model runs: cpu, or cuda:0 for the first GPU.
    #[arg(long, default_value_t = DeviceSpec::Cpu)]
    device: DeviceSpec,
    /// What the model multiplies in: f32, bf16, or auto for bf16 where it is measured to lose no score
    /// [default: as the file of hosted models says, or f32].
    #[arg(long)]
    dtype: Option<Precision>,
    /// Where the picture goes: .jpg and .webp say what it becomes, all else is PNG. Several are numbered, as
    /// in out-0.png, out-1.png.
    #[arg(long, short, value_name = "FILE", default_value = "out.png")]
    output: PathBuf,
    /// Initial noise in place of the seed's: safetensors with `latents`, N x C x H x W, of unit
    /// variance. Draws N pictures of its size.
    #[arg(long, value_name = "FILE")]
    latents: Option<PathBuf>,
    /// Also write the final latents, before decoding: safetensors with `latents`, N x C x H x W.
    #[arg(long, value_name = "FILE")]
    output_latents: Option<PathBuf>,
    #[command(flatten)]
    wanted: Wanted,
    /// Draw by exactly this plan: the `plan_token` of a server's reply or of `plan --json`. With the reply's
    /// prompt and seed it is the reply's picture.
    #[arg(
        long,
        value_name = "TOKEN",
        conflicts_with_all = ["model_dir", "model", "sampler", "steps", "guidance"]
    )]
    plan_token: Option<PlanToken>,
    /// Where measured latencies are kept, for --latency-ms [default: goldilocks in the XDG state folder].
    #[arg(long, value_name = "FOLDER", env = "GOLDILOCKS_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// Print what was drawn as JSON.
    #[arg(long)]
    json: bool,
}

/// One picture.
#[derive(Debug, Serialize)]
struct Drawn<'p> {
    file: PathBuf,
    seed: u64,
    plan: &'p Plan,
}

/// Loads the models, draws and writes.
pub fn run(args: &Args) -> anyhow::Result<()> {
    ensure!(
        !args.prompt.trim().is_empty(),
        "the prompt is empty; say what to draw"
    );
    let Choice {
        family,
        plan,
        noises,
    } = choice::choose(args)?;
    if let Some(warning) = unknown_words(&family, &args.prompt) {
        eprintln!("warning: {warning}");
    }
    let pipeline = Pipeline::load(&family)?;
    let rows = drawing::draw(&pipeline, args, &plan, noises)?;

    let latents = rows.iter().map(Trajectory::latents);
    let latents = latents.collect::<Result<Vec<_>, _>>()?;
    if let Some(file) = &args.output_latents {
        write_latents(file, &latents)?;
    }
    let pictures = pipeline.decode(&latents.iter().collect::<Vec<_>>())?;
    let mut drawn = Vec::with_capacity(rows.len());
    for (index, (row, picture)) in rows.iter().zip(&pictures).enumerate() {
        let parameters = Parameters {
            prompt: &args.prompt,
            negative_prompt: &args.negative_prompt,
            plan: &plan,
            steps_run: plan.steps,
            seed: row.seed(),
        };
        let file = if rows.len() == 1 {
            args.output.clone()
        } else {
            numbered(&args.output, index)
        };
        let format = FileFormat::of_file(&file);
        write(&file, &picture.to_file(format, Some(&parameters.text()))?)?;
        if !args.json {
            eprintln!("wrote {}", file.display());
        }
        drawn.push(Drawn {
            file,
            seed: row.seed(),
            plan: &plan,
        });
    }
    if args.json {
        return out::print_json(&drawn);
    }
    Ok(())
}

/// What the server says in its reply's `warnings`.
fn unknown_words(family: &Family, prompt: &str) -> Option<String> {
    let vocabulary = family.vocabulary.as_ref()?;
    let told = vocabulary.told(prompt)?;
    let listed = vocabulary.path().map(|file| file.display().to_string());
    Some(format!(
        "family {:?} was not trained on {told}; {} lists the words it knows",
        family.id,
        listed.as_deref().unwrap_or("its vocabulary")
    ))
}

fn write_latents(file: &Path, rows: &[Latents]) -> anyhow::Result<()> {
    let (channels, height, width) = rows[0].shape();
    let numbers = rows.iter().flat_map(Latents::values);
    let bytes: Vec<u8> = numbers.flat_map(|number| number.to_le_bytes()).collect();
    let shape = vec![rows.len(), channels, height, width];
    let tensors = HashMap::from([("latents", TensorView::new(Dtype::F32, shape, &bytes)?)]);
    write(file, &safetensors::serialize(tensors, None)?)
}

/// `out.png` to `out-3.png`.
fn numbered(file: &Path, index: usize) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let name = match file.extension() {
        Some(end) => format!("{stem}-{index}.{}", end.to_string_lossy()),
        None => format!("{stem}-{index}"),
    };
    file.with_file_name(name)
}

fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    files::replace(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::raw::family_from_folder;

    #[test]
    fn words_that_the_family_does_not_know_are_told_with_the_file_that_lists_the_others() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/emoji");
        let family = family_from_folder(&folder, DeviceSpec::Cpu).unwrap();
        let warning = unknown_words(&family, "a zebra, two dogs").unwrap();
        assert!(warning.contains("not trained on \"zebra\"; "), "{warning}");
        assert!(warning.contains("emoji/vocabulary.json lists"), "{warning}");
        assert_eq!(unknown_words(&family, "two dogs"), None);
    }

    #[test]
    fn several_pictures_are_numbered_before_the_ending() {
        assert_eq!(
            numbered(Path::new("a/out.png"), 3),
            Path::new("a/out-3.png")
        );
        assert_eq!(numbered(Path::new("out"), 0), Path::new("out-0"));
    }
}
