//! Which family do the planner's own tests plan for, and what was measured of it?

use serde_json::json;

use super::{
    plan::{Plan, ScoreEstimate},
    profile::{Cell, Replicates},
};
use crate::{
    catalog::{DeviceSpec, Dtype, Family, ModelCard, ModelId, NamedBudgets, SamplerKind},
    units::Flops,
};

/// Two models over a schedule of 1000 timesteps with zero terminal SNR.
pub(crate) fn family() -> Family {
    let unet = json!({
        "in_channels": 4, "out_channels": 4, "block_out_channels": [8, 16],
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    });
    let card = |id: &str| ModelCard {
        id: ModelId(id.into()),
        unet_path: id.into(),
        unet: serde_json::from_value(unet.clone()).unwrap(),
        dtype: Dtype::F32,
        device: DeviceSpec::Cpu,
        distilled: false,
    };
    Family {
        id: "toy".into(),
        path: "toy".into(),
        models: vec![card("small"), card("large")],
        sizes: vec!["64x64".parse().unwrap()],
        profile: None,
        budgets: Some(NamedBudgets {
            low: Flops(1.0),
            medium: Flops(2.0),
            high: Flops(3.0),
            xhigh: Flops(4.0),
        }),
        vocabulary: None,
        vae: serde_json::from_value(json!({
            "in_channels": 3, "out_channels": 3, "latent_channels": 4, "block_out_channels": [8, 8],
        }))
        .unwrap(),
        text_encoder: serde_json::from_value(json!({
            "vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
            "num_attention_heads": 2, "max_position_embeddings": 8,
        }))
        .unwrap(),
        image_encoder: None,
        noise_schedule: serde_json::from_value(json!({
            "prediction_type": "v_prediction", "rescale_betas_zero_snr": true,
            "timestep_spacing": "trailing",
        }))
        .unwrap(),
        digest: "sha256:toy".into(),
        image_encoder_digest: None,
    }
}

/// A plan of the small one, its alignment a tenth lower and higher in its two replicates.
pub(crate) fn cell(steps: u32, alignment: f64) -> Cell {
    let size = "64x64".parse().unwrap();
    let estimate = |mean| ScoreEstimate {
        mean,
        standard_error: 0.1,
    };
    let low = (alignment - 0.1) as f32;
    Cell {
        plan: Plan::plain(ModelId("small".into()), SamplerKind::Ddim, steps, 3.0, size),
        n: 8,
        alignment: estimate(alignment),
        fidelity: estimate(0.5),
        balanced: estimate(f64::midpoint(alignment, 0.5)),
        cmmd: Some(0.1),
        frechet: Some(10.0),
        distance: None,
        replicates: Replicates {
            alignment: vec![low, low + 0.2],
            fidelity: vec![0.5, 0.5],
        },
    }
}
