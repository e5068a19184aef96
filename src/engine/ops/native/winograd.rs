//! How does a 3x3 convolution get by with a quarter of the multiplications? Winograd's F(4x4, 3x3).
//!
//! A tile of 4x4 results needs 6x6 inputs. Transformed, the convolution is a product number by number:
//! 36 products of matrices, tiles x inputs times inputs x outputs, in place of 144 (Lavin and Gray,
//! arXiv 1509.09308, section 4.3). The price is a table of weights four times as large, and an error of
//! a few times 1e-6 in place of 1e-7.

use super::{
    Native, Tensor,
    memory::{Lines, with_scratch},
    panels::Panels,
    shared::Shared,
    simd::{Isa, Kernel, Level, load, store},
    tile::{self, MAX_ROWS, Segments, Tile},
};
use crate::engine::ops::{ConvSpec, Shape};

/// Results of a tile on a side.
const RESULTS: usize = 4;

/// Inputs of a tile on a side.
const INPUTS: usize = RESULTS + 2;

/// Products of matrices.
const PRODUCTS: usize = INPUTS * INPUTS;

/// Fewest tiles of a picture: with fewer, reading the larger table costs what the products save.
const MIN_TILES: usize = 4;

/// Largest table for each position of a picture, in bytes. A table saves time in proportion to the
/// positions it is used for, whatever its size, and this is what a byte must earn.
const MAX_TABLE_BYTES_PER_POSITION: usize = 64 * 1024;

/// Transformed numbers that a thread works on at once: half of a core's own cache of 1 MiB.
const MAX_SCRATCH: usize = 128 * 1024;

/// Numbers between two transformed matrices, so that they do not compete for the same cache sets.
const GAP: usize = 16;

/// G of the paper's section 4.3: how weights are transformed, along each axis.
const WEIGHTS: [[f64; 3]; INPUTS] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// A convolution's transformed weights.
#[derive(Debug)]
pub(super) struct Winograd {
    /// One matrix, inputs x outputs, for each of the 36 products.
    tables: Vec<Panels>,
    /// In place of a bias, which is added behind the transform.
    zeros: Lines,
}

impl Winograd {
    /// Whether the algorithm is used for results of this shape. Decided by one picture, not by the
    /// batch, so that a picture is the same in any batch.
    pub(super) fn pays(level: Level, spec: ConvSpec, shape: Shape) -> bool {
        let fits = |side: usize| side.is_multiple_of(RESULTS);
        let whole = |channels: usize| channels.is_multiple_of(level.lanes());
        let positions = shape.positions();
        let table = size_of::<f32>() * PRODUCTS * spec.inputs * spec.outputs;
        spec.stride == 1
            && spec.padding_before == 1
            && fits(shape.height)
            && fits(shape.width)
            && whole(spec.inputs)
            && whole(spec.outputs)
            && positions >= MIN_TILES * RESULTS * RESULTS
            && table <= positions * MAX_TABLE_BYTES_PER_POSITION
    }

    /// Transforms weights that were packed for the direct convolution.
    pub(super) fn pack(level: Level, spec: ConvSpec, direct: &Panels) -> Self {
        let weight = |tap: usize, input: usize, output: usize| {
            f64::from(direct.get(tap * spec.inputs + input, output))
        };
        let transformed = |product: usize, input: usize, output: usize| {
            let (down, across) = (WEIGHTS[product / INPUTS], WEIGHTS[product % INPUTS]);
            let taps =
                (0..9).map(|tap| down[tap / 3] * across[tap % 3] * weight(tap, input, output));
            taps.sum::<f64>() as f32
        };
        let size = (spec.inputs, spec.outputs);
        let tables = (0..PRODUCTS).map(|product| {
            Panels::pack(level, size, |input, output| {
                transformed(product, input, output)
            })
        });
        let tables: Vec<_> = tables.collect();
        Self {
            zeros: Lines::zeros(tables[0].width()),
            tables,
        }
    }

    /// Convolves pictures with a border of zeros; `bias` and `residual` as in [`super::product`].
    pub(super) fn apply(
        &self,
        native: &Native,
        xs: &Tensor,
        bias: &[f32],
        residual: Option<&[f32]>,
    ) -> Tensor {
        let (inputs, outputs) = (self.tables[0].depth(), self.tables[0].columns());
        let shape = xs.shape.with_channels(outputs);
        assert_eq!(
            (xs.border, xs.shape.channels),
            (1, inputs),
            "zeros around the picture"
        );
        let residual_len = residual.map_or(shape.len(), <[f32]>::len);
        assert_eq!(
            residual_len,
            shape.len(),
            "the residual is as large as the result"
        );
        self.tables[0].expect_level(native.level);
        let n_tiles = shape.len() / (RESULTS * RESULTS * outputs);
        let n_threads = native.team.n_threads();
        let most = (MAX_SCRATCH / (PRODUCTS * (inputs + outputs))).max(4 * MAX_ROWS);
        let n_parts = n_tiles
            .div_ceil(most)
            .next_multiple_of(n_threads)
            .min(n_tiles);
        native.tensor(shape, |output| {
            let output = Shared::new(output);
            native.team.run(n_parts, |part| {
                let cut = |part: usize| n_tiles * part / n_parts;
                let n = cut(part + 1) - cut(part);
                with_scratch(scratch_length(n, inputs, outputs), |scratch| {
                    native.level.run(Block {
                        winograd: self,
                        xs,
                        bias,
                        residual,
                        output,
                        scratch,
                        first: cut(part),
                        n,
                    });
                });
            });
        })
    }

