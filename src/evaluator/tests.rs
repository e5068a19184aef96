//! A tiny evaluator whose numbers can be worked out by hand.

use std::fs;

use candle_core::Tensor;
use tempfile::TempDir;

use super::*;

/// Looks at the top left window only: one number for red, one for green, and two questions.
const CONFIG: &str = r#"{
    "version": 1,
    "picture": {"side": 4, "channels": "rgb", "scale": 0.00784313725490196, "offset": -1.0},
    "pool": {"type": "average", "kernel": 2, "stride": 2},
    "layers": [
        {"type": "conv2d", "name": "conv.0", "in": 3, "out": 2, "kernel": 3, "stride": 2, "padding": 1, "activation": "relu"},
        {"type": "flatten"},
        {"type": "linear", "name": "features", "in": 2, "out": 2, "activation": "relu"}
    ],
    "feature_dim": 2,
    "heads": [
        {"name": "color", "tensor": "heads.color", "classes": ["red", "green"]},
        {"name": "brightness", "tensor": "heads.brightness", "classes": ["dark", "bright"]}
    ],
    "accepted": ["color"],
    "accuracy_on_real_pictures": {"color": 1.0}
}"#;

fn tensors() -> Vec<(&'static str, Tensor)> {
    let tensor =
        |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
    let mut kernels = vec![0.0; 54];
    // The middle of each kernel: output 0 sees red, output 1 sees green.
    (kernels[4], kernels[27 + 9 + 4]) = (1.0, 1.0);
    vec![
        ("conv.0.weight", tensor(&kernels, &[2, 3, 3, 3])),
        ("conv.0.bias", tensor(&[0.0, 0.25], &[2])),
        ("features.weight", tensor(&[2.0, 0.0, 0.0, 1.0], &[2, 2])),
        ("features.bias", tensor(&[0.0, 0.0], &[2])),
        ("heads.color.weight", tensor(&[1.0, 0.0, 0.0, 1.0], &[2, 2])),
        ("heads.color.bias", tensor(&[0.0, 0.0], &[2])),
        (
            "heads.brightness.weight",
            tensor(&[0.0, 0.0, 1.0, 1.0], &[2, 2]),
        ),
        ("heads.brightness.bias", tensor(&[1.0, 0.0], &[2])),
    ]
}

fn folder(config: &str, left_out: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), config).unwrap();
    let kept = tensors().into_iter().filter(|(name, _)| *name != left_out);
    let kept = kept.collect::<std::collections::HashMap<_, _>>();
    candle_core::safetensors::save(&kept, folder.path().join("model.safetensors")).unwrap();
    folder
}

fn load(config: &str) -> Result<Evaluator, EvaluatorError> {
    Evaluator::load(folder(config, "").path())
}

fn plain(red: u8, green: u8) -> Pixels {
    Pixels {
        size: "4x4".parse().unwrap(),
        rgb: [red, green, 0].repeat(16),
    }
}

#[test]
fn features_and_answers_are_those_worked_out_by_hand() {
    let seen = load(CONFIG)
        .unwrap()
        .evaluate(&[plain(255, 0), plain(0, 255)])
        .unwrap();
    assert_eq!(seen[0].features, [2.0, 0.0]);
    assert_eq!(seen[1].features, [0.0, 1.25]);
    let answers = |index: usize| {
        (
            seen[index].attributes["color"].as_str(),
            seen[index].attributes["brightness"].as_str(),
        )
    };
    assert_eq!(
        (answers(0), answers(1)),
        (("red", "bright"), ("green", "bright"))
    );
}

#[test]
fn a_picture_is_judged_alike_alone_and_among_others() {
    let evaluator = load(CONFIG).unwrap();
    let pictures: Vec<Pixels> = (0..70).map(|i| plain(3 * i, 200 - i)).collect();
    let together = evaluator.evaluate(&pictures).unwrap();
    for (picture, seen) in pictures.iter().zip(&together) {
        let alone = evaluator.evaluate(std::slice::from_ref(picture)).unwrap();
        assert_eq!(alone, std::slice::from_ref(seen));
    }
}

#[test]
fn a_picture_of_another_size_is_refused() {
    let mut picture = plain(0, 0);
    picture.size = "2x8".parse().unwrap();
    let message = load(CONFIG)
        .unwrap()
        .evaluate(&[picture])
        .unwrap_err()
        .to_string();
    assert_eq!(
        message,
        "a picture of 2x8 cannot be judged; this evaluator takes 4x4"
    );
}

#[test]
fn weights_that_do_not_fit_the_configuration_are_named() {
    let message = Evaluator::load(folder(CONFIG, "heads.color.bias").path())
        .unwrap_err()
        .to_string();
    assert!(message.contains("heads.color.bias is missing"), "{message}");
    let wider = CONFIG.replace(r#""in": 2, "out": 2"#, r#""in": 3, "out": 2"#);
    let message = load(&wider).unwrap_err().to_string();
    assert!(
        message.contains("features.weight has shape [2, 2]"),
        "{message}"
    );
}

#[test]
fn a_configuration_that_contradicts_itself_is_refused_with_the_reason() {
    let faults = [
        (
            r#""version": 1"#,
            r#""version": 2"#,
            "version 2 is not supported; supported: 1",
        ),
        (
            r#""feature_dim": 2"#,
            r#""feature_dim": 3"#,
            "feature_dim 3 is not the 2 outputs",
        ),
        (r#"["color"]"#, r#"["flavor"]"#, "accepted head \"flavor\""),
        ("relu", "gelu", "unknown variant `gelu`"),
    ];
    for (right, wrong, reason) in faults {
        let message = load(&CONFIG.replacen(right, wrong, 1))
            .unwrap_err()
            .to_string();
        assert!(message.contains(reason), "{message}");
    }
}
