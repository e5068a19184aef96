//! How does a 3x3 convolution get by with fewer multiplications? By Winograd's algorithms.
//!
//! A tile of 4x4 results needs 6x6 inputs. Transformed, the convolution is a product number by number:
//! 36 products of matrices, tiles x inputs times inputs x outputs, in place of 144 (Lavin and Gray,
//! arXiv 1509.09308, section 4.3). The price is a table of weights four times as large, and an error of
//! a few times 1e-6 in place of 1e-7. [`transform`] says which tiles there are.

use super::{
    Native, Tensor,
    memory::{Lines, with_scratch},
    panels::Panels,
    shared::Shared,
    simd::{Isa, Kernel, Level, load, store},
    tile::{self, MAX_ROWS, Segments, Tile},
};
use crate::engine::ops::{ConvSpec, Shape};

mod transform;

pub(super) use transform::Transform;

/// Transformed numbers that a thread works on at once: half of a core's own cache of 1 MiB.
const MAX_SCRATCH: usize = 128 * 1024;

/// Words between two transformed matrices, so that they do not compete for the same cache sets.
const GAP: usize = 16;

/// A convolution's transformed weights, for tiles of R x R results from I x I inputs.
#[derive(Debug)]
pub(super) struct Winograd<N, const R: usize, const I: usize> {
    /// One matrix, inputs x outputs, for each of the I x I products.
    tables: Vec<Panels<N>>,
    /// In place of a bias, which is added behind the transform.
    zeros: Lines,
}

impl<N: Transform<R, I>, const R: usize, const I: usize> Winograd<N, R, I> {
    /// Whether the algorithm is used for results of this shape. Decided by one picture, not by the
    /// batch, so that a picture is the same in any batch.
    pub(super) fn pays(level: Level, spec: ConvSpec, shape: Shape) -> bool {
        let fits = |side: usize| side.is_multiple_of(R);
        let whole = |channels: usize| channels.is_multiple_of(level.lanes());
        let positions = shape.positions();
        let table = size_of::<N>() * I * I * spec.inputs * spec.outputs / N::PER_WORD;
        spec.stride == 1
            && spec.padding_before == 1
            && fits(shape.height)
            && fits(shape.width)
            && whole(spec.inputs)
            && whole(spec.outputs)
            && positions >= N::MIN_TILES * R * R
            && table <= positions * N::MAX_TABLE_BYTES_PER_POSITION
    }

    /// Transforms weights that were packed for the direct convolution.
    pub(super) fn pack(level: Level, spec: ConvSpec, direct: &Panels<N>) -> Self {
        let size = (spec.inputs, spec.outputs);
        let mut tables: Vec<_> = (0..I * I).map(|_| Panels::zeros(level, size)).collect();
        for input in (0..spec.inputs).step_by(N::PER_WORD) {
            for output in 0..spec.outputs {
                // `pays` saw that the inputs are whole vectors, and so whole words.
                let weights = [0, N::PER_WORD - 1].map(|place| {
                    let tap = |tap| direct.get(tap * spec.inputs + input + place, output);
                    transform_weights::<N, R, I>(std::array::from_fn(tap))
                });
                for (product, table) in tables.iter_mut().enumerate() {
                    let [low, high] = [0, 1].map(|half| weights[half][product / I][product % I]);
                    table.set(input / N::PER_WORD, output, N::word([low, high]));
                }
            }
        }
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
            (1, inputs * N::PER_WORD),
            "zeros around the picture"
        );
        let residual_len = residual.map_or(shape.len(), <[f32]>::len);
        assert_eq!(
            residual_len,
            shape.len(),
            "the residual is as large as the result"
        );
        self.tables[0].expect_level(native.level);
        let n_tiles = shape.len() / (R * R * outputs);
        let n_threads = native.team.n_threads();
        let most = (MAX_SCRATCH / (I * I * (inputs + outputs))).max(4 * MAX_ROWS);
        let n_parts = n_tiles
            .div_ceil(most)
            .next_multiple_of(n_threads)
            .min(n_tiles);
        native.tensor(shape, |output| {
            let output = Shared::new(output);
            native.team.run(n_parts, |part| {
                let cut = |part: usize| n_tiles * part / n_parts;
                let n = cut(part + 1) - cut(part);
                with_scratch(I * I * scratch_length(n, inputs, outputs), |scratch| {
                    let block = Block {
                        winograd: self,
                        xs,
                        bias,
                        residual,
                        output,
                        scratch,
                        first: cut(part),
                        n,
                    };
                    N::run(native, block);
                });
            });
        })
    }

    /// Bytes of the tables.
    pub(super) fn bytes(&self) -> usize {
        self.tables.iter().map(Panels::bytes).sum()
    }
}

