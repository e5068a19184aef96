//! How is attention computed? Block by block of queries and of keys, the softmax kept up to date
//! as the keys go by, so that no matrix of all scores ever exists (Dao et al., "FlashAttention",
//! arXiv 2205.14135).
//!
//! Keys and values are packed into panels first, head by head: then scores and weighted sums are the
//! same tiles as every other product. Those of a text are packed once for all steps.

use std::ops::Range;

use super::{
    Native, Tensor, bf16,
    functions::{exp, exp2_coarse},
    memory::{Buffer, with_scratch},
    number::{Number, Pair},
    shared::Shared,
    simd::{Isa, Kernel, load},
    tile::{self, MAX_ROWS, Segments, Tile},
};
use crate::engine::ops::Shape;

mod context;
mod packed;

pub use context::Context;
use packed::{Layout, Source};

/// Queries of a block.
const QUERIES: usize = 4 * MAX_ROWS;

/// Keys of a block.
const KEYS: usize = 512;

/// Multiply-accumulates below which calling another thread costs more than it saves.
const MIN_PARALLEL_WORK: usize = 1 << 16;

/// No bias, for the widest panel there is.
const ZEROS: [f32; 32] = [0.0; 32];

/// softmax(q k^T / sqrt(depth)) v of one picture with itself: q, k and v side by side in its channels.
pub(super) fn with_itself(native: &Native, xs: &Tensor, heads: usize) -> Tensor {
    let xs = &xs.without_border(native);
    let channels = xs.shape.channels / 3;
    let layout = Layout::new(native, xs.shape.positions(), channels / heads);
    if layout.is_bf16() {
        let rounded = bf16::round(native, &xs.values, 3 * channels);
        words_with_themselves::<Pair>(native, bytemuck::cast_slice(&rounded), xs.shape, layout)
    } else {
        words_with_themselves::<f32>(native, &xs.values, xs.shape, layout)
    }
}

fn words_with_themselves<N: Number>(
    native: &Native,
    words: &[N],
    shape: Shape,
    layout: Layout,
) -> Tensor {
    let (channels, stride) = (shape.channels / 3, shape.channels / N::PER_WORD);
    let (heads, depth) = (channels / layout.depth, layout.words(layout.depth));
    let per_row = shape.positions() * stride;
    let packed = pack_heads(native, shape, (heads, layout), |row, head| Source {
        words: &words[row * per_row..][..per_row],
        stride,
        key: (heads + head) * depth,
        value: (2 * heads + head) * depth,
    });
    let length = layout.head_length();
    let of = |row: usize, head: usize| &packed[(row * heads + head) * length..][..length];
    let shape = shape.with_channels(channels);
    attend(native, (words, stride), shape, (heads, layout), &of)
}

/// Packs the keys and values of every row and head.
fn pack_heads<'a, N: Number>(
    native: &Native,
    shape: Shape,
    (heads, layout): (usize, Layout),
    source: impl Fn(usize, usize) -> Source<'a, N> + Sync,
) -> Buffer {
    let length = layout.head_length();
    let n_heads = shape.rows * heads;
    let mut packed = native.arena.take(n_heads * length);
    let output = Shared::new(packed.fill());
    native.for_parts(n_heads, shape.len() >= MIN_PARALLEL_WORK, |part| {
        let source = source(part / heads, part % heads);
        layout.pack(&source, head_of(output, part, length));
    });
    packed
}

/// softmax(q k^T / sqrt(depth)) v, each row with a text of its own. All texts have one shape.
pub(super) fn with_contexts<'c>(
    native: &Native,
    xs: &Tensor,
    context_of: &(dyn Fn(usize) -> &'c Context + Sync),
    heads: usize,
) -> Tensor {
    let xs = &xs.without_border(native);
    let layout = context_of(0).layout;
    let lanes = native.level.lanes();
    assert_eq!(layout.lanes, lanes, "packed for the instructions in use");
    let length = layout.head_length();
    let of = |row: usize, head: usize| {
        let context = context_of(row);
        assert_eq!(context.layout, layout, "all texts have one shape");
        &context.values[head * length..][..length]
    };
    let (shape, channels) = (xs.shape, xs.shape.channels);
    if layout.is_bf16() {
        let rounded = bf16::round(native, &xs.values, channels);
        let words: &[Pair] = bytemuck::cast_slice(&rounded);
        let queries = (words, channels / Pair::PER_WORD);
        attend(native, queries, shape, (heads, layout), &of)
    } else {
        attend::<f32>(native, (&xs.values, channels), shape, (heads, layout), &of)
    }
}

#[expect(
    unsafe_code,
    reason = "parts of one operation write heads of one buffer"
)]
fn head_of(output: Shared<'_>, index: usize, length: usize) -> &mut [f32] {
    // SAFETY: every part packs a head of its own.
    unsafe { output.slice(index * length, length) }
}

