//! How many operations does a network cost? Counted from the architecture, exactly: two per
//! multiply-accumulate of every convolution, linear layer and attention product; norms, activations,
//! softmax and the sampler's update are left out, as they are in the literature.
//!
//! It is the nominal cost of the network, whatever the engine saves by Winograd kernels or by keeping
//! the text's keys and values over the steps: plans stay comparable over machines and builds.
//! [`CostTable`](super::CostTable) holds what a family's plans need of it.

use std::{
    iter::Sum,
    ops::{Add, AddAssign},
};

use serde::Serialize;

use crate::units::{Flops, ImageSize};

mod clip;
pub mod text;
pub mod unet;
pub mod vae;
pub mod vision;

/// Operations of one forward pass over one picture, by kind of operator, and the parameters behind
/// them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct NetworkCost {
    /// Convolutions, 1x1 ones included.
    pub conv: Flops,
    /// Linear layers.
    pub linear: Flops,
    /// The products of queries with keys and of weights with values.
    pub attention: Flops,
    /// Trained numbers, norms and embeddings included.
    pub parameters: u64,
}

impl NetworkCost {
    /// Operations of all kinds together.
    pub fn total(&self) -> Flops {
        self.conv + self.linear + self.attention
    }

    /// A square convolution with bias that is evaluated at `positions` places.
    fn conv(kernel: usize, inputs: usize, outputs: usize, positions: usize) -> Self {
        let bias = Self {
            parameters: outputs as u64,
            ..Self::default()
        };
        Self::conv_without_bias(kernel * kernel * inputs * outputs, positions) + bias
    }

    /// A convolution of so many weights without bias.
    fn conv_without_bias(weights: usize, positions: usize) -> Self {
        Self {
            conv: two_per_mac([weights, positions]),
            parameters: weights as u64,
            ..Self::default()
        }
    }

    /// A linear layer with bias over `rows` rows.
    fn linear(inputs: usize, outputs: usize, rows: usize) -> Self {
        let bias = Self {
            parameters: outputs as u64,
            ..Self::default()
        };
        Self::linear_without_bias(inputs, outputs, rows) + bias
    }

    /// A linear layer without bias over `rows` rows.
    fn linear_without_bias(inputs: usize, outputs: usize, rows: usize) -> Self {
        Self {
            linear: two_per_mac([inputs * outputs, rows]),
            parameters: (inputs * outputs) as u64,
            ..Self::default()
        }
    }

    /// Both products of an attention whose heads are `width` wide together.
    fn attention(queries: usize, keys: usize, width: usize) -> Self {
        Self {
            attention: two_per_mac([queries, keys, width]) * 2.0,
            ..Self::default()
        }
    }

    /// The scale and shift of a norm.
    fn norm(channels: usize) -> Self {
        Self {
            parameters: 2 * channels as u64,
            ..Self::default()
        }
    }
}

/// Exact as long as the product is below 2^53, which is 9 PFLOP.
fn two_per_mac<const N: usize>(factors: [usize; N]) -> Flops {
    Flops(2.0 * factors.map(|factor| factor as f64).iter().product::<f64>())
}

impl Add for NetworkCost {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            conv: self.conv + other.conv,
            linear: self.linear + other.linear,
            attention: self.attention + other.attention,
            parameters: self.parameters + other.parameters,
        }
    }
}

impl AddAssign for NetworkCost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for NetworkCost {
    fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
        terms.fold(Self::default(), Add::add)
    }
}

/// Height and width of a feature map or of the latents, in positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Positions from top to bottom.
    pub height: usize,
    /// Positions from left to right.
    pub width: usize,
}

impl Grid {
    /// The latents of a picture, with `downscale` pixels for each latent along one side.
    pub fn of_latents(size: ImageSize, downscale: u32) -> Self {
        Self {
            height: (size.height / downscale) as usize,
            width: (size.width / downscale) as usize,
        }
    }

    /// Number of positions.
    pub fn area(self) -> usize {
        self.height * self.width
    }

    fn doubled(self) -> Self {
        Self {
            height: 2 * self.height,
            width: 2 * self.width,
        }
    }
}

#[cfg(test)]
mod tests;
