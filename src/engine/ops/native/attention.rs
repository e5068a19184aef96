//! How is attention computed? Block by block of queries, head by head: scores, softmax, weighted sum,
//! straight from where the projections left their numbers.

use std::cell::RefCell;

use super::{
    Tensor, build,
    elementwise::exp,
    gemm::{Matrix, multiply_add},
};

/// Queries of a block.
const BLOCK: usize = 64;

/// Numbers that are combined side by side.
const LANES: usize = 16;

thread_local! {
    static SCORES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// See [`super::Backend::attention`].
pub(super) fn attention(xs: &Tensor, context: Option<&Tensor>, heads: usize) -> Tensor {
    let stride = xs.shape.channels;
    let channels = if context.is_some() {
        stride
    } else {
        stride / 3
    };
    let (keys_values, first_key) = context.map_or((xs, channels), |context| (context, 0));
    let key_stride = keys_values.shape.channels;
    let n_keys = keys_values.shape.positions();
    let head = channels / heads;
    let scale = 1.0 / (head as f32).sqrt();
    let shape = xs.shape.with_channels(channels);
    let block = BLOCK.min(shape.positions());
    build(shape, block, 2 * n_keys * channels, |row, first, values| {
        let n_queries = values.len() / channels;
        let queries = &xs.row(row)[first * stride..];
        let keys_values = keys_values.row(row);
        SCORES.with_borrow_mut(|scores| {
            scores.resize(n_queries * n_keys, 0.0);
            for start in (0..channels).step_by(head) {
                let key = first_key + start;
                let value = key + channels;
                let query = Matrix::rows(&queries[start..], stride);
                let keys = Matrix::rows(&keys_values[key..], key_stride).transposed();
                scores.fill(0.0);
                let sizes = (n_queries, n_keys, head);
                multiply_add(scores, n_keys, sizes, (query, keys), scale);
                for scores in scores.chunks_exact_mut(n_keys) {
                    softmax(scores);
                }
                let weights = Matrix::rows(scores, n_keys);
                let sources = Matrix::rows(&keys_values[value..], key_stride);
                let sizes = (n_queries, head, n_keys);
                let output = &mut values[start..];
                multiply_add(output, channels, sizes, (weights, sources), 1.0);
            }
        });
    })
}

fn softmax(scores: &mut [f32]) {
    let largest = reduce(scores, f32::NEG_INFINITY, |x, y| if y > x { y } else { x });
    for score in scores.iter_mut() {
        *score = exp(*score - largest);
    }
    let inverse = 1.0 / reduce(scores, 0.0, |x, y| x + y);
    for score in scores.iter_mut() {
        *score *= inverse;
    }
}

/// Combines all numbers, in lanes that a compiler can put in one vector; always in the same order.
#[inline]
fn reduce(values: &[f32], start: f32, combine: impl Fn(f32, f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [start; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = combine(*lane, *value);
        }
    }
    let all = lanes.iter().chain(rest);
    all.fold(start, |sum, value| combine(sum, *value))
}
