//! How does candle attend? Scores of as many queries as memory allows, softmax in `f32`, values.

use candle_core::{DType, Tensor};
use candle_nn::ops::softmax_last_dim;

use super::product;
use crate::engine::EngineError;

/// Scores that attention may hold at once on a processor: 128 MiB of `f32`.
const MAX_SCORES: usize = 1 << 25;

/// The same on an accelerator: 1 GiB of `bf16`.
const MAX_SCORES_ACCELERATED: usize = 1 << 29;

/// softmax(q k^T / sqrt(channels / heads)) v, head by head, with keys and values side by side.
pub(super) fn attend(
    xs: &Tensor,
    keys_values: &Tensor,
    heads: usize,
) -> Result<Tensor, EngineError> {
    let (rows, height, width, channels) = xs.dims4()?;
    let split = |xs: &Tensor, start: usize| -> candle_core::Result<Tensor> {
        let part = xs.narrow(3, start, channels)?.flatten(1, 2)?;
        let tokens = part.dim(1)?;
        let part = part.reshape((rows, tokens, heads, channels / heads))?;
        part.transpose(1, 2)?.contiguous()
    };
    let scale = 1.0 / ((channels / heads) as f64).sqrt();
    let q = (split(xs, 0)? * scale)?;
    let k = split(keys_values, 0)?.t()?;
    let v = split(keys_values, channels)?;

    let most = if xs.device().is_cpu() {
        MAX_SCORES
    } else {
        MAX_SCORES_ACCELERATED
    };
    let tokens = height * width;
    let block = (most / (rows * heads * k.dim(3)?)).clamp(1, tokens);
    let mut parts = Vec::with_capacity(tokens.div_ceil(block));
    for start in (0..tokens).step_by(block) {
        let q = q
            .narrow(2, start, block.min(tokens - start))?
            .contiguous()?;
        parts.push(product(&softmax(&product(&q, &k)?)?, &v)?);
    }
    let ys = match parts.as_slice() {
        [only] => only.clone(),
        _ => Tensor::cat(&parts, 2)?,
    };
    let ys = ys.transpose(1, 2)?.contiguous()?;
    Ok(ys.reshape((rows, height, width, channels))?)
}

/// An accelerator's kernel computes in `f32` whatever it reads and writes; a processor's does not.
fn softmax(scores: &Tensor) -> candle_core::Result<Tensor> {
    if scores.device().is_cpu() && scores.dtype() == DType::BF16 {
        softmax_last_dim(&scores.to_dtype(DType::F32)?)?.to_dtype(DType::BF16)
    } else {
        softmax_last_dim(scores)
    }
}
