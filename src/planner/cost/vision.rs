//! What does ranking one latent cost? The structure is that of transformers' `CLIPVisionModelWithProjection`.

use super::{NetworkCost, clip};
use crate::catalog::architecture::VisionConfig;

/// Returns the cost of comparing one latent with one text of states of `text_width`, whose projection is
/// counted for each latent anew.
pub fn cost(config: &VisionConfig, text_width: usize) -> NetworkCost {
    let (width, n_states) = (config.hidden_size, config.n_states());
    let kernel = config.patch_size.pow(2) * config.num_channels;
    let embeddings = NetworkCost {
        parameters: (width * (1 + n_states)) as u64,
        ..NetworkCost::default()
    };
    let layers = (0..config.num_hidden_layers)
        .map(|_| clip::layer(width, config.intermediate_size, n_states));
    NetworkCost::conv_without_bias(kernel * width, n_states - 1)
        + embeddings
        + NetworkCost::norm(width)
        + layers.sum()
        + NetworkCost::norm(width)
        + NetworkCost::linear_without_bias(width, config.projection_dim, 1)
        + NetworkCost::linear_without_bias(text_width, config.projection_dim, 1)
}