    /// Bytes of the tables.
    pub(super) fn bytes(&self) -> usize {
        self.tables.iter().map(Panels::bytes).sum()
    }
}

/// Some tiles of a batch, for one thread.
struct Block<'a> {
    winograd: &'a Winograd,
    xs: &'a Tensor,
    bias: &'a [f32],
    residual: Option<&'a [f32]>,
    output: Shared<'a>,
    /// For [`scratch_length`] numbers.
    scratch: &'a mut [f32],
    first: usize,
    n: usize,
}

/// Numbers that some tiles take before and behind the products.
fn scratch_length(n_tiles: usize, inputs: usize, outputs: usize) -> usize {
    PRODUCTS * (n_tiles * (inputs + outputs) + 2 * GAP)
}

impl Kernel for Block<'_> {
    #[inline(always)]
    fn run<S: Isa>(mut self, simd: S) {
        let [inputs, outputs] = self.channels();
        // From one transformed matrix to the next.
        let (before, after) = (self.n * inputs + GAP, self.n * outputs + GAP);
        let scratch = std::mem::take(&mut self.scratch);
        let (transformed, products) = scratch.split_at_mut(PRODUCTS * before);
        for tile in 0..self.n {
            self.transform_input(simd, tile, &mut transformed[tile * inputs..], before);
        }
        for product in 0..PRODUCTS {
            let matrix = &transformed[product * before..][..self.n * inputs];
            let result = &mut products[product * after..][..self.n * outputs];
            self.multiply(simd, product, matrix, result);
        }
        for tile in 0..self.n {
            self.transform_output(simd, tile, &products[tile * outputs..], after);
        }
    }
}

