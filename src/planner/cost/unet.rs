//! What does one U-Net evaluation cost? The structure is that of diffusers' `UNet2DConditionModel`.

use super::{Grid, NetworkCost};
use crate::catalog::architecture::UnetConfig;

/// One stretch of the network, in the order of the forward pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// `input`, `down N`, `middle`, `up N` or `output`; level 0 has the highest resolution.
    pub name: String,
    /// The feature maps it works on.
    pub grid: Grid,
    /// Its share.
    pub cost: NetworkCost,
}

/// Returns the cost of one evaluation of one picture, given `n_tokens` of text.
pub fn cost(config: &UnetConfig, latents: Grid, n_tokens: usize) -> NetworkCost {
    let parts = parts(config, latents, n_tokens);
    parts.into_iter().map(|part| part.cost).sum()
}

/// Returns the same part by part.
pub fn parts(config: &UnetConfig, latents: Grid, n_tokens: usize) -> Vec<Part> {
    let unet = Unet {
        config,
        n_tokens,
        grids: grids(config, latents),
    };
    let n_levels = config.n_levels();
    let part = |name: String, level: usize, cost| Part {
        name,
        grid: unet.grids[level],
        cost,
    };
    let mut parts = vec![part("input".into(), 0, unet.input())];
    parts.extend((0..n_levels).map(|level| part(format!("down {level}"), level, unet.down(level))));
    if config.mid_block_type.is_some() {
        parts.push(part("middle".into(), n_levels - 1, unet.middle()));
    }
    let levels_up = (0..n_levels).rev();
    parts.extend(levels_up.map(|level| part(format!("up {level}"), level, unet.up(level))));
    parts.push(part("output".into(), 0, unet.output()));
    parts
}

/// The feature maps of each level: a convolution of stride 2 between them.
fn grids(config: &UnetConfig, latents: Grid) -> Vec<Grid> {
    // Without padding on both sides, diffusers pads the far one.
    let padding = (2 * config.downsample_padding).max(1);
    let halve = |side: usize| (side + padding).saturating_sub(3) / 2 + 1;
    let next = |grid: &Grid| {
        Some(Grid {
            height: halve(grid.height),
            width: halve(grid.width),
        })
    };
    std::iter::successors(Some(latents), next)
        .take(config.n_levels())
        .collect()
}

struct Unet<'a> {
    config: &'a UnetConfig,
    n_tokens: usize,
    grids: Vec<Grid>,
}

impl Unet<'_> {
    fn channels(&self, level: usize) -> usize {
        self.config.block_out_channels[level]
    }

    fn area(&self, level: usize) -> usize {
        self.grids[level].area()
    }

    fn last_level(&self) -> usize {
        self.config.n_levels() - 1
    }

    /// Width of the time embedding.
    fn time_width(&self) -> usize {
        4 * self.channels(0)
    }

    fn input(&self) -> NetworkCost {
        let time = self.time_width();
        let inputs = self.config.in_channels;
        NetworkCost::conv(3, inputs, self.channels(0), self.area(0))
            + NetworkCost::linear(self.channels(0), time, 1)
            + NetworkCost::linear(time, time, 1)
    }

    fn output(&self) -> NetworkCost {
        let outputs = self.config.out_channels;
        NetworkCost::norm(self.channels(0))
            + NetworkCost::conv(3, self.channels(0), outputs, self.area(0))
    }

    fn down(&self, level: usize) -> NetworkCost {
        let outputs = self.channels(level);
        let from_above = self.channels(level.saturating_sub(1));
        let mut cost = NetworkCost::default();
        for layer in 0..self.config.layers_per_block.at(level) {
            let inputs = if layer == 0 { from_above } else { outputs };
            cost += self.residual(inputs, outputs, level);
            if self.config.down_attends(level) {
                cost += self.transformer(level);
            }
        }
        if level < self.last_level() {
            cost += NetworkCost::conv(3, outputs, outputs, self.area(level + 1));
        }
        cost
    }

    fn middle(&self) -> NetworkCost {
        let level = self.last_level();
        let channels = self.channels(level);
        let residual = self.residual(channels, channels, level);
        residual + self.transformer(level) + residual
    }

    /// One residual block more than on the way down, each with the matching skip beside its input.
    fn up(&self, level: usize) -> NetworkCost {
        let outputs = self.channels(level);
        let from_below = self.channels((level + 1).min(self.last_level()));
        let last_skip = self.channels(level.saturating_sub(1));
        let n_layers = self.config.layers_per_block.at(level) + 1;
        let mut cost = NetworkCost::default();
        for layer in 0..n_layers {
            let inputs = if layer == 0 { from_below } else { outputs };
            let is_last = layer + 1 == n_layers;
            let skip = if is_last { last_skip } else { outputs };
            cost += self.residual(inputs + skip, outputs, level);
            if self.config.up_attends(level) {
                cost += self.transformer(level);
            }
        }
        if level > 0 {
            cost += NetworkCost::conv(3, outputs, outputs, self.area(level - 1));
        }
        cost
    }

    fn residual(&self, inputs: usize, outputs: usize, level: usize) -> NetworkCost {
        residual_without_time(inputs, outputs, self.area(level))
            + NetworkCost::linear(self.time_width(), outputs, 1)
    }

    /// `Transformer2DModel`: a projection, the layers, a projection.
    fn transformer(&self, level: usize) -> NetworkCost {
        let (width, area) = (self.channels(level), self.area(level));
        let n_layers = self.config.transformer_layers_per_block.at(level);
        let projection = if self.config.use_linear_projection {
            NetworkCost::linear(width, width, area)
        } else {
            NetworkCost::conv(1, width, width, area)
        };
        let layers = (0..n_layers).map(|_| self.transformer_layer(level));
        NetworkCost::norm(width) + projection + layers.sum() + projection
    }

    /// Attention to the picture, attention to the text, and a gated feed-forward layer.
    fn transformer_layer(&self, level: usize) -> NetworkCost {
        let (width, area) = (self.channels(level), self.area(level));
        let text_width = self.config.cross_attention_dim.at(level);
        let norm = NetworkCost::norm(width);
        let to_self = attention(width, width, area, area);
        let to_text = attention(width, text_width, area, self.n_tokens);
        let feed_forward = NetworkCost::linear(width, 8 * width, area)
            + NetworkCost::linear(4 * width, width, area);
        norm + to_self + norm + to_text + norm + feed_forward
    }
}

/// Attention of `queries` rows of `width` to `keys` rows of `key_width`: projections without bias, the
/// two products, and an output layer.
fn attention(width: usize, key_width: usize, queries: usize, keys: usize) -> NetworkCost {
    let key = NetworkCost::linear_without_bias(key_width, width, keys);
    let query = NetworkCost::linear_without_bias(width, width, queries);
    let output = NetworkCost::linear(width, width, queries);
    query + key + key + NetworkCost::attention(queries, keys, width) + output
}

/// `ResnetBlock2D` without its time embedding, as the decoder has it.
pub(super) fn residual_without_time(inputs: usize, outputs: usize, area: usize) -> NetworkCost {
    let shortcut = if inputs == outputs {
        NetworkCost::default()
    } else {
        NetworkCost::conv(1, inputs, outputs, area)
    };
    NetworkCost::norm(inputs)
        + NetworkCost::conv(3, inputs, outputs, area)
        + NetworkCost::norm(outputs)
        + NetworkCost::conv(3, outputs, outputs, area)
        + shortcut
}
