//! What does a family look like whose pictures nobody will ever see? For the planner's laws and its
//! benchmarks: drawn from a seed, with scores that mean nothing.

use goldilocks::{
    catalog::{DeviceSpec, Dtype, Family, ModelCard, ModelId, NamedBudgets, SamplerKind},
    planner::{
        Plan, Profile, ScoreEstimate,
        profile::{Anchor, Cell, PROFILE_VERSION, ProfileKind, Provenance, References, Replicates},
    },
    units::{Flops, ImageSize},
};
use serde_json::json;

/// SplitMix64 (Steele, Lea and Flood, 2014): small and well mixed from any seed.
pub(crate) struct Draws(pub(crate) u64);

impl Draws {
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }
}

/// A family of models of these names, none of them distilled.
pub(crate) fn family(id: &str, models: &[String], sizes: &[ImageSize]) -> Family {
    let unet = json!({
        "in_channels": 4, "out_channels": 4, "block_out_channels": [8, 16],
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    });
    let vae = json!({
        "in_channels": 3, "out_channels": 3, "latent_channels": 4, "block_out_channels": [8, 8],
    });
    let text_encoder = json!({
        "vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "max_position_embeddings": 8,
    });
    let valid = "the architecture is a valid one";
    let card = |name: &String| ModelCard {
        id: ModelId(name.clone()),
        unet_path: format!("{id}/unet-{name}").into(),
        unet: serde_json::from_value(unet.clone()).expect(valid),
        dtype: Dtype::F32,
        device: DeviceSpec::Cpu,
        distilled: false,
    };
    Family {
        id: id.into(),
        path: id.into(),
        models: models.iter().map(card).collect(),
        sizes: sizes.to_vec(),
        profile: None,
        budgets: Some(NamedBudgets {
            low: Flops(2e9),
            medium: Flops(5e9),
            high: Flops(1e10),
            xhigh: Flops(3e10),
        }),
        vocabulary: None,
        vae: serde_json::from_value(vae).expect(valid),
        text_encoder: serde_json::from_value(text_encoder).expect(valid),
        image_encoder: None,
        noise_schedule: serde_json::from_value(json!({})).expect(valid),
        digest: format!("sha256:{id}"),
        image_encoder_digest: None,
    }
}

/// A plan with this alignment. `common` is what a resampling of the captions does to every plan alike,
/// one number for each replicate, and each has up to `own` more.
pub(crate) fn cell(plan: Plan, mean: f64, draws: &mut Draws, common: &[f64], own: f64) -> Cell {
    let mut replicates = |mean: f64| -> Vec<f32> {
        let vary = |shift: &f64| mean + shift + draws.between(-own, own);
        let inside = |value: f64| value.clamp(0.0, 1.0) as f32;
        common.iter().map(vary).map(inside).collect()
    };
    let score = |mean| ScoreEstimate {
        mean,
        standard_error: 0.02,
    };
    Cell {
        plan,
        n: 64,
        alignment: score(mean),
        fidelity: score(0.9 * mean),
        balanced: score(0.95 * mean),
        cmmd: Some(0.1),
        frechet: Some(100.0),
        distance: None,
        replicates: Replicates {
            alignment: replicates(mean),
            fidelity: replicates(0.9 * mean),
        },
    }
}

/// A profile of these cells, the family's first model being the anchor.
pub(crate) fn profile(family: &Family, cells: Vec<Cell>) -> Profile {
    let n_replicates = cells
        .first()
        .map_or(0, |cell| cell.replicates.alignment.len());
    Profile {
        version: PROFILE_VERSION,
        family: family.id.clone(),
        kind: ProfileKind::Measured,
        weights_digest: family.digest.clone(),
        size: family.sizes[0],
        provenance: Provenance {
            commit: "0".into(),
            date: "2026-01-01".into(),
            n_captions: 64,
            n_replicates,
            evaluator_digest: Some("sha256:eye".into()),
            prompts_digest: None,
            command: "goldilocks calibrate quality".into(),
        },
        cmmd_bandwidth: Some(10.0),
        anchor: Anchor {
            model: family.models[0].id.clone(),
            sampler: SamplerKind::Ddim,
            steps: 1,
            guidance_scale: 1.0,
            cmmd: Some(0.5),
            distance: None,
        },
        dearest: None,
        reference: References::default(),
        ranker_digest: None,
        rush: Vec::new(),
        held_out: Vec::new(),
        precision: None,
        cells,
    }
}