/// G of the paper times the weights times G^T.
fn transform_weights<N: Transform<R, I>, const R: usize, const I: usize>(
    weights: [f32; 9],
) -> [[f32; I]; I] {
    let weights = weights.map(f64::from);
    N::WEIGHTS.map(|down| {
        N::WEIGHTS.map(|across| {
            let taps = (0..9).map(|tap| down[tap / 3] * across[tap % 3] * weights[tap]);
            taps.sum::<f64>() as f32
        })
    })
}

/// Some tiles of a batch, for one thread.
struct Block<'a, N, const R: usize, const I: usize> {
    winograd: &'a Winograd<N, R, I>,
    xs: &'a Tensor,
    bias: &'a [f32],
    residual: Option<&'a [f32]>,
    output: Shared<'a>,
    /// For [`scratch_length`] words of each product.
    scratch: &'a mut [f32],
    first: usize,
    n: usize,
}

/// Words that some tiles take before and behind each product.
fn scratch_length(n_tiles: usize, inputs: usize, outputs: usize) -> usize {
    n_tiles * (inputs + outputs) + 2 * GAP
}

impl<N: Transform<R, I>, const R: usize, const I: usize> Kernel for Block<'_, N, R, I> {
    #[inline(always)]
    fn run<S: Isa>(mut self, simd: S) {
        let [inputs, outputs] = self.sizes();
        // From one transformed matrix to the next.
        let (before, after) = (self.n * inputs + GAP, self.n * outputs + GAP);
        let scratch = std::mem::take(&mut self.scratch);
        let (transformed, products) = scratch.split_at_mut(I * I * before);
        let transformed: &mut [N] = bytemuck::cast_slice_mut(transformed);
        for tile in 0..self.n {
            self.transform_input(simd, tile, &mut transformed[tile * inputs..], before);
        }
        for product in 0..I * I {
            let matrix = &transformed[product * before..][..self.n * inputs];
            let result = &mut products[product * after..][..self.n * outputs];
            self.multiply(simd, product, matrix, result);
        }
        for tile in 0..self.n {
            self.transform_output(simd, tile, &products[tile * outputs..], after);
        }
    }
}

impl<N: Transform<R, I>, const R: usize, const I: usize> Block<'_, N, R, I> {
    /// Words of a tile's inputs and numbers of its results, in each product.
    fn sizes(&self) -> [usize; 2] {
        let table = &self.winograd.tables[0];
        [table.depth(), table.columns()]
    }

    /// Picture, first line and first column of a tile.
    #[inline(always)]
    fn place(&self, tile: usize) -> (usize, usize, usize) {
        let shape = self.xs.shape;
        let (across, down) = (shape.width / R, shape.height / R);
        let index = self.first + tile;
        let (picture, tile) = (index / (across * down), index % (across * down));
        (picture, tile / across * R, tile % across * R)
    }

    #[inline(always)]
    #[expect(
        unsafe_code,
        reason = "only some processors have the instructions that round"
    )]
    #[expect(
        clippy::needless_range_loop,
        reason = "loops over constants are unrolled in time for the numbers to become registers"
    )]
    fn transform_input<S: Isa>(&self, simd: S, tile: usize, output: &mut [N], stride: usize) {
        let channels = self.xs.shape.channels;
        let (picture, y, x) = self.place(tile);
        let line = self.xs.line_stride();
        let start = y * line + x * channels;
        let picture = &self.xs.row(picture)[start..][..(I - 1) * line + I * channels];
        for channel in (0..channels).step_by(S::F32_LANES) {
            // Line by line of the picture's columns, so that the second transform finds its own.
            let mut columns = [[simd.splat_f32s(0.0); I]; I];
            for x in 0..I {
                let mut inputs = [simd.splat_f32s(0.0); I];
                for y in 0..I {
                    inputs[y] = load::<S>(picture, y * line + x * channels + channel);
                }
                let column = N::input(simd, inputs);
                for y in 0..I {
                    columns[y][x] = column[y];
                }
            }
            for y in 0..I {
                let values = N::input(simd, columns[y]);
                for x in 0..I {
                    let at = (y * I + x) * stride + channel / N::PER_WORD;
                    // SAFETY: run by `N::run`.
                    unsafe { N::store(simd, output, at, values[x]) };
                }
            }
        }
    }

    /// One of the products of matrices.
    #[inline(always)]
    #[expect(
        unsafe_code,
        reason = "calls the innermost loop with checked addresses"
    )]
    fn multiply<S: Isa>(&self, simd: S, product: usize, matrix: &[N], result: &mut [f32]) {
        let [inputs, outputs] = self.sizes();
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
        let [_, channels] = self.sizes();
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
            let mut columns = [[simd.splat_f32s(0.0); I]; R];
            for x in 0..I {
                let mut values = [simd.splat_f32s(0.0); I];
                for y in 0..I {
                    values[y] = load::<S>(products, (y * I + x) * stride + channel);
                }
                let column = N::output(simd, values);
                for y in 0..R {
                    columns[y][x] = column[y];
                }
            }
            let bias = load::<S>(bias, channel);
            for y in 0..R {
                let values = N::output(simd, columns[y]);
                for x in 0..R {
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
