//! Is what a family holds in memory accounted for?

use goldilocks::{
    catalog::{ModelId, SamplerKind},
    engine::{ImageSpec, Memory, Pipeline},
};

use super::family::hosted;

fn draw(pipeline: &Pipeline, prompt: &str) -> Memory {
    let spec = ImageSpec {
        stages: Vec::new(),
        guidance_interval: None,
        candidate: 0,
        sampler: SamplerKind::Ddim,
        steps: 2,
        guidance_scale: 3.0,
        seed: 1,
        size: "128x128".parse().unwrap(),
        initial_noise: None,
    };
    let text = pipeline.encode(&[prompt], "").unwrap().remove(0);
    let model = ModelId("emoji-c32".into());
    let mut row = pipeline.begin(&model, &spec, text).unwrap();
    pipeline.finish(&mut [&mut row]).unwrap();
    pipeline.decode(&[&row.latents().unwrap()]).unwrap();
    pipeline.memory()
}

#[test]
fn every_part_grows_when_it_is_first_needed_and_then_no_more() {
    let pipeline = hosted();
    let loaded = pipeline.memory();
    // Weights of all U-Nets and the decoder as numbers of 4 bytes; packing fills some up with zeros.
    let stored = 4 * n_weights();
    assert!(loaded.packed >= stored, "{loaded:?} of {stored}");
    assert!(loaded.packed < 2 * stored, "{loaded:?} of {stored}");
    assert_eq!(loaded.winograd + loaded.texts, 0, "{loaded:?}");

    let first = draw(&pipeline, "a red heart");
    assert_eq!(first.packed, loaded.packed);
    assert!(first.arena > loaded.arena, "{first:?}");
    assert!(first.texts > 0, "{first:?}");
    assert_eq!(draw(&pipeline, "a red heart"), first);

    let other = draw(&pipeline, "a blue heart");
    assert!(other.texts > first.texts, "{other:?}");
    let texts = first.texts;
    assert_eq!(Memory { texts, ..other }, first);
}

/// From the headers of the weights files, less the encoder, which is not loaded.
fn n_weights() -> usize {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/emoji");
    let files = ["unet-c8", "unet-c16", "unet-c32", "vae"];
    let count = |folder: &str| {
        let file = root
            .join(folder)
            .join("diffusion_pytorch_model.safetensors");
        let bytes = std::fs::read(file).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let tensors = tensors.iter();
        let loaded = tensors
            .filter(|(name, _)| !name.starts_with("encoder.") && !name.starts_with("quant_conv."));
        let sizes = loaded.map(|(_, tensor)| tensor.shape().iter().product::<usize>());
        sizes.sum::<usize>()
    };
    files.iter().map(|folder| count(folder)).sum()
}
