//! Which way does one picture go from noise to a latent?

use super::{GuidanceInterval, Stage};
use crate::{catalog::SamplerKind, units::Steps};

/// What a plan says of the steps of one picture: what the planner prices is what the engine takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
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
}
