//! What is one level of the U-Net? Residual blocks, attention where the level has it, a resampler.

use std::sync::Arc;

use super::{
    super::{
        EngineError,
        ops::{
            Backend, ConvFusion, ConvSpec,
            layers::{Conv, concat},
        },
        weights::Scope,
    },
    PackedText, Skips,
    resnet::{ResnetBlock, ResnetSpec},
    time_embedding::TimeEmbedding,
    transformer::{Transformer, TransformerSpec},
};
use crate::catalog::architecture::UnetConfig;

/// One residual block and the attention behind it.
#[derive(Debug)]
struct Layer<B: Backend> {
    resnet: ResnetBlock<B>,
    attention: Option<Transformer<B>>,
}

impl<B: Backend> Layer<B> {
    fn forward(
        &self,
        ops: &B,
        xs: &B::Tensor,
        time: &B::Tensor,
        texts: &[Arc<PackedText<B>>],
    ) -> Result<B::Tensor, EngineError> {
        let xs = self.resnet.forward(ops, xs, Some(time))?;
        match &self.attention {
            Some(attention) => attention.forward(ops, &xs, texts),
            None => Ok(xs),
        }
    }
}

fn transformers<B: Backend>(layers: &[Layer<B>]) -> impl Iterator<Item = &Transformer<B>> {
    layers.iter().filter_map(|layer| layer.attention.as_ref())
}

fn transformers_mut<B: Backend>(
    layers: &mut [Layer<B>],
) -> impl Iterator<Item = &mut Transformer<B>> {
    layers
        .iter_mut()
        .filter_map(|layer| layer.attention.as_mut())
}

/// `DownBlock2D` or `CrossAttnDownBlock2D`.
#[derive(Debug)]
pub(super) struct DownBlock<B: Backend> {
    layers: Vec<Layer<B>>,
    downsampler: Option<Conv<B>>,
}

impl<B: Backend> DownBlock<B> {
    /// Pushes the channels of every tensor that the up path will want to `skips`.
    pub(super) fn load(
        ops: &B,
        vs: &Scope<'_>,
        config: &UnetConfig,
        level: usize,
        inputs: usize,
        skips: &mut Vec<usize>,
    ) -> Result<Self, EngineError> {
        let outputs = config.block_out_channels[level];
        let mut layers = Vec::new();
        for index in 0..config.layers_per_block.at(level) {
            let inputs = if index == 0 { inputs } else { outputs };
            layers.push(Layer {
                resnet: resnet(ops, vs, index, config, (inputs, outputs))?,
                attention: config
                    .down_attends(level)
                    .then(|| transformer(ops, vs, index, config, level))
                    .transpose()?,
            });
            skips.push(outputs);
        }
        let spec = ConvSpec {
            stride: 2,
            padding_before: config.downsample_padding,
            ..ConvSpec::same(outputs, outputs)
        };
        let downsampler = (level + 1 < config.n_levels())
            .then(|| Conv::load(ops, &vs.pp("downsamplers.0.conv"), spec))
            .transpose()?;
        skips.extend(downsampler.is_some().then_some(outputs));
        Ok(Self {
            layers,
            downsampler,
        })
    }

    pub(super) fn transformers(&self) -> impl Iterator<Item = &Transformer<B>> {
        transformers(&self.layers)
    }

    pub(super) fn transformers_mut(&mut self) -> impl Iterator<Item = &mut Transformer<B>> {
        transformers_mut(&mut self.layers)
    }

    pub(super) fn forward(
        &self,
        ops: &B,
        mut xs: B::Tensor,
        time: &B::Tensor,
        texts: &[Arc<PackedText<B>>],
        skips: &mut Skips<B>,
    ) -> Result<B::Tensor, EngineError> {
        for layer in &self.layers {
            xs = layer.forward(ops, &xs, time, texts)?;
            skips.push(xs.clone());
        }
        if let Some(conv) = &self.downsampler {
            xs = conv.forward(ops, &xs)?;
            skips.push(xs.clone());
        }
        Ok(xs)
    }
}

/// `UNetMidBlock2DCrossAttn`.
#[derive(Debug)]
pub(super) struct MidBlock<B: Backend> {
    first: Layer<B>,
    last: ResnetBlock<B>,
}

impl<B: Backend> MidBlock<B> {
    pub(super) fn load(ops: &B, vs: &Scope<'_>, config: &UnetConfig) -> Result<Self, EngineError> {
        let level = config.n_levels() - 1;
        let channels = config.block_out_channels[level];
        Ok(Self {
            first: Layer {
                resnet: resnet(ops, vs, 0, config, (channels, channels))?,
                attention: Some(transformer(ops, vs, 0, config, level)?),
            },
            last: resnet(ops, vs, 1, config, (channels, channels))?,
        })
    }

