//! What is one picture on its way from noise? Its latents, its steps and where it stands.

use std::{collections::VecDeque, iter, sync::Arc};

use smallvec::SmallVec;

use super::{Conditioning, ImageSpec};
use crate::{
    catalog::{ModelId, SamplerKind},
    diffusion::{
        GuidanceInterval, Stage,
        denoiser::{DenoiseCoefficients, guided},
        noise_schedule::NoiseSchedule,
        sampler::{self, Step},
        stages,
    },
    engine::{
        EngineError,
        noise::{NoiseKey, fill_gaussian, gaussian},
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
    /// All zero.
    pub(super) fn blank((channels, height, width): (usize, usize, usize)) -> Self {
        Self {
            channels,
            height,
            width,
            values: vec![0.0; channels * height * width],
        }
    }

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
    /// In the order in which they take over.
    models: SmallVec<[ModelId; 2]>,
    noise_of: NoiseOf,
    sampler: SamplerKind,
    guidance_scale: f64,
    conditioning: Conditioning,
    turns: Vec<Turn>,
    n_done: usize,
    latents: Latents,
    /// The newest first. As many as the sampler looks back on, from the start, so that a step allocates
    /// nothing; those that are not there yet are empty.
    denoised: VecDeque<Vec<f32>>,
    /// For the noise that a step adds; empty where none does.
    noise: Vec<f32>,
}

/// One step, and how the network is evaluated for it.
#[derive(Debug, Clone, Copy)]
struct Turn {
    step: Step,
    /// Index into the trajectory's models.
    model: usize,
    is_guided: bool,
}

/// Where a trajectory's noise comes from.
#[derive(Debug, Clone, Copy)]
struct NoiseOf {
    seed: u64,
    candidate: u32,
}

impl NoiseOf {
    fn key(self, draw: u32) -> NoiseKey {
        NoiseKey {
            seed: self.seed,
            candidate: self.candidate,
            draw,
        }
    }
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
        let noise_of = NoiseOf {
            seed: spec.seed,
            candidate: spec.candidate,
        };
        let mut latents = match &spec.initial_noise {
            Some(noise) => noise.clone(),
            None => gaussian(noise_of.key(0), expected),
        };
        let found = latents.len();
        let fault = EngineError::NoiseLength { expected, found };
        let turns = turns(spec, schedule)?;
        let start = turns.first().map(|turn| turn.step.level);
        let scale = start.map(|level| sampler::initial_scale(spec.sampler, schedule, level));
        if let Some(scale) = scale.filter(|scale| *scale != 1.0) {
            for value in &mut latents {
                *value = (f64::from(*value) * scale) as f32;
            }
        }
        let updates = || turns.iter().map(|turn| turn.step.update);
        let n_denoised = updates().map(|update| update.n_denoised()).max();
        // The newest one is asked for in any case.
        let n_denoised = n_denoised.unwrap_or_default().max(1);
        let is_stochastic = updates().any(|update| update.is_stochastic());
        let stages = spec.stages.iter().map(|stage| stage.model.clone());
        Ok(Self {
            models: stages.chain([model]).collect(),
            noise_of,
            sampler: spec.sampler,
            guidance_scale: spec.guidance_scale,
            conditioning,
            turns,
            n_done: 0,
            latents: Latents::new(shape, latents).ok_or(fault)?,
            denoised: (0..n_denoised)
                .map(|_| Vec::with_capacity(expected))
                .collect(),
            noise: vec![0.0; if is_stochastic { expected } else { 0 }],
        })
    }

    /// The model that takes its next step; at the end, the one that took the last.
    pub fn model(&self) -> &ModelId {
        let turn = self.turns.get(self.n_done).or(self.turns.last());
        &self.models[turn.map_or(0, |turn| turn.model)]
    }

    /// The seed of its noise.
    pub fn seed(&self) -> u64 {
        self.noise_of.seed
    }

    /// Steps behind it.
    pub fn steps_done(&self) -> Steps {
        self.n_done as Steps
    }

    /// Steps from start to end.
    pub fn steps_total(&self) -> Steps {
        self.turns.len() as Steps
    }

    /// Whether no step is left.
    pub fn is_finished(&self) -> bool {
        self.n_done == self.turns.len()
    }

    /// Network evaluations of the next step: 2 with guidance, 1 without; 0 at the end.
    pub fn next_nfe(&self) -> Nfe {
        let next = self.turns.get(self.n_done);
        next.map_or(0, |turn| if turn.is_guided { 2 } else { 1 })
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

    /// The texts that the network is to be evaluated with, the unconditional one first.
    pub(super) fn texts(&self) -> impl Iterator<Item = &Arc<TextStates>> {
        let is_guided = self.next_nfe() == 2;
        let negative = is_guided.then_some(&self.conditioning.unconditional);
        negative.into_iter().chain([&self.conditioning.conditional])
    }

    /// The network's time input. The trajectory must not be finished.
    pub(super) fn timestep(&self) -> f64 {
        self.turns[self.n_done].step.timestep
    }

    pub(super) fn expect_batch_of(
        &self,
        model: &ModelId,
        shape: (usize, usize, usize),
    ) -> Result<(), EngineError> {
        if self.is_finished() {
            return Err(EngineError::Finished {
                seed: self.seed(),
                steps: self.n_done,
            });
        }
        if self.model() == model && self.latents.shape() == shape {
            return Ok(());
        }
        let name = |model: &ModelId, (_, height, width): (usize, usize, usize)| {
            format!("{model} with {height}x{width} latents")
        };
        Err(EngineError::MixedBatch {
            first: name(model, shape),
            other: name(self.model(), self.latents.shape()),
        })
    }

    /// x' = a x + sum(b_i denoised_i) + c noise, in f64, rounded to f32 once. `outputs` are the
    /// network's for [`Self::texts`], one after the other.
    pub(super) fn advance(&mut self, outputs: &[f32]) -> Result<(), EngineError> {
        let Step {
            denoise, update, ..
        } = self.turns[self.n_done].step;
        self.remember(denoise, outputs);

        let noise = update.is_stochastic().then_some(&mut self.noise);
        let noise = noise.map(|noise| {
            // Draw 0 is the noise that the trajectory started from.
            fill_gaussian(self.noise_of.key(self.n_done as u32 + 1), noise);
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
                seed: self.seed(),
                step: self.n_done,
            })
        }
    }
}

