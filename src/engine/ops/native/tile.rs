//! What is the one loop that everything heavy runs through? A tile of a product, kept in registers.
//!
//! A few rows of the left side times one panel of the right side ([`super::panels`]). The left side is
//! read where it lies: a row is an address, and its numbers come in equal segments at the same
//! distances from every row's address. With three segments, the three lines around a pixel, a tile is
//! a 3x3 convolution that needs no copy of the neighborhoods (Dukhan, "The Indirect Convolution
//! Algorithm", arXiv 1907.02129).
//!
//! Both sides are words of [`Number`]s: lengths and addresses of the left side count them.
//!
//! A number of the result is bias, then one fused multiply-add for each word of its row in order,
//! then the addend: the same whatever the tile's size, so that no result depends on how a product is
//! cut into tiles. Nor does it if a row's words come in several calls, as long as they come in order:
//! sums are f32 in memory as they are in registers.

#![expect(
    unsafe_code,
    reason = "the innermost loop: sizes are checked where work is cut into tiles"
)]
#![expect(
    clippy::needless_range_loop,
    reason = "loops over constants are unrolled in time for the sums to become registers"
)]

use pulp::Simd;

use super::{
    number::Number,
    simd::{Isa, TILE_VECTORS},
};

/// Most rows of a tile on any level.
pub(super) const MAX_ROWS: usize = 14;

/// What the rows of the left side have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segments<'a> {
    /// Where each segment starts, from the row's address, in words.
    pub(super) starts: &'a [usize],
    /// Words of each segment.
    pub(super) length: usize,
}

/// The addresses of one tile's rows, in words or numbers from the base of their side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    pub(super) inputs: [usize; MAX_ROWS],
    pub(super) outputs: [usize; MAX_ROWS],
    pub(super) n: usize,
}

/// One tile's operands. Addresses of `Rows` count from `input`, `output` and `addend`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tile<'a, N> {
    pub(super) input: *const N,
    pub(super) segments: Segments<'a>,
    /// The panel, row by row, each of whole vectors.
    pub(super) panel: *const N,
    /// One number for each column of the panel; null where the output holds the sums of earlier words.
    pub(super) bias: *const f32,
    pub(super) output: *mut f32,
    /// Added at the end, laid out as the output; may be the output itself, or null.
    pub(super) addend: *const f32,
    /// Columns that are written, at most those of the panel.
    pub(super) n_columns: usize,
}

/// Rows that `n` rows are cut into tiles of, where a tile has at most `most`.
#[inline(always)]
pub(super) fn rows_of_tiles(most: usize, n: usize) -> usize {
    // Two even tiles are better than a full one and one of two rows.
    if n == 16 { most.min(8) } else { most }
}

/// Computes `n` rows tile by tile; each side is given by its first row's address and the distance to
/// the next row's.
///
/// # Safety
///
/// As for [`multiply`], for all the rows.
#[inline(always)]
pub(super) unsafe fn multiply_all<S: Isa, N: Number>(
    simd: S,
    tile: &Tile<'_, N>,
    n: usize,
    (input, input_step): (usize, usize),
    (output, output_step): (usize, usize),
) {
    let most = rows_of_tiles(S::ROWS, n);
    for first in (0..n).step_by(most) {
        let mut rows = Rows {
            inputs: [0; MAX_ROWS],
            outputs: [0; MAX_ROWS],
            n: most.min(n - first),
        };
        for row in 0..rows.n {
            rows.inputs[row] = input + (first + row) * input_step;
            rows.outputs[row] = output + (first + row) * output_step;
        }
        // SAFETY: the caller's promise, for some of the rows.
        unsafe { multiply(simd, tile, &rows) };
    }
}

