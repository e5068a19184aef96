//! How does candle convolve? The 3x3 patches are gathered side by side, and a matrix product follows.
//!
//! candle's own convolution wants channels in front of positions, so that every one costs three changes
//! of layout beside its patches. Where a patch reaches over the edge, `index_select` writes zeros for the
//! largest index; resizing is only another index.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use candle_core::{Device, Tensor};

use super::product;
use crate::engine::{
    EngineError,
    ops::{ConvSpec, Shape},
};

/// Positions of a patch.
const PATCH: usize = 9;

/// Numbers that gathered patches may be on a processor: 128 MiB of `f32`.
const MAX_GATHERED: usize = 1 << 25;

/// The same on an accelerator: 1 GiB of `bf16`. candle counts them in 32 bits.
const MAX_GATHERED_ACCELERATED: usize = 1 << 29;

/// Sides for which indices are kept: a network at one size of picture has a handful.
const MAX_KEPT: usize = 256;

/// A convolution's weights.
#[derive(Debug)]
pub struct Conv {
    spec: ConvSpec,
    /// 9 x inputs, line by line of the patch, by outputs.
    weight: Tensor,
    pub(super) bias: Tensor,
}

impl Conv {
    /// Takes weights of outputs x inputs x 3 x 3.
    pub(super) fn pack(spec: ConvSpec, weight: &Tensor, bias: Tensor) -> Result<Self, EngineError> {
        let weight = weight.permute((2, 3, 1, 0))?.contiguous()?;
        Ok(Self {
            spec,
            weight: weight.reshape((PATCH * spec.inputs, spec.outputs))?,
            bias,
        })
    }

    /// Convolves, without the bias. See [`crate::engine::ops::ConvFusion`] for `enlarge_to`.
    pub(super) fn forward(
        &self,
        patches: &Patches,
        xs: &Tensor,
        enlarge_to: Option<(usize, usize)>,
    ) -> Result<Tensor, EngineError> {
        let (rows, height, width, channels) = xs.dims4()?;
        let grid = Grid {
            source: (height, width),
            resized: enlarge_to.unwrap_or((height, width)),
            stride: self.spec.stride,
            padding_before: self.spec.padding_before,
        };
        let resized = Shape::grid(rows, grid.resized.0, grid.resized.1, channels);
        let output = self.spec.output(resized);
        let indices = patches.of(grid, output, xs.device())?;
        let flat = xs.reshape((rows, height * width, channels))?;
        let most = if xs.device().is_cpu() {
            MAX_GATHERED
        } else {
            MAX_GATHERED_ACCELERATED
        };
        let most = most / (PATCH * channels);
        let ys = self.in_parts(&flat, &indices, output.positions(), most)?;
        Ok(ys.reshape((rows, output.height, output.width, output.channels))?)
    }

    /// `most` positions at once: some rows, or a part of one.
    fn in_parts(
        &self,
        xs: &Tensor,
        indices: &Tensor,
        positions: usize,
        most: usize,
    ) -> Result<Tensor, EngineError> {
        let (rows, _, channels) = xs.dims3()?;
        let n_rows = (most / positions).clamp(1, rows);
        let n_positions = most.clamp(1, positions);
        let mut parts = Vec::with_capacity(rows.div_ceil(n_rows));
        for row in (0..rows).step_by(n_rows) {
            let xs = xs.narrow(0, row, n_rows.min(rows - row))?;
            let mut lines = Vec::with_capacity(positions.div_ceil(n_positions));
            for start in (0..positions).step_by(n_positions) {
                let count = n_positions.min(positions - start);
                let indices = indices.narrow(0, PATCH * start, PATCH * count)?;
                let patches = xs.index_select(&indices, 1)?;
                let patches = patches.reshape((xs.dim(0)? * count, PATCH * channels))?;
                let ys = product(&patches, &self.weight)?;
                lines.push(ys.reshape((xs.dim(0)?, count, ()))?);
            }
            parts.push(joined(lines, 1)?);
        }
        joined(parts, 0)
    }
}

/// One tensor from some, which is usually one.
fn joined(mut parts: Vec<Tensor>, dim: usize) -> Result<Tensor, EngineError> {
    if parts.len() == 1 {
        return Ok(parts.remove(0));
    }
    Ok(Tensor::cat(&parts, dim)?)
}

/// What the places of patches depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Grid {
    /// Height and width as they come.
    source: (usize, usize),
    /// Height and width that are convolved.
    resized: (usize, usize),
    stride: usize,
    padding_before: usize,
}

impl Grid {
    /// Where the patches of all output positions are found in one picture, nine for each.
    fn indices(self, output: Shape) -> Vec<u32> {
        let mut indices = Vec::with_capacity(PATCH * output.positions());
        for at in 0..output.positions() {
            let (line, column) = (at / output.width, at % output.width);
            for tap in 0..PATCH {
                let y = self.along(line, tap / 3, self.resized.0);
                let x = self.along(column, tap % 3, self.resized.1);
                let place = y.zip(x).map(|(y, x)| self.place(y, x));
                indices.push(place.unwrap_or(u32::MAX));
            }
        }
        indices
    }

