//! The tiny golden model with an evaluator and an evaluation split of its own.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use goldilocks::catalog::{self, Family};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::json;
use tempfile::TempDir;

use crate::folders::copy;

/// Captions in the split.
pub(crate) const N_CAPTIONS: usize = 12;
/// Side of the pictures.
const SIDE: usize = 64;
/// Side of what is left of a picture after pooling.
const POOLED: usize = 4;
const FLAT: usize = 3 * POOLED * POOLED;

/// A folder with `models.toml` and everything it names; it goes when the value goes.
pub(crate) struct Toy(TempDir);

impl Toy {
    pub(crate) fn new() -> Self {
        let toy = Self(tempfile::tempdir().unwrap());
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sd1");
        copy(&golden, &toy.path("weights"));
        toy.write_evaluator();
        toy.write_evaluation();
        let models = r#"
            [[family]]
            id = "toy"
            path = "weights"
            sizes = ["64x64"]
            budgets = { low = 0.01, medium = 0.02, high = 0.03, xhigh = 0.04 }
            [[family.model]]
            id = "toy-8"
            [[family.model]]
            id = "toy-8-lcm"
            distilled = true
        "#;
        fs::write(toy.path("models.toml"), models).unwrap();
        toy
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn family(&self) -> Family {
        let catalog = catalog::load(&self.path("models.toml")).unwrap();
        catalog.default_family().clone()
    }

    /// Features are the means of 48 patches; the only question is whether the first is bright.
    fn write_evaluator(&self) {
        let folder = self.path("weights/evaluator");
        fs::create_dir(&folder).unwrap();
        let config = json!({
            "version": 1,
            "picture": {"side": SIDE, "channels": "rgb", "scale": 1.0 / 255.0, "offset": 0.0},
            "pool": {"type": "average", "kernel": SIDE / POOLED, "stride": SIDE / POOLED},
            "layers": [
                {"type": "flatten"},
                {"type": "linear", "name": "features", "in": FLAT, "out": FLAT, "activation": "relu"},
            ],
            "feature_dim": FLAT,
            "heads": [{"name": "light", "tensor": "light", "classes": ["dark", "bright"]}],
            "accepted": ["light"],
        });
        fs::write(folder.join("config.json"), config.to_string()).unwrap();
        let identity = (0..FLAT * FLAT).map(|i| f32::from(u8::from(i / FLAT == i % FLAT)));
        let mut light = vec![0.0; 2 * FLAT];
        light[FLAT] = 1.0;
        save(
            &folder.join("model.safetensors"),
            &[
                ("features.weight", vec![FLAT, FLAT], identity.collect()),
                ("features.bias", vec![FLAT], vec![0.0; FLAT]),
                ("light.weight", vec![2, FLAT], light),
                ("light.bias", vec![2], vec![0.5, 0.0]),
            ],
        );
    }

    fn write_evaluation(&self) {
        let folder = self.path("weights/evaluation");
        fs::create_dir(&folder).unwrap();
        let caption =
            |i: usize| json!({"caption": "a red cat", "light": "bright", "size": null, "seed": i});
        let captions: Vec<_> = (0..N_CAPTIONS).map(caption).collect();
        fs::write(
            folder.join("captions.json"),
            json!({"captions": captions}).to_string(),
        )
        .unwrap();
        let figures =
            json!({"accuracy": {"real_b": {"all": 0.98}, "reconstruction_b": {"all": 0.9}}});
        fs::write(folder.join("figures.json"), figures.to_string()).unwrap();
        let features = |factor: f32| {
            let values = (0..8 * FLAT).map(|i| 0.5 + 0.5 * (i as f32 * factor).sin());
            (vec![8, FLAT], values.collect::<Vec<f32>>())
        };
        let rows = [
            ("features_a", 1.7),
            ("features_b", 2.3),
            ("features_reconstruction", 0.9),
        ];
        let rows = rows.map(|(name, factor)| {
            let (shape, values) = features(factor);
            (name, shape, values)
        });
        save(&folder.join("reference.safetensors"), &rows);
    }
}

fn save(path: &Path, tensors: &[(&str, Vec<usize>, Vec<f32>)]) {
    let bytes = |values: &[f32]| {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let data: HashMap<&str, Vec<u8>> = tensors
        .iter()
        .map(|(name, _, values)| (*name, bytes(values)))
        .collect();
    let views = tensors.iter().map(|(name, shape, _)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), &data[name]).unwrap();
        (*name, view)
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}
