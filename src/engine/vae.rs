//! How do latents become a picture? The decoder of diffusers' `AutoencoderKL`.

use super::{
    EngineError,
    ops::{
        Backend, ConvFusion, ConvSpec, GroupNormSpec,
        layers::{Conv, GroupNorm, Linear, attend_self},
    },
    unet::resnet::{ResnetBlock, ResnetSpec},
    weights::{Scope, Weights},
};
use crate::catalog::architecture::VaeConfig;

/// Epsilon of every norm of the autoencoder, fixed in diffusers.
const EPSILON: f64 = 1e-6;

/// The decoder on a backend. Fields are named as in the checkpoint.
#[derive(Debug)]
pub struct Decoder<B: Backend> {
    post_quant_conv: Option<Linear<B>>,
    conv_in: Conv<B>,
    mid_resnets: [ResnetBlock<B>; 2],
    mid_attention: Option<Attention<B>>,
    up_blocks: Vec<UpBlock<B>>,
    conv_norm_out: GroupNorm<B>,
    conv_out: Conv<B>,
}

impl<B: Backend> Decoder<B> {
    /// Loads the decoder; refuses a file with decoder tensors that `config` has no place for.
    pub fn load(ops: &B, weights: &Weights, config: &VaeConfig) -> Result<Self, EngineError> {
        let latents = config.latent_channels;
        let first = config.block_out_channels[0];
        let last = config.block_out_channels[config.block_out_channels.len() - 1];
        let root = weights.root();
        let vs = root.pp("decoder");
        let mid = vs.pp("mid_block");
        let mid_resnet = |index| {
            let vs = mid.pp("resnets").pp(index);
            ResnetBlock::load(ops, &vs, resnet_spec(config, last, last))
        };
        let decoder = Self {
            post_quant_conv: config
                .use_post_quant_conv
                .then(|| Linear::load(ops, &root.pp("post_quant_conv"), latents, latents))
                .transpose()?,
            conv_in: Conv::load(ops, &vs.pp("conv_in"), ConvSpec::same(latents, last))?,
            mid_resnets: [mid_resnet(0)?, mid_resnet(1)?],
            mid_attention: config
                .mid_block_add_attention
                .then(|| Attention::load(ops, &mid.pp("attentions.0"), config, last))
                .transpose()?,
            up_blocks: load_up(ops, &vs, config)?,
            conv_norm_out: GroupNorm::load(
                ops,
                &vs.pp("conv_norm_out"),
                first,
                norm_spec(config, true),
            )?,
            conv_out: Conv::load(
                ops,
                &vs.pp("conv_out"),
                ConvSpec::same(first, config.out_channels),
            )?,
        };
        weights.expect_all_used(&["decoder.", "post_quant_conv."])?;
        Ok(decoder)
    }

    /// Decodes latents, already divided by the scaling factor, to pictures in [-1, 1].
    pub fn forward(&self, ops: &B, xs: &B::Tensor) -> Result<B::Tensor, EngineError> {
        let xs = match &self.post_quant_conv {
            Some(conv) => &conv.forward(ops, xs)?,
            None => xs,
        };
        let mut xs = self.conv_in.forward(ops, xs)?;
        xs = self.mid_resnets[0].forward(ops, &xs, None)?;
        if let Some(attention) = &self.mid_attention {
            xs = attention.forward(ops, &xs)?;
        }
        xs = self.mid_resnets[1].forward(ops, &xs, None)?;
        for block in &self.up_blocks {
            xs = block.forward(ops, xs)?;
        }
        let xs = self.conv_norm_out.forward(ops, &xs)?;
        self.conv_out.forward(ops, &xs)
    }
}

/// One level: residual blocks, then twice the side, except at the last level.
#[derive(Debug)]
struct UpBlock<B: Backend> {
    resnets: Vec<ResnetBlock<B>>,
    upsampler: Option<Conv<B>>,
}

impl<B: Backend> UpBlock<B> {
    fn forward(&self, ops: &B, mut xs: B::Tensor) -> Result<B::Tensor, EngineError> {
        for resnet in &self.resnets {
            xs = resnet.forward(ops, &xs, None)?;
        }
        if let Some(conv) = &self.upsampler {
            let shape = ops.shape(&xs);
            let double = ConvFusion {
                enlarge_to: Some((2 * shape.height, 2 * shape.width)),
                ..ConvFusion::default()
            };
            xs = conv.forward_fused(ops, &xs, &double)?;
        }
        Ok(xs)
    }
}

fn load_up<B: Backend>(
    ops: &B,
    vs: &Scope<'_>,
    config: &VaeConfig,
) -> Result<Vec<UpBlock<B>>, EngineError> {
    let n_levels = config.block_out_channels.len();
    let mut inputs = config.block_out_channels[n_levels - 1];
    let mut blocks = Vec::with_capacity(n_levels);
    for (index, &outputs) in config.block_out_channels.iter().rev().enumerate() {
        let vs = vs.pp("up_blocks").pp(index);
        let mut resnets = Vec::with_capacity(config.layers_per_block + 1);
        for layer in 0..=config.layers_per_block {
            let spec = resnet_spec(config, inputs, outputs);
            resnets.push(ResnetBlock::load(ops, &vs.pp("resnets").pp(layer), spec)?);
            inputs = outputs;
        }
        let spec = ConvSpec::same(outputs, outputs);
        blocks.push(UpBlock {
            resnets,
            upsampler: (index + 1 < n_levels)
                .then(|| Conv::load(ops, &vs.pp("upsamplers.0.conv"), spec))
                .transpose()?,
        });
    }
    Ok(blocks)
}

/// Attention of one head over all positions.
#[derive(Debug)]
struct Attention<B: Backend> {
    name: String,
    group_norm: GroupNorm<B>,
    qkv: Linear<B>,
    out: Linear<B>,
}

impl<B: Backend> Attention<B> {
    /// Knows the names of old checkpoints (`query`, `proj_attn`) as well as today's.
    fn load(
        ops: &B,
        vs: &Scope<'_>,
        config: &VaeConfig,
        channels: usize,
    ) -> Result<Self, EngineError> {
        let old = vs.contains("query.weight");
        let (parts, out) = if old {
            (["query", "key", "value"], "proj_attn")
        } else {
            (["to_q", "to_k", "to_v"], "to_out.0")
        };
        let scopes = parts.map(|part| vs.pp(part));
        let norm = norm_spec(config, false);
        Ok(Self {
            name: vs.name().to_owned(),
            group_norm: GroupNorm::load(ops, &vs.pp("group_norm"), channels, norm)?,
            qkv: Linear::load_stacked(ops, &scopes, channels, channels, true)?,
            out: Linear::load(ops, &vs.pp(out), channels, channels)?,
        })
    }

    fn forward(&self, ops: &B, xs: &B::Tensor) -> Result<B::Tensor, EngineError> {
        let ys = self.group_norm.forward(ops, xs)?;
        let ys = self.qkv.forward(ops, &ys)?;
        let ys = attend_self(ops, &self.name, &ys, 1)?;
        self.out.forward_fused(ops, &ys, Some(xs))
    }
}

fn norm_spec(config: &VaeConfig, silu: bool) -> GroupNormSpec {
    GroupNormSpec {
        groups: config.norm_num_groups,
        epsilon: EPSILON,
        silu,
    }
}

fn resnet_spec(config: &VaeConfig, inputs: usize, outputs: usize) -> ResnetSpec {
    ResnetSpec {
        inputs,
        outputs,
        time_channels: None,
        groups: config.norm_num_groups,
        epsilon: EPSILON,
    }
}