    /// Position of a tap along one side; none over the edge.
    fn along(self, output: usize, tap: usize, side: usize) -> Option<usize> {
        let padded = output * self.stride + tap;
        let position = padded.checked_sub(self.padding_before)?;
        (position < side).then_some(position)
    }

    /// A resized picture repeats every position.
    fn place(self, y: usize, x: usize) -> u32 {
        let factor = if self.resized == self.source { 1 } else { 2 };
        ((y / factor) * self.source.1 + x / factor) as u32
    }
}

/// The indices of all grids that were convolved lately, on the device.
#[derive(Debug, Clone, Default)]
pub(super) struct Patches(Arc<Mutex<HashMap<Grid, Tensor>>>);

impl Patches {
    fn of(&self, grid: Grid, output: Shape, device: &Device) -> Result<Tensor, EngineError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(indices) = kept.get(&grid) {
            return Ok(indices.clone());
        }
        if kept.len() == MAX_KEPT {
            kept.clear();
        }
        let indices = grid.indices(output);
        let length = indices.len();
        let indices = Tensor::from_vec(indices, length, device)?;
        kept.insert(grid, indices.clone());
        Ok(indices)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};

    use super::*;
    use crate::engine::noise::{NoiseKey, gaussian};

    fn normal(seed: u64, shape: &[usize]) -> Tensor {
        let key = NoiseKey {
            seed,
            candidate: 0,
            draw: 0,
        };
        let values = gaussian(key, shape.iter().product());
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    /// candle's own convolution, over the same weights.
    fn expected(xs: &Tensor, weight: &Tensor, spec: ConvSpec, to: (usize, usize)) -> Tensor {
        let (_, height, width, _) = xs.dims4().unwrap();
        let mut xs = xs.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
        if to != (height, width) {
            xs = xs.upsample_nearest2d(2 * height, 2 * width).unwrap();
            xs = xs.narrow(2, 0, to.0).unwrap().narrow(3, 0, to.1).unwrap();
        }
        let before = spec.padding_before;
        let xs = xs.pad_with_zeros(2, before, 1).unwrap();
        let xs = xs.pad_with_zeros(3, before, 1).unwrap();
        let ys = xs.conv2d(weight, 0, spec.stride, 1, 1).unwrap();
        ys.permute((0, 2, 3, 1)).unwrap()
    }

    fn largest(xs: &Tensor) -> f32 {
        let flat = xs.abs().unwrap().flatten_all().unwrap();
        flat.max(0).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn it_is_candles_own_convolution_at_every_stride_padding_and_size() {
        for (height, width) in [(8, 8), (5, 7), (1, 3)] {
            for (stride, padding_before) in [(1, 1), (2, 1), (2, 0)] {
                for enlarged in [
                    (height, width),
                    (2 * height, 2 * width),
                    (2 * height - 1, 2 * width),
                ] {
                    if enlarged.0 + padding_before < 2 {
                        continue;
                    }
                    let spec = ConvSpec {
                        stride,
                        padding_before,
                        ..ConvSpec::same(6, 4)
                    };
                    let xs = normal(0, &[2, height, width, 6]);
                    let weight = normal(1, &[4, 6, 3, 3]);
                    let bias = Tensor::zeros(4, DType::F32, &Device::Cpu).unwrap();
                    let conv = Conv::pack(spec, &weight, bias).unwrap();
                    let to = (enlarged != (height, width)).then_some(enlarged);
                    let ys = conv.forward(&Patches::default(), &xs, to).unwrap();
                    let expected = expected(&xs, &weight, spec, enlarged);
                    assert_eq!(ys.dims(), expected.dims());
                    let apart = largest(&(ys - &expected).unwrap());
                    assert!(apart < 1e-4, "{spec:?} {enlarged:?}: {apart}");
                }
            }
        }
    }

    #[test]
    fn patches_that_do_not_fit_are_gathered_in_parts() {
        let xs = normal(0, &[3, 16, 2]);
        let weight = normal(1, &[4, 2, 3, 3]);
        let bias = Tensor::zeros(4, DType::F32, &Device::Cpu).unwrap();
        let conv = Conv::pack(ConvSpec::same(2, 4), &weight, bias).unwrap();
        let side = (4, 4);
        let grid = Grid {
            source: side,
            resized: side,
            stride: 1,
            padding_before: 1,
        };
        let output = Shape::grid(3, 4, 4, 4);
        let indices = Patches::default().of(grid, output, &Device::Cpu).unwrap();
        let whole = conv.in_parts(&xs, &indices, 16, usize::MAX).unwrap();
        // Two rows at once, one row, and less than a row.
        for most in [32, 16, 5] {
            let parts = conv.in_parts(&xs, &indices, 16, most).unwrap();
            assert!(largest(&(parts - &whole).unwrap()) < 1e-5, "{most}");
        }
    }
}