/// Computes one tile of any number of rows up to [`Isa::ROWS`].
///
/// # Safety
///
/// Everything that [`Tile`] and [`Rows`] describe must lie in allocations that live, and nobody else
/// may write to the rows of the output or read them during the call. Called in a kernel that
/// [`Number::run`] runs.
#[inline(always)]
pub(super) unsafe fn multiply<S: Isa, N: Number>(simd: S, tile: &Tile<'_, N>, rows: &Rows) {
    let two = tile.n_columns > S::F32_LANES;
    let mut done = 0;
    while done < rows.n {
        let n = chunk::<S>(rows.n - done);
        // SAFETY: the caller's promise, for a part of the rows.
        unsafe {
            match (n, two) {
                (14, true) => fixed::<S, N, 14, 2>(simd, tile, rows, done),
                (14, false) => fixed::<S, N, 14, 1>(simd, tile, rows, done),
                (8, true) => fixed::<S, N, 8, 2>(simd, tile, rows, done),
                (8, false) => fixed::<S, N, 8, 1>(simd, tile, rows, done),
                (6, true) => fixed::<S, N, 6, 2>(simd, tile, rows, done),
                (6, false) => fixed::<S, N, 6, 1>(simd, tile, rows, done),
                (4, true) => fixed::<S, N, 4, 2>(simd, tile, rows, done),
                (4, false) => fixed::<S, N, 4, 1>(simd, tile, rows, done),
                (2, true) => fixed::<S, N, 2, 2>(simd, tile, rows, done),
                (2, false) => fixed::<S, N, 2, 1>(simd, tile, rows, done),
                (_, true) => fixed::<S, N, 1, 2>(simd, tile, rows, done),
                (_, false) => fixed::<S, N, 1, 1>(simd, tile, rows, done),
            }
        }
        done += n;
    }
}

/// Rows of the next fixed size.
#[inline(always)]
fn chunk<S: Isa>(n_rows: usize) -> usize {
    let sizes: &[usize] = match S::ROWS {
        14 => &[14, 8, 4, 2],
        6 => &[6, 4, 2],
        _ => &[4, 2],
    };
    let fitting = sizes.iter().copied().find(|&size| size <= n_rows);
    fitting.unwrap_or(1)
}

/// The sums of a tile, a line of vectors for each row.
type Sums<S, const M: usize, const V: usize> = [[<S as Simd>::f32s; V]; M];

#[inline(always)]
unsafe fn fixed<S: Isa, N: Number, const M: usize, const V: usize>(
    simd: S,
    tile: &Tile<'_, N>,
    rows: &Rows,
    first: usize,
) {
    const { assert!(V <= TILE_VECTORS && M <= MAX_ROWS) };
    if M > S::ROWS {
        // Never asked for; without the sums, it costs no code either.
        return;
    }
    let outputs = &rows.outputs[first..first + M];
    let last = tile.n_columns - (V - 1) * S::F32_LANES;
    // SAFETY: the caller's promise. A last vector that is not whole is masked.
    unsafe {
        let begun = begin::<S, N, M, V>(simd, tile, outputs, last);
        let sums = sum::<S, N, M, V>(simd, tile, &rows.inputs[first..first + M], begun);
        if last == S::F32_LANES {
            write::<S, N, M, V>(simd, tile, outputs, sums);
        } else {
            write_masked::<S, N, M, V>(simd, tile, outputs, sums, last);
        }
    }
}

/// What the sums begin with; the last vector of a line has `last` columns.
#[inline(always)]
unsafe fn begin<S: Isa, N: Number, const M: usize, const V: usize>(
    simd: S,
    tile: &Tile<'_, N>,
    rows: &[usize],
    last: usize,
) -> Sums<S, M, V> {
    let lanes = S::F32_LANES;
    let mut sums = [[simd.splat_f32s(0.0); V]; M];
    // SAFETY: the caller's promise; biases are whole vectors, and a line of the output is masked.
    unsafe {
        if tile.bias.is_null() {
            let mask = simd.mask_between_m32s(0, last as u32);
            for r in 0..M {
                let line = tile.output.add(rows[r]);
                for v in 0..V - 1 {
                    sums[r][v] = read::<S>(line.add(v * lanes));
                }
                sums[r][V - 1] = simd.mask_load_ptr_f32s(mask, line.add((V - 1) * lanes));
            }
        } else {
            for v in 0..V {
                let bias = read::<S>(tile.bias.add(v * lanes));
                for r in 0..M {
                    sums[r][v] = bias;
                }
            }
        }
    }
    sums
}

