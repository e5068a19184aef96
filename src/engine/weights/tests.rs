//! Are weights read exactly, and broken files refused?

use std::collections::HashMap;

use safetensors::tensor::TensorView;

use super::*;

fn file(dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let view = TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
    safetensors::serialize(HashMap::from([("a.weight", view)]), None).unwrap()
}

fn written(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

#[test]
fn half_precision_is_upcast_exactly() {
    let values = [1.0f32, -0.5, 65504.0, 6.103_515_6e-5];
    let halves: Vec<u8> = values
        .iter()
        .flat_map(|v| f16::from_f32(*v).to_le_bytes())
        .collect();
    let (_folder, path) = written(&file(Dtype::F16, &[2, 2], &halves));
    let weights = Weights::open(&path).unwrap();
    let read = weights.root().pp("a").get("weight", &[2, 2]).unwrap();
    assert_eq!(read, values);
}

#[test]
fn brain_floats_are_upcast_exactly() {
    let bytes: Vec<u8> = [1.5f32, -3.0e38]
        .iter()
        .flat_map(|v| bf16::from_f32(*v).to_le_bytes())
        .collect();
    let (_folder, path) = written(&file(Dtype::BF16, &[2], &bytes));
    let weights = Weights::open(&path).unwrap();
    let read = weights.root().get("a.weight", &[2]).unwrap();
    assert_eq!(read[0], 1.5);
    assert_eq!(read[1], bf16::from_f32(-3.0e38).to_f32());
}

#[test]
fn a_wrong_shape_is_refused_with_both_shapes() {
    let (_folder, path) = written(&file(Dtype::F32, &[2, 3], &[0; 24]));
    let weights = Weights::open(&path).unwrap();
    let fault = weights.root().get("a.weight", &[3, 2]).unwrap_err();
    let message = fault.to_string();
    for part in ["model.safetensors", "a.weight", "[2, 3]", "[3, 2]"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_missing_tensor_and_an_integer_tensor_are_refused_by_name() {
    let (_folder, path) = written(&file(Dtype::I64, &[1], &[0; 8]));
    let weights = Weights::open(&path).unwrap();
    let missing = weights.root().get("b", &[1]).unwrap_err();
    assert!(matches!(missing, WeightsError::TensorMissing { .. }));
    let integer = weights.root().get("a.weight", &[1]).unwrap_err();
    assert!(matches!(integer, WeightsError::TensorDtype { .. }));
}

#[test]
fn every_truncation_of_a_file_is_refused() {
    let whole = file(Dtype::F32, &[2, 3], &[7; 24]);
    for length in 0..whole.len() {
        let (_folder, path) = written(&whole[..length]);
        let fault = Weights::open(&path).unwrap_err();
        assert!(matches!(fault, WeightsError::Corrupt { .. }), "{length}");
    }
}

#[test]
fn no_flipped_byte_of_the_header_makes_it_panic() {
    let whole = file(Dtype::F32, &[2, 3], &[7; 24]);
    for position in 0..whole.len() - 24 {
        for flip in [0x01, 0x10, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[position] ^= flip;
            let (_folder, path) = written(&bytes);
            if let Ok(weights) = Weights::open(&path) {
                drop(weights.root().get("a.weight", &[2, 3]));
            }
        }
    }
}

#[test]
fn a_pickled_checkpoint_is_never_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pytorch_model.bin"), b"x").unwrap();
    let message = Weights::open_folder(folder.path(), "model")
        .unwrap_err()
        .to_string();
    assert!(message.contains("convert to safetensors"), "{message}");
}

#[test]
fn an_empty_folder_names_the_file_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let message = Weights::open_folder(folder.path(), "model")
        .unwrap_err()
        .to_string();
    assert!(message.contains("model.safetensors"), "{message}");
}

#[test]
fn tensors_without_a_place_are_refused() {
    let (_folder, path) = written(&file(Dtype::F32, &[1], &[0; 4]));
    let weights = Weights::open(&path).unwrap();
    let fault = weights.expect_all_used(&[""]).unwrap_err();
    assert!(fault.to_string().contains("a.weight"));
    weights.root().get("a.weight", &[1]).unwrap();
    weights.expect_all_used(&[""]).unwrap();
}
