//! `goldilocks generate`: a picture from a caption, without a server.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use safetensors::{Dtype, tensor::TensorView};
use serde::Serialize;

use super::{examples, numbers, out, precision};
use crate::{
    catalog::{
        self, DeviceSpec, Dtype as Precision, Family, ModelCard, SamplerKind,
        raw::family_from_folder,
    },
    engine::{ImageSpec, Latents, Pipeline, Trajectory, weights::Weights},
    files,
    planner::Plan,
    progress::Progress,
    runtime::Parameters,
    units::{FileFormat, ImageSize, Steps},
};

/// Draws a picture from a caption, without a server, and writes it as PNG, JPEG or WebP
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
    /// Print what was drawn as JSON.
    #[arg(long)]
    json: bool,
}

/// One picture.
#[derive(Debug, Serialize)]
struct Drawn {
    file: PathBuf,
    seed: u64,
    plan: Plan,
}

/// Loads the model, draws and writes.
pub fn run(args: &Args) -> anyhow::Result<()> {
    ensure!(
        !args.prompt.trim().is_empty(),
        "the prompt is empty; say what to draw"
    );
    let mut family = family(args)?;
    let model = choose(&family, args.model.as_deref())?.clone();
    // The others would only cost time and memory.
    family.models = vec![model.clone()];
    if let Some(warning) = unknown_words(&family, &args.prompt) {
        eprintln!("warning: {warning}");
    }
    let pipeline = Pipeline::load(&family)?;
    let noises = Noises::read(args, &family)?;
    let how = How::choose(args, &model)?;
    let mut rows = begin(&pipeline, args, &how, &model, noises)?;
    denoise(&pipeline, &mut rows, how.steps)?;

    let latents = rows.iter().map(Trajectory::latents);
    let latents = latents.collect::<Result<Vec<_>, _>>()?;
    if let Some(file) = &args.output_latents {
        write_latents(file, &latents)?;
    }
    let latents: Vec<_> = latents.iter().collect();
    let mut drawn = Vec::with_capacity(rows.len());
    for (index, picture) in pipeline.decode(&latents)?.iter().enumerate() {
        let parameters = Parameters {
            prompt: &args.prompt,
            negative_prompt: &args.negative_prompt,
            plan: &how.plan(&model, picture.size),
            steps_run: how.steps,
            seed: rows[index].seed(),
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
            seed: rows[index].seed(),
            plan: how.plan(&model, picture.size),
        });
    }
    if args.json {
        return out::print_json(&drawn);
    }
    Ok(())
}

/// What the arguments say, or else what is usual for the model.
struct How {
    sampler: SamplerKind,
    steps: Steps,
    guidance_scale: f64,
}

impl How {
    fn choose(args: &Args, card: &ModelCard) -> anyhow::Result<Self> {
        let (steps, guidance_scale) = if card.distilled { (4, 1.0) } else { (20, 3.0) };
        let how = Self {
            sampler: args.sampler.unwrap_or(card.samplers()[0]),
            steps: args.steps.unwrap_or(steps),
            guidance_scale: args.guidance.unwrap_or(guidance_scale),
        };
        let model = &card.id;
        if card.distilled && how.guidance_scale != 1.0 {
            bail!("{model} is distilled, its guidance is baked in; leave --guidance out");
        }
        if card.distilled && !args.negative_prompt.is_empty() {
            bail!("{model} is distilled, it cannot be steered away; leave --negative-prompt out");
        }
        if !card.suits(how.sampler) {
            let usual = card.samplers()[0];
            eprintln!(
                "warning: {model} is not made for {}, but for {usual}",
                how.sampler
            );
        }
        Ok(how)
    }

    fn plan(&self, card: &ModelCard, size: ImageSize) -> Plan {
        let (steps, guidance_scale) = (self.steps, self.guidance_scale);
        Plan::plain(card.id.clone(), self.sampler, steps, guidance_scale, size)
    }
}

