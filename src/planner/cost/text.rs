//! What does encoding a prompt cost? The structure is that of transformers' `CLIPTextModel`.

use super::{NetworkCost, clip};
use crate::catalog::architecture::TextEncoderConfig;

/// Returns the cost of one prompt, padded to the full context; attention is counted without its mask.
pub fn cost(config: &TextEncoderConfig) -> NetworkCost {
    let (width, n_tokens) = (config.hidden_size, config.max_position_embeddings);
    let embeddings = NetworkCost {
        parameters: (width * (config.vocab_size + n_tokens)) as u64,
        ..NetworkCost::default()
    };
    let layers = (0..config.num_hidden_layers)
        .map(|_| clip::layer(width, config.intermediate_size, n_tokens));
    embeddings + layers.sum() + NetworkCost::norm(width)
}
