//! What does encoding a prompt cost? The structure is that of transformers' `CLIPTextModel`.

use super::NetworkCost;
use crate::catalog::architecture::TextEncoderConfig;

/// Returns the cost of one prompt, padded to the full context; attention is counted without its mask.
pub fn cost(config: &TextEncoderConfig) -> NetworkCost {
    let (width, n_tokens) = (config.hidden_size, config.max_position_embeddings);
    let embeddings = NetworkCost {
        parameters: (width * (config.vocab_size + n_tokens)) as u64,
        ..NetworkCost::default()
    };
    let layers = (0..config.num_hidden_layers).map(|_| layer(config));
    embeddings + layers.sum() + NetworkCost::norm(width)
}

fn layer(config: &TextEncoderConfig) -> NetworkCost {
    let (width, n_tokens) = (config.hidden_size, config.max_position_embeddings);
    let inner = config.intermediate_size;
    let projections = (0..4).map(|_| NetworkCost::linear(width, width, n_tokens));
    NetworkCost::norm(width)
        + projections.sum()
        + NetworkCost::attention(n_tokens, n_tokens, width)
        + NetworkCost::norm(width)
        + NetworkCost::linear(width, inner, n_tokens)
        + NetworkCost::linear(inner, width, n_tokens)
}
