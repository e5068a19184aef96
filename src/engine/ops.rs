//! Which operations is a network written in, and who carries them out?
//!
//! A network is written once, over the layers of [`layers`]; a [`Backend`] is one implementation of
//! the few fused operations behind them. Every tensor is a batch of grids of channel vectors
//! ([`Shape`]): a picture is a grid, a text a grid of one line, a vector for each row a grid of one
//! position. So a 1x1 convolution is a linear layer, and attention needs no change of layout. How a
//! backend lays the numbers out is its own affair.
//!
//! Shapes are checked once, in the layers; a backend may rely on them.

use std::fmt;

use super::EngineError;
use crate::units::Memory;

pub mod candle;
pub mod layers;
pub mod native;
pub mod sampling;

/// The logical shape of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Pictures, or texts, in the batch.
    pub rows: usize,
    /// Positions from top to bottom.
    pub height: usize,
    /// Positions from left to right, or tokens.
    pub width: usize,
    /// Numbers at each position.
    pub channels: usize,
}

impl Shape {
    /// A batch of pictures or feature maps.
    pub fn grid(rows: usize, height: usize, width: usize, channels: usize) -> Self {
        Self {
            rows,
            height,
            width,
            channels,
        }
    }

    /// A batch of texts.
    pub fn tokens(rows: usize, tokens: usize, channels: usize) -> Self {
        Self::grid(rows, 1, tokens, channels)
    }

    /// One vector for each row.
    pub fn vectors(rows: usize, channels: usize) -> Self {
        Self::grid(rows, 1, 1, channels)
    }

    /// Positions of one row.
    pub fn positions(self) -> usize {
        self.height * self.width
    }

    /// Numbers of the whole batch.
    pub fn len(self) -> usize {
        self.rows * self.positions() * self.channels
    }

    /// Whether there are no numbers at all.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The same grid with other channels.
    #[must_use]
    pub fn with_channels(self, channels: usize) -> Self {
        Self { channels, ..self }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rows,
            height,
            width,
            channels,
        } = self;
        write!(f, "{rows} rows x {height}x{width} x {channels} channels")
    }
}

/// What a 3x3 convolution is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvSpec {
    /// Channels that go in.
    pub inputs: usize,
    /// Channels that come out.
    pub outputs: usize,
    /// 1, or 2 to halve the grid.
    pub stride: usize,
    /// Zeros before the first line and column; there is always one after the last.
    ///
    /// 1 almost everywhere; 0 with stride 2 is diffusers' asymmetric padding (`downsample_padding: 0`).
    pub padding_before: usize,
}

impl ConvSpec {
    /// A convolution that keeps the grid.
    pub fn same(inputs: usize, outputs: usize) -> Self {
        Self {
            inputs,
            outputs,
            stride: 1,
            padding_before: 1,
        }
    }

    /// Side of the output for a side of the input.
    pub fn side(&self, input: usize) -> usize {
        (input + self.padding_before - 2) / self.stride + 1
    }

    /// The shape that comes out for a grid that goes in, after it was resized.
    pub fn output(&self, input: Shape) -> Shape {
        Shape::grid(
            input.rows,
            self.side(input.height),
            self.side(input.width),
            self.outputs,
        )
    }
}

/// What else a convolution does in the same pass.
#[derive(Debug)]
pub struct ConvFusion<'a, B: Backend> {
    /// Resize the input to this height and width first: twice as large by repeating every position,
    /// less the last line or column where the target is odd.
    pub enlarge_to: Option<(usize, usize)>,
    /// Add one vector for each row to all its positions (the time embedding).
    pub per_row: Option<&'a B::Tensor>,
    /// Add a tensor of the output's shape.
    pub residual: Option<&'a B::Tensor>,
}

impl<B: Backend> Default for ConvFusion<'_, B> {
    fn default() -> Self {
        Self {
            enlarge_to: None,
            per_row: None,
            residual: None,
        }
    }
}

/// What follows a linear layer in the same pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// x * sigmoid(x).
    Silu,
    /// The first half of the channels times the exact (erf) GELU of the second half.
    GeGlu,
}

/// A group norm's fixed numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupNormSpec {
    /// Groups of neighbouring channels; divides the channels.
    pub groups: usize,
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether x * sigmoid(x) follows in the same pass.
    pub silu: bool,
}