/// Of queries as words, with the words from one position's to the next.
fn attend<'p, N: Number>(
    native: &Native,
    (queries, stride): (&[N], usize),
    shape: Shape,
    (heads, layout): (usize, Layout),
    packed: &(dyn Fn(usize, usize) -> &'p [f32] + Sync),
) -> Tensor {
    let positions = shape.positions();
    let blocks = positions.div_ceil(QUERIES);
    let work = 2 * shape.rows * positions * layout.tokens * shape.channels;
    native.tensor(shape, |output| {
        let output = Shared::new(output);
        let n_parts = shape.rows * heads * blocks;
        native.for_parts(n_parts, work >= MIN_PARALLEL_WORK, |part| {
            let (row, rest) = (part / (heads * blocks), part % (heads * blocks));
            let (head, block) = (rest / blocks, rest % blocks);
            let first = block * QUERIES;
            with_scratch(QUERIES * scores_stride(layout), |scores| {
                let block = Block {
                    layout,
                    packed: packed(row, head),
                    queries: &queries[row * positions * stride..][..positions * stride],
                    query_stride: stride,
                    channel: head * layout.depth,
                    positions: first..(first + QUERIES).min(positions),
                    channels: shape.channels,
                    row_start: row * positions * shape.channels,
                    scores,
                    output,
                };
                N::run(native, block);
            });
        });
    })
}

/// Some queries of one row and one head, for one thread.
struct Block<'a, N> {
    layout: Layout,
    packed: &'a [f32],
    /// One row's queries.
    queries: &'a [N],
    query_stride: usize,
    /// First channel of the head.
    channel: usize,
    positions: Range<usize>,
    /// Channels of the result.
    channels: usize,
    /// Where the row's result starts.
    row_start: usize,
    /// For [`QUERIES`] times [`scores_stride`] numbers.
    scores: &'a mut [f32],
    output: Shared<'a>,
}

impl<N: Number> Kernel for Block<'_, N> {
    #[inline(always)]
    fn run<S: Isa>(mut self, simd: S) {
        let tokens = self.layout.tokens;
        let stride = scores_stride(self.layout);
        let scores = std::mem::take(&mut self.scores);
        let mut state = [State::NONE; QUERIES];
        for first in (0..tokens).step_by(KEYS) {
            let keys = first..(first + KEYS).min(tokens);
            self.score(simd, keys.clone(), (scores, stride));
            for (query, state) in state[..self.positions.len()].iter_mut().enumerate() {
                let scores = &mut scores[query * stride..][..stride];
                let correction = self.soften(simd, scores, keys.len(), state);
                if first > 0 {
                    self.scale(simd, query, correction);
                }
            }
            self.weigh(simd, keys, (scores, stride));
        }
        for (query, state) in state[..self.positions.len()].iter().enumerate() {
            self.scale(simd, query, 1.0 / state.sum);
        }
    }
}

/// Numbers from one query's scores to the next one's.
fn scores_stride(layout: Layout) -> usize {
    KEYS.min(layout.tokens).next_multiple_of(layout.lanes)
}

/// The softmax of one query so far.
#[derive(Debug, Clone, Copy)]
struct State {
    /// The largest score.
    largest: f32,
    /// The sum of e^(score - largest).
    sum: f32,
}

impl State {
    /// Before the first key.
    const NONE: Self = Self {
        largest: f32::NEG_INFINITY,
        sum: 0.0,
    };
}

