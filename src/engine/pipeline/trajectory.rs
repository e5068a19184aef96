//! What is one picture on its way from noise? Its latents, its steps and where it stands.

use std::{collections::VecDeque, sync::Arc};

use super::{Conditioning, ImageSpec};
use crate::{
    catalog::ModelId,
    engine::{
        EngineError,
        denoiser::{DenoiseCoefficients, guided},
        noise::{NoiseKey, fill_gaussian, gaussian},
        noise_schedule::NoiseSchedule,
        sampler::{self, Step},
        text_encoder::TextStates,
    },
    units::{Nfe, Steps},
};

/// Denoised latents that a sampler may look back on, the newest included.
const MAX_DENOISED: usize = 3;

/// A picture in the space that the U-Net works in.
#[derive(Debug, Clone, PartialEq)]
pub struct Latents {
    channels: usize,
    height: usize,
    width: usize,
    values: Vec<f32>,
}

impl Latents {
    /// Wraps numbers in channel, line, column order; `None` if their count is not that of the shape.
    pub fn new((channels, height, width): (usize, usize, usize), values: Vec<f32>) -> Option<Self> {
        (values.len() == channels * height * width).then_some(Self {
            channels,
            height,
            width,
            values,
        })
    }

    /// Channels, height and width.
    pub fn shape(&self) -> (usize, usize, usize) {
        (self.channels, self.height, self.width)
    }

    /// The numbers in channel, line, column order.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

/// One picture on its way from noise to latents.
#[derive(Debug, Clone)]
pub struct Trajectory {
    model: ModelId,
    seed: u64,
    guidance_scale: f64,
    conditioning: Conditioning,
    steps: Vec<Step>,
    n_done: usize,
    latents: Latents,
    /// The newest first. As many as the sampler looks back on, from the start, so that a step allocates
    /// nothing; those that are not there yet are empty.
    denoised: VecDeque<Vec<f32>>,
    /// For the noise that a step adds; empty where none does.
    noise: Vec<f32>,
}

impl Trajectory {
    pub(super) fn begin(
        model: ModelId,
        spec: &ImageSpec,
        conditioning: Conditioning,
        schedule: &NoiseSchedule,
        shape: (usize, usize, usize),
    ) -> Result<Self, EngineError> {
        if !spec.guidance_scale.is_finite() {
            return Err(EngineError::Guidance(spec.guidance_scale));
        }
        let expected = shape.0 * shape.1 * shape.2;
        let noise = match &spec.initial_noise {
            Some(noise) => noise.clone(),
            None => gaussian(noise_key(spec.seed, 0), expected),
        };
        let found = noise.len();
        let fault = EngineError::NoiseLength { expected, found };
        let steps = sampler::trajectory(spec.sampler, schedule, spec.steps)?;
        let n_denoised = steps.iter().map(|step| step.update.n_denoised()).max();
        // The newest one is asked for in any case.
        let n_denoised = n_denoised.unwrap_or_default().max(1);
        let is_stochastic = steps.iter().any(|step| step.update.is_stochastic());
        Ok(Self {
            model,
            seed: spec.seed,
            guidance_scale: spec.guidance_scale,
            conditioning,
            steps,
            n_done: 0,
            latents: Latents::new(shape, noise).ok_or(fault)?,
            denoised: (0..n_denoised)
                .map(|_| Vec::with_capacity(expected))
                .collect(),
            noise: vec![0.0; if is_stochastic { expected } else { 0 }],
        })
    }

    /// The model whose steps it takes.
    pub fn model(&self) -> &ModelId {
        &self.model
    }

    /// The seed of its noise.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Steps behind it.
    pub fn steps_done(&self) -> Steps {
        self.n_done as Steps
    }

    /// Steps from start to end.
    pub fn steps_total(&self) -> Steps {
        self.steps.len() as Steps
    }

    /// Whether no step is left.
    pub fn is_finished(&self) -> bool {
        self.n_done == self.steps.len()
    }

    /// Network evaluations of one step: 2 with guidance, 1 without.
    pub fn nfe_per_step(&self) -> Nfe {
        if self.is_guided() { 2 } else { 1 }
    }

