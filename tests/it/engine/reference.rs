//! Does the text encoder agree with candle's own, an implementation that shares no line with it?
//!
//! Only where candle's can be asked: it knows `quick_gelu` alone, so Stable Diffusion 2 is left to
//! the goldens of diffusers.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::clip::text_model::{
    Activation, ClipTextConfig, ClipTextTransformer,
};
use goldilocks::engine::{device, text_encoder::TextEncoder, weights::Weights};

use super::{golden::Golden, parity::max_error};

/// Largest error over largest value.
const TOLERANCE: f64 = 1e-5;

#[test]
fn candles_own_text_encoder_says_the_same() {
    let golden = Golden::open("sd1");
    let config = golden.family().text_encoder;
    let folder = golden.folder.join("text_encoder");
    let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
    let tensors = VarBuilder::from_buffered_safetensors(bytes, DType::F32, &Device::Cpu).unwrap();
    let theirs = ClipTextTransformer::new(
        tensors.pp("text_model"),
        &ClipTextConfig {
            vocab_size: config.vocab_size,
            embed_dim: config.hidden_size,
            activation: Activation::QuickGelu,
            intermediate_size: config.intermediate_size,
            max_position_embeddings: config.max_position_embeddings,
            pad_with: None,
            num_hidden_layers: config.num_hidden_layers,
            num_attention_heads: config.num_attention_heads,
            projection_dim: config.hidden_size,
        },
    )
    .unwrap();
    let weights = Weights::open_folder(&folder, "model").unwrap();
    let device = device::open("cpu".parse().unwrap()).unwrap();
    let ours = TextEncoder::load(&device, &weights, &config).unwrap();

    for ids in golden.facts.token_ids.values() {
        let row = Tensor::new(ids.as_slice(), &Device::Cpu).unwrap();
        let expected = theirs.forward_with_mask(&row.unsqueeze(0).unwrap(), usize::MAX);
        let expected = expected.unwrap().flatten_all().unwrap();
        let found = ours.forward(std::slice::from_ref(ids)).unwrap().remove(0);
        let error = max_error(&found.values, &expected.to_vec1().unwrap());
        assert!(error < TOLERANCE, "{ids:?}: {error:.1e}");
    }
}
