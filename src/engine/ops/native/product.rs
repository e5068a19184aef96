//! How is a large product computed? Tile by tile, in an order that keeps panels in the cache.

use std::{ops::Range, ptr};

use super::{
    Native,
    functions::{gelu, silu},
    number::Number,
    panels::Panels,
    shared::Shared,
    simd::{Isa, Kernel, TILE_VECTORS, load, store},
    tile::{self, MAX_ROWS, Rows, Segments, Tile},
};

mod cut;

use cut::{Parts, Slab, Slabs, Tiles};

/// What follows the sums of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    /// Nothing.
    None,
    /// x * sigmoid(x).
    Silu,
    /// The first half of every panel times the GELU of the second half.
    GeGlu,
}

/// Where the rows of a left side start.
pub(super) trait Place: Sync {
    /// Writes the starts of some positions of a picture, in words, to the front of `inputs`.
    fn place(&self, picture: usize, positions: Range<usize>, inputs: &mut [usize; MAX_ROWS]);
}

/// Rows one after the other, of one picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Consecutive {
    /// From one row to the next, in words.
    pub(super) stride: usize,
}

impl Place for Consecutive {
    #[inline(always)]
    fn place(&self, _: usize, positions: Range<usize>, inputs: &mut [usize; MAX_ROWS]) {
        for (input, position) in inputs.iter_mut().zip(positions) {
            *input = position * self.stride;
        }
    }
}

/// Rows of a left side times panels: `n_pictures` times `n_positions` rows of the result, one after
/// the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product<'a, N, P> {
    pub(super) input: &'a [N],
    pub(super) place: P,
    pub(super) segments: Segments<'a>,
    pub(super) panels: &'a Panels<N>,
    /// For each picture, or once for all: a number for every column, padded to whole panels.
    pub(super) bias: &'a [f32],
    /// Added at the end; as large as the result.
    pub(super) addend: Option<&'a [f32]>,
    pub(super) finish: Finish,
    /// Columns of the result.
    pub(super) columns: usize,
    pub(super) n_pictures: usize,
    pub(super) n_positions: usize,
}

impl<N: Number, P: Place> Product<'_, N, P> {
    /// Computes the result, row after row.
    pub(super) fn compute(&self, native: &Native, output: &mut [f32]) {
        self.panels.expect_level(native.level);
        self.check(output.len());
        let output = Shared::new(output);
        let tiles = Tiles::new(native.level.rows(), self.n_pictures, self.n_positions);
        let parts = Parts::of(self, native.team.n_threads(), tiles.len());
        native.team.run(parts.len(), |part| {
            let (tile_range, panel_range) = parts.part(part);
            let block = Block {
                product: self,
                output,
                tiles,
                tile_range,
                panel_range,
            };
            N::run(native, block);
        });
    }

    /// What the tiles rely on, for the whole product; [`Block::rows`] checks the addresses of rows.
    fn check(&self, output: usize) {
        let n_rows = self.n_pictures * self.n_positions;
        let depth = self.segments.starts.len() * self.segments.length;
        assert_eq!(depth, self.panels.depth(), "the sides have one depth");
        assert_eq!(output, n_rows * self.columns, "the result fits");
        let addend = self.addend.map_or(output, <[f32]>::len);
        assert_eq!(addend, output, "the addend is as large as the result");
        let (n_panels, width) = (self.panels.n_panels(), self.panels.width());
        let expected = match self.finish {
            Finish::GeGlu => self.columns.div_ceil(width / 2),
            Finish::None | Finish::Silu => self.columns.div_ceil(width),
        };
        assert_eq!(n_panels, expected, "the panels have the result's columns");
        let padded = n_panels * width;
        assert!(
            self.bias.len() == padded || self.bias.len() == self.n_pictures * padded,
            "a bias for all pictures or for each"
        );
    }
}

/// One part of a product, for one thread.
struct Block<'a, 'p, N, P> {
    product: &'a Product<'p, N, P>,
    output: Shared<'a>,
    tiles: Tiles,
    tile_range: Range<usize>,
    panel_range: Range<usize>,
}

impl<N: Number, P: Place> Kernel for Block<'_, '_, N, P> {
    #[inline(always)]
    fn run<S: Isa>(self, simd: S) {
        let slabs = Slabs::of(self.product, self.tile_range.len());
        for panel in self.panel_range.clone() {
            for slab in 0..slabs.len() {
                let slab = slabs.get(slab);
                for index in self.tile_range.clone() {
                    let (picture, positions) = self.tiles.get(index);
                    self.tile(simd, (panel, slab), picture, positions);
                }
            }
        }
    }
}