impl<N: Number> Block<'_, N> {
    /// The products of every query with some keys.
    #[inline(always)]
    fn score<S: Isa>(&self, simd: S, keys: Range<usize>, (scores, stride): (&mut [f32], usize)) {
        let depth = self.layout.words(self.layout.depth);
        let channel = self.channel / N::PER_WORD;
        let (first, last) = (self.positions.start, self.positions.end - 1);
        assert!(
            last * self.query_stride + channel + depth <= self.queries.len()
                && first + scores.len() / stride > last,
            "a query and a line of scores for each position"
        );
        for start in keys.clone().step_by(self.layout.width()) {
            let tile = Tile {
                input: self.queries.as_ptr(),
                segments: Segments {
                    starts: &[0],
                    length: depth,
                },
                panel: self.layout.keys::<N>(self.packed, start).as_ptr(),
                bias: ZEROS.as_ptr(),
                output: scores.as_mut_ptr(),
                addend: std::ptr::null(),
                n_columns: self.layout.width().min(keys.end - start),
            };
            let inputs = (first * self.query_stride + channel, self.query_stride);
            self.tiles(simd, &tile, inputs, (start - keys.start, stride));
        }
    }

    /// Adds the values of some keys, weighted.
    #[inline(always)]
    fn weigh<S: Isa>(&self, simd: S, keys: Range<usize>, (weights, stride): (&[f32], usize)) {
        assert!(weights.len() >= self.positions.len() * stride && stride >= keys.len());
        let weights: &[N] = bytemuck::cast_slice(weights);
        let depth = self.layout.depth;
        for start in (0..depth).step_by(self.layout.width()) {
            let n_columns = self.layout.width().min(depth - start);
            let output = self.output.as_mut_ptr();
            let tile = Tile {
                input: weights.as_ptr(),
                segments: Segments {
                    starts: &[0],
                    length: self.layout.words(keys.len()),
                },
                panel: self
                    .layout
                    .values::<N>(self.packed, start, keys.clone())
                    .as_ptr(),
                bias: ZEROS.as_ptr(),
                output,
                addend: if keys.start == 0 {
                    std::ptr::null()
                } else {
                    output
                },
                n_columns,
            };
            let last = self.place(self.positions.len() - 1) + start;
            assert!(last + n_columns <= self.output.len(), "in the result");
            self.tiles(
                simd,
                &tile,
                (0, stride),
                (self.place(0) + start, self.channels),
            );
        }
    }

    /// Runs a tile for all queries, whose addresses are given by the first one's and their distance.
    #[inline(always)]
    #[expect(
        unsafe_code,
        reason = "calls the innermost loop with checked addresses"
    )]
    fn tiles<S: Isa>(
        &self,
        simd: S,
        tile: &Tile<'_, N>,
        inputs: (usize, usize),
        outputs: (usize, usize),
    ) {
        // SAFETY: the callers have checked that their addresses are in bounds for every query. The
        // scores are this thread's own, and so are the head's channels of these positions.
        unsafe { tile::multiply_all(simd, tile, self.positions.len(), inputs, outputs) };
    }

    /// Turns one query's scores into the words of weights, in their place; returns what earlier sums are
    /// to be multiplied by.
    #[inline(always)]
    #[expect(
        unsafe_code,
        reason = "only some processors have the instructions that round"
    )]
    fn soften<S: Isa>(&self, simd: S, scores: &mut [f32], n: usize, state: &mut State) -> f32 {
        let scale = 1.0 / (self.layout.depth as f32).sqrt();
        let lanes = S::F32_LANES;
        let end = n.next_multiple_of(lanes);
        // What fills the last vector up weighs nothing.
        scores[n..end].fill(f32::NEG_INFINITY);
        let mut largest = simd.splat_f32s(state.largest);
        for at in (0..end).step_by(lanes) {
            largest = simd.max_f32s(largest, load::<S>(scores, at));
        }
        let largest = simd.reduce_max_f32s(largest);
        let power = if N::PER_WORD == 1 {
            scale
        } else {
            scale * std::f32::consts::LOG2_E
        };
        let (factor, offset) = (simd.splat_f32s(power), simd.splat_f32s(-power * largest));
        let mut sum = simd.splat_f32s(0.0);
        for at in (0..end).step_by(lanes) {
            let power = simd.fma(load::<S>(scores, at), factor, offset);
            let weight = if N::PER_WORD == 1 {
                exp(simd, power)
            } else {
                exp2_coarse(simd, power)
            };
            sum = simd.add_f32s(sum, weight);
            let words = bytemuck::cast_slice_mut(scores);
            // SAFETY: run by `N::run`.
            unsafe { N::store(simd, words, at / N::PER_WORD, weight) };
        }
        let before = simd.splat_f32s(scale * (state.largest - largest));
        let correction = simd.reduce_max_f32s(exp(simd, before));
        *state = State {
            largest,
            sum: state.sum * correction + simd.reduce_sum_f32s(sum),
        };
        correction
    }

    /// Multiplies one query's result.
    #[inline(always)]
    #[expect(
        unsafe_code,
        reason = "parts of one operation write heads of one tensor"
    )]
    fn scale<S: Isa>(&self, simd: S, query: usize, factor: f32) {
        // SAFETY: this part alone writes the head's channels of its positions.
        let output = unsafe { self.output.slice(self.place(query), self.layout.depth) };
        let factor = simd.splat_f32s(factor);
        let (vectors, rest) = S::as_mut_simd_f32s(output);
        for value in vectors {
            *value = simd.mul_f32s(*value, factor);
        }
        if !rest.is_empty() {
            let value = simd.mul_f32s(simd.partial_load_f32s(rest), factor);
            simd.partial_store_f32s(rest, value);
        }
    }

    /// Where one query's result starts.
    #[inline(always)]
    fn place(&self, query: usize) -> usize {
        self.row_start + (self.positions.start + query) * self.channels + self.channel
    }
}
