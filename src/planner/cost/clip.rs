//! What does a layer of CLIP's two transformers cost?

use super::NetworkCost;

/// Returns the cost of one layer over so many states; attention is counted without a mask.
pub(super) fn layer(width: usize, inner: usize, n_states: usize) -> NetworkCost {
    let projections = (0..4).map(|_| NetworkCost::linear(width, width, n_states));
    NetworkCost::norm(width)
        + projections.sum()
        + NetworkCost::attention(n_states, n_states, width)
        + NetworkCost::norm(width)
        + NetworkCost::linear(width, inner, n_states)
        + NetworkCost::linear(inner, width, n_states)
}
