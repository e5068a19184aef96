//! The shipped weights against PyTorch, on one picture. Made by `scripts/golden/evaluator.py`.

use std::{fs, path::Path};

use goldilocks::{
    engine::Pixels,
    evaluator::{Attributes, Evaluator},
};
use safetensors::SafeTensors;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    answers: Attributes,
    tolerance: f32,
}

#[test]
fn the_shipped_evaluator_sees_what_pytorch_sees() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("tests/golden/evaluator");
    let golden: Golden =
        serde_json::from_str(&fs::read_to_string(folder.join("golden.json")).unwrap()).unwrap();
    let bytes = fs::read(folder.join("golden.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let picture = Pixels {
        size: "128x128".parse().unwrap(),
        rgb: tensors.tensor("picture").unwrap().data().to_vec(),
    };
    let features = tensors.tensor("features").unwrap();
    let expected: Vec<f32> = features
        .data()
        .as_chunks()
        .0
        .iter()
        .map(|&b| f32::from_le_bytes(b))
        .collect();
    let evaluator = Evaluator::load(&root.join("weights/emoji/evaluator")).unwrap();
    let seen = evaluator.evaluate(&[picture]).unwrap().remove(0);
    assert_eq!(seen.attributes, golden.answers);
    let largest = expected.iter().copied().fold(0.0, f32::max);
    let pairs = seen.features.iter().zip(&expected);
    let apart = pairs
        .map(|(one, other)| (one - other).abs())
        .fold(0.0, f32::max);
    assert_eq!(seen.features.len(), expected.len());
    assert!(apart < golden.tolerance * largest, "{apart} of {largest}");
}
