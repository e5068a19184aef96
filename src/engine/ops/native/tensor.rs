//! How does a batch lie in memory? Rows x height x width x channels, maybe with zeros around it.

use std::sync::Arc;

use super::{
    Native,
    memory::{Arena, Buffer},
    shared::Shared,
};
use crate::engine::ops::Shape;

/// A batch in memory. Clones share the numbers.
#[derive(Debug, Clone)]
pub struct Tensor {
    pub(super) shape: Shape,
    /// Zeros on every side of each picture, as many lines and columns: 1 or none. What a 3x3
    /// convolution reads has them, so that it need not ask where the picture ends.
    pub(super) border: usize,
    pub(super) values: Buffer,
}

impl Tensor {
    /// A tensor in memory of `arena` that `fill` writes every number of, the border's among them.
    pub(super) fn fill(
        arena: &Arc<Arena>,
        shape: Shape,
        border: usize,
        fill: impl FnOnce(&mut [f32]),
    ) -> Self {
        let mut values = arena.take(shape.rows * row_stride(shape, border));
        fill(values.fill());
        Self {
            shape,
            border,
            values,
        }
    }

    /// Numbers from one line to the next, the border's among them.
    pub(super) fn line_stride(&self) -> usize {
        line_stride(self.shape, self.border)
    }

    /// Numbers from one row of the batch to the next, the border's among them.
    pub(super) fn row_stride(&self) -> usize {
        row_stride(self.shape, self.border)
    }

    /// The numbers of one row, with its border.
    pub(super) fn row(&self, row: usize) -> &[f32] {
        let stride = self.row_stride();
        &self.values[row * stride..(row + 1) * stride]
    }

    /// One line of a picture, without the border.
    pub(super) fn line(&self, row: usize, y: usize) -> &[f32] {
        let start = line_start(self.shape, self.border, row, y);
        &self.values[start..start + self.shape.width * self.shape.channels]
    }

    /// The same batch without a border.
    pub(super) fn without_border(&self, native: &Native) -> Self {
        if self.border == 0 {
            return self.clone();
        }
        let line = self.shape.width * self.shape.channels;
        native.tensor(self.shape, |output| {
            for (index, output) in output.chunks_exact_mut(line).enumerate() {
                let (row, y) = (index / self.shape.height, index % self.shape.height);
                output.copy_from_slice(self.line(row, y));
            }
        })
    }
}

/// Numbers from one line to the next.
pub(super) fn line_stride(shape: Shape, border: usize) -> usize {
    (shape.width + 2 * border) * shape.channels
}

/// Numbers from one row of the batch to the next.
pub(super) fn row_stride(shape: Shape, border: usize) -> usize {
    (shape.height + 2 * border) * line_stride(shape, border)
}

/// Where a line of a picture starts, behind the border.
pub(super) fn line_start(shape: Shape, border: usize, row: usize, y: usize) -> usize {
    row * row_stride(shape, border)
        + (y + border) * line_stride(shape, border)
        + border * shape.channels
}

/// Writes the zeros around one picture of a batch with a border of one.
#[expect(
    unsafe_code,
    reason = "parts of one operation write pictures of one tensor"
)]
pub(super) fn clear_border(output: Shared<'_>, shape: Shape, row: usize) {
    let (line, channels) = (line_stride(shape, 1), shape.channels);
    let start = row * row_stride(shape, 1);
    let clear = |at: usize, length: usize| {
        // SAFETY: one part of an operation clears the border of one picture, and none writes to it.
        unsafe { output.slice(start + at, length) }.fill(0.0);
    };
    clear(0, line);
    for y in 1..=shape.height {
        clear(y * line, channels);
        clear((y + 1) * line - channels, channels);
    }
    clear((shape.height + 1) * line, line);
}
