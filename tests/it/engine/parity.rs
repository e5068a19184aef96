//! Does the engine compute what diffusers computes from the same weights and the same noise?
//!
//! The goldens are made by `scripts/golden/models.py`, in f32 from f16 weights.

use std::sync::Arc;

use goldilocks::{
    catalog::{Dtype, SamplerKind},
    engine::{
        EngineError, ImageSpec, Latents, Pipeline, Trajectory, device,
        ops::{
            Backend, Shape,
            candle::Candle,
            native::{Level, Native},
        },
        text_encoder::{TextEncoder, TextStates},
        tokenizer::Tokenizer,
        unet::Unet,
        vae::Decoder,
        weights::Weights,
    },
    units::{ImageSize, Steps},
};

use super::golden::{Golden, MODELS, unet_id};

/// Largest error over largest value that a network may have.
const NETWORK_TOLERANCE: f64 = 1e-4;

/// The same in bf16, whose numbers are 2^-9 apart at most: a network of some forty layers loses three bits.
const BF16_TOLERANCE: f64 = 3e-2;

/// Relative L2 error that the end of a trajectory may have.
pub(crate) const LATENT_TOLERANCE: f64 = 1e-4;

pub(crate) fn max_error(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let apart = found
        .iter()
        .zip(expected)
        .map(|(found, expected)| (f64::from(*found) - f64::from(*expected)).abs())
        .fold(0.0, f64::max);
    let largest = expected
        .iter()
        .map(|value| f64::from(value.abs()))
        .fold(0.0, f64::max);
    apart / largest
}

pub(crate) fn l2_error(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let square = |value: f64| value * value;
    let apart: f64 = found
        .iter()
        .zip(expected)
        .map(|(found, expected)| square(f64::from(*found) - f64::from(*expected)))
        .sum();
    let size: f64 = expected.iter().map(|value| square((*value).into())).sum();
    (apart / size).sqrt()
}

fn candle() -> Candle {
    Candle::new(device::open("cpu".parse().unwrap()).unwrap())
}

/// What an accelerator computes in bf16, on a processor.
fn candle_bf16() -> Candle {
    let device = device::open("cpu".parse().unwrap()).unwrap();
    Candle::with_dtype(device, Dtype::Bf16)
}

/// The processor's own kernels at every level of instructions that it has.
fn natives() -> impl Iterator<Item = Native> {
    let levels = Level::available().into_iter();
    levels.map(|level| Native::new(level, 2))
}

#[test]
fn prompts_become_the_same_tokens() {
    for model in MODELS {
        let golden = Golden::open(model);
        let context = golden.family().text_encoder.max_position_embeddings;
        let tokenizer = Tokenizer::load(&golden.folder.join("tokenizer"), context).unwrap();
        for (prompt, expected) in &golden.facts.token_ids {
            let tokens = tokenizer.encode(prompt).unwrap();
            assert_eq!(&tokens.ids, expected, "{model}: {prompt:?}");
        }
    }
}

#[test]
fn text_encoders_agree() {
    for model in MODELS {
        let golden = Golden::open(model);
        let family = golden.family();
        let weights = Weights::open_folder(&golden.folder.join("text_encoder"), "model").unwrap();
        let device = device::open("cpu".parse().unwrap()).unwrap();
        let encoder = TextEncoder::load(&device, &weights, &family.text_encoder).unwrap();
        let facts = &golden.facts;
        let ids =
            [&facts.prompt, &facts.negative_prompt].map(|prompt| facts.token_ids[prompt].clone());
        let states = encoder.forward(&ids).unwrap();
        let found = [states[0].values.clone(), states[1].values.clone()].concat();
        let error = max_error(&found, &golden.tensor("text.states").1);
        assert!(error < NETWORK_TOLERANCE, "{model}: {error:.1e}");
    }
}

#[test]
fn unets_agree_at_every_size_with_a_timestep_for_each_row() {
    for model in MODELS {
        let golden = Golden::open(model);
        for native in natives() {
            expect_same_unet(&native, &golden, model, NETWORK_TOLERANCE);
        }
        expect_same_unet(&candle(), &golden, model, NETWORK_TOLERANCE);
        expect_same_unet(&candle_bf16(), &golden, model, BF16_TOLERANCE);
    }
}

fn expect_same_unet<B: Backend>(ops: &B, golden: &Golden, model: &str, tolerance: f64) {
    let weights = golden.folder.join("unet");
    let weights = Weights::open_folder(&weights, "diffusion_pytorch_model").unwrap();
    let unet = Unet::load(ops, &weights, &golden.family().models[0].unet).unwrap();
    let timesteps = [1.0, 421.0, 999.0];
    let (dims, states) = golden.tensor("unet.states");
    let texts: Vec<_> = states
        .chunks_exact(dims[1] * dims[2])
        .map(|values| {
            let text = TextStates {
                values: values.to_vec(),
                tokens: dims[1],
                width: dims[2],
                end: 0,
            };
            Arc::new(unet.pack_text(ops, &text).unwrap())
        })
        .collect();
    let sizes = golden.facts.other_sizes.keys().map(String::as_str);
    for size in sizes.chain(["square"]) {
        let (dims, sample) = golden.tensor(&format!("unet.{size}.sample"));
        let shape = Shape::grid(dims[0], dims[2], dims[3], dims[1]);
        let xs = ops.upload_chw(shape, &sample).unwrap();
        let output = unet.forward(ops, &xs, &timesteps, &texts).unwrap();
        let mut found = vec![0.0; ops.shape(&output).len()];
        ops.download_chw(&output, &mut found).unwrap();
        let error = max_error(&found, &golden.tensor(&format!("unet.{size}.output")).1);
        assert!(error < tolerance, "{ops:?} {model} {size}: {error:.1e}");
    }
}

