//! How does a plan become a picture?

pub mod denoiser;
pub mod noise;
pub mod noise_schedule;
pub mod sampler;
