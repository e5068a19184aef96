//! Where does the product keep numbers? In cache lines, so that a vector at a line's start lies in one.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use bytemuck::{Pod, Zeroable};

/// Numbers of a cache line.
const LINE: usize = 16;

/// One cache line, so that no vector load of a line's start crosses two.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Numbers from the start of a cache line on.
#[derive(Default)]
pub(in super::super) struct Lines {
    lines: Vec<Line>,
    length: usize,
}

impl Lines {
    /// Zeros.
    pub(in super::super) fn zeros(length: usize) -> Self {
        Self {
            lines: vec![Line([0.0; LINE]); length.div_ceil(LINE)],
            length,
        }
    }

    /// Room for numbers, in place of what is there.
    pub(super) fn resize(&mut self, length: usize) {
        let n_lines = length.div_ceil(LINE);
        if self.lines.len() < n_lines {
            // Nothing is worth copying to the larger place.
            self.lines.clear();
            self.lines.resize(n_lines, Line([0.0; LINE]));
        }
        self.length = length;
    }

    pub(super) fn capacity_bytes(&self) -> usize {
        size_of::<Line>() * self.lines.len()
    }
}

impl Deref for Lines {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.length]
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.length]
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} numbers", self.length)
    }
}