    /// Where it stands. At the end: what the decoder takes, times the scaling factor.
    pub fn latents(&self) -> &Latents {
        &self.latents
    }

    /// The latest estimate of where it is going, from the last step's evaluation; none before it.
    pub fn denoised(&self) -> Option<Latents> {
        let newest = self.denoised.front().filter(|_| self.n_done > 0);
        let values = newest?.clone();
        Some(Latents {
            values,
            ..self.latents
        })
    }

    fn is_guided(&self) -> bool {
        self.guidance_scale != 1.0
    }

    /// The texts that the network is to be evaluated with, the unconditional one first.
    pub(super) fn texts(&self) -> impl Iterator<Item = &Arc<TextStates>> {
        let negative = self.is_guided().then_some(&self.conditioning.unconditional);
        negative.into_iter().chain([&self.conditioning.conditional])
    }

    /// The network's time input. The trajectory must not be finished.
    pub(super) fn timestep(&self) -> f64 {
        self.steps[self.n_done].timestep
    }

    pub(super) fn expect_batch_of(
        &self,
        model: &ModelId,
        shape: (usize, usize, usize),
    ) -> Result<(), EngineError> {
        if self.is_finished() {
            return Err(EngineError::Finished {
                seed: self.seed,
                steps: self.n_done,
            });
        }
        if self.model == *model && self.latents.shape() == shape {
            return Ok(());
        }
        let name = |model: &ModelId, (_, height, width): (usize, usize, usize)| {
            format!("{model} with {height}x{width} latents")
        };
        Err(EngineError::MixedBatch {
            first: name(model, shape),
            other: name(&self.model, self.latents.shape()),
        })
    }

    /// x' = a x + sum(b_i denoised_i) + c noise, in f64, rounded to f32 once. `outputs` are the
    /// network's for [`Self::texts`], one after the other.
    pub(super) fn advance(&mut self, outputs: &[f32]) -> Result<(), EngineError> {
        let Step {
            denoise, update, ..
        } = self.steps[self.n_done];
        self.remember(denoise, outputs);

        let noise = update.is_stochastic().then_some(&mut self.noise);
        let noise = noise.map(|noise| {
            // Draw 0 is the noise that the trajectory started from.
            fill_gaussian(noise_key(self.seed, self.n_done as u32 + 1), noise);
            &*noise
        });
        for (index, x) in self.latents.values.iter_mut().enumerate() {
            let mut history = [0.0; MAX_DENOISED];
            let known = self.denoised.iter().take(self.n_done + 1);
            for (slot, denoised) in history.iter_mut().zip(known) {
                *slot = f64::from(denoised[index]);
            }
            let noise = noise.map_or(0.0, |noise| f64::from(noise[index]));
            *x = update.apply(f64::from(*x), history, noise) as f32;
        }
        self.n_done += 1;
        if self.latents.values.iter().all(|value| value.is_finite()) {
            Ok(())
        } else {
            Err(EngineError::NonFinite {
                what: "latent",
                seed: self.seed,
                step: self.n_done,
            })
        }
    }
}

impl Trajectory {
    /// Puts the estimate of the clean latents in front of the earlier ones.
    fn remember(&mut self, denoise: DenoiseCoefficients, outputs: &[f32]) {
        // The oldest gives its place to the newest.
        let mut clean = self.denoised.pop_back().unwrap_or_default();
        clean.clear();
        let scale = self.guidance_scale as f32;
        let guided_output = |index: usize| match outputs.split_at(self.latents.values.len()) {
            (output, []) => output[index],
            (unconditional, conditional) => guided(unconditional[index], conditional[index], scale),
        };
        let latents = self.latents.values.iter().enumerate();
        clean.extend(
            latents.map(|(index, x)| {
                denoise.denoised((*x).into(), guided_output(index).into()) as f32
            }),
        );
        self.denoised.push_front(clean);
    }
}

fn noise_key(seed: u64, draw: u32) -> NoiseKey {
    NoiseKey {
        seed,
        candidate: 0,
        draw,
    }
}