    pub(super) fn transformers(&self) -> impl Iterator<Item = &Transformer<B>> {
        self.first.attention.iter()
    }

    pub(super) fn transformers_mut(&mut self) -> impl Iterator<Item = &mut Transformer<B>> {
        self.first.attention.iter_mut()
    }

    pub(super) fn forward(
        &self,
        ops: &B,
        xs: &B::Tensor,
        time: &B::Tensor,
        texts: &[Arc<PackedText<B>>],
    ) -> Result<B::Tensor, EngineError> {
        let xs = self.first.forward(ops, xs, time, texts)?;
        self.last.forward(ops, &xs, Some(time))
    }
}

/// `UpBlock2D` or `CrossAttnUpBlock2D`.
#[derive(Debug)]
pub(super) struct UpBlock<B: Backend> {
    name: String,
    layers: Vec<Layer<B>>,
    upsampler: Option<Conv<B>>,
}

impl<B: Backend> UpBlock<B> {
    /// Takes the channels of the tensors that the down path left from `skips`.
    pub(super) fn load(
        ops: &B,
        vs: &Scope<'_>,
        config: &UnetConfig,
        level: usize,
        mut inputs: usize,
        skips: &mut Vec<usize>,
    ) -> Result<Self, EngineError> {
        let outputs = config.block_out_channels[level];
        let mut layers = Vec::new();
        for index in 0..=config.layers_per_block.at(level) {
            let skip = skips
                .pop()
                .expect("the up path takes exactly what the down path left");
            layers.push(Layer {
                resnet: resnet(ops, vs, index, config, (inputs + skip, outputs))?,
                attention: config
                    .up_attends(level)
                    .then(|| transformer(ops, vs, index, config, level))
                    .transpose()?,
            });
            inputs = outputs;
        }
        let spec = ConvSpec::same(outputs, outputs);
        let upsampler = (level > 0)
            .then(|| Conv::load(ops, &vs.pp("upsamplers.0.conv"), spec))
            .transpose()?;
        Ok(Self {
            name: vs.name().to_owned(),
            layers,
            upsampler,
        })
    }

    pub(super) fn transformers(&self) -> impl Iterator<Item = &Transformer<B>> {
        transformers(&self.layers)
    }

    pub(super) fn transformers_mut(&mut self) -> impl Iterator<Item = &mut Transformer<B>> {
        transformers_mut(&mut self.layers)
    }

    pub(super) fn forward(
        &self,
        ops: &B,
        mut xs: B::Tensor,
        time: &B::Tensor,
        texts: &[Arc<PackedText<B>>],
        skips: &mut Skips<B>,
    ) -> Result<B::Tensor, EngineError> {
        for layer in &self.layers {
            let skip = skips
                .pop()
                .expect("the up path takes exactly what the down path left");
            xs = concat(ops, &self.name, &xs, &skip)?;
            xs = layer.forward(ops, &xs, time, texts)?;
        }
        if let Some(conv) = &self.upsampler {
            // A side that was odd is odd again, as in diffusers' `forward_upsample_size`.
            let target = skips.last().map(|skip| ops.shape(skip));
            let fusion = ConvFusion {
                enlarge_to: target.map(|shape| (shape.height, shape.width)),
                ..ConvFusion::default()
            };
            xs = conv.forward_fused(ops, &xs, &fusion)?;
        }
        Ok(xs)
    }
}

fn resnet<B: Backend>(
    ops: &B,
    vs: &Scope<'_>,
    index: usize,
    config: &UnetConfig,
    (inputs, outputs): (usize, usize),
) -> Result<ResnetBlock<B>, EngineError> {
    let spec = ResnetSpec {
        inputs,
        outputs,
        time_channels: Some(TimeEmbedding::<B>::width(config)),
        groups: config.norm_num_groups,
        epsilon: config.norm_eps,
    };
    ResnetBlock::load(ops, &vs.pp("resnets").pp(index), spec)
}

fn transformer<B: Backend>(
    ops: &B,
    vs: &Scope<'_>,
    index: usize,
    config: &UnetConfig,
    level: usize,
) -> Result<Transformer<B>, EngineError> {
    let spec = TransformerSpec {
        channels: config.block_out_channels[level],
        context_channels: config.cross_attention_dim.at(level),
        heads: config.n_heads(level),
        layers: config.transformer_layers_per_block.at(level),
        groups: config.norm_num_groups,
    };
    Transformer::load(ops, &vs.pp("attentions").pp(index), spec)
}
