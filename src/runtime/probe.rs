//! How fast is this machine? Each model draws a few steps before the server is ready.
//!
//! A measured latency is wrong on every other machine, so none is shipped: every start measures, with
//! the same executor, boundaries and clock that real jobs have. Medians, since a start is a noisy time.

use std::{
    ops::ControlFlow,
    sync::{Arc, PoisonError, RwLock},
};

use super::{Boundary, EncodeImage, Executor, Job, LoadExecutor, Picture, laps::Laps};
use crate::{
    catalog::{Family, ModelCard, ModelId, SamplerKind},
    planner::{LatencyModel, PhaseTimes, Plan},
    telemetry::Clock,
    units::{ImageSize, Millis, Steps},
};

/// What the device is asked to spend on one model at one number of rows, about.
const SPAN: Millis = Millis(400.0);
/// Steps of one timing, whatever the speed.
const STEPS: std::ops::RangeInclusive<f64> = 2.0..=12.0;
/// A first step that takes longer than this is its own measurement: warm caches no longer matter.
const SLOW: Millis = Millis(1000.0);
/// Files written to time the encoder.
const FILES: usize = 5;
/// Any guidance above 1 evaluates two rows.
const GUIDED: f64 = 2.0;
/// About as long as the captions that people write.
const PROMPT: &str = "three red apples on a white background";

/// What a probe needs besides an executor.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Turns a picture into a file.
    pub encode: EncodeImage,
    /// Gets the times; what it learned from earlier requests stays.
    pub latency: Arc<RwLock<LatencyModel>>,
}

/// Returns a load that times every model of `families` at every size on offer, once it is loaded.
pub fn probing(load: LoadExecutor, families: Vec<Family>, probe: Probe) -> LoadExecutor {
    Box::new(move |on_loaded| {
        let mut executor = load(on_loaded)?;
        for family in &families {
            for size in &family.sizes {
                let times = probe.family(&mut *executor, family, *size)?;
                times.store(&probe.latency, family, *size);
            }
        }
        Ok(executor)
    })
}

/// What one family takes at one size.
struct FamilyTimes {
    text: Vec<Millis>,
    steps: Vec<(ModelId, u32, Millis)>,
    decode: Vec<Millis>,
    encode: Millis,
}

impl Probe {
    fn family(
        &self,
        executor: &mut dyn Executor,
        family: &Family,
        size: ImageSize,
    ) -> Result<FamilyTimes, String> {
        let mut times = FamilyTimes {
            text: Vec::new(),
            steps: Vec::new(),
            decode: Vec::new(),
            encode: Millis::ZERO,
        };
        let mut sample = None;
        for model in &family.models {
            for &rows in rows_of(model) {
                let (laps, picture) = self.model(executor, &model.id, rows, size)?;
                times.text.extend(laps.of(Boundary::Text));
                times.decode.extend(laps.of(Boundary::Decode));
                let step = median(laps.of(Boundary::Step).collect());
                tracing::info!(model.id = %model.id, %size, rows, step_ms = step.0, "timed");
                times.steps.push((model.id.clone(), rows, step));
                sample = Some((model.id.clone(), picture));
            }
        }
        let (model, picture) =
            sample.ok_or_else(|| format!("family {} has no model", family.id))?;
        times.encode = self.encoder(&job(&model, 1, 1, size), &picture)?;
        Ok(times)
    }

    /// Draws once to warm up and to see how long a step takes, then as often as is worth it.
    fn model(
        &self,
        executor: &mut dyn Executor,
        model: &ModelId,
        rows: u32,
        size: ImageSize,
    ) -> Result<(Laps, Picture), String> {
        let (first, picture) = self.draw(executor, &job(model, rows, 1, size))?;
        let step: Millis = first.of(Boundary::Step).sum();
        if step > SLOW {
            return Ok((first, picture));
        }
        let steps = (SPAN.0 / step.0.max(f64::MIN_POSITIVE)).clamp(*STEPS.start(), *STEPS.end());
        self.draw(executor, &job(model, rows, steps as Steps, size))
    }

    fn draw(&self, executor: &mut dyn Executor, job: &Job) -> Result<(Laps, Picture), String> {
        let mut laps = Laps::new(self.clock.now());
        let drawn = executor.draw(job, &mut |boundary| {
            laps.lap(boundary, self.clock.now());
            ControlFlow::Continue(())
        });
        let failed = |reason| format!("model {} fails its first picture: {reason}", job.plan.model);
        let drawn = drawn.map_err(|error| failed(error.to_string()))?;
        let picture = drawn.pictures.into_iter().next();
        picture
            .map(|picture| (laps, picture))
            .ok_or_else(|| failed("there is none".into()))
    }

    fn encoder(&self, job: &Job, picture: &Picture) -> Result<Millis, String> {
        let mut times = Vec::with_capacity(FILES);
        for _ in 0..FILES {
            let started = self.clock.now();
            (self.encode)(job, picture)?;
            times.push(Millis::from(self.clock.now().since(started)));
        }
        Ok(median(times))
    }
}

impl FamilyTimes {
    /// Adds the times to those of other families and sizes.
    fn store(self, latency: &RwLock<LatencyModel>, family: &Family, size: ImageSize) {
        let mut latency = latency.write().unwrap_or_else(PoisonError::into_inner);
        let mut phases: PhaseTimes = latency.phases().clone();
        phases.set_text(&family.id, median(self.text));
        for (model, rows, step) in &self.steps {
            phases.set_step(model, size, *rows, *step);
        }
        phases.set_decode(&family.id, size, median(self.decode));
        phases.set_encode(size, self.encode);
        latency.set_phases(phases);
    }
}

/// A guided step has two rows; a distilled model has no guided step.
fn rows_of(model: &ModelCard) -> &'static [u32] {
    if model.distilled { &[1] } else { &[1, 2] }
}

fn job(model: &ModelId, rows: u32, steps: Steps, size: ImageSize) -> Job {
    Job {
        prompt: PROMPT.to_owned(),
        negative_prompt: String::new(),
        plan: Plan {
            model: model.clone(),
            sampler: SamplerKind::Ddim,
            steps,
            guidance_scale: if rows == 1 { 1.0 } else { GUIDED },
            size,
        },
        seeds: vec![0],
        arrived: crate::units::Moment::default(),
        predicted: Millis::ZERO,
    }
}

/// The middle one, the later of the two middle ones where there are two; zero of none.
fn median(mut times: Vec<Millis>) -> Millis {
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_not_moved_by_one_wild_time() {
        let times = [3.0, 900.0, 2.0].map(Millis).to_vec();
        assert_eq!(median(times), Millis(3.0));
        assert_eq!(median(Vec::new()), Millis::ZERO);
    }
}
