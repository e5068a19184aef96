//! How much memory may one evaluation take?

use crate::catalog::DeviceSpec;

/// How much is computed at once.
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
