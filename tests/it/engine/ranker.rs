//! Does the ranker compare latents with prompts as transformers does, and each latent as if it were alone?
//!
//! The golden is made by `scripts/golden/ranker.py`, in f32 from the f16 weights of `weights/emoji`.

use std::{collections::BTreeMap, path::Path};

use goldilocks::{
    catalog::{architecture::read_json, digest},
    engine::{Conditioning, EngineError, Latents, Pipeline, weights::Weights},
};
use serde::Deserialize;

use super::{family::hosted, golden::Golden};

/// Difference of two cosines that rounding may make.
const TOLERANCE: f32 = 1e-5;

#[derive(Deserialize)]
struct Facts {
    prompts: Vec<String>,
    digests: BTreeMap<String, String>,
}

struct Recorded {
    facts: Facts,
    latents: Vec<Latents>,
    /// Prompt by prompt, one for each of the latents.
    similarities: Vec<f32>,
}

fn recorded() -> Recorded {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ranker");
    let tensors = Weights::open(&folder.join("golden.safetensors")).unwrap();
    let (dims, values) = tensors.read("latents").unwrap();
    let shape = (dims[1], dims[2], dims[3]);
    let latents = values.chunks_exact(values.len() / dims[0]);
    Recorded {
        facts: read_json(&folder.join("golden.json")).unwrap(),
        latents: latents
            .map(|values| Latents::new(shape, values.to_vec()).unwrap())
            .collect(),
        similarities: tensors.read("similarities").unwrap().1,
    }
}

fn encode(pipeline: &Pipeline, prompt: &str) -> Conditioning {
    pipeline.encode(&[prompt], "").unwrap().remove(0)
}

#[test]
fn similarities_are_those_of_transformers() {
    let (pipeline, golden) = (hosted(), recorded());
    let latents: Vec<&Latents> = golden.latents.iter().collect();
    let rows = golden.similarities.chunks_exact(latents.len());
    assert_eq!(rows.len(), golden.facts.prompts.len());
    for (prompt, expected) in golden.facts.prompts.iter().zip(rows) {
        let found = pipeline.rank(&encode(&pipeline, prompt), &latents).unwrap();
        for (found, expected) in found.iter().zip(expected) {
            let apart = (found - expected).abs();
            assert!(apart < TOLERANCE, "{prompt:?}: {found}, not {expected}");
        }
    }
}

#[test]
fn a_drawing_suits_its_own_prompt_best() {
    let (pipeline, golden) = (hosted(), recorded());
    let of = |prompt: &String| {
        let told = encode(&pipeline, prompt);
        pipeline.rank(&told, &[&golden.latents[0]]).unwrap()[0]
    };
    let [own, others @ ..] = &golden.facts.prompts[..] else {
        panic!("no prompts");
    };
    for other in others {
        assert!(of(own) > of(other) + 0.1, "{own:?} against {other:?}");
    }
}

#[test]
fn latents_are_ranked_alone_or_together_to_the_same_bits() {
    let (pipeline, golden) = (hosted(), recorded());
    let told = encode(&pipeline, &golden.facts.prompts[0]);
    let latents: Vec<&Latents> = golden.latents.iter().collect();
    let together = pipeline.rank(&told, &latents).unwrap();
    for (latents, expected) in latents.into_iter().zip(&together) {
        let alone = pipeline.rank(&told, &[latents]).unwrap();
        assert_eq!(alone[0].to_bits(), expected.to_bits());
    }
    let bits = |ranked: Vec<f32>| ranked.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let backwards: Vec<&Latents> = golden.latents.iter().rev().collect();
    let mut reordered = pipeline.rank(&told, &backwards).unwrap();
    reordered.reverse();
    assert_eq!(bits(reordered), bits(together));
}

#[test]
fn latents_that_cannot_be_ranked_are_named_by_their_place() {
    let (pipeline, golden) = (hosted(), recorded());
    let told = encode(&pipeline, "a cat");
    let good = &golden.latents[0];
    let mut values = good.values().to_vec();
    values[700] = f32::NAN;
    let broken = Latents::new(good.shape(), values).unwrap();
    let fault = pipeline.rank(&told, &[good, &broken]).unwrap_err();
    assert!(matches!(fault, EngineError::NonFiniteRanked { index: 1 }));
    let small = Latents::new((4, 8, 8), vec![0.0; 256]).unwrap();
    let fault = pipeline.rank(&told, &[&small]).unwrap_err().to_string();
    assert!(
        fault.contains("(4, 8, 8)") && fault.contains("(4, 16, 16)"),
        "{fault}"
    );
}

#[test]
fn a_family_without_a_ranker_says_so() {
    let golden = Golden::open("sd1");
    let pipeline = golden.pipeline();
    let fault = pipeline.rank(&encode(&pipeline, "a cat"), &[]).unwrap_err();
    assert!(matches!(fault, EngineError::NoRanker), "{fault}");
}

#[test]
fn the_golden_is_of_these_weights() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/emoji");
    let digests = recorded().facts.digests;
    assert_eq!(digests.len(), 2);
    for (file, expected) in &digests {
        let found = digest::of_file(&folder.join(file)).unwrap();
        assert_eq!(
            &found, expected,
            "{file}; run scripts/golden/ranker.py again"
        );
    }
}
