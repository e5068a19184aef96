//! The toy family: what its models are made of, cost, take and are worth.

use goldilocks::{
    catalog::{DeviceSpec, Dtype, Family, ModelCard, ModelId, NamedBudgets, Vocabulary},
    planner::{CostTable, PhaseTimes, Profile, SizeCost},
    units::{Flops, Millis},
};
use serde_json::json;

use super::{DECODE, DECODE_TFLOPS, MODELS, SIZE, TEXT, TEXT_TFLOPS};

pub(super) fn family() -> Family {
    let unet = json!({
        "in_channels": 4, "out_channels": 4, "block_out_channels": [8], "layers_per_block": 1,
        "down_block_types": ["CrossAttnDownBlock2D"], "up_block_types": ["CrossAttnUpBlock2D"],
    });
    let card = |(id, ..): (&str, Millis, f64)| ModelCard {
        id: ModelId(id.to_owned()),
        unet_path: "unused".into(),
        unet: serde_json::from_value(unet.clone()).unwrap(),
        dtype: Dtype::F32,
        device: DeviceSpec::Cpu,
        distilled: false,
    };
    let vae = json!({
        "in_channels": 3, "out_channels": 3, "latent_channels": 4, "block_out_channels": [8, 8],
    });
    let text_encoder = json!({
        "vocab_size": 8, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 1, "max_position_embeddings": 8,
    });
    Family {
        id: "toy".to_owned(),
        path: "unused".into(),
        models: MODELS.into_iter().map(card).collect(),
        sizes: vec![SIZE],
        profile: None,
        budgets: Some(NamedBudgets {
            low: Flops::from_tflops(0.02),
            medium: Flops::from_tflops(0.05),
            high: Flops::from_tflops(0.1),
            xhigh: Flops::from_tflops(1.0),
        }),
        vocabulary: Some(Vocabulary::new(["a", "heart"])),
        vae: serde_json::from_value(vae).unwrap(),
        text_encoder: serde_json::from_value(text_encoder).unwrap(),
        image_encoder: None,
        noise_schedule: serde_json::from_value(json!({ "num_train_timesteps": 500 })).unwrap(),
        digest: "sha256:toy".to_owned(),
        image_encoder_digest: None,
    }
}

pub(super) fn costs() -> CostTable {
    CostTable {
        text: Flops::from_tflops(TEXT_TFLOPS),
        sizes: vec![SizeCost {
            size: SIZE,
            decode: Flops::from_tflops(DECODE_TFLOPS),
            rank: Flops(0.0),
            evaluations: MODELS
                .map(|(.., tflops)| Flops::from_tflops(tflops))
                .to_vec(),
        }],
    }
}

/// What the device takes, if it were so many times as slow.
pub(super) fn times(slower: f64) -> PhaseTimes {
    let mut times = PhaseTimes::default();
    times.set_text("toy", TEXT * slower);
    times.set_decode("toy", SIZE, DECODE * slower);
    times.set_encode(SIZE, Millis::ZERO);
    for (id, step, _) in MODELS {
        for rows in [1, 2] {
            let step = step * f64::from(rows) * slower;
            times.set_step(&ModelId(id.to_owned()), SIZE, rows, step);
        }
    }
    times
}

/// The larger model is better from four steps on, guidance always helps, nothing is noisy.
pub(super) fn profile() -> Profile {
    let scores = [("toy-8", [0.2, 0.5, 0.6]), ("toy-16", [0.1, 0.6, 0.8])];
    let mut cells = Vec::new();
    for (model, by_steps) in scores {
        for (steps, score) in [1, 4, 16].into_iter().zip(by_steps) {
            for (guidance_scale, gain) in [(1.0, 0.0), (3.0, 0.1)] {
                let mean = score + gain;
                let estimate = json!({ "mean": mean, "standard_error": 0.01 });
                let plan = json!({
                    "model": model, "sampler": "ddim", "steps": steps,
                    "guidance_scale": guidance_scale, "size": "64x64",
                });
                cells.push(json!({
                    "plan": plan, "n": 64,
                    "alignment": estimate, "fidelity": estimate, "balanced": estimate,
                    "cmmd": 0.1, "frechet": 10.0,
                    "replicates": { "alignment": [mean, mean], "fidelity": [mean, mean] },
                }));
            }
        }
    }
    let profile = json!({
        "version": 2, "family": "toy", "kind": "measured", "weights_digest": "sha256:toy",
        "size": "64x64", "cmmd_bandwidth": 10.0, "reference": { "real": null, "reconstruction": null },
        "provenance": {
            "commit": "none", "date": "2026-01-01", "n_captions": 64, "n_replicates": 2,
            "evaluator_digest": "sha256:none", "command": "none",
        },
        "anchor": {
            "model": "toy-8", "sampler": "ddim", "steps": 1, "guidance_scale": 1.0, "cmmd": 0.4,
        },
        "cells": cells,
    });
    Profile::from_json(&profile.to_string(), "sha256:toy").unwrap()
}
