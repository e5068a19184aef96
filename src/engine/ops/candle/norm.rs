//! How does candle normalize? In `f32` in plain steps, in `bf16` by its fused kernel, which sums in `f32`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use candle_core::{DType, Device, Tensor};
use candle_nn::ops;

use crate::engine::{EngineError, ops::GroupNormSpec};

/// A norm's scale and shift, one number for each channel.
#[derive(Debug)]
pub struct Norm {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
}

impl Norm {
    /// Over the positions of a row and the channels of a group.
    pub(super) fn over_groups(
        &self,
        units: &Units,
        xs: &Tensor,
        spec: GroupNormSpec,
    ) -> Result<Tensor, EngineError> {
        let (rows, height, width, channels) = xs.dims4()?;
        let GroupNormSpec {
            groups, epsilon, ..
        } = spec;
        let members = channels / groups;
        let grouped = xs.reshape((rows, height * width, groups, members))?;
        let ys = if xs.dtype() == DType::F32 {
            normal(&grouped, &[1, 3], epsilon)?
        } else {
            let by_group = grouped.transpose(1, 2)?.contiguous()?;
            let length = height * width * members;
            let flat = by_group.reshape((rows * groups, length))?;
            let (one, zero) = units.of(length, xs.dtype(), xs.device())?;
            let flat = ops::layer_norm(&flat, &one, &zero, epsilon as f32)?;
            flat.reshape(by_group.shape())?.transpose(1, 2)?
        };
        let ys = ys
            .broadcast_mul(&self.weight.reshape((groups, members))?)?
            .broadcast_add(&self.bias.reshape((groups, members))?)?;
        let ys = ys.reshape((rows, height, width, channels))?;
        Ok(if spec.silu { ys.silu()? } else { ys })
    }

    /// Over the channels of a position.
    pub(super) fn over_channels(&self, xs: &Tensor, epsilon: f64) -> Result<Tensor, EngineError> {
        if xs.dtype() != DType::F32 {
            let (weight, bias) = (&self.weight, &self.bias);
            return Ok(ops::layer_norm(
                &xs.contiguous()?,
                weight,
                bias,
                epsilon as f32,
            )?);
        }
        let ys = normal(xs, &[xs.rank() - 1], epsilon)?;
        Ok(ys.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)?)
    }
}

/// Zero mean and unit variance over `dims`.
fn normal(xs: &Tensor, dims: &[usize], epsilon: f64) -> candle_core::Result<Tensor> {
    let ys = xs.broadcast_sub(&xs.mean_keepdim(dims)?)?;
    let variance = ys.sqr()?.mean_keepdim(dims)?;
    ys.broadcast_div(&(variance + epsilon)?.sqrt()?)
}

/// Scales of one and shifts of zero, which the fused kernel wants where a group's channels have their own.
#[derive(Debug, Clone, Default)]
pub(super) struct Units(Arc<Mutex<HashMap<usize, (Tensor, Tensor)>>>);

impl Units {
    /// Lengths that are kept: a network at one size of picture has a handful.
    const MAX_KEPT: usize = 256;

    fn of(
        &self,
        length: usize,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<(Tensor, Tensor)> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(units) = kept.get(&length) {
            return Ok(units.clone());
        }
        if kept.len() == Self::MAX_KEPT {
            kept.clear();
        }
        let units = (
            Tensor::ones(length, dtype, device)?,
            Tensor::zeros(length, dtype, device)?,
        );
        kept.insert(length, units.clone());
        Ok(units)
    }
}
