//! What goes into one evaluation, and how much may?

use std::sync::Arc;

use super::Trajectory;
use crate::{catalog::DeviceSpec, engine::text_encoder::TextStates};

/// How much is computed at once, a bound on memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) latent_positions: usize,
    pub(super) pixels: usize,
}

impl Limits {
    /// 128 rows of 16x16 latents, 16 pictures of 128x128: what a processor computes no faster together.
    const PROCESSOR: Self = Self {
        latent_positions: 32 * 1024,
        pixels: 256 * 1024,
    };

    /// 128 rows of 64x64 latents, 8 pictures of 512x512: an accelerator needs many rows to be busy.
    const ACCELERATOR: Self = Self {
        latent_positions: 512 * 1024,
        pixels: 2048 * 1024,
    };

    pub(super) const fn of(device: DeviceSpec) -> Self {
        match device {
            DeviceSpec::Cpu => Self::PROCESSOR,
            DeviceSpec::Cuda(_) => Self::ACCELERATOR,
        }
    }
}

/// The rows of one evaluation. Kept for its memory, so that a step allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) latents: Vec<f32>,
    pub(super) timesteps: Vec<f64>,
    pub(super) texts: Vec<Arc<TextStates>>,
    pub(super) outputs: Vec<f32>,
}

impl Batch {
    pub(super) fn clear(&mut self) {
        self.latents.clear();
        self.timesteps.clear();
        self.texts.clear();
    }

    /// Adds the rows of the network that a picture needs: two if it is guided, the unconditional one
    /// first.
    pub(super) fn push(&mut self, row: &Trajectory) {
        for text in row.texts() {
            self.latents.extend_from_slice(row.latents().values());
            self.timesteps.push(row.timestep());
            self.texts.push(Arc::clone(text));
        }
    }
}