#[test]
fn decoders_agree() {
    for model in MODELS {
        let golden = Golden::open(model);
        for native in natives() {
            expect_same_decoder(&native, &golden, model, NETWORK_TOLERANCE);
        }
        expect_same_decoder(&candle(), &golden, model, NETWORK_TOLERANCE);
        expect_same_decoder(&candle_bf16(), &golden, model, BF16_TOLERANCE);
    }
}

fn expect_same_decoder<B: Backend>(ops: &B, golden: &Golden, model: &str, tolerance: f64) {
    let weights = golden.folder.join("vae");
    let weights = Weights::open_folder(&weights, "diffusion_pytorch_model").unwrap();
    let decoder = Decoder::load(ops, &weights, &golden.family().vae).unwrap();
    let (dims, latents) = golden.tensor("vae.input");
    let shape = Shape::grid(dims[0], dims[2], dims[3], dims[1]);
    let xs = ops.upload_chw(shape, &latents).unwrap();
    let pixels = decoder.forward(ops, &xs).unwrap();
    let mut found = vec![0.0; ops.shape(&pixels).len()];
    ops.download_chw(&pixels, &mut found).unwrap();
    let error = max_error(&found, &golden.tensor("vae.output").1);
    assert!(error < tolerance, "{ops:?} {model}: {error:.1e}");
}

fn begin(
    golden: &Golden,
    pipeline: &Pipeline,
    sampler: SamplerKind,
    steps: Steps,
) -> Result<Trajectory, EngineError> {
    let facts = &golden.facts;
    let prompts = [facts.prompt.as_str()];
    let conditioning = pipeline.encode(&prompts, &facts.negative_prompt)?.remove(0);
    let (dims, noise) = golden.tensor("trajectory.latents");
    let spec = ImageSpec {
        stages: Vec::new(),
        guidance_interval: None,
        candidate: 0,
        sampler,
        steps,
        guidance_scale: facts.guidance,
        seed: facts.seed,
        size: ImageSize {
            width: 8 * dims[3] as u32,
            height: 8 * dims[2] as u32,
        },
        initial_noise: Some(noise),
    };
    pipeline.begin(&unet_id(), &spec, conditioning)
}

#[test]
fn whole_guided_trajectories_agree() {
    for model in MODELS {
        let golden = Golden::open(model);
        let pipeline = golden.pipeline();
        for sampler in SamplerKind::ALL {
            // The networks are no consistency models: with that sampler, many steps amplify rounding.
            let is_recorded = |steps: &&Steps| sampler != SamplerKind::Lcm || **steps <= 8;
            for &steps in golden.facts.steps.iter().filter(is_recorded) {
                let mut row = begin(&golden, &pipeline, sampler, steps).unwrap();
                pipeline.finish(&mut [&mut row]).unwrap();
                let name = format!("trajectory.{sampler}.{steps}.latents");
                let error = l2_error(row.latents().unwrap().values(), &golden.tensor(&name).1);
                assert!(error < LATENT_TOLERANCE, "{model} {name}: {error:.1e}");
            }
        }
    }
}

#[test]
fn every_step_on_the_way_agrees() {
    for model in MODELS {
        let golden = Golden::open(model);
        expect_same_path(&golden, &golden.pipeline(), model);
        expect_same_path(&golden, &golden.pipeline_on_candle(), model);
    }
}

fn expect_same_path(golden: &Golden, pipeline: &Pipeline, model: &str) {
    let steps = golden.facts.path_at;
    for sampler in SamplerKind::ALL {
        let mut row = begin(golden, pipeline, sampler, steps).unwrap();
        let (_, path) = golden.tensor(&format!("trajectory.{sampler}.{steps}.path"));
        for expected in path.chunks_exact(path.len() / steps as usize) {
            pipeline.step(&mut [&mut row]).unwrap().remove(0).unwrap();
            let error = l2_error(row.latents().unwrap().values(), expected);
            let step = row.steps_done();
            assert!(
                error < LATENT_TOLERANCE,
                "{model} {sampler} {step}: {error:.1e}"
            );
        }
    }
}

#[test]
fn pixels_agree_within_one_level() {
    for model in MODELS {
        let golden = Golden::open(model);
        let pipeline = golden.pipeline();
        let steps = golden.facts.pixels_at;
        for sampler in SamplerKind::ALL {
            let mut row = begin(&golden, &pipeline, sampler, steps).unwrap();
            pipeline.finish(&mut [&mut row]).unwrap();
            let found = pipeline
                .decode(&[&row.latents().unwrap()])
                .unwrap()
                .remove(0);
            let expected = golden.pixels(&format!("trajectory.{sampler}.{steps}.pixels"));
            assert_eq!(found.rgb.len(), expected.len(), "{model} {sampler}");
            let apart = found.rgb.iter().zip(&expected);
            let apart = apart.map(|(one, other)| one.abs_diff(*other)).max();
            assert!(apart <= Some(1), "{model} {sampler}: {apart:?} levels");
        }
    }
}

#[test]
fn latents_that_the_decoder_cannot_carry_are_refused() {
    let golden = Golden::open("sd1");
    let latents = Latents::new((4, 8, 8), vec![f32::NAN; 256]).unwrap();
    let fault = golden.pipeline().decode(&[&latents]).unwrap_err();
    assert!(matches!(fault, EngineError::NonFinitePicture { index: 0 }));
}
