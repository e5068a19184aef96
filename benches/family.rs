//! What of the default family is timed and counted? One evaluation of a U-Net, and one decode, from
//! numbers in memory to numbers in memory.

use std::{hint::black_box, path::Path, sync::Arc};

use goldilocks::{
    catalog::{self, Family, ModelCard},
    engine::{
        EngineError,
        noise::{NoiseKey, gaussian},
        ops::{Backend, Shape},
        text_encoder::TextStates,
        unet::Unet,
        vae::Decoder,
        weights::Weights,
    },
};

/// The file name of U-Nets and autoencoders, without its end.
const STEM: &str = "diffusion_pytorch_model";

/// Does it once.
pub(crate) type Job = Box<dyn FnMut()>;

/// The family that `models.toml` lists first.
pub(crate) fn default_family() -> anyhow::Result<Family> {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("models.toml");
    Ok(catalog::load(&config)?.default_family().clone())
}

/// One evaluation of a U-Net: as many rows as are asked for, each with a text and a timestep of its own.
pub(crate) fn evaluation<B: Backend>(
    ops: B,
    family: &Family,
    model: &ModelCard,
    rows: usize,
) -> Result<Job, EngineError> {
    let weights = Weights::open_folder(&model.unet_path, STEM)?;
    let unet = Unet::load(&ops, &weights, &model.unet)?;
    let text = |row| {
        let tokens = family.text_encoder.max_position_embeddings;
        let width = family.text_encoder.hidden_size;
        let text = TextStates {
            values: numbers(1 + row, tokens * width),
            end: tokens - 1,
            tokens,
            width,
        };
        Ok(Arc::new(unet.pack_text(&ops, &text)?))
    };
    let texts = (0..rows)
        .map(text)
        .collect::<Result<Vec<_>, EngineError>>()?;
    let timesteps: Vec<f64> = (0..rows).map(|row| 999.0 - 100.0 * row as f64).collect();
    Ok(job(ops, latents(family, rows), move |ops, xs| {
        unet.forward(ops, xs, &timesteps, &texts)
    }))
}

/// One decode of one picture.
pub(crate) fn decode<B: Backend>(ops: B, family: &Family) -> Result<Job, EngineError> {
    let weights = Weights::open_folder(&family.path.join("vae"), STEM)?;
    let decoder = Decoder::load(&ops, &weights, &family.vae)?;
    Ok(job(ops, latents(family, 1), move |ops, xs| {
        decoder.forward(ops, xs)
    }))
}

/// Latents of pictures of the default size.
fn latents(family: &Family, rows: usize) -> Shape {
    let (size, multiple) = (family.default_size(), family.vae.downscale());
    let side = |pixels: u32| (pixels / multiple) as usize;
    let channels = family.vae.latent_channels;
    Shape::grid(rows, side(size.height), side(size.width), channels)
}

fn job<B: Backend>(
    ops: B,
    shape: Shape,
    forward: impl Fn(&B, &B::Tensor) -> Result<B::Tensor, EngineError> + 'static,
) -> Job {
    let input = numbers(0, shape.len());
    let mut output = Vec::new();
    let mut once = move || -> Result<(), EngineError> {
        let xs = ops.upload_chw(shape, &input)?;
        let result = forward(&ops, &xs)?;
        output.resize(ops.shape(&result).len(), 0.0);
        ops.download_chw(&result, black_box(&mut output))
    };
    Box::new(move || once().expect("networks and inputs fit each other"))
}

/// Gaussian numbers, the same every time.
fn numbers(draw: usize, n: usize) -> Vec<f32> {
    let key = NoiseKey {
        seed: 0,
        candidate: 0,
        draw: draw as u32,
    };
    gaussian(key, n)
}
