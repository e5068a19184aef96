//! What does a trajectory from noise to a latent look like, as numbers? Noise levels, samplers and
//! guidance, in f64 and without a tensor: the engine runs it, the planner counts what it costs.
//!
//! - [`noise_schedule`]: how noisy is a training timestep, and which ones do `n` steps visit?
//! - [`denoiser`]: what does a network's output say of the clean latent?
//! - [`sampler`]: how does each step move on?
//! - [`stages`], [`guidance_interval`]: which model takes a step, and is it guided?
//! - [`route`]: what of all this does one picture take?

pub mod denoiser;
pub mod guidance_interval;
pub mod noise_schedule;
pub mod route;
pub mod sampler;
pub mod stages;

pub use guidance_interval::GuidanceInterval;
pub use route::Route;
pub use stages::Stage;
