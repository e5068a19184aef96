//! How does a picture attend to itself and to the text? diffusers' `Transformer2DModel`.

use std::sync::Arc;

use super::{
    super::{
        EngineError,
        ops::{
            Activation, Backend, GroupNormSpec,
            layers::{GroupNorm, LayerNorm, Linear, attend_context, attend_self, pack_context},
        },
        weights::Scope,
    },
    PackedText,
};

/// Epsilon of the group norm in front, fixed in diffusers.
const GROUP_NORM_EPSILON: f64 = 1e-6;

/// Epsilon of the layer norms, torch's default.
const LAYER_NORM_EPSILON: f64 = 1e-5;

/// Width of the feed-forward layers over the channels, fixed in diffusers.
const FEED_FORWARD_EXPANSION: usize = 4;

/// Sizes of one transformer.
#[derive(Debug, Clone, Copy)]
pub(super) struct TransformerSpec {
    pub(super) channels: usize,
    pub(super) context_channels: usize,
    pub(super) heads: usize,
    pub(super) layers: usize,
    pub(super) groups: usize,
}

/// A stack of attention layers beside a shortcut.
///
/// `use_linear_projection` changes the shape of two tensors and nothing else here, since a 1x1
/// convolution is a linear layer.
#[derive(Debug)]
pub(super) struct Transformer<B: Backend> {
    norm: GroupNorm<B>,
    proj_in: Linear<B>,
    blocks: Vec<TransformerBlock<B>>,
    proj_out: Linear<B>,
}

impl<B: Backend> Transformer<B> {
    pub(super) fn load(
        ops: &B,
        vs: &Scope<'_>,
        spec: TransformerSpec,
    ) -> Result<Self, EngineError> {
        let channels = spec.channels;
        let norm = GroupNormSpec {
            groups: spec.groups,
            epsilon: GROUP_NORM_EPSILON,
            silu: false,
        };
        let blocks = (0..spec.layers)
            .map(|index| TransformerBlock::load(ops, &vs.pp("transformer_blocks").pp(index), spec))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            norm: GroupNorm::load(ops, &vs.pp("norm"), channels, norm)?,
            proj_in: Linear::load(ops, &vs.pp("proj_in"), channels, channels)?,
            blocks,
            proj_out: Linear::load(ops, &vs.pp("proj_out"), channels, channels)?,
        })
    }

    /// Its layers, in their order.
    pub(super) fn blocks(&self) -> &[TransformerBlock<B>] {
        &self.blocks
    }

    /// Tells its layers which texts are theirs; returns the next free number.
    pub(super) fn number(&mut self, first: usize) -> usize {
        for (index, block) in (first..).zip(&mut self.blocks) {
            block.index = index;
        }
        first + self.blocks.len()
    }

    pub(super) fn forward(
        &self,
        ops: &B,
        xs: &B::Tensor,
        texts: &[Arc<PackedText<B>>],
    ) -> Result<B::Tensor, EngineError> {
        let ys = self.norm.forward(ops, xs)?;
        let mut ys = self.proj_in.forward(ops, &ys)?;
        for block in &self.blocks {
            ys = block.forward(ops, &ys, texts)?;
        }
        self.proj_out.forward_fused(ops, &ys, Some(xs))
    }
}

/// diffusers' `BasicTransformerBlock`, with the projections of one input fused into one layer.
#[derive(Debug)]
pub(super) struct TransformerBlock<B: Backend> {
    name: String,
    /// Its place among all layers of the network.
    index: usize,
    heads: usize,
    norm1: LayerNorm<B>,
    self_qkv: Linear<B>,
    self_out: Linear<B>,
    norm2: LayerNorm<B>,
    cross_q: Linear<B>,
    cross_kv: Linear<B>,
    cross_out: Linear<B>,
    norm3: LayerNorm<B>,
    feed_forward_in: Linear<B>,
    feed_forward_out: Linear<B>,
}

impl<B: Backend> TransformerBlock<B> {
    fn load(ops: &B, vs: &Scope<'_>, spec: TransformerSpec) -> Result<Self, EngineError> {
        let channels = spec.channels;
        let wide = FEED_FORWARD_EXPANSION * channels;
        let norm = |name| LayerNorm::load(ops, &vs.pp(name), channels, LAYER_NORM_EPSILON);
        let stacked = |attention: &str, names: &[&str], inputs| {
            let scopes: Vec<_> = names.iter().map(|n| vs.pp(attention).pp(n)).collect();
            Linear::load_stacked(ops, &scopes, inputs, channels, false)
        };
        let linear = |name, inputs, outputs| Linear::load(ops, &vs.pp(name), inputs, outputs);
        Ok(Self {
            name: vs.name().to_owned(),
            index: 0,
            heads: spec.heads,
            norm1: norm("norm1")?,
            self_qkv: stacked("attn1", &["to_q", "to_k", "to_v"], channels)?,
            self_out: linear("attn1.to_out.0", channels, channels)?,
            norm2: norm("norm2")?,
            cross_q: stacked("attn2", &["to_q"], channels)?,
            cross_kv: stacked("attn2", &["to_k", "to_v"], spec.context_channels)?,
            cross_out: linear("attn2.to_out.0", channels, channels)?,
            norm3: norm("norm3")?,
            feed_forward_in: Linear::load_activated(
                ops,
                &vs.pp("ff.net.0.proj"),
                (channels, 2 * wide),
                Activation::GeGlu,
            )?,
            feed_forward_out: linear("ff.net.2", wide, channels)?,
        })
    }

    /// What a text says to this layer.
    pub(super) fn pack(&self, ops: &B, states: &B::Tensor) -> Result<B::Context, EngineError> {
        let keys_values = self.cross_kv.forward(ops, states)?;
        pack_context(ops, &self.name, &keys_values, self.heads)
    }

    fn forward(
        &self,
        ops: &B,
        xs: &B::Tensor,
        texts: &[Arc<PackedText<B>>],
    ) -> Result<B::Tensor, EngineError> {
        let qkv = self.self_qkv.forward(ops, &self.norm1.forward(ops, xs)?)?;
        let ys = attend_self(ops, &self.name, &qkv, self.heads)?;
        let xs = self.self_out.forward_fused(ops, &ys, Some(xs))?;

        let q = self.cross_q.forward(ops, &self.norm2.forward(ops, &xs)?)?;
        let text = |row: usize| &texts[row].layers[self.index];
        let ys = attend_context(ops, &self.name, &q, &text, self.heads)?;
        let xs = self.cross_out.forward_fused(ops, &ys, Some(&xs))?;

        let ys = self.norm3.forward(ops, &xs)?;
        let ys = self.feed_forward_in.forward(ops, &ys)?;
        self.feed_forward_out.forward_fused(ops, &ys, Some(&xs))
    }
}
