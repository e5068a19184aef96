//! How does a picture move on between two evaluations? What a backend does beside the networks' own
//! operations, so that latents stay where they are computed with.
//!
//! Numbers are `f32` here, whatever the precision of the networks.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::{Backend, Shape};
use crate::{
    diffusion::{denoiser::DenoiseCoefficients, sampler::Update},
    engine::EngineError,
};

/// One row of a batch, as a picture holds it from one step to the next. The whole batch stays in memory as
/// long as one of its rows does.
#[derive(Debug, Clone)]
pub struct Row<T> {
    /// Where it lies.
    pub batch: T,
    /// Its place there.
    pub index: usize,
}

/// One step of one picture: x' = a x + sum(b_i denoised_i) + c noise.
#[derive(Debug)]
pub struct Move<'a, T> {
    /// The latents.
    pub x: &'a Row<T>,
    /// The clean latents as earlier steps estimated them, the newest first, as many as the update looks
    /// back on; more of them do no harm.
    pub earlier: &'a VecDeque<Row<T>>,
    /// The output row of the prompt.
    pub conditional: usize,
    /// The output row of the negative prompt and the scale of guidance, where the step is guided.
    pub unconditional: Option<(usize, f32)>,
    /// Where the update adds some.
    pub noise: Option<Row<T>>,
    /// Latents and outputs to the clean latents.
    pub denoise: DenoiseCoefficients,
    /// Latents and clean latents to the next latents.
    pub update: Update,
}

impl<T> Move<'_, T> {
    /// The earlier estimates that count, each with its weight.
    pub fn looks_back_on(&self) -> impl Iterator<Item = (&Row<T>, f64)> {
        let weights = &self.update.b[..self.update.n_denoised()];
        self.earlier.iter().zip(weights.iter().skip(1).copied())
    }
}

/// What a step made: a row for each move.
#[derive(Debug)]
pub struct Advanced<T> {
    /// The next latents.
    pub latents: T,
    /// The clean latents as the step estimates them.
    pub denoised: T,
    /// Whether all numbers of the next latents are.
    pub finite: SmallVec<[bool; 8]>,
}

/// A backend that samplers run on.
///
/// Whoever calls has checked that rows are of one grid and in the batches they name.
pub trait Sampling: Backend + Clone {
    /// Brings latents or noise to the device, row by row, channel by channel, line by line.
    fn hold(&self, shape: Shape, values: &[f32]) -> Result<Self::Tensor, EngineError>;

    /// Brings one row back to as large a slice, channel by channel, line by line.
    fn read(&self, row: &Row<Self::Tensor>, values: &mut [f32]) -> Result<(), EngineError>;

    /// Rows one after the other, at least one, in the precision of this backend's networks.
    fn stack(&self, rows: &[&Row<Self::Tensor>]) -> Result<Self::Tensor, EngineError>;

    /// Moves pictures, at least one, one step on by what a network put out for them. None is changed by what
    /// the others are, but for rounding on a device that computes them together.
    fn advance(
        &self,
        outputs: &Self::Tensor,
        moves: &[Move<'_, Self::Tensor>],
    ) -> Result<Advanced<Self::Tensor>, EngineError>;
}

#[cfg(test)]
mod tests;
