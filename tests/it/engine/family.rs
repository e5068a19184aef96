//! Does the default family draw what diffusers draws with its weights?
//!
//! The golden is made by `scripts/golden/family.py`, in f32 from the f16 weights of `weights/emoji`.

use std::path::Path;

use goldilocks::{
    catalog::{self, Catalog, Dtype, ModelCard, SamplerKind},
    engine::{ImageSpec, Pipeline, Trajectory, ops::native::Native},
    units::Steps,
};

use super::{
    golden::{Drawn, drawn},
    parity::{LATENT_TOLERANCE, l2_error},
};

/// Draws one trajectory from the golden's noise.
pub(crate) fn draw(
    pipeline: &Pipeline,
    golden: &Drawn,
    card: &ModelCard,
    sampler: SamplerKind,
    steps: Steps,
) -> Trajectory {
    let prompts = [golden.facts.prompt.as_str()];
    let negative_prompt = &golden.facts.negative_prompt;
    let conditioning = pipeline
        .encode(&prompts, negative_prompt)
        .unwrap()
        .remove(0);
    let spec = ImageSpec {
        stages: Vec::new(),
        guidance_interval: None,
        candidate: 0,
        sampler,
        steps,
        guidance_scale: if card.distilled {
            1.0
        } else {
            golden.facts.guidance
        },
        seed: golden.facts.seed,
        size: "128x128".parse().unwrap(),
        initial_noise: Some(golden.tensors.read("trajectory.latents").unwrap().1),
    };
    let mut row = pipeline.begin(&card.id, &spec, conditioning).unwrap();
    pipeline.finish(&mut [&mut row]).unwrap();
    row
}

/// The default family on a processor's own kernels.
pub(crate) fn hosted_with(native: Native) -> Pipeline {
    hosted_in(native, Dtype::F32)
}

/// The same, every model in one precision.
pub(crate) fn hosted_in(native: Native, dtype: Dtype) -> Pipeline {
    let mut family = catalog().default_family().clone();
    for card in &mut family.models {
        card.dtype = dtype;
    }
    Pipeline::load_with(&family, native).unwrap()
}

pub(crate) fn catalog() -> Catalog {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("models.toml");
    catalog::load(&config).unwrap()
}

/// The U-Net's folder, by which the golden names it.
pub(crate) fn unet(card: &ModelCard) -> std::borrow::Cow<'_, str> {
    card.unet_path.file_name().unwrap().to_string_lossy()
}

pub(crate) fn hosted() -> Pipeline {
    hosted_with(Native::default())
}

#[test]
fn every_model_sampler_and_step_count_ends_where_diffusers_does() {
    let (pipeline, golden) = (hosted(), drawn("emoji"));
    for card in &catalog().default_family().models {
        let facts = &golden.facts;
        let step_counts = if card.distilled {
            &facts.distilled_steps
        } else {
            &facts.steps
        };
        for &sampler in card.samplers() {
            for &steps in step_counts {
                let row = draw(&pipeline, &golden, card, sampler, steps);
                let name = format!("{}.{sampler}.{steps}.latents", unet(card));
                let expected = golden.tensors.read(&name).unwrap().1;
                let error = l2_error(row.latents().unwrap().values(), &expected);
                assert!(error < LATENT_TOLERANCE, "{name}: {error:.1e}");
            }
        }
    }
}

#[test]
fn pictures_are_those_of_diffusers_within_one_level() {
    let (pipeline, golden) = (hosted(), drawn("emoji"));
    let catalog = catalog();
    let mut models = catalog.default_family().models.iter();
    let largest = models.rfind(|card| !card.distilled).unwrap();
    for &sampler in largest.samplers() {
        let row = draw(&pipeline, &golden, largest, sampler, 8);
        let found = pipeline
            .decode(&[&row.latents().unwrap()])
            .unwrap()
            .remove(0);
        let name = format!("{}.{sampler}.8.pixels", unet(largest));
        let expected = golden.tensors.read_bytes(&name).unwrap();
        assert_eq!(found.rgb.len(), expected.len());
        let apart = found.rgb.iter().zip(expected);
        let apart = apart.map(|(one, other)| one.abs_diff(*other)).max();
        assert!(apart <= Some(1), "{sampler}: {apart:?} levels");
    }
}

#[test]
fn the_golden_is_of_these_weights() {
    let golden = drawn("emoji");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/emoji");
    assert!(!golden.facts.digests.is_empty());
    for (file, digest) in &golden.facts.digests {
        let found = catalog::digest::of_file(&folder.join(file)).unwrap();
        assert_eq!(&found, digest, "{file}; run scripts/golden/family.py again");
    }
}
