//! Where are a picture's numbers from one step to the next? With the backend of its networks, which alone
//! knows what they look like.

use std::{any::Any, collections::VecDeque, fmt};

use super::Latents;
use crate::engine::{
    EngineError,
    ops::{
        Shape,
        sampling::{Advanced, Row, Sampling},
    },
};

/// A picture's numbers, on whatever backend.
pub(super) trait Numbers: Any + fmt::Debug + Send + Sync {
    /// The latents.
    fn latents(&self) -> Result<Latents, EngineError>;

    /// The latest estimate of the clean latents; none before the first step.
    fn denoised(&self) -> Result<Option<Latents>, EngineError>;
}

/// A picture's numbers on one backend.
#[derive(Debug)]
pub(super) struct Canvas<B: Sampling> {
    ops: B,
    latents: Row<B::Tensor>,
    /// The newest first. There is room for all from the start, so that a step allocates nothing.
    denoised: VecDeque<Row<B::Tensor>>,
    /// As many as the next step may look back on, and the newest in any case.
    max_denoised: usize,
}

impl<B: Sampling> Canvas<B> {
    /// Brings a picture to the backend. A step of its sampler takes at most `n_denoised` estimates, its own
    /// among them.
    pub(super) fn new(ops: &B, latents: &Latents, n_denoised: usize) -> Result<Self, EngineError> {
        let (channels, height, width) = latents.shape();
        let shape = Shape::grid(1, height, width, channels);
        let batch = ops.hold(shape, latents.values())?;
        let max_denoised = n_denoised.saturating_sub(1).max(1);
        Ok(Self {
            ops: ops.clone(),
            latents: Row { batch, index: 0 },
            denoised: VecDeque::with_capacity(max_denoised),
            max_denoised,
        })
    }

    /// The numbers as this backend's, if they are.
    pub(super) fn of(numbers: &dyn Numbers) -> Result<&Self, EngineError> {
        let numbers: &dyn Any = numbers;
        numbers.downcast_ref().ok_or(EngineError::OtherBackend)
    }

    /// The same, to be moved on.
    pub(super) fn of_mut(numbers: &mut dyn Numbers) -> Result<&mut Self, EngineError> {
        let numbers: &mut dyn Any = numbers;
        numbers.downcast_mut().ok_or(EngineError::OtherBackend)
    }

    /// Where the latents are.
    pub(super) fn x(&self) -> &Row<B::Tensor> {
        &self.latents
    }

    /// The estimates of the steps behind it that are still of use, the newest first.
    pub(super) fn earlier(&self) -> &VecDeque<Row<B::Tensor>> {
        &self.denoised
    }

    /// Takes what a step made of it, in its place of the batch.
    pub(super) fn take(&mut self, made: &Advanced<B::Tensor>, index: usize) {
        let row = |batch: &B::Tensor| Row {
            batch: batch.clone(),
            index,
        };
        self.latents = row(&made.latents);
        self.denoised.truncate(self.max_denoised - 1);
        self.denoised.push_front(row(&made.denoised));
    }

    fn read(&self, row: &Row<B::Tensor>) -> Result<Latents, EngineError> {
        let shape = self.ops.shape(&row.batch);
        let mut latents = Latents::blank((shape.channels, shape.height, shape.width));
        self.ops.read(row, latents.values_mut())?;
        Ok(latents)
    }
}

impl<B: Sampling> Numbers for Canvas<B> {
    fn latents(&self) -> Result<Latents, EngineError> {
        self.read(&self.latents)
    }

    fn denoised(&self) -> Result<Option<Latents>, EngineError> {
        let newest = self.denoised.front();
        newest.map(|newest| self.read(newest)).transpose()
    }
}
