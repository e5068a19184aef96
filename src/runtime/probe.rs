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
    units::{FileFormat, ImageSize, Millis, Moment, Steps},
};

/// How often the models are gone through. Other work on the machine comes in bursts, which then spoil
/// one round and not the median.
const ROUNDS: usize = 3;
/// What the device is asked to spend on one model, one number of rows and one round, about.
const SPAN: Millis = Millis(120.0);
/// Steps of one timing, whatever the speed.
const STEPS: std::ops::RangeInclusive<f64> = 2.0..=8.0;
/// A first step that takes longer than this is its own measurement: warm caches no longer matter.
const SLOW: Millis = Millis(1000.0);
/// Files written to time the encoder.
const FILES: usize = 5;
/// Latents compared with a prompt to time the ranker.
const RANKED: usize = 5;
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
        let mut found = PhaseTimes::default();
        for family in &families {
            for size in &family.sizes {
                let times = probe.family(&mut *executor, family, *size)?;
                times.store(&mut found, family, *size);
            }
        }
        let latency = probe.latency.write();
        latency
            .unwrap_or_else(PoisonError::into_inner)
            .probed(found);
        Ok(executor)
    })
}

/// What one family takes at one size.
#[derive(Default)]
struct FamilyTimes {
    text: Vec<Millis>,
    decode: Vec<Millis>,
    /// One entry for each model and number of rows.
    steps: Vec<Vec<Millis>>,
    encode: Millis,
    /// Nothing where the family ranks no pictures of this size.
    rank: Vec<Millis>,
}

/// One model at one number of rows.
struct Target {
    model: ModelId,
    sampler: SamplerKind,
    rows: u32,
    /// Steps of each timing; none where the first step was measurement enough.
    steps: Option<Steps>,
}

impl Probe {
    fn family(
        &self,
        executor: &mut dyn Executor,
        family: &Family,
        size: ImageSize,
    ) -> Result<FamilyTimes, String> {
        let mut times = FamilyTimes::default();
        let mut targets = targets(family);
        for target in &mut targets {
            let first = job(target, 1, size);
            let (laps, picture) = self.draw(executor, &first)?;
            let step: Millis = laps.of(Boundary::Step).sum();
            times.steps.push(Vec::new());
            if step > SLOW {
                times.take(times.steps.len() - 1, &laps);
            } else {
                let steps = SPAN.0 / step.0.max(f64::MIN_POSITIVE);
                target.steps = Some(steps.clamp(*STEPS.start(), *STEPS.end()) as Steps);
            }
            if times.encode == Millis::ZERO {
                times.encode = self.encoder(&first, &picture)?;
            }
        }
        if family.ranks(size) {
            times.rank = self.ranker(executor, family, size)?;
        }
        for _ in 0..ROUNDS {
            for (idx, target) in targets.iter().enumerate() {
                let Some(steps) = target.steps else { continue };
                let job = job(target, steps, size);
                let (laps, _) = self.draw(executor, &job)?;
                times.take(idx, &laps);
            }
        }
        Ok(times)
    }

    fn draw(&self, executor: &mut dyn Executor, job: &Job) -> Result<(Laps, Picture), String> {
        // Every draw has the same prompt, and a promise must hold for one that is new.
        executor.forget();
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

    fn ranker(
        &self,
        executor: &mut dyn Executor,
        family: &Family,
        size: ImageSize,
    ) -> Result<Vec<Millis>, String> {
        let mut times = Vec::with_capacity(RANKED);
        // The first one encodes the prompt, which is a time of its own.
        for round in 0..=RANKED {
            let started = self.clock.now();
            let ranked = executor.rank(&family.id, PROMPT, size);
            ranked.map_err(|reason| format!("family {} fails to rank: {reason}", family.id))?;
            if round > 0 {
                times.push(Millis::from(self.clock.now().since(started)));
            }
        }
        Ok(times)
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
    /// Adds what one draw of a target took.
    fn take(&mut self, target_idx: usize, laps: &Laps) {
        self.text.extend(laps.of(Boundary::Text));
        self.decode.extend(laps.of(Boundary::Decode));
        self.steps[target_idx].extend(laps.of(Boundary::Step));
    }

    /// Adds the medians to the times of other families and sizes.
    fn store(self, phases: &mut PhaseTimes, family: &Family, size: ImageSize) {
        phases.set_text(&family.id, median(self.text));
        for (target, steps) in targets(family).iter().zip(self.steps) {
            let step = median(steps);
            let (model, rows) = (&target.model, target.rows);
            tracing::info!(model.id = %model, %size, rows, step_ms = step.0, "timed");
            phases.set_step(model, size, rows, step);
        }
        phases.set_decode(&family.id, size, median(self.decode));
        phases.set_encode(size, self.encode);
        if !self.rank.is_empty() {
            phases.set_rank(&family.id, size, median(self.rank));
        }
    }
}

/// A guided step has two rows; a distilled model has no guided step.
fn targets(family: &Family) -> Vec<Target> {
    let of_model = |model: &ModelCard| {
        let rows: &[u32] = if model.distilled { &[1] } else { &[1, 2] };
        let (id, sampler) = (model.id.clone(), model.samplers()[0]);
        rows.iter().map(move |rows| Target {
            model: id.clone(),
            sampler,
            rows: *rows,
            steps: None,
        })
    };
    family.models.iter().flat_map(of_model).collect()
}

fn job(target: &Target, steps: Steps, size: ImageSize) -> Job {
    Job {
        prompt: PROMPT.to_owned(),
        negative_prompt: String::new(),
        plan: Plan::plain(
            target.model.clone(),
            target.sampler,
            steps,
            if target.rows == 1 { 1.0 } else { GUIDED },
            size,
        ),
        seeds: vec![0],
        format: FileFormat::default(),
        arrived: Moment::default(),
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