impl Block<'_> {
    fn channels(&self) -> [usize; 2] {
        let table = &self.winograd.tables[0];
        [table.depth(), table.columns()]
    }

    /// Picture, first line and first column of a tile.
    #[inline(always)]
    fn place(&self, tile: usize) -> (usize, usize, usize) {
        let shape = self.xs.shape;
        let (across, down) = (shape.width / RESULTS, shape.height / RESULTS);
        let index = self.first + tile;
        let (picture, tile) = (index / (across * down), index % (across * down));
        (picture, tile / across * RESULTS, tile % across * RESULTS)
    }

    #[inline(always)]
    #[expect(
        clippy::needless_range_loop,
        reason = "loops over constants are unrolled in time for the numbers to become registers"
    )]
    fn transform_input<S: Isa>(&self, simd: S, tile: usize, output: &mut [f32], stride: usize) {
        let channels = self.xs.shape.channels;
        let (picture, y, x) = self.place(tile);
        let line = self.xs.line_stride();
        let start = y * line + x * channels;
        let picture = &self.xs.row(picture)[start..][..5 * line + INPUTS * channels];
        for channel in (0..channels).step_by(S::F32_LANES) {
            // Line by line of the picture's columns, so that the second transform finds its own.
            let mut columns = [[simd.splat_f32s(0.0); INPUTS]; INPUTS];
            for x in 0..INPUTS {
                let mut inputs = [simd.splat_f32s(0.0); INPUTS];
                for y in 0..INPUTS {
                    inputs[y] = load::<S>(picture, y * line + x * channels + channel);
                }
                let column = input_transform(simd, inputs);
                for y in 0..INPUTS {
                    columns[y][x] = column[y];
                }
            }
            for y in 0..INPUTS {
                let values = input_transform(simd, columns[y]);
                for x in 0..INPUTS {
                    store::<S>(output, (y * INPUTS + x) * stride + channel, values[x]);
                }
            }
        }
    }

    /// One of the 36 products of matrices.
    #[inline(always)]
    #[expect(
        unsafe_code,
        reason = "calls the innermost loop with checked addresses"
    )]
    fn multiply<S: Isa>(&self, simd: S, product: usize, matrix: &[f32], result: &mut [f32]) {
        let [inputs, outputs] = self.channels();
        let panels = &self.winograd.tables[product];
        assert!(
            matrix.len() == self.n * inputs && result.len() == self.n * outputs,
            "a row of each for each tile"
        );
        for panel in 0..panels.n_panels() {
            let tile = Tile {
                input: matrix.as_ptr(),
                segments: Segments {
                    starts: &[0],
                    length: inputs,
                },
                panel: panels.panel(panel).as_ptr(),
                bias: self.winograd.zeros.as_ptr(),
                output: result.as_mut_ptr(),
                addend: std::ptr::null(),
                n_columns: panels.columns_of(panel),
            };
            let outputs = (panel * panels.width(), outputs);
            // SAFETY: as many rows of both matrices, whose sizes were just compared, and columns that
            // the panel has.
            unsafe { tile::multiply_all(simd, &tile, self.n, (0, inputs), outputs) };
        }
    }

    #[inline(always)]
    #[expect(
        clippy::needless_range_loop,
        reason = "loops over constants are unrolled in time for the numbers to become registers"
    )]
    fn transform_output<S: Isa>(&self, simd: S, tile: usize, products: &[f32], stride: usize) {
        let [_, channels] = self.channels();
        let (picture, top, left) = self.place(tile);
        let shape = self.xs.shape;
        let padded = self.winograd.tables[0].n_panels() * self.winograd.tables[0].width();
        let bias = if self.bias.len() == padded {
            0
        } else {
            picture
        };
        let bias = &self.bias[bias * padded..][..channels];
        for channel in (0..channels).step_by(S::F32_LANES) {
            let mut columns = [[simd.splat_f32s(0.0); INPUTS]; RESULTS];
            for x in 0..INPUTS {
                let mut values = [simd.splat_f32s(0.0); INPUTS];
                for y in 0..INPUTS {
                    values[y] = load::<S>(products, (y * INPUTS + x) * stride + channel);
                }
                let column = output_transform(simd, values);
                for y in 0..RESULTS {
                    columns[y][x] = column[y];
                }
            }
            let bias = load::<S>(bias, channel);
            for y in 0..RESULTS {
                let values = output_transform(simd, columns[y]);
                for x in 0..RESULTS {
                    let position = (picture * shape.height + top + y) * shape.width + left + x;
                    let at = position * channels + channel;
                    let mut value = simd.add_f32s(values[x], bias);
                    if let Some(residual) = self.residual {
                        value = simd.add_f32s(value, load::<S>(residual, at));
                    }
                    store::<S>(self.output(at, S::F32_LANES), 0, value);
                }
            }
        }
    }

    #[inline(always)]
    #[expect(
        unsafe_code,
        reason = "parts of one operation write pictures of one tensor"
    )]
    #[expect(clippy::mut_from_ref, reason = "every part has tiles of its own")]
    fn output(&self, start: usize, length: usize) -> &mut [f32] {
        // SAFETY: the results of this part's tiles are written by nobody else, and one after the other.
        unsafe { self.output.slice(start, length) }
    }
}

/// B^T of the paper's section 4.3 times a column.
#[inline(always)]
fn input_transform<S: Isa>(simd: S, d: [S::f32s; INPUTS]) -> [S::f32s; INPUTS] {
    let (two, four, five) = (
        simd.splat_f32s(2.0),
        simd.splat_f32s(4.0),
        simd.splat_f32s(5.0),
    );
    let (minus_four, minus_five) = (simd.neg_f32s(four), simd.neg_f32s(five));
    let first = simd.fma(minus_five, d[2], simd.fma(four, d[0], d[4]));
    let last = simd.fma(minus_five, d[3], simd.fma(four, d[1], d[5]));
    let even = simd.fma(minus_four, d[2], d[4]);
    let odd = simd.fma(minus_four, d[1], d[3]);
    let far = simd.sub_f32s(d[4], d[2]);
    let near = simd.mul_f32s(two, simd.sub_f32s(d[3], d[1]));
    [
        first,
        simd.add_f32s(even, odd),
        simd.sub_f32s(even, odd),
        simd.add_f32s(far, near),
        simd.sub_f32s(far, near),
        last,
    ]
}

/// A^T of the paper's section 4.3 times a column.
#[inline(always)]
fn output_transform<S: Isa>(simd: S, m: [S::f32s; INPUTS]) -> [S::f32s; RESULTS] {
    let (two, four, eight) = (
        simd.splat_f32s(2.0),
        simd.splat_f32s(4.0),
        simd.splat_f32s(8.0),
    );
    let (sum, difference) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    let (far_sum, far_difference) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(simd.add_f32s(m[0], sum), far_sum),
        simd.fma(two, far_difference, difference),
        simd.fma(four, far_sum, sum),
        simd.add_f32s(simd.fma(eight, far_difference, difference), m[5]),
    ]
}
