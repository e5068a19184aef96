//! How do weights lie in memory? In panels: a few columns, row after row, as a tile reads them.

use std::marker::PhantomData;

use super::{
    memory::Lines,
    number::Number,
    simd::{Level, TILE_VECTORS},
};

/// The right side of a product, depth x columns, packed for one level of instructions. A row is one
/// of words, which are two rows of numbers where those come in pairs.
#[derive(Debug)]
pub(super) struct Panels<N> {
    values: Lines,
    depth: usize,
    columns: usize,
    lanes: usize,
    words: PhantomData<N>,
}

impl<N: Number> Panels<N> {
    /// Zeros; `depth` counts numbers.
    pub(super) fn zeros(level: Level, (depth, columns): (usize, usize)) -> Self {
        let lanes = level.lanes();
        let depth = depth.div_ceil(N::PER_WORD);
        Self {
            values: Lines::zeros(depth * columns.next_multiple_of(lanes)),
            depth,
            columns,
            lanes,
            words: PhantomData,
        }
    }

    /// Packs the numbers that `at(row, column)` gives; the last panel is filled up with zeros, and so
    /// is the last row.
    pub(super) fn pack(
        level: Level,
        (depth, columns): (usize, usize),
        at: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let mut panels = Self::zeros(level, (depth, columns));
        let at = |row: usize, column| if row < depth { at(row, column) } else { 0.0 };
        for index in 0..panels.n_panels() {
            let (width, first) = (panels.stored_width(index), index * panels.width());
            let start = panels.start(index);
            for row in 0..panels.depth {
                let stored = &mut panels.values[start + row * width..][..width];
                let stored: &mut [N] = bytemuck::cast_slice_mut(stored);
                for (column, word) in (first..columns).zip(stored) {
                    let row = row * N::PER_WORD;
                    *word = N::word([at(row, column), at(row + 1, column)]);
                }
            }
        }
        panels
    }

    /// Writes one word.
    pub(super) fn set(&mut self, row: usize, column: usize, word: N) {
        let at = self.place(row, column);
        let values: &mut [N] = bytemuck::cast_slice_mut(&mut self.values);
        values[at] = word;
    }

    fn place(&self, row: usize, column: usize) -> usize {
        let (index, place) = (column / self.width(), column % self.width());
        self.start(index) + row * self.stored_width(index) + place
    }

    /// Panics if they are packed for vectors of another length than those of `level`, which would read
    /// past their end.
    pub(super) fn expect_level(&self, level: Level) {
        assert_eq!(
            self.lanes,
            level.lanes(),
            "packed for the instructions in use"
        );
    }

    /// Rows of words.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Columns, without the filling.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Columns of every panel but the last.
    pub(super) fn width(&self) -> usize {
        TILE_VECTORS * self.lanes
    }

    pub(super) fn n_panels(&self) -> usize {
        self.columns.div_ceil(self.width())
    }

    /// Columns of one panel, without the filling.
    pub(super) fn columns_of(&self, index: usize) -> usize {
        self.width().min(self.columns - index * self.width())
    }

    /// One number; rows are those of numbers.
    pub(super) fn get(&self, row: usize, column: usize) -> f32 {
        let values: &[N] = bytemuck::cast_slice(&self.values);
        values[self.place(row / N::PER_WORD, column)].number(row % N::PER_WORD)
    }

    /// One panel, row by row.
    pub(super) fn panel(&self, index: usize) -> &[N] {
        let values = &self.values[self.start(index)..][..self.depth * self.stored_width(index)];
        bytemuck::cast_slice(values)
    }

    /// Some rows of one panel.
    pub(super) fn rows_of(&self, index: usize, first: usize, n: usize) -> &[N] {
        let width = self.stored_width(index);
        &self.panel(index)[first * width..][..n * width]
    }

    /// Words with the filling.
    pub(super) fn words(&self) -> usize {
        self.values.len()
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.values)
    }

    /// Columns of one panel with the filling: whole vectors.
    fn stored_width(&self, index: usize) -> usize {
        self.columns_of(index).next_multiple_of(self.lanes)
    }

    fn start(&self, index: usize) -> usize {
        index * self.depth * self.width()
    }
}

/// Numbers for the columns of panels, filled up with zeros to whole panels.
pub(super) fn pad_columns(level: Level, values: &[f32]) -> Lines {
    let mut padded = Lines::zeros(values.len().next_multiple_of(TILE_VECTORS * level.lanes()));
    padded[..values.len()].copy_from_slice(values);
    padded
}