#[inline(always)]
unsafe fn sum<S: Isa, N: Number, const M: usize, const V: usize>(
    simd: S,
    tile: &Tile<'_, N>,
    rows: &[usize],
    mut sums: Sums<S, M, V>,
) -> Sums<S, M, V> {
    let lanes = S::F32_LANES;
    // SAFETY: the caller's promise; panels are whole vectors.
    unsafe {
        let mut panel = tile.panel;
        for &start in tile.segments.starts {
            let mut inputs = [tile.input; M];
            for r in 0..M {
                inputs[r] = tile.input.add(rows[r] + start);
            }
            for k in 0..tile.segments.length {
                let mut right = [N::zeroed().splat(simd); V];
                for v in 0..V {
                    let words = panel.add(v * lanes);
                    right[v] = words.cast::<N::Vector<S>>().read_unaligned();
                }
                panel = panel.add(V * lanes);
                for r in 0..M {
                    let left = (*inputs[r].add(k)).splat(simd);
                    for v in 0..V {
                        sums[r][v] = N::multiply_add(simd, left, right[v], sums[r][v]);
                    }
                }
            }
        }
    }
    sums
}

/// Adds the addend to the sums and writes them, in whole vectors.
#[inline(always)]
unsafe fn write<S: Isa, N: Number, const M: usize, const V: usize>(
    simd: S,
    tile: &Tile<'_, N>,
    rows: &[usize],
    mut sums: Sums<S, M, V>,
) {
    let lanes = S::F32_LANES;
    // SAFETY: the caller's promise.
    unsafe {
        if !tile.addend.is_null() {
            for r in 0..M {
                for v in 0..V {
                    let addend = read::<S>(tile.addend.add(rows[r] + v * lanes));
                    sums[r][v] = simd.add_f32s(sums[r][v], addend);
                }
            }
        }
        for r in 0..M {
            for v in 0..V {
                let output = tile.output.add(rows[r] + v * lanes);
                output.cast::<S::f32s>().write_unaligned(sums[r][v]);
            }
        }
    }
}

/// The same with only `last` numbers of the last vector.
#[inline(always)]
unsafe fn write_masked<S: Isa, N: Number, const M: usize, const V: usize>(
    simd: S,
    tile: &Tile<'_, N>,
    rows: &[usize],
    mut sums: Sums<S, M, V>,
    last: usize,
) {
    let lanes = S::F32_LANES;
    let mut masks = [simd.mask_between_m32s(0, lanes as u32); V];
    masks[V - 1] = simd.mask_between_m32s(0, last as u32);
    // SAFETY: the caller's promise; nothing outside the mask is touched.
    unsafe {
        if !tile.addend.is_null() {
            for r in 0..M {
                for v in 0..V {
                    let addend = tile.addend.add(rows[r] + v * lanes);
                    let addend = simd.mask_load_ptr_f32s(masks[v], addend);
                    sums[r][v] = simd.add_f32s(sums[r][v], addend);
                }
            }
        }
        for r in 0..M {
            for v in 0..V {
                let output = tile.output.add(rows[r] + v * lanes);
                simd.mask_store_ptr_f32s(masks[v], output, sums[r][v]);
            }
        }
    }
}

/// One vector.
///
/// # Safety
///
/// All its numbers must be readable.
#[inline(always)]
unsafe fn read<S: Isa>(at: *const f32) -> S::f32s {
    // SAFETY: the caller's promise; every bit pattern is a vector.
    unsafe { at.cast::<S::f32s>().read_unaligned() }
}
