//! How do weights lie in memory? In panels: a few columns, row after row, as a tile reads them.

use super::{
    memory::Lines,
    simd::{Level, TILE_VECTORS},
};

/// The right side of a product, depth x columns, packed for one level of instructions.
#[derive(Debug)]
pub(super) struct Panels {
    values: Lines,
    depth: usize,
    columns: usize,
    lanes: usize,
}

impl Panels {
    /// Packs the numbers that `at(row, column)` gives; the last panel is filled up with zeros.
    pub(super) fn pack(
        level: Level,
        (depth, columns): (usize, usize),
        at: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let lanes = level.lanes();
        let mut panels = Self {
            values: Lines::zeros(depth * columns.next_multiple_of(lanes)),
            depth,
            columns,
            lanes,
        };
        for index in 0..panels.n_panels() {
            let (width, first) = (panels.stored_width(index), index * panels.width());
            let start = panels.start(index);
            for row in 0..depth {
                let stored = &mut panels.values[start + row * width..][..width];
                for (column, value) in (first..columns).zip(stored) {
                    *value = at(row, column);
                }
            }
        }
        panels
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

    /// Rows.
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

    /// One number.
    pub(super) fn get(&self, row: usize, column: usize) -> f32 {
        let (index, place) = (column / self.width(), column % self.width());
        self.panel(index)[row * self.stored_width(index) + place]
    }

    /// One panel, row by row.
    pub(super) fn panel(&self, index: usize) -> &[f32] {
        &self.values[self.start(index)..][..self.depth * self.stored_width(index)]
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