/// One implementation of the fused operations. Weights are packed once, when they are loaded.
///
/// The layers have checked every shape before they call, so that only a device can fail here.
pub trait Backend: fmt::Debug + Send + Sync + Sized + 'static {
    /// Numbers on the device. Cloning is cheap.
    type Tensor: Clone + Send + Sync + fmt::Debug;
    /// A 3x3 convolution's weights.
    type Conv: Send + Sync + fmt::Debug;
    /// A linear layer's weights.
    type Linear: Send + Sync + fmt::Debug;
    /// A norm's scale and shift.
    type Norm: Send + Sync + fmt::Debug;
    /// What a text says to one cross-attention.
    type Context: Send + Sync + fmt::Debug;

    /// Packs the weights (outputs x inputs x 3 x 3) and biases of a convolution.
    fn pack_conv(
        &self,
        spec: ConvSpec,
        weight: Vec<f32>,
        bias: Vec<f32>,
    ) -> Result<Self::Conv, EngineError>;

    /// Packs the weights (outputs x inputs) of a linear layer, with its biases if it has them, and
    /// what follows it.
    fn pack_linear(
        &self,
        weight: Vec<f32>,
        bias: Option<Vec<f32>>,
        outputs: usize,
        activation: Activation,
    ) -> Result<Self::Linear, EngineError>;

    /// Packs the scale and shift of a group norm or layer norm.
    fn pack_norm(&self, weight: Vec<f32>, bias: Vec<f32>) -> Result<Self::Norm, EngineError>;

    /// Packs the keys and values of one text, which lie side by side in the channels of its only row.
    fn pack_context(
        &self,
        keys_values: &Self::Tensor,
        heads: usize,
    ) -> Result<Self::Context, EngineError>;

    /// The tokens of a packed text, with the channels of its values.
    fn context_shape(&self, context: &Self::Context) -> Shape;

    /// What is held for the next step, texts left out; nothing where it is not counted.
    fn memory(&self) -> Memory {
        Memory::default()
    }

    /// The shape of a tensor.
    fn shape(&self, xs: &Self::Tensor) -> Shape;

    /// Brings numbers to the device, row by row, channel by channel, line by line.
    fn upload_chw(&self, shape: Shape, values: &[f32]) -> Result<Self::Tensor, EngineError>;

    /// Brings the numbers that `fill` writes over zeros to the device, row by row, position by
    /// position, channel by channel.
    fn upload_tokens(
        &self,
        shape: Shape,
        fill: impl FnOnce(&mut [f32]),
    ) -> Result<Self::Tensor, EngineError>;

    /// Brings numbers back to as large a slice, row by row, channel by channel, line by line.
    fn download_chw(&self, xs: &Self::Tensor, values: &mut [f32]) -> Result<(), EngineError>;

    /// 3x3 convolution, with bias and what `fusion` names.
    fn conv(
        &self,
        conv: &Self::Conv,
        xs: &Self::Tensor,
        fusion: &ConvFusion<'_, Self>,
    ) -> Result<Self::Tensor, EngineError>;

    /// Linear layer at every position, then its activation, then `residual` added.
    fn linear(
        &self,
        linear: &Self::Linear,
        xs: &Self::Tensor,
        residual: Option<&Self::Tensor>,
    ) -> Result<Self::Tensor, EngineError>;

    /// Normalization over the positions of a row and the channels of a group (arXiv 1803.08494).
    fn group_norm(
        &self,
        norm: &Self::Norm,
        xs: &Self::Tensor,
        spec: GroupNormSpec,
    ) -> Result<Self::Tensor, EngineError>;

    /// Normalization over the channels of a position.
    fn layer_norm(
        &self,
        norm: &Self::Norm,
        xs: &Self::Tensor,
        epsilon: f64,
    ) -> Result<Self::Tensor, EngineError>;

    /// softmax(q k^T / sqrt(channels / heads)) v, head by head, of every row with itself: `xs` holds
    /// q, k and v side by side in its channels.
    fn self_attention(&self, xs: &Self::Tensor, heads: usize) -> Result<Self::Tensor, EngineError>;

    /// The same of every row with the text that `context_of` gives for it, packed for as many heads;
    /// `xs` holds q.
    fn cross_attention<'c>(
        &self,
        xs: &Self::Tensor,
        context_of: &(dyn Fn(usize) -> &'c Self::Context + Sync),
        heads: usize,
    ) -> Result<Self::Tensor, EngineError>;

    /// The channels of `xs`, then those of `ys`, at every position.
    fn concat(&self, xs: &Self::Tensor, ys: &Self::Tensor) -> Result<Self::Tensor, EngineError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strided_convolution_halves_rounding_up_with_one_zero_before() {
        let down = ConvSpec {
            stride: 2,
            ..ConvSpec::same(4, 4)
        };
        assert_eq!([16, 15, 2, 1].map(|side| down.side(side)), [8, 8, 1, 1]);
    }

    #[test]
    fn asymmetric_padding_halves_rounding_down() {
        let down = ConvSpec {
            stride: 2,
            padding_before: 0,
            ..ConvSpec::same(4, 4)
        };
        assert_eq!([16, 15, 2].map(|side| down.side(side)), [8, 7, 1]);
    }
}
