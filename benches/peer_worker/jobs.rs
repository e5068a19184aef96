//! How is a case computed? The networks on a backend, and the whole picture.

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use goldilocks::{
    catalog::{self, DeviceSpec, Dtype, Family, ModelCard, SamplerKind},
    engine::{
        Conditioning, EngineError, ImageSpec, Pipeline, device,
        ops::{
            Backend, Shape,
            candle::Candle,
            native::{Bf16, Level, Native},
        },
        text_encoder::TextStates,
        unet::{PackedText, Unet},
    },
    units::ImageSize,
};

use crate::case::{Case, Kind};

/// Tensors by name, channel by channel, line by line.
pub(crate) type Outputs = Vec<(&'static str, Vec<f32>)>;

/// A loaded case: computes it once.
pub(crate) type Job = Box<dyn Fn() -> anyhow::Result<Outputs>>;

/// The processor's own backend with so many threads.
fn native(threads: usize) -> Native {
    Native::new(Level::best(), threads)
}

/// Where a case is computed, and in which precision.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct On {
    pub(crate) device: DeviceSpec,
    pub(crate) dtype: Dtype,
}

impl On {
    /// Reads `cuda:0` or `cpu`, and `f32` or `bf16`.
    pub(crate) fn parse(device: &str, dtype: &str) -> anyhow::Result<Self> {
        Ok(Self {
            device: device.parse().map_err(|fault: String| anyhow!(fault))?,
            dtype: dtype.parse().map_err(|fault: String| anyhow!(fault))?,
        })
    }

    fn backend(self) -> anyhow::Result<Candle> {
        Ok(Candle::with_dtype(device::open(self.device)?, self.dtype))
    }
}

/// Threads are rayon's, of which there is one pool for the process.
pub(crate) fn expect_threads(threads: usize) -> anyhow::Result<()> {
    let found = device::n_threads();
    if found != threads {
        bail!("{threads} threads were asked for, but RAYON_NUM_THREADS gives {found}");
    }
    Ok(())
}

/// Loads a case on the native backend.
pub(crate) fn load_native(case: &Case, threads: usize) -> anyhow::Result<Job> {
    let ops = native(threads);
    match case.kind {
        Kind::Unet => load_unet(ops, case),
        Kind::Decode => load_decoder(ops, case),
        Kind::Picture => load_pipeline(case, On::default(), |family| {
            Pipeline::load_with(family, ops)
        }),
    }
}

/// Loads a case on the native backend with the U-Net in bf16. A decoder is f32 there too, as it is in the
/// server.
pub(crate) fn load_bf16(case: &Case, threads: usize) -> anyhow::Result<Job> {
    let ops = native(threads);
    match case.kind {
        Kind::Unet => {
            let bf16 = Bf16::detect().context("this processor has no avx512_bf16")?;
            load_unet(ops.in_bf16(bf16), case)
        }
        Kind::Decode => load_decoder(ops, case),
        Kind::Picture => {
            let on = On {
                dtype: Dtype::Bf16,
                ..On::default()
            };
            load_pipeline(case, on, |family| Pipeline::load_with(family, ops))
        }
    }
}

/// Loads a case on candle.
pub(crate) fn load_candle(case: &Case, threads: usize) -> anyhow::Result<Job> {
    expect_threads(threads)?;
    load_on(case, On::default())
}

/// Loads a case on candle on a device, where a processor stands in for a GPU too.
pub(crate) fn load_on(case: &Case, on: On) -> anyhow::Result<Job> {
    match case.kind {
        Kind::Unet => load_unet(on.backend()?, case),
        Kind::Decode => load_decoder(on.backend()?, case),
        Kind::Picture => load_pipeline(case, on, Pipeline::load_on_candle),
    }
}

fn load_unet<B: Backend>(ops: B, case: &Case) -> anyhow::Result<Job> {
    let unet = case.load_unet(&ops)?;
    let inputs = case.inputs()?;
    let (shape, sample) = inputs.grid("sample")?;
    let (text, states) = inputs.tokens("states")?;
    let timesteps: Vec<f64> = inputs.vector("timesteps")?;
    let texts = pack_texts(&ops, &unet, text, &states)?;
    Ok(Box::new(move || {
        let xs = ops.upload_chw(shape, &sample)?;
        let output = unet.forward(&ops, &xs, &timesteps, &texts)?;
        Ok(vec![("output", download(&ops, &output)?)])
    }))
}

fn load_decoder<B: Backend>(ops: B, case: &Case) -> anyhow::Result<Job> {
    let decoder = case.load_decoder(&ops)?;
    let (shape, latents) = case.inputs()?.grid("latents")?;
    Ok(Box::new(move || {
        let xs = ops.upload_chw(shape, &latents)?;
        let pixels = decoder.forward(&ops, &xs)?;
        Ok(vec![("output", download(&ops, &pixels)?)])
    }))
}

/// The texts of all rows, prepared once as a trajectory does: they are the same at every step.
fn pack_texts<B: Backend>(
    ops: &B,
    unet: &Unet<B>,
    shape: Shape,
    states: &[f32],
) -> anyhow::Result<Vec<Arc<PackedText<B>>>> {
    let texts = states.chunks_exact(shape.width * shape.channels);
    let pack = |values: &[f32]| {
        let text = TextStates {
            values: values.to_vec(),
            end: shape.width - 1,
            tokens: shape.width,
            width: shape.channels,
        };
        Ok(Arc::new(unet.pack_text(ops, &text)?))
    };
    texts.map(pack).collect()
}

fn download<B: Backend>(ops: &B, xs: &B::Tensor) -> anyhow::Result<Vec<f32>> {
    let mut values = vec![0.0; ops.shape(xs).len()];
    ops.download_chw(xs, &mut values)?;
    Ok(values)
}

/// The whole picture as the server draws it, by a pipeline that `load` makes.
fn load_pipeline(
    case: &Case,
    on: On,
    load: impl FnOnce(&Family) -> Result<Pipeline, EngineError>,
) -> anyhow::Result<Job> {
    let picture = case.picture()?;
    let catalog = catalog::load(&picture.models)?;
    let (family, model) = catalog
        .model(&picture.model)
        .with_context(|| format!("no model {:?}", picture.model))?;
    let mut family = family.clone();
    family.models = vec![ModelCard {
        device: on.device,
        dtype: on.dtype,
        ..model.clone()
    }];
    let pipeline = load(&family)?;
    let conditioning: Conditioning = pipeline.encode(&[&picture.prompt], "")?.remove(0);
    let (shape, noise) = case.inputs()?.grid("noise")?;
    let side = |latents: usize| latents as u32 * family.vae.downscale();
    let spec = ImageSpec {
        stages: Vec::new(),
        guidance_interval: None,
        candidate: 0,
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
        let latents = row.latents()?;
        let pixels = pipeline.decode(&[&latents])?.remove(0);
        let size = pixels.size.pixels() as usize;
        let channels = (0..3).flat_map(|channel| (0..size).map(move |at| 3 * at + channel));
        let levels = channels.map(|index| f32::from(pixels.rgb[index])).collect();
        let latents = latents.values().to_vec();
        Ok(vec![("latents", latents), ("pixels", levels)])
    }))
}