impl Trajectory {
    /// See [`super::Pipeline::shorten`]. A step keeps its model and its guidance.
    pub(super) fn shorten(
        &mut self,
        schedule: &NoiseSchedule,
        left: Steps,
    ) -> Result<(), EngineError> {
        let steps: Vec<Step> = self.turns.iter().map(|turn| turn.step).collect();
        let steps = sampler::shortened(self.sampler, schedule, &steps, self.steps_done(), left)?;
        let ahead = self.turns.split_off(self.n_done);
        let fewer = steps.into_iter().skip(self.n_done).filter_map(|step| {
            let before = ahead
                .iter()
                .find(|turn| turn.step.timestep == step.timestep)?;
            Some(Turn { step, ..*before })
        });
        self.turns.extend(fewer);
        Ok(())
    }

    /// See [`super::Pipeline::restage`].
    pub(super) fn restage(&mut self, stages: &[Stage], model: &ModelId) {
        let counts = stages::steps_of(stages, self.steps_total());
        let its_models = stages.iter().map(|stage| stage.model.clone());
        self.models = its_models.chain([model.clone()]).collect();
        let places = counts.into_iter().enumerate();
        let places = places.flat_map(|(place, count)| iter::repeat_n(place, count as usize));
        for (turn, place) in self.turns.iter_mut().zip(places) {
            turn.model = place;
        }
    }

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

/// The steps of a picture as it is planned.
fn turns(spec: &ImageSpec, schedule: &NoiseSchedule) -> Result<Vec<Turn>, EngineError> {
    let steps = sampler::trajectory(spec.sampler, schedule, spec.steps)?;
    let counts = stages::steps_of(&spec.stages, spec.steps);
    let models = counts.into_iter().enumerate();
    let models = models.flat_map(|(model, count)| iter::repeat_n(model, count as usize));
    let is_guided = |step: &Step| {
        let inside = |interval: GuidanceInterval| interval.contains(step.level);
        spec.guidance_scale != 1.0 && spec.guidance_interval.is_none_or(inside)
    };
    let turns = steps.into_iter().zip(models).map(|(step, model)| Turn {
        model,
        is_guided: is_guided(&step),
        step,
    });
    Ok(turns.collect())
}
