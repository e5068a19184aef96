//! What does the network that removes noise compute? diffusers' `UNet2DConditionModel`.
//!
//! Every size is read from `unet/config.json`: any number of levels, residual blocks, heads and
//! transformer layers for each, with or without a middle (BK-SDM, arXiv 2305.15798, has none). Each
//! row has its own timestep, so that rows at different steps share one evaluation. Fields are named
//! as in the checkpoint.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{
    EngineError,
    ops::{
        Backend, ConvSpec, GroupNormSpec, Shape,
        layers::{Conv, GroupNorm},
    },
    text_encoder::TextStates,
    weights::{Scope, Weights},
};
use crate::catalog::architecture::UnetConfig;

mod blocks;
pub(super) mod resnet;
mod time_embedding;
mod transformer;

use blocks::{DownBlock, MidBlock, UpBlock};
use time_embedding::TimeEmbedding;
use transformer::Transformer;

/// Tensors that the down path leaves for the up path; as many as Stable Diffusion has need no allocation.
type Skips<B> = SmallVec<[<B as Backend>::Tensor; 16]>;

/// What a text says to every cross-attention of one network. It is the same at every step.
#[derive(Debug)]
pub struct PackedText<B: Backend> {
    layers: Vec<B::Context>,
}

impl<B: Backend> PackedText<B> {
    /// Bytes of its keys and values, without what a backend fills them up with.
    pub fn bytes(&self, ops: &B) -> usize {
        let layers = self.layers.iter();
        let values = layers.map(|layer| 2 * ops.context_shape(layer).len());
        size_of::<f32>() * values.sum::<usize>()
    }
}

/// A U-Net on a backend.
#[derive(Debug)]
pub struct Unet<B: Backend> {
    time_embedding: TimeEmbedding<B>,
    conv_in: Conv<B>,
    down_blocks: Vec<DownBlock<B>>,
    mid_block: Option<MidBlock<B>>,
    up_blocks: Vec<UpBlock<B>>,
    conv_norm_out: GroupNorm<B>,
    conv_out: Conv<B>,
}

impl<B: Backend> Unet<B> {
    /// Loads the network; refuses a file with tensors that `config` has no place for.
    pub fn load(ops: &B, weights: &Weights, config: &UnetConfig) -> Result<Self, EngineError> {
        let vs = weights.root();
        let first = config.block_out_channels[0];
        let mut skips = vec![first];
        let down_blocks = load_down(ops, &vs, config, &mut skips)?;
        let mid_block = config
            .mid_block_type
            .as_ref()
            .map(|_| MidBlock::load(ops, &vs.pp("mid_block"), config))
            .transpose()?;
        let up_blocks = load_up(ops, &vs, config, &mut skips)?;
        let norm_out = GroupNormSpec {
            groups: config.norm_num_groups,
            epsilon: config.norm_eps,
            silu: true,
        };
        let mut unet = Self {
            time_embedding: TimeEmbedding::load(ops, &vs.pp("time_embedding"), config)?,
            conv_in: Conv::load(
                ops,
                &vs.pp("conv_in"),
                ConvSpec::same(config.in_channels, first),
            )?,
            down_blocks,
            mid_block,
            up_blocks,
            conv_norm_out: GroupNorm::load(ops, &vs.pp("conv_norm_out"), first, norm_out)?,
            conv_out: Conv::load(
                ops,
                &vs.pp("conv_out"),
                ConvSpec::same(first, config.out_channels),
            )?,
        };
        weights.expect_all_used(&[""])?;
        unet.number();
        Ok(unet)
    }

    /// Prepares a text for this network.
    pub fn pack_text(&self, ops: &B, text: &TextStates) -> Result<PackedText<B>, EngineError> {
        let shape = Shape::tokens(1, text.tokens, text.width);
        let states = ops.upload_tokens(shape, |values| values.copy_from_slice(&text.values))?;
        let blocks = self.transformers().flat_map(Transformer::blocks);
        let layers = blocks
            .map(|block| block.pack(ops, &states))
            .collect::<Result<_, _>>()?;
        Ok(PackedText { layers })
    }

    fn transformers(&self) -> impl Iterator<Item = &Transformer<B>> {
        let down = self.down_blocks.iter().flat_map(DownBlock::transformers);
        let mid = self.mid_block.iter().flat_map(MidBlock::transformers);
        let up = self.up_blocks.iter().flat_map(UpBlock::transformers);
        down.chain(mid).chain(up)
    }

    /// Numbers the layers in the order of [`Self::transformers`].
    fn number(&mut self) {
        let down = self
            .down_blocks
            .iter_mut()
            .flat_map(DownBlock::transformers_mut);
        let mid = self
            .mid_block
            .iter_mut()
            .flat_map(MidBlock::transformers_mut);
        let up = self
            .up_blocks
            .iter_mut()
            .flat_map(UpBlock::transformers_mut);
        let all = down.chain(mid).chain(up);
        all.fold(0, |first, transformer| transformer.number(first));
    }

    /// Predicts noise or velocity from latents, one timestep and one text a row.
    pub fn forward(
        &self,
        ops: &B,
        xs: &B::Tensor,
        timesteps: &[f64],
        texts: &[Arc<PackedText<B>>],
    ) -> Result<B::Tensor, EngineError> {
        let rows = ops.shape(xs).rows;
        if timesteps.len() != rows || texts.len() != rows {
            return Err(EngineError::RowCounts {
                rows,
                timesteps: timesteps.len(),
                texts: texts.len(),
            });
        }
        let time = self.time_embedding.forward(ops, timesteps)?;
        let mut xs = self.conv_in.forward(ops, xs)?;
        let mut skips = Skips::<B>::new();
        skips.push(xs.clone());
        for block in &self.down_blocks {
            xs = block.forward(ops, xs, &time, texts, &mut skips)?;
        }
        if let Some(block) = &self.mid_block {
            xs = block.forward(ops, &xs, &time, texts)?;
        }
        for block in &self.up_blocks {
            xs = block.forward(ops, xs, &time, texts, &mut skips)?;
        }
        let xs = self.conv_norm_out.forward(ops, &xs)?;
        self.conv_out.forward(ops, &xs)
    }
}

fn load_down<B: Backend>(
    ops: &B,
    vs: &Scope<'_>,
    config: &UnetConfig,
    skips: &mut Vec<usize>,
) -> Result<Vec<DownBlock<B>>, EngineError> {
    let mut channels = config.block_out_channels[0];
    (0..config.n_levels())
        .map(|level| {
            let vs = vs.pp("down_blocks").pp(level);
            let block = DownBlock::load(ops, &vs, config, level, channels, skips)?;
            channels = config.block_out_channels[level];
            Ok(block)
        })
        .collect()
}

fn load_up<B: Backend>(
    ops: &B,
    vs: &Scope<'_>,
    config: &UnetConfig,
    skips: &mut Vec<usize>,
) -> Result<Vec<UpBlock<B>>, EngineError> {
    let n_levels = config.n_levels();
    let mut channels = config.block_out_channels[n_levels - 1];
    (0..n_levels)
        .map(|index| {
            let level = n_levels - 1 - index;
            let vs = vs.pp("up_blocks").pp(index);
            let block = UpBlock::load(ops, &vs, config, level, channels, skips)?;
            channels = config.block_out_channels[level];
            Ok(block)
        })
        .collect()
}