fn family(args: &Args) -> anyhow::Result<Family> {
    let mut family = if let Some(folder) = &args.model_dir {
        family_from_folder(folder, args.device)?
    } else {
        let catalog = catalog::load(&args.config)?;
        let named = args.model.as_ref().and_then(|name| catalog.model(name));
        let named = named.map(|(family, _)| family);
        named.unwrap_or_else(|| catalog.default_family()).clone()
    };
    for model in &mut family.models {
        model.device = args.device;
        model.dtype = args.dtype.unwrap_or(model.dtype);
    }
    precision::resolve_family(&mut family)?;
    Ok(family)
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

fn choose<'a>(family: &'a Family, name: Option<&str>) -> anyhow::Result<&'a ModelCard> {
    let Some(name) = name else {
        // A student takes neither guidance nor a negative prompt: it is for those who name it.
        let mut models = family.models.iter();
        let largest = models.rfind(|model| !model.distilled);
        let largest = largest.or(family.models.last());
        return largest.context("the family has no model");
    };
    let is_called = |model: &&ModelCard| {
        model.id.0 == name || model.unet_path.file_name().is_some_and(|file| file == name)
    };
    family.models.iter().find(is_called).with_context(|| {
        let names: Vec<_> = family
            .models
            .iter()
            .map(|model| model.id.0.as_str())
            .collect();
        format!(
            "there is no model {name:?}; choose one of {}",
            names.join(", ")
        )
    })
}

/// The noise of every picture, `None` where it is the seed's, and their size.
struct Noises {
    size: ImageSize,
    of_pictures: Vec<Option<Vec<f32>>>,
}

impl Noises {
    fn read(args: &Args, family: &Family) -> anyhow::Result<Self> {
        let Some(file) = &args.latents else {
            return Ok(Self {
                size: args.size.unwrap_or_else(|| family.default_size()),
                of_pictures: vec![None],
            });
        };
        let (shape, values) = Weights::open(file)?.read("latents")?;
        let &[n, channels, height, width] = shape.as_slice() else {
            bail!(
                "{}: `latents` is {shape:?}, not N x C x H x W",
                file.display()
            );
        };
        if values.is_empty() || channels != family.vae.latent_channels {
            let expected = family.vae.latent_channels;
            bail!(
                "{}: `latents` is {shape:?}, but C is {expected}",
                file.display()
            );
        }
        let size = ImageSize {
            width: width as u32 * family.vae.downscale(),
            height: height as u32 * family.vae.downscale(),
        };
        if let Some(asked) = args.size.filter(|asked| *asked != size) {
            bail!("--latents are for pictures of {size}, but --size is {asked}");
        }
        let rows = values.chunks_exact(values.len() / n);
        Ok(Self {
            size,
            of_pictures: rows.map(|row| Some(row.to_vec())).collect(),
        })
    }
}

fn begin(
    pipeline: &Pipeline,
    args: &Args,
    how: &How,
    model: &ModelCard,
    noises: Noises,
) -> anyhow::Result<Vec<Trajectory>> {
    let conditioning = pipeline
        .encode(&[&args.prompt], &args.negative_prompt)?
        .remove(0);
    if conditioning.n_truncated() > 0 {
        let cut = conditioning.n_truncated();
        eprintln!("warning: the prompt is too long; its last {cut} tokens are ignored");
    }
    let size = noises.size;
    let spec = |(index, initial_noise): (usize, Option<Vec<f32>>)| ImageSpec {
        stages: Vec::new(),
        guidance_interval: None,
        candidate: 0,
        sampler: how.sampler,
        steps: how.steps,
        guidance_scale: how.guidance_scale,
        seed: args.seed + index as u64,
        size,
        initial_noise,
    };
    let pictures = noises.of_pictures.into_iter().enumerate().map(spec);
    pictures
        .map(|spec| Ok(pipeline.begin(&model.id, &spec, conditioning.clone())?))
        .collect()
}

fn denoise(pipeline: &Pipeline, rows: &mut [Trajectory], steps: Steps) -> anyhow::Result<()> {
    let progress = Progress::new("drawing", u64::from(steps));
    let mut rows: Vec<_> = rows.iter_mut().collect();
    for step in 1..=steps {
        progress.say(format!("step {step} of {steps}"));
        for moved in pipeline.step(&mut rows)? {
            moved?;
        }
        progress.advance(1);
    }
    progress.finish();
    Ok(())
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
