//! How fast is this machine? Each model draws a few steps before the server is ready.
//!
//! A measured latency is wrong on every other machine, so none is shipped: every start measures, with
//! the same executor, boundaries and clock that real jobs have. Medians, since a start is a noisy time.

use std::sync::{Arc, PoisonError, RwLock};

use super::{DrawError, EncodeImage, Executor, Job, JobId, LoadExecutor, Picture, RowKey};
use crate::{
    catalog::{DeviceSpec, Family, ModelCard, ModelId, SamplerKind},
    planner::{Candidates, LatencyModel, PhaseTimes, Plan},
    telemetry::Clock,
    units::{ImageSize, Millis, Steps},
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
/// Candidates compared with a prompt to time the ranker.
const RANKED: u32 = 5;
/// Pictures that are stepped together on an accelerator, which takes hardly longer for more of them; a
/// processor takes as many times as long, and is not asked.
const TOGETHER: [u32; 5] = [2, 4, 8, 16, 32];
/// Steps of a timing of pictures together; the first one warms up.
const TOGETHER_STEPS: Steps = 4;
/// Any guidance above 1 evaluates two rows.
const GUIDED: f64 = 2.0;
/// Nothing else runs while models are timed.
const ID: JobId = JobId(u64::MAX);
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

/// What one picture took.
struct Laps {
    text: Millis,
    steps: Vec<Millis>,
    decode: Millis,
}

/// What one family takes at one size.
#[derive(Default)]
struct FamilyTimes {
    text: Vec<Millis>,
    decode: Vec<Millis>,
    /// One entry for each model and number of rows.
    steps: Vec<Vec<Millis>>,
    /// The same of pictures together: model, rows, time.
    together: Vec<(ModelId, u32, Millis)>,
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
            let plan = target.plan(1, size);
            let (laps, picture) = self.draw(executor, family, &plan)?;
            let step: Millis = laps.steps.iter().copied().sum();
            times.steps.push(Vec::new());
            if step > SLOW {
                times.take(times.steps.len() - 1, &laps);
            } else {
                let steps = SPAN.0 / step.0.max(f64::MIN_POSITIVE);
                target.steps = Some(steps.clamp(*STEPS.start(), *STEPS.end()) as Steps);
            }
            if times.encode == Millis::ZERO {
                times.encode = self.encoder(&job(family, &plan), &plan, &picture)?;
            }
        }
        if family.ranks(size) {
            times.rank = vec![self.ranker(executor, family, &targets[0].plan(1, size))?];
        }
        for _ in 0..ROUNDS {
            for (idx, target) in targets.iter().enumerate() {
                let Some(steps) = target.steps else { continue };
                let plan = target.plan(steps, size);
                let (laps, _) = self.draw(executor, family, &plan)?;
                times.take(idx, &laps);
            }
        }
        if family.models[0].device != DeviceSpec::Cpu {
            times.together = self.together(executor, family, size)?;
        }
        Ok(times)
    }

    /// Times steps of several pictures in one evaluation, as guided as a model's pictures can be.
    fn together(
        &self,
        executor: &mut dyn Executor,
        family: &Family,
        size: ImageSize,
    ) -> Result<Vec<(ModelId, u32, Millis)>, String> {
        let mut times = Vec::new();
        let targets = targets(family);
        let widest = targets.chunk_by(|one, other| one.model == other.model);
        for target in widest.filter_map(<[Target]>::last) {
            for pictures in TOGETHER {
                let plan = Plan {
                    candidates: Some(Candidates {
                        n: pictures,
                        pruned_after: None,
                    }),
                    ..target.plan(TOGETHER_STEPS, size)
                };
                let step = self.step_of(executor, &job(family, &plan), &plan, pictures);
                executor.end(ID);
                let step = step.map_err(|reason| {
                    let model = &plan.model;
                    format!("model {model} fails with {pictures} pictures together: {reason}")
                })?;
                times.push((target.model.clone(), pictures * target.rows, step));
            }
        }
        Ok(times)
    }

    fn step_of(
        &self,
        executor: &mut dyn Executor,
        job: &Job,
        plan: &Plan,
        pictures: u32,
    ) -> Result<Millis, DrawError> {
        executor.encode_text(ID, job, plan)?;
        let rows: Vec<RowKey> = (0..pictures).map(candidate).collect();
        for row in &rows {
            executor.begin(*row, 0)?;
        }
        let mut laps = Vec::new();
        for _ in 0..plan.steps {
            let (took, moved) = self.time(|| executor.step(&rows))?;
            moved.into_iter().collect::<Result<Vec<_>, _>>()?;
            laps.push(took);
        }
        Ok(median(laps.split_off(1)))
    }

    /// Draws one picture and lets go of it.
    fn draw(
        &self,
        executor: &mut dyn Executor,
        family: &Family,
        plan: &Plan,
    ) -> Result<(Laps, Picture), String> {
        // Every draw has the same prompt, and a promise must hold for one that is new.
        executor.forget();
        let drawn = self.draw_with(executor, &job(family, plan), plan);
        executor.end(ID);
        drawn.map_err(|reason| format!("model {} fails its first picture: {reason}", plan.model))
    }

    fn draw_with(
        &self,
        executor: &mut dyn Executor,
        job: &Job,
        plan: &Plan,
    ) -> Result<(Laps, Picture), DrawError> {
        let row = candidate(0);
        let (text, _) = self.time(|| executor.encode_text(ID, job, plan))?;
        let mut steps = Vec::with_capacity(plan.steps as usize);
        for step in 0..plan.steps {
            let (took, moved) = self.time(|| {
                if step == 0 {
                    executor.begin(row, 0)?;
                }
                executor.step(&[row])
            })?;
            moved.into_iter().collect::<Result<Vec<_>, _>>()?;
            steps.push(took);
        }
        let (decode, decoded) = self.time(|| executor.decode(row))?;
        let laps = Laps {
            text,
            steps,
            decode,
        };
        Ok((laps, decoded.picture))
    }

    /// Times the comparison of one candidate.
    fn ranker(
        &self,
        executor: &mut dyn Executor,
        family: &Family,
        plan: &Plan,
    ) -> Result<Millis, String> {
        let plan = Plan {
            candidates: Some(Candidates {
                n: RANKED,
                pruned_after: None,
            }),
            ..plan.clone()
        };
        let ranked = self.rank_with(executor, &job(family, &plan), &plan);
        executor.end(ID);
        ranked.map_err(|reason| format!("family {} fails to rank: {reason}", family.id))
    }

    fn rank_with(
        &self,
        executor: &mut dyn Executor,
        job: &Job,
        plan: &Plan,
    ) -> Result<Millis, DrawError> {
        executor.encode_text(ID, job, plan)?;
        for place in 0..RANKED {
            executor.begin(candidate(place), 0)?;
            let moved = executor.step(&[candidate(place)])?;
            moved.into_iter().collect::<Result<Vec<_>, _>>()?;
        }
        let all: Vec<u32> = (0..RANKED).collect();
        let (took, _) = self.time(|| executor.rank(ID, 0, &all))?;
        Ok(took * (1.0 / f64::from(RANKED)))
    }

    fn encoder(&self, job: &Job, plan: &Plan, picture: &Picture) -> Result<Millis, String> {
        let mut times = Vec::with_capacity(FILES);
        for _ in 0..FILES {
            let started = self.clock.now();
            (self.encode)(job, plan, picture)?;
            times.push(Millis::from(self.clock.now().since(started)));
        }
        Ok(median(times))
    }

    fn time<T>(
        &self,
        work: impl FnOnce() -> Result<T, DrawError>,
    ) -> Result<(Millis, T), DrawError> {
        let started = self.clock.now();
        let done = work()?;
        Ok((Millis::from(self.clock.now().since(started)), done))
    }
}

impl FamilyTimes {
    /// Adds what one draw of a target took.
    fn take(&mut self, target_idx: usize, laps: &Laps) {
        self.text.push(laps.text);
        self.decode.push(laps.decode);
        self.steps[target_idx].extend(&laps.steps);
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
        for (model, rows, step) in &self.together {
            tracing::info!(model.id = %model, %size, rows, step_ms = step.0, "timed");
            phases.set_step(model, size, *rows, *step);
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

impl Target {
    fn plan(&self, steps: Steps, size: ImageSize) -> Plan {
        let guidance_scale = if self.rows == 1 { 1.0 } else { GUIDED };
        Plan::plain(
            self.model.clone(),
            self.sampler,
            steps,
            guidance_scale,
            size,
        )
    }
}

fn job(family: &Family, plan: &Plan) -> Job {
    Job::of_plan(PROMPT, plan.clone(), family, &[0])
}

fn candidate(candidate: u32) -> RowKey {
    RowKey {
        job: ID,
        picture: 0,
        candidate,
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