impl<N: Number, P: Place> Block<'_, '_, N, P> {
    #[inline(always)]
    fn tile<S: Isa>(
        &self,
        simd: S,
        (panel, slab): (usize, Slab<'_>),
        picture: usize,
        positions: Range<usize>,
    ) {
        let mut rows = self.rows(picture, positions);
        if self.product.finish == Finish::GeGlu {
            return self.gated_tile(simd, (panel, slab), picture, &mut rows);
        }
        let first = panel * self.product.panels.width();
        for output in &mut rows.outputs {
            *output += first;
        }
        let silu = self.product.finish == Finish::Silu;
        // Behind the last sum, and behind the activation, if there is one.
        let addend = self.product.addend.filter(|_| slab.is_last && !silu);
        let addend = addend.map_or(ptr::null(), <[f32]>::as_ptr);
        self.multiply(
            simd,
            (panel, slab),
            picture,
            &rows,
            (self.output.as_mut_ptr(), addend),
        );
        if silu {
            let n_columns = self.product.panels.columns_of(panel);
            for &start in &rows.outputs[..rows.n] {
                let addend = self.product.addend.map(|it| &it[start..start + n_columns]);
                finish_silu(simd, self.slice(start, n_columns), addend);
            }
        }
    }

    /// A tile whose panel is one vector of the first half and one of the gates.
    #[inline(always)]
    fn gated_tile<S: Isa>(
        &self,
        simd: S,
        (panel, slab): (usize, Slab<'_>),
        picture: usize,
        rows: &mut Rows,
    ) {
        let (width, lanes) = (self.product.panels.width(), S::F32_LANES);
        let mut wide = [0.0; MAX_ROWS * TILE_VECTORS * MAX_LANES];
        let first = panel * lanes;
        let n_columns = lanes.min(self.product.columns - first);
        let places = rows.outputs;
        for (row, output) in rows.outputs.iter_mut().enumerate() {
            *output = row * width;
        }
        let output = (wide.as_mut_ptr(), ptr::null());
        self.multiply(simd, (panel, slab), picture, rows, output);
        for (wide, place) in wide.chunks_exact(width).zip(&places[..rows.n]) {
            let start = place + first;
            let gates = gelu(simd, load::<S>(wide, lanes));
            let mut value = simd.mul_f32s(load::<S>(wide, 0), gates);
            if let Some(addend) = self.product.addend {
                let addend = simd.partial_load_f32s(&addend[start..start + n_columns]);
                value = simd.add_f32s(value, addend);
            }
            let output = self.slice(start, n_columns);
            if n_columns == lanes {
                store::<S>(output, 0, value);
            } else {
                simd.partial_store_f32s(output, value);
            }
        }
    }

    #[inline(always)]
    #[expect(
        unsafe_code,
        reason = "calls the innermost loop with checked addresses"
    )]
    fn multiply<S: Isa>(
        &self,
        simd: S,
        (panel, slab): (usize, Slab<'_>),
        picture: usize,
        rows: &Rows,
        (output, addend): (*mut f32, *const f32),
    ) {
        let Product { panels, bias, .. } = self.product;
        let (n_panels, width) = (panels.n_panels(), panels.width());
        let picture = if bias.len() == n_panels * width {
            0
        } else {
            picture
        };
        let bias = &bias[(picture * n_panels + panel) * width..][..width];
        let tile = Tile {
            input: self.product.input[slab.shift..].as_ptr(),
            segments: slab.segments,
            panel: panels.rows_of(panel, slab.first, slab.depth()).as_ptr(),
            bias: if slab.first == 0 {
                bias.as_ptr()
            } else {
                ptr::null()
            },
            output,
            addend,
            n_columns: panels.columns_of(panel),
        };
        // SAFETY: `rows` checked every address on the left and whole rows of the result, of which this
        // part alone writes this panel's columns; `check` compared the sizes of everything else. A gated
        // tile's output has room for all rows of the largest panel.
        unsafe { tile::multiply(simd, &tile, rows) };
    }

    /// Columns of the result that belong to one row of one tile.
    #[inline(always)]
    #[expect(
        unsafe_code,
        reason = "parts of one operation write interleaved columns of one tensor"
    )]
    #[expect(
        clippy::mut_from_ref,
        reason = "every part has tiles and panels of its own"
    )]
    fn slice(&self, start: usize, length: usize) -> &mut [f32] {
        // SAFETY: no other part writes this panel's columns of these rows, and this one does so one
        // after the other.
        unsafe { self.output.slice(start, length) }
    }

    /// The addresses of a tile's rows, checked.
    #[inline(always)]
    fn rows(&self, picture: usize, positions: Range<usize>) -> Rows {
        let product = self.product;
        let segments = product.segments;
        let last = segments.starts.last().copied().unwrap_or(0) + segments.length;
        let stride = product.columns;
        let mut rows = Rows {
            inputs: [0; MAX_ROWS],
            outputs: [0; MAX_ROWS],
            n: positions.len(),
        };
        let place = &product.place;
        place.place(picture, positions.clone(), &mut rows.inputs);
        let first = picture * product.n_positions + positions.start;
        for (row, output) in rows.outputs[..rows.n].iter_mut().enumerate() {
            *output = (first + row) * stride;
            assert!(
                *output + stride <= self.output.len(),
                "a row of the result is in it"
            );
            let end = rows.inputs[row] + last;
            assert!(
                end <= product.input.len(),
                "a row of the left side is in it"
            );
        }
        rows
    }
}

/// Numbers of the largest vector there is.
const MAX_LANES: usize = 16;

const _: () = assert!(
    TILE_VECTORS == 2,
    "a gated panel is one vector of each half"
);

/// x * sigmoid(x) of every number, then the addend.
#[inline(always)]
fn finish_silu<S: Isa>(simd: S, values: &mut [f32], addend: Option<&[f32]>) {
    for first in (0..values.len()).step_by(S::F32_LANES) {
        let end = (first + S::F32_LANES).min(values.len());
        let mut value = silu(simd, simd.partial_load_f32s(&values[first..end]));
        if let Some(addend) = addend {
            value = simd.add_f32s(value, simd.partial_load_f32s(&addend[first..end]));
        }
        simd.partial_store_f32s(&mut values[first..end], value);
    }
}
