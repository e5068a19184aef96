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
    /// Writes the latents.
    fn read_latents(&self, latents: &mut Latents) -> Result<(), EngineError>;

    /// Writes the latest estimate of the clean latents; `None`, and nothing written, before the first step.
    fn read_denoised(&self, latents: &mut Latents) -> Result<Option<()>, EngineError>;
}

/// A picture's numbers on one backend.
#[derive(Debug)]
pub(super) struct Canvas<B: Sampling> {
    ops: B,
    latents: Row<B::Tensor>,
    /// The newest first, no more than the sampler looks back on. There is room for them from the start, so
    /// that a step allocates nothing.
    denoised: VecDeque<Row<B::Tensor>>,
    max_denoised: usize,
}

impl<B: Sampling> Canvas<B> {
    /// Brings a picture to the backend, whose sampler looks back on as many estimates, the newest included.
    pub(super) fn new(
        ops: &B,
        latents: &Latents,
        max_denoised: usize,
    ) -> Result<Self, EngineError> {
        let (channels, height, width) = latents.shape();
        let shape = Shape::grid(1, height, width, channels);
        let batch = ops.hold(shape, latents.values())?;
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

    pub(super) fn latents(&self) -> &Row<B::Tensor> {
        &self.latents
    }

    /// The estimates of the steps behind it, the newest first.
    pub(super) fn denoised(&self) -> &VecDeque<Row<B::Tensor>> {
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
}

impl<B: Sampling> Numbers for Canvas<B> {
    fn read_latents(&self, latents: &mut Latents) -> Result<(), EngineError> {
        self.ops.read(&self.latents, latents.values_mut())
    }

    fn read_denoised(&self, latents: &mut Latents) -> Result<Option<()>, EngineError> {
        let newest = self.denoised.front();
        let read = |newest| self.ops.read(newest, latents.values_mut());
        newest.map(read).transpose()
    }
}
