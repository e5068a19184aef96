//! What is one picture on its way from noise? Its latents, its steps and where it stands.

use std::iter;

use smallvec::SmallVec;

use super::{Conditioning, ImageSpec, Latents, canvas::Numbers, networks::Networks};
use crate::{
    catalog::{ModelId, SamplerKind},
    diffusion::{
        GuidanceInterval, Stage,
        noise_schedule::NoiseSchedule,
        sampler::{self, Step},
        stages,
    },
    engine::{
        EngineError,
        noise::{NoiseKey, fill_gaussian, gaussian},
    },
    units::{Nfe, Steps},
};

/// One picture on its way from noise to latents.
#[derive(Debug)]
pub struct Trajectory {
    /// In the order in which they take over.
    models: SmallVec<[ModelId; 2]>,
    noise_of: NoiseOf,
    sampler: SamplerKind,
    guidance_scale: f64,
    conditioning: Conditioning,
    turns: Vec<Turn>,
    n_done: usize,
    /// Channels, height and width of its latents.
    shape: (usize, usize, usize),
    numbers: Box<dyn Numbers>,
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
        (shape, networks): ((usize, usize, usize), &dyn Networks),
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
        let updates = turns.iter().map(|turn| turn.step.update);
        let n_denoised = updates.map(|update| update.n_denoised()).max();
        // The newest one is asked for in any case.
        let n_denoised = n_denoised.unwrap_or_default().max(1);
        let latents = Latents::new(shape, latents).ok_or(fault)?;
        let stages = spec.stages.iter().map(|stage| stage.model.clone());
        Ok(Self {
            models: stages.chain([model]).collect(),
            noise_of,
            sampler: spec.sampler,
            guidance_scale: spec.guidance_scale,
            conditioning,
            turns,
            n_done: 0,
            shape,
            numbers: networks.begin(&latents, n_denoised)?,
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
        match self.guidance() {
            _ if self.is_finished() => 0,
            Some(_) => 2,
            None => 1,
        }
    }

    /// Channels, height and width of its latents.
    pub(super) fn shape(&self) -> (usize, usize, usize) {
        self.shape
    }

    /// Where it stands. At the end: what the decoder takes, times the scaling factor.
    pub fn latents(&self) -> Result<Latents, EngineError> {
        self.numbers.latents()
    }

    /// The latest estimate of where it is going, from the last step's evaluation; none before it.
    pub fn denoised(&self) -> Result<Option<Latents>, EngineError> {
        self.numbers.denoised()
    }

    /// What it is heading for, as far as that is known: the latents at its end and before its first step,
    /// the latest estimate on the way.
    pub fn heading_for(&self) -> Result<Latents, EngineError> {
        if !self.is_finished()
            && let Some(estimate) = self.denoised()?
        {
            return Ok(estimate);
        }
        self.latents()
    }

    /// The next step. The trajectory must not be finished.
    pub(super) fn step(&self) -> &Step {
        &self.turns[self.n_done].step
    }

    /// The scale of guidance of the next step, if there is one and it is guided.
    pub(super) fn guidance(&self) -> Option<f32> {
        let next = self.turns.get(self.n_done)?;
        next.is_guided.then_some(self.guidance_scale as f32)
    }

    pub(super) fn conditioning(&self) -> &Conditioning {
        &self.conditioning
    }

    /// Adds the noise of the next step to others', if the step needs some.
    pub(super) fn add_noise(&self, noise: &mut Vec<f32>) {
        if self.step().update.is_stochastic() {
            let start = noise.len();
            let (channels, height, width) = self.shape;
            noise.resize(start + channels * height * width, 0.0);
            // Draw 0 is the noise that the trajectory started from.
            let key = self.noise_of.key(self.n_done as u32 + 1);
            fill_gaussian(key, &mut noise[start..]);
        }
    }

    pub(super) fn numbers(&self) -> &dyn Numbers {
        &*self.numbers
    }

    pub(super) fn numbers_mut(&mut self) -> &mut dyn Numbers {
        &mut *self.numbers
    }

    /// Puts a step behind it whose numbers were taken.
    pub(super) fn pass(&mut self, is_finite: bool) -> Result<(), EngineError> {
        self.n_done += 1;
        if is_finite {
            Ok(())
        } else {
            Err(EngineError::NonFinite {
                what: "latent",
                seed: self.seed(),
                step: self.n_done,
            })
        }
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
        if self.model() == model && self.shape == shape {
            return Ok(());
        }
        let name = |model: &ModelId, (_, height, width): (usize, usize, usize)| {
            format!("{model} with {height}x{width} latents")
        };
        Err(EngineError::MixedBatch {
            first: name(model, shape),
            other: name(self.model(), self.shape),
        })
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
