//! What is a picture to be? The way that it is drawn, and what it shall show.

use std::sync::Arc;

use crate::{
    catalog::SamplerKind,
    diffusion::{GuidanceInterval, Route, Stage},
    engine::text_encoder::TextStates,
    units::{ImageSize, Steps},
};

/// How one picture is to be drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageSpec {
    /// Models that take the first steps; empty where one model takes them all.
    pub stages: Vec<Stage>,
    /// The sampling algorithm.
    pub sampler: SamplerKind,
    /// Its steps.
    pub steps: Steps,
    /// Scale of classifier-free guidance; 1 is unguided and costs half.
    pub guidance_scale: f64,
    /// Noise levels at which steps are guided; all of them where there is none.
    pub guidance_interval: Option<GuidanceInterval>,
    /// Names the noise.
    pub seed: u64,
    /// Which of the seed's pictures: 0 for the first one, more where the best of several is looked for.
    pub candidate: u32,
    /// Size of the picture.
    pub size: ImageSize,
    /// Initial noise of unit variance in place of the seed's, channel by channel.
    pub initial_noise: Option<Vec<f32>>,
}

impl ImageSpec {
    /// The first picture of a seed, from the seed's own noise.
    pub fn new(route: Route, size: ImageSize, seed: u64) -> Self {
        Self {
            stages: route.stages,
            sampler: route.sampler,
            steps: route.steps,
            guidance_scale: route.guidance_scale,
            guidance_interval: route.guidance_interval,
            seed,
            candidate: 0,
            size,
            initial_noise: None,
        }
    }
}

/// What one picture shall show: the states of its prompt and of its negative prompt.
#[derive(Debug, Clone)]
pub struct Conditioning {
    pub(super) conditional: Arc<TextStates>,
    pub(super) unconditional: Arc<TextStates>,
    pub(super) n_truncated: usize,
    pub(super) n_encoded: u32,
}

impl Conditioning {
    /// Tokens of the prompt that the text encoder's context had no place for.
    pub fn n_truncated(&self) -> usize {
        self.n_truncated
    }

    /// Texts that the encoder ran for: none where prompt and negative prompt were both kept from before.
    /// A negative prompt shared with others counts for the first of them.
    pub fn n_encoded(&self) -> u32 {
        self.n_encoded
    }
}
