//! Which family do the planner's own tests plan for?

use serde_json::json;

use crate::{
    catalog::{DeviceSpec, Dtype, Family, ModelCard, ModelId, NamedBudgets},
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
