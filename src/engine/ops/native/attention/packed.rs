//! How do keys and values lie, so that scores and weighted sums are products like all others?

use std::ops::Range;

use super::super::simd::{Level, TILE_VECTORS};

/// Where keys and values are read from.
pub(super) struct Source<'a> {
    pub(super) values: &'a [f32],
    /// From one token to the next.
    pub(super) stride: usize,
    /// Of the first token.
    pub(super) key: usize,
    pub(super) value: usize,
}

/// How one head's keys and values are packed: panels of keys, depth x tokens, then panels of values,
/// tokens x depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) tokens: usize,
    pub(super) depth: usize,
    pub(super) lanes: usize,
}

impl Layout {
    pub(super) fn new(level: Level, tokens: usize, depth: usize) -> Self {
        Self {
            tokens,
            depth,
            lanes: level.lanes(),
        }
    }

    /// Columns of a panel.
    pub(super) fn width(&self) -> usize {
        TILE_VECTORS * self.lanes
    }

    /// Numbers of the keys' panels.
    fn keys_length(&self) -> usize {
        self.depth * self.tokens.next_multiple_of(self.lanes)
    }

    /// Numbers of one head.
    pub(super) fn head_length(&self) -> usize {
        self.keys_length() + self.tokens * self.depth.next_multiple_of(self.lanes)
    }

    /// Columns of the panel that starts at column `first` of `columns`, filled up to vectors.
    fn stored_width(&self, first: usize, columns: usize) -> usize {
        self.width()
            .min((columns - first).next_multiple_of(self.lanes))
    }

    pub(super) fn pack(&self, source: &Source<'_>, packed: &mut [f32]) {
        let (keys, values) = packed.split_at_mut(self.keys_length());
        for first in (0..self.tokens).step_by(self.width()) {
            let width = self.stored_width(first, self.tokens);
            let panel = &mut keys[first * self.depth..][..width * self.depth];
            for (channel, line) in panel.chunks_exact_mut(width).enumerate() {
                for (token, value) in (first..).zip(line) {
                    // The filling repeats the last token; its scores are never looked at.
                    let token = token.min(self.tokens - 1);
                    *value = source.values[token * source.stride + source.key + channel];
                }
            }
        }
        for first in (0..self.depth).step_by(self.width()) {
            let width = self.stored_width(first, self.depth);
            let panel = &mut values[first * self.tokens..][..width * self.tokens];
            let n = width.min(self.depth - first);
            for (token, line) in panel.chunks_exact_mut(width).enumerate() {
                let start = token * source.stride + source.value + first;
                line[..n].copy_from_slice(&source.values[start..start + n]);
                line[n..].fill(0.0);
            }
        }
    }

    /// The panel of keys that starts with a token.
    pub(super) fn keys<'a>(&self, packed: &'a [f32], first: usize) -> &'a [f32] {
        let width = self.stored_width(first, self.tokens);
        &packed[first * self.depth..][..width * self.depth]
    }

    /// The part of a panel of values that starts with a channel, for some tokens.
    pub(super) fn values<'a>(
        &self,
        packed: &'a [f32],
        first: usize,
        tokens: Range<usize>,
    ) -> &'a [f32] {
        let width = self.stored_width(first, self.depth);
        let start = self.keys_length() + first * self.tokens + tokens.start * width;
        &packed[start..][..tokens.len() * width]
    }
}
