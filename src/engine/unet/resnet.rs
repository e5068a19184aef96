//! What is a residual block? Two normed convolutions beside a shortcut; the decoder has them too.

use super::super::{
    EngineError,
    ops::{
        Backend, ConvFusion, ConvSpec, GroupNormSpec,
        layers::{Conv, GroupNorm, Linear},
    },
    weights::Scope,
};

/// Sizes of a residual block.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct ResnetSpec {
    pub(in crate::engine) inputs: usize,
    pub(in crate::engine) outputs: usize,
    /// Channels of the time embedding; none in the decoder.
    pub(in crate::engine) time_channels: Option<usize>,
    pub(in crate::engine) groups: usize,
    pub(in crate::engine) epsilon: f64,
}

/// diffusers' `ResnetBlock2D`.
#[derive(Debug)]
pub(in crate::engine) struct ResnetBlock<B: Backend> {
    norm1: GroupNorm<B>,
    conv1: Conv<B>,
    time_emb_proj: Option<Linear<B>>,
    norm2: GroupNorm<B>,
    conv2: Conv<B>,
    conv_shortcut: Option<Linear<B>>,
}

impl<B: Backend> ResnetBlock<B> {
    pub(in crate::engine) fn load(
        ops: &B,
        vs: &Scope<'_>,
        spec: ResnetSpec,
    ) -> Result<Self, EngineError> {
        let ResnetSpec {
            inputs, outputs, ..
        } = spec;
        let norm = GroupNormSpec {
            groups: spec.groups,
            epsilon: spec.epsilon,
            silu: true,
        };
        let time_emb_proj = spec
            .time_channels
            .map(|channels| Linear::load(ops, &vs.pp("time_emb_proj"), channels, outputs))
            .transpose()?;
        let conv_shortcut = (inputs != outputs)
            .then(|| Linear::load(ops, &vs.pp("conv_shortcut"), inputs, outputs))
            .transpose()?;
        Ok(Self {
            norm1: GroupNorm::load(ops, &vs.pp("norm1"), inputs, norm)?,
            conv1: Conv::load(ops, &vs.pp("conv1"), ConvSpec::same(inputs, outputs))?,
            time_emb_proj,
            norm2: GroupNorm::load(ops, &vs.pp("norm2"), outputs, norm)?,
            conv2: Conv::load(ops, &vs.pp("conv2"), ConvSpec::same(outputs, outputs))?,
            conv_shortcut,
        })
    }

    /// `time` is the embedding behind its SiLU; the decoder has none.
    pub(in crate::engine) fn forward(
        &self,
        ops: &B,
        xs: &B::Tensor,
        time: Option<&B::Tensor>,
    ) -> Result<B::Tensor, EngineError> {
        let vectors = match (&self.time_emb_proj, time) {
            (Some(proj), Some(time)) => Some(proj.forward(ops, time)?),
            _ => None,
        };
        let ys = self.norm1.forward(ops, xs)?;
        let timed = ConvFusion {
            per_row: vectors.as_ref(),
            ..ConvFusion::default()
        };
        let ys = self.conv1.forward_fused(ops, &ys, &timed)?;
        let ys = self.norm2.forward(ops, &ys)?;
        let shortcut = match &self.conv_shortcut {
            Some(conv) => &conv.forward(ops, xs)?,
            None => xs,
        };
        let beside = ConvFusion {
            residual: Some(shortcut),
            ..ConvFusion::default()
        };
        self.conv2.forward_fused(ops, &ys, &beside)
    }
}
