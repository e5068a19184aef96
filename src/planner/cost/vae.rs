//! What does decoding cost? The structure is that of the decoder of diffusers' `AutoencoderKL`.

use super::{Grid, NetworkCost, unet::residual_without_time};
use crate::catalog::architecture::VaeConfig;

/// Returns the cost of decoding one picture from its latents; parameters of the decoder alone.
pub fn decoder_cost(config: &VaeConfig, latents: Grid) -> NetworkCost {
    let channels = &config.block_out_channels;
    let last = channels.len() - 1;
    let mut cost = input(config, latents) + middle(config, latents);
    let mut grid = latents;
    let mut inputs = channels[last];
    for level in (0..=last).rev() {
        let outputs = channels[level];
        cost += residual_without_time(inputs, outputs, grid.area());
        for _ in 0..config.layers_per_block {
            cost += residual_without_time(outputs, outputs, grid.area());
        }
        if level > 0 {
            grid = grid.doubled();
            cost += NetworkCost::conv(3, outputs, outputs, grid.area());
        }
        inputs = outputs;
    }
    cost + NetworkCost::norm(inputs)
        + NetworkCost::conv(3, inputs, config.out_channels, grid.area())
}

fn input(config: &VaeConfig, latents: Grid) -> NetworkCost {
    let (inputs, area) = (config.latent_channels, latents.area());
    let widest = config.block_out_channels[config.block_out_channels.len() - 1];
    let first = NetworkCost::conv(3, inputs, widest, area);
    if config.use_post_quant_conv {
        return NetworkCost::conv(1, inputs, inputs, area) + first;
    }
    first
}

/// Two residual blocks, with attention of a single head between them.
fn middle(config: &VaeConfig, latents: Grid) -> NetworkCost {
    let (width, area) = (
        config.block_out_channels[config.block_out_channels.len() - 1],
        latents.area(),
    );
    let residual = residual_without_time(width, width, area);
    if !config.mid_block_add_attention {
        return residual + residual;
    }
    let projections = (0..4).map(|_| NetworkCost::linear(width, width, area));
    let attention =
        NetworkCost::norm(width) + projections.sum() + NetworkCost::attention(area, area, width);
    residual + attention + residual
}
