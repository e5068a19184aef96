//! How does this machine's processor carry out the operations? Own kernels in one pass each.
//!
//! Tensors are laid out rows x height x width x channels. Everything heavy is one loop, `tile`, over
//! packed weights and the numbers where they lie. Work is split over threads by rows and columns of
//! results, never inside a sum, and an algorithm is chosen by one picture's shape: so a row's numbers
//! are the same, bit for bit, in any batch and at any number of threads.
//!
//! Unsafe code lives below this file alone. Shapes are checked when an operation is cut into parts, so
//! that the loops inside need no check.

#![expect(
    clippy::inline_always,
    reason = "a function that is not inlined into its kernel is not compiled for the instruction set"
)]

use std::sync::Arc;

use super::{Activation, Backend, ConvFusion, ConvSpec, GroupNormSpec, Shape};
use crate::{
    engine::{EngineError, device},
    units::Memory,
};

mod attention;
mod bf16;
mod conv;
mod functions;
mod layout;
mod linear;
mod memory;
mod norm;
mod number;
mod panels;
mod product;
mod sampling;
mod shared;
mod simd;
mod team;
mod tensor;
mod tile;
mod winograd;

pub use attention::Context;
pub use bf16::Bf16;
pub use conv::Conv;
pub use linear::Linear;
use memory::{Arena, Held};
pub use norm::Norm;
pub use simd::Level;
use team::Team;
pub use tensor::Tensor;

/// The operations on this machine's processor. Clones share threads and memory.
#[derive(Debug, Clone)]
pub struct Native {
    level: Level,
    /// Where products are computed in bf16; in f32 otherwise.
    bf16: Option<Bf16>,
    team: Arc<Team>,
    arena: Arc<Arena>,
    /// For pictures on their way, which keep their memory from step to step: small pieces, which must not
    /// be large ones that the next operation will want.
    pictures: Arc<Arena>,
    held: Arc<Held>,
}

impl Default for Native {
    /// The best instructions, and as many threads as candle has.
    fn default() -> Self {
        Self::new(Level::best(), device::n_threads())
    }
}

impl Native {
    /// With given instructions and number of threads, the caller's among them.
    pub fn new(level: Level, n_threads: usize) -> Self {
        Self {
            level,
            bf16: None,
            team: Arc::new(Team::new(n_threads)),
            arena: Arc::default(),
            pictures: Arc::default(),
            held: Arc::default(),
        }
    }

    /// The same threads and memory, with products in bf16 where those are faster.
    #[must_use]
    pub fn in_bf16(&self, bf16: Bf16) -> Self {
        Self {
            level: bf16.level(),
            bf16: Some(bf16),
            ..self.clone()
        }
    }

    /// Whether products are computed in bf16.
    pub fn is_bf16(&self) -> bool {
        self.bf16.is_some()
    }

    /// The instructions in use.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The threads in use.
    pub fn n_threads(&self) -> usize {
        self.team.n_threads()
    }

    /// A tensor that `fill` writes every number of.
    fn tensor(&self, shape: Shape, fill: impl FnOnce(&mut [f32])) -> Tensor {
        self.bordered_tensor(shape, 0, fill)
    }

    /// A tensor that `fill` writes every number of, the border's among them.
    fn bordered_tensor(
        &self,
        shape: Shape,
        border: usize,
        fill: impl FnOnce(&mut [f32]),
    ) -> Tensor {
        Tensor::fill(&self.arena, shape, border, fill)
    }

    /// Does parts of an operation, on all threads if it is large enough.
    fn for_parts(&self, n_parts: usize, large: bool, part: impl Fn(usize) + Sync) {
        if large {
            self.team.run(n_parts, part);
        } else {
            (0..n_parts).for_each(part);
        }
    }
}

impl Backend for Native {
    type Tensor = Tensor;
    type Conv = Conv;
    type Linear = Linear;
    type Norm = Norm;
    type Context = Context;

    fn pack_conv(
        &self,
        spec: ConvSpec,
        weight: Vec<f32>,
        bias: Vec<f32>,
    ) -> Result<Conv, EngineError> {
        let conv = Conv::pack(self, spec, &weight, &bias);
        self.held.add_packed(conv.bytes());
        Ok(conv)
    }

    fn pack_linear(
        &self,
        weight: Vec<f32>,
        bias: Option<Vec<f32>>,
        outputs: usize,
        activation: Activation,
    ) -> Result<Linear, EngineError> {
        let linear = Linear::pack(self, &weight, bias, outputs, activation);
        self.held.add_packed(linear.bytes());
        Ok(linear)
    }

    fn pack_norm(&self, weight: Vec<f32>, bias: Vec<f32>) -> Result<Norm, EngineError> {
        let norm = Norm { weight, bias };
        self.held.add_packed(norm::bytes(&norm));
        Ok(norm)
    }

    fn pack_context(&self, keys_values: &Tensor, heads: usize) -> Result<Context, EngineError> {
        Ok(Context::pack(self, keys_values, heads))
    }

    fn context_shape(&self, context: &Context) -> Shape {
        context.shape()
    }

    fn memory(&self) -> Memory {
        Memory {
            packed: self.held.packed(),
            winograd: self.held.winograd(),
            arena: self.arena.free_bytes() + self.pictures.free_bytes(),
            ..Memory::default()
        }
    }

    fn shape(&self, xs: &Tensor) -> Shape {
        xs.shape
    }

    fn upload_chw(&self, shape: Shape, values: &[f32]) -> Result<Tensor, EngineError> {
        Ok(layout::from_chw(&self.arena, shape, values))
    }

    fn upload_tokens(
        &self,
        shape: Shape,
        fill: impl FnOnce(&mut [f32]),
    ) -> Result<Tensor, EngineError> {
        Ok(self.tensor(shape, |output| {
            output.fill(0.0);
            fill(output);
        }))
    }

    fn download_chw(&self, xs: &Tensor, values: &mut [f32]) -> Result<(), EngineError> {
        layout::to_chw(self, xs, values);
        Ok(())
    }

    fn conv(
        &self,
        conv: &Conv,
        xs: &Tensor,
        fusion: &ConvFusion<'_, Self>,
    ) -> Result<Tensor, EngineError> {
        Ok(conv.apply(self, xs, fusion))
    }

    fn linear(
        &self,
        linear: &Linear,
        xs: &Tensor,
        residual: Option<&Tensor>,
    ) -> Result<Tensor, EngineError> {
        Ok(linear.apply(self, xs, residual))
    }

    fn group_norm(
        &self,
        norm: &Norm,
        xs: &Tensor,
        spec: GroupNormSpec,
    ) -> Result<Tensor, EngineError> {
        Ok(norm::group_norm(self, norm, xs, spec))
    }

    fn layer_norm(&self, norm: &Norm, xs: &Tensor, epsilon: f64) -> Result<Tensor, EngineError> {
        Ok(norm::layer_norm(self, norm, xs, epsilon))
    }

    fn self_attention(&self, xs: &Tensor, heads: usize) -> Result<Tensor, EngineError> {
        Ok(attention::with_itself(self, xs, heads))
    }

    fn cross_attention<'c>(
        &self,
        xs: &Tensor,
        context_of: &(dyn Fn(usize) -> &'c Context + Sync),
        heads: usize,
    ) -> Result<Tensor, EngineError> {
        Ok(attention::with_contexts(self, xs, context_of, heads))
    }

    fn concat(&self, xs: &Tensor, ys: &Tensor) -> Result<Tensor, EngineError> {
        Ok(layout::concat(self, xs, ys))
    }
}

#[cfg(test)]
mod tests;
