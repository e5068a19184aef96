//! Is every part read with its defaults, and what the engine lacks refused by name?

use serde_json::{Value, json};

use super::*;

fn read(key: &str, value: Value) -> Result<UnetConfig, ArchitectureError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let mut config = json!({
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": [8, 16],
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    });
    config[key] = value;
    fs::write(&path, config.to_string()).unwrap();
    UnetConfig::read(&path)
}

#[test]
fn what_the_file_leaves_out_has_the_defaults_of_diffusers() {
    let config = read("sample_size", json!(8)).unwrap();
    assert_eq!(config.layers_per_block, PerLevel::Same(2));
    assert_eq!((config.n_heads(1), config.norm_num_groups), (8, 32));
    assert!(!config.down_attends(0) && config.down_attends(1) && config.up_attends(1));
}

#[test]
fn what_the_engine_does_not_have_is_refused_by_name() {
    for (key, value) in [
        ("down_block_types", json!(["DownBlock2D"])),
        ("up_block_types", json!(["UpBlock2D", "KUpBlock2D"])),
        ("mid_block_type", json!("UNetMidBlock2D")),
        ("act_fn", json!("gelu")),
        ("addition_embed_type", json!("text_time")),
        ("time_cond_proj_dim", json!(256)),
        ("attention_head_dim", json!([])),
        ("layers_per_block", json!([2, 0])),
        ("norm_num_groups", json!(0)),
    ] {
        let message = read(key, value).unwrap_err().to_string();
        assert!(message.contains(key), "{message}");
        assert!(message.contains("supported: "), "{message}");
    }
}
