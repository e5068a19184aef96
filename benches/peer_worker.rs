//! How fast is this engine, beside its peers? Our side of `bench/peers`: answers one JSON line for
//! every JSON line, as its README describes. `cargo bench` alone only says so.
//!
//! Times run from numbers in memory, laid out as the peers have them, to numbers in memory.

use std::{
    collections::HashMap,
    io::{self, BufRead as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use candle_core::{Device, Tensor};
use goldilocks::{
    catalog::{
        self, DeviceSpec, SamplerKind,
        architecture::{UnetConfig, VaeConfig, read_json},
    },
    engine::{
        Conditioning, ImageSpec, Pipeline, device,
        ops::{Backend, Shape, candle::Candle, native::Native},
        unet::Unet,
        vae::Decoder,
        weights::Weights,
    },
    planner::cost,
    telemetry::clock::{Clock as _, SystemClock},
    units::{Flops, ImageSize, Steps},
};
use safetensors::{Dtype, tensor::TensorView};
use serde::{Deserialize, Serialize};

/// The file name of U-Nets and autoencoders, without its end.
const STEM: &str = "diffusion_pytorch_model";

/// Side of the matrices whose product stands for the processor's peak.
const PEAK_SIDE: usize = 768;

/// Products that the peak is the best of.
const PEAK_PRODUCTS: usize = 64;

/// What the orchestrator asks for.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Order {
    /// Drop the last case and load this one.
    Load { case: Case },
    /// Compute it so many times.
    Run { times: usize },
    /// Write what the last run computed.
    Output { path: PathBuf },
    /// Measure what the processor can do.
    Peak { threads: usize },
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Reply {
    Loaded { gflop: f64 },
    Ran { seconds: Vec<f64> },
    Written {},
    Peak { gflops: f64, measured_by: String },
    Failed { error: String },
}

/// One row of the table.
#[derive(Debug, Deserialize)]
struct Case {
    kind: Kind,
    /// Safetensors with everything that goes in.
    inputs: PathBuf,
    unet: Option<PathBuf>,
    vae: Option<PathBuf>,
    picture: Option<Picture>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// One evaluation of a U-Net.
    Unet,
    /// Latents to pixels.
    Decode,
    /// Noise and text states to pixels.
    Picture,
}

/// How the picture is drawn where the engine itself knows the way.
#[derive(Debug, Deserialize)]
struct Picture {
    models: PathBuf,
    model: String,
    prompt: String,
    steps: Steps,
    guidance: f64,
}

/// Tensors by name, channel by channel, line by line.
type Outputs = Vec<(&'static str, Vec<f32>)>;

/// A loaded case: computes it once.
type Job = Box<dyn Fn() -> anyhow::Result<Outputs>>;

/// The processor's own backend. Its threads are rayon's: `RAYON_NUM_THREADS`.
fn native() -> Native {
    Native
}

fn candle() -> anyhow::Result<Candle> {
    Ok(Candle::new(device::open(DeviceSpec::Cpu)?))
}

fn main() -> anyhow::Result<()> {
    let engine = std::env::args().nth(1).unwrap_or_default();
    let load: fn(&Case) -> anyhow::Result<Job> = match engine.as_str() {
        "native" => load_native,
        "candle" => load_candle,
        _ => {
            eprintln!("peer_worker is run by bench/peers/run.py, as `peer_worker native|candle`");
            return Ok(());
        }
    };
    let clock = SystemClock::start();
    let mut worker = Worker {
        load,
        clock,
        job: None,
        outputs: Vec::new(),
    };
    let mut replies = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let reply = serde_json::from_str(&line?)
            .context("not an order")
            .and_then(|order| worker.obey(order))
            .unwrap_or_else(|fault| Reply::Failed {
                error: format!("{fault:#}"),
            });
        writeln!(replies, "{}", serde_json::to_string(&reply)?)?;
        replies.flush()?;
    }
    Ok(())
}

struct Worker {
    load: fn(&Case) -> anyhow::Result<Job>,
    clock: SystemClock,
    job: Option<Job>,
    outputs: Outputs,
}

impl Worker {
    fn obey(&mut self, order: Order) -> anyhow::Result<Reply> {
        match order {
            Order::Load { case } => {
                self.job = None;
                self.job = Some((self.load)(&case)?);
                let gflop = case.cost()?.0 / 1e9;
                Ok(Reply::Loaded { gflop })
            }
            Order::Run { times } => self.run(times),
            Order::Output { path } => {
                write_outputs(&path, &self.outputs)?;
                Ok(Reply::Written {})
            }
            Order::Peak { threads } => peak(&self.clock, threads),
        }
    }

    fn run(&mut self, times: usize) -> anyhow::Result<Reply> {
        let job = self.job.as_ref().context("no case is loaded")?;
        let mut seconds = Vec::with_capacity(times);
        for _ in 0..times {
            let start = self.clock.now();
            self.outputs = job()?;
            seconds.push(self.clock.now().since(start).as_secs_f64());
        }
        Ok(Reply::Ran { seconds })
    }
}

fn load_native(case: &Case) -> anyhow::Result<Job> {
    match case.kind {
        Kind::Unet => load_unet(native(), case),
        Kind::Decode => load_decoder(native(), case),
        Kind::Picture => load_pipeline(case),
    }
}

fn load_candle(case: &Case) -> anyhow::Result<Job> {
    match case.kind {
        Kind::Unet => load_unet(candle()?, case),
        Kind::Decode => load_decoder(candle()?, case),
        Kind::Picture => load_loop(candle()?, case),
    }
}

fn load_unet<B: Backend>(ops: B, case: &Case) -> anyhow::Result<Job> {
    let unet = case.load_unet(&ops)?;
    let inputs = case.inputs()?;
    let (shape, sample) = inputs.grid("sample")?;
    let (text, states) = inputs.tokens("states")?;
    let timesteps: Vec<f64> = inputs.vector("timesteps")?;
    Ok(Box::new(move || {
        let xs = ops.upload_chw(shape, &sample)?;
        let context = ops.upload_tokens(text, states.clone())?;
        let output = unet.forward(&ops, &xs, &timesteps, &context)?;
        Ok(vec![("output", ops.download_chw(&output)?)])
    }))
}

fn load_decoder<B: Backend>(ops: B, case: &Case) -> anyhow::Result<Job> {
    let decoder = case.load_decoder(&ops)?;
    let (shape, latents) = case.inputs()?.grid("latents")?;
    Ok(Box::new(move || {
        let xs = ops.upload_chw(shape, &latents)?;
        let pixels = decoder.forward(&ops, &xs)?;
        Ok(vec![("output", ops.download_chw(&pixels)?)])
    }))
}

/// The whole picture as the server draws it.
fn load_pipeline(case: &Case) -> anyhow::Result<Job> {
    let picture = case.picture()?;
    let catalog = catalog::load(&picture.models)?;
    let (family, model) = catalog
        .model(&picture.model)
        .with_context(|| format!("no model {:?}", picture.model))?;
    let mut family = family.clone();
    family.models = vec![model.clone()];
    let pipeline = Pipeline::load(&family)?;
    let conditioning: Conditioning = pipeline.encode(&[&picture.prompt], "")?.remove(0);
    let (shape, noise) = case.inputs()?.grid("noise")?;
    let side = |latents: usize| latents as u32 * family.vae.downscale();
    let spec = ImageSpec {
        sampler: SamplerKind::Ddim,
        steps: picture.steps,
        guidance_scale: picture.guidance,
        seed: 0,
        size: ImageSize {
            width: side(shape.width),
            height: side(shape.height),
        },
        initial_noise: Some(noise),
    };
    let model = model.id.clone();
    Ok(Box::new(move || {
        let mut row = pipeline.begin(&model, &spec, conditioning.clone())?;
        pipeline.finish(&mut [&mut row])?;
        let pixels = pipeline.decode(&[row.latents()])?.remove(0);
        let size = pixels.size.pixels() as usize;
        let channels = (0..3).flat_map(|channel| (0..size).map(move |at| 3 * at + channel));
        let levels = channels.map(|index| f32::from(pixels.rgb[index])).collect();
        let latents = row.latents().values().to_vec();
        Ok(vec![("latents", latents), ("pixels", levels)])
    }))
}

/// The whole picture in the loop that the peers in Python run: x' = a x + b v.
fn load_loop<B: Backend>(ops: B, case: &Case) -> anyhow::Result<Job> {
    let unet = case.load_unet(&ops)?;
    let decoder = case.load_decoder(&ops)?;
    let inputs = case.inputs()?;
    let (shape, noise) = inputs.grid("noise")?;
    let (text, states) = inputs.tokens("states")?;
    let [timesteps, a, b] = ["timesteps", "a", "b"].map(|name| inputs.vector(name));
    let (timesteps, a, b): (Vec<f64>, Vec<f64>, Vec<f64>) = (timesteps?, a?, b?);
    let guidance = case.picture()?.guidance as f32;
    let scale = case.vae_config()?.scaling_factor as f32;
    let both = Shape { rows: 2, ..shape };
    Ok(Box::new(move || {
        let context = ops.upload_tokens(text, states.clone())?;
        let mut latents = noise.clone();
        for ((timestep, a), b) in timesteps.iter().zip(&a).zip(&b) {
            let xs = ops.upload_chw(both, &latents.repeat(2))?;
            let output = unet.forward(&ops, &xs, &[*timestep; 2], &context)?;
            let output = ops.download_chw(&output)?;
            let (unconditional, conditional) = output.split_at(latents.len());
            let velocities = unconditional.iter().zip(conditional);
            for (x, (un, con)) in latents.iter_mut().zip(velocities) {
                *x = *a as f32 * *x + *b as f32 * (un + guidance * (con - un));
            }
        }
        let scaled: Vec<f32> = latents.iter().map(|x| x / scale).collect();
        let pixels = decoder.forward(&ops, &ops.upload_chw(shape, &scaled)?)?;
        let level = |x: f32| ((x / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even();
        let levels = ops.download_chw(&pixels)?.into_iter().map(level).collect();
        Ok(vec![("latents", latents), ("pixels", levels)])
    }))
}

impl Case {
    fn folder<'a>(&self, folder: Option<&'a PathBuf>) -> anyhow::Result<&'a Path> {
        let kind = self.kind;
        let folder = folder.with_context(|| format!("a {kind:?} case without its folder"))?;
        Ok(folder)
    }

    fn picture(&self) -> anyhow::Result<&Picture> {
        self.picture.as_ref().context("a case without its picture")
    }

    fn unet_config(&self) -> anyhow::Result<UnetConfig> {
        let folder = self.folder(self.unet.as_ref())?;
        Ok(UnetConfig::read(&folder.join("config.json"))?)
    }

    fn vae_config(&self) -> anyhow::Result<VaeConfig> {
        let folder = self.folder(self.vae.as_ref())?;
        Ok(read_json(&folder.join("config.json"))?)
    }

    fn load_unet<B: Backend>(&self, ops: &B) -> anyhow::Result<Unet<B>> {
        let weights = Weights::open_folder(self.folder(self.unet.as_ref())?, STEM)?;
        Ok(Unet::load(ops, &weights, &self.unet_config()?)?)
    }

    fn load_decoder<B: Backend>(&self, ops: &B) -> anyhow::Result<Decoder<B>> {
        let weights = Weights::open_folder(self.folder(self.vae.as_ref())?, STEM)?;
        Ok(Decoder::load(ops, &weights, &self.vae_config()?)?)
    }

    fn inputs(&self) -> anyhow::Result<Inputs> {
        Ok(Inputs(Weights::open(&self.inputs)?))
    }

    /// The nominal operations of the case.
    fn cost(&self) -> anyhow::Result<Flops> {
        let inputs = self.inputs()?;
        let unet = |shape: Shape, tokens| -> anyhow::Result<Flops> {
            Ok(cost::unet::cost(&self.unet_config()?, grid(shape), tokens).total())
        };
        let decoder = |shape: Shape| -> anyhow::Result<Flops> {
            Ok(cost::vae::decoder_cost(&self.vae_config()?, grid(shape)).total())
        };
        match self.kind {
            Kind::Unet => {
                let shape = inputs.grid("sample")?.0;
                let tokens = inputs.tokens("states")?.0.width;
                Ok(unet(shape, tokens)? * shape.rows as f64)
            }
            Kind::Decode => decoder(inputs.grid("latents")?.0),
            Kind::Picture => {
                let (shape, steps) = (inputs.grid("noise")?.0, self.picture()?.steps);
                let tokens = inputs.tokens("states")?.0.width;
                let evaluations = unet(shape, tokens)? * (2.0 * f64::from(steps));
                Ok(evaluations + decoder(shape)?)
            }
        }
    }
}

fn grid(shape: Shape) -> cost::Grid {
    cost::Grid {
        height: shape.height,
        width: shape.width,
    }
}

/// What goes into a case.
struct Inputs(Weights);

impl Inputs {
    /// A batch of grids, stored rows x channels x height x width.
    fn grid(&self, name: &str) -> anyhow::Result<(Shape, Vec<f32>)> {
        let (dims, values) = self.0.read(name)?;
        let &[rows, channels, height, width] = dims.as_slice() else {
            bail!("{name} has {} dimensions, but 4 are needed", dims.len());
        };
        Ok((Shape::grid(rows, height, width, channels), values))
    }

    /// A batch of texts, stored rows x tokens x channels.
    fn tokens(&self, name: &str) -> anyhow::Result<(Shape, Vec<f32>)> {
        let (dims, values) = self.0.read(name)?;
        let &[rows, tokens, channels] = dims.as_slice() else {
            bail!("{name} has {} dimensions, but 3 are needed", dims.len());
        };
        Ok((Shape::tokens(rows, tokens, channels), values))
    }

    fn vector(&self, name: &str) -> anyhow::Result<Vec<f64>> {
        let values = self.0.read(name)?.1;
        Ok(values.into_iter().map(f64::from).collect())
    }
}

fn write_outputs(path: &Path, outputs: &Outputs) -> anyhow::Result<()> {
    let bytes: Vec<(&str, Vec<u8>)> = outputs
        .iter()
        .map(|(name, values)| {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            (*name, bytes.collect())
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, bytes)| {
            Ok((
                *name,
                TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)?,
            ))
        })
        .collect::<Result<HashMap<_, _>, safetensors::SafeTensorError>>()?;
    safetensors::serialize_to_file(views, None, path)?;
    Ok(())
}

/// Operations per second of a matrix product in f32, the best of many.
fn peak(clock: &SystemClock, threads: usize) -> anyhow::Result<Reply> {
    let found = device::n_threads();
    if found != threads {
        bail!("{threads} threads were asked for, but RAYON_NUM_THREADS gives {found}");
    }
    let side = (PEAK_SIDE, PEAK_SIDE);
    let xs = Tensor::ones(side, candle_core::DType::F32, &Device::Cpu)?;
    let mut best = f64::INFINITY;
    for _ in 0..PEAK_PRODUCTS {
        let start = clock.now();
        std::hint::black_box(xs.matmul(&xs)?);
        best = best.min(clock.now().since(start).as_secs_f64());
    }
    Ok(Reply::Peak {
        gflops: 2.0 * (PEAK_SIDE as f64).powi(3) / best / 1e9,
        measured_by: format!(
            "best of {PEAK_PRODUCTS} f32 products of {PEAK_SIDE}x{PEAK_SIDE} matrices by the gemm crate"
        ),
    })
}
