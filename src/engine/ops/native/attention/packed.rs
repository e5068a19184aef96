//! How do keys and values lie, so that scores and weighted sums are products like all others?

use std::ops::Range;

use super::super::{
    Native,
    number::{Number, Pair},
    simd::TILE_VECTORS,
};

/// Where keys and values are read from, in words.
pub(super) struct Source<'a, N> {
    pub(super) words: &'a [N],
    /// From one token to the next.
    pub(super) stride: usize,
    /// Of the first token.
    pub(super) key: usize,
    pub(super) value: usize,
}

/// How one head's keys and values are packed: panels of keys, depth x tokens, then panels of values,
/// tokens x depth. A row of a panel is one of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) tokens: usize,
    pub(super) depth: usize,
    pub(super) lanes: usize,
    /// Numbers of a word: 1 for f32, 2 for bf16.
    per_word: usize,
}

impl Layout {
    pub(super) fn new(native: &Native, tokens: usize, depth: usize) -> Self {
        let in_bf16 = native.is_bf16() && depth.is_multiple_of(Pair::PER_WORD);
        Self {
            tokens,
            depth,
            lanes: native.level.lanes(),
            per_word: if in_bf16 { Pair::PER_WORD } else { 1 },
        }
    }

    /// Whether products are computed in bf16.
    pub(super) fn is_bf16(&self) -> bool {
        self.per_word == Pair::PER_WORD
    }

    /// Columns of a panel.
    pub(super) fn width(&self) -> usize {
        TILE_VECTORS * self.lanes
    }

    /// Words of so many numbers.
    pub(super) fn words(&self, numbers: usize) -> usize {
        numbers.div_ceil(self.per_word)
    }

    /// Words of the keys' panels.
    fn keys_length(&self) -> usize {
        self.words(self.depth) * self.tokens.next_multiple_of(self.lanes)
    }

    /// Words of one head.
    pub(super) fn head_length(&self) -> usize {
        self.keys_length() + self.words(self.tokens) * self.depth.next_multiple_of(self.lanes)
    }

    /// Columns of the panel that starts at column `first` of `columns`, filled up to vectors.
    fn stored_width(&self, first: usize, columns: usize) -> usize {
        self.width()
            .min((columns - first).next_multiple_of(self.lanes))
    }

    pub(super) fn pack<N: Number>(&self, source: &Source<'_, N>, packed: &mut [f32]) {
        assert_eq!(N::PER_WORD, self.per_word, "numbers of the layout");
        let (keys, values) = packed.split_at_mut(self.keys_length());
        self.pack_keys(source, bytemuck::cast_slice_mut(keys));
        self.pack_values(source, bytemuck::cast_slice_mut(values));
    }

    fn pack_keys<N: Number>(&self, source: &Source<'_, N>, packed: &mut [N]) {
        let depth = self.words(self.depth);
        for first in (0..self.tokens).step_by(self.width()) {
            let width = self.stored_width(first, self.tokens);
            let panel = &mut packed[first * depth..][..width * depth];
            for (channel, line) in panel.chunks_exact_mut(width).enumerate() {
                for (token, value) in (first..).zip(line) {
                    // The filling repeats the last token; its scores are never looked at.
                    let token = token.min(self.tokens - 1);
                    *value = source.words[token * source.stride + source.key + channel];
                }
            }
        }
    }

    fn pack_values<N: Number>(&self, source: &Source<'_, N>, packed: &mut [N]) {
        let rows = self.words(self.tokens);
        for first in (0..self.depth).step_by(self.width()) {
            let width = self.stored_width(first, self.depth);
            let panel = &mut packed[first * rows..][..width * rows];
            let n = width.min(self.depth - first);
            let n_words = self.words(n);
            for (row, line) in panel.chunks_exact_mut(width).enumerate() {
                let of = |place: usize| {
                    let token = row * N::PER_WORD + place;
                    let start = token * source.stride + source.value + first / N::PER_WORD;
                    (token < self.tokens).then(|| &source.words[start..start + n_words])
                };
                // Behind the last token there are zeros.
                let words = of(0).expect("a row starts with a token").iter();
                let others = of(N::PER_WORD - 1);
                let zero = N::zeroed();
                for (index, (columns, word)) in
                    line.chunks_exact_mut(N::PER_WORD).zip(words).enumerate()
                {
                    let other = others.map_or(zero, |others| others[index]);
                    for (place, column) in columns.iter_mut().enumerate() {
                        *column = N::gather([*word, other], place);
                    }
                }
                line[n..].fill(zero);
            }
        }
    }

    /// The panel of keys that starts with a token.
    pub(super) fn keys<'a, N: Number>(&self, packed: &'a [f32], first: usize) -> &'a [N] {
        let (width, depth) = (
            self.stored_width(first, self.tokens),
            self.words(self.depth),
        );
        bytemuck::cast_slice(&packed[first * depth..][..width * depth])
    }

    /// The part of a panel of values that starts with a channel, for some tokens; the first one begins
    /// a word.
    pub(super) fn values<'a, N: Number>(
        &self,
        packed: &'a [f32],
        first: usize,
        tokens: Range<usize>,
    ) -> &'a [N] {
        let width = self.stored_width(first, self.depth);
        let rows = self.words(self.tokens);
        let start = self.keys_length() + first * rows + tokens.start / self.per_word * width;
        bytemuck::cast_slice(&packed[start..][..self.words(tokens.len()) * width])
    }
}
