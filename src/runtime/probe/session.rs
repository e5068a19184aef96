//! How is it timed? Pictures are drawn for nobody, each piece of work on the clock.

use std::sync::{PoisonError, RwLockReadGuard};

use super::{
    Probe,
    found::{FamilyTimes, Laps, median},
};
use crate::{
    catalog::{DeviceSpec, Family, ModelCard, ModelId, SamplerKind},
    planner::{Candidates, LatencyModel, PhaseKey, Plan},
    runtime::{DrawError, Executor, Job, Picture, RowKey, agenda::NOBODY},
    units::{ImageSize, Millis, Steps},
};

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
/// About as long as the captions that people write.
const PROMPT: &str = "three red apples on a white background";

/// One device that is being timed.
pub(super) struct Session<'a> {
    pub(super) probe: &'a Probe,
    pub(super) executor: &'a mut dyn Executor,
    /// Asked before every piece of work, and told how long it takes by the table.
    pub(super) may_go_on: &'a mut dyn FnMut(Millis) -> bool,
    pub(super) scope: Scope,
}

/// What is timed, and how thoroughly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope {
    /// How often the models are gone through.
    pub(super) rounds: usize,
    /// Pieces of work that are expected to take longer are left out.
    pub(super) longest: Millis,
}

/// Why there are no times.
#[derive(Debug)]
pub(super) enum Halt {
    /// It may not go on.
    Interrupted,
    /// The device failed.
    Failed(String),
}

impl Halt {
    pub(super) fn reason(self) -> String {
        match self {
            Self::Interrupted => "timing was interrupted".to_owned(),
            Self::Failed(reason) => reason,
        }
    }

    /// Says what failed.
    fn of(self, what: impl FnOnce() -> String) -> Self {
        match self {
            Self::Interrupted => Self::Interrupted,
            Self::Failed(reason) => Self::Failed(format!("{}: {reason}", what())),
        }
    }
}

impl From<DrawError> for Halt {
    fn from(error: DrawError) -> Self {
        Self::Failed(error.0)
    }
}

/// One model at one number of rows.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) model: ModelId,
    pub(super) rows: u32,
    sampler: SamplerKind,
    /// Steps of each timing; none where the first step was measurement enough.
    steps: Option<Steps>,
}

impl Session<'_> {
    /// Times every model of a family at one size.
    pub(super) fn family(&mut self, family: &Family, size: ImageSize) -> Result<FamilyTimes, Halt> {
        let mut times = FamilyTimes::default();
        let mut targets = self.targets(family, size);
        for target in &mut targets {
            let plan = target.plan(1, size);
            let (laps, picture) = self.draw(family, target, &plan)?;
            let step: Millis = laps.steps.iter().copied().sum();
            if step > SLOW {
                times.take(target, laps);
            } else {
                let steps = SPAN.0 / step.0.max(f64::MIN_POSITIVE);
                target.steps = Some(steps.clamp(*STEPS.start(), *STEPS.end()) as Steps);
            }
            if times.encode.is_empty() {
                times.encode = self.encoder(&job(family, &plan), &picture)?;
            }
        }
        if let Some(least) = targets.first().filter(|_| self.ranks(family, size)) {
            times.rank.push(self.ranker(family, least, size)?);
        }
        for _ in 0..self.scope.rounds {
            for target in &targets {
                let Some(steps) = target.steps else { continue };
                let (laps, _) = self.draw(family, target, &target.plan(steps, size))?;
                times.take(target, laps);
            }
        }
        if family.models[0].device != DeviceSpec::Cpu {
            self.together(family, size, &targets, &mut times)?;
        }
        Ok(times)
    }

    /// Every model and number of rows within the scope: none where decoding is not.
    fn targets(&self, family: &Family, size: ImageSize) -> Vec<Target> {
        if !self.is_within(&PhaseKey::decode(&family.id, size)) {
            return Vec::new();
        }
        let mut targets: Vec<Target> = family.models.iter().flat_map(Target::of).collect();
        targets.retain(|target| self.is_within(&target.key(size, 1)));
        targets
    }

    /// Times steps of several pictures in one evaluation, as guided as a model's pictures can be.
    fn together(
        &mut self,
        family: &Family,
        size: ImageSize,
        targets: &[Target],
        times: &mut FamilyTimes,
    ) -> Result<(), Halt> {
        let widest = targets.chunk_by(|one, other| one.model == other.model);
        for target in widest.filter_map(<[Target]>::last) {
            for pictures in TOGETHER {
                let key = target.key(size, pictures);
                if !self.is_within(&key) {
                    break;
                }
                let plan = of_several(target.plan(TOGETHER_STEPS, size), pictures);
                let step = self.step_of(family, &job(family, &plan), &key, pictures);
                self.executor.end(NOBODY);
                let model = &target.model;
                let step = step.map_err(|halt| {
                    halt.of(|| format!("model {model} fails with {pictures} pictures together"))
                })?;
                times
                    .together
                    .push((model.clone(), pictures * target.rows, step));
            }
        }
        Ok(())
    }

    fn step_of(
        &mut self,
        family: &Family,
        job: &Job,
        key: &PhaseKey,
        pictures: u32,
    ) -> Result<Millis, Halt> {
        self.text(family, job)?;
        let rows: Vec<RowKey> = (0..pictures).map(candidate).collect();
        for row in &rows {
            self.executor.begin(*row, 0)?;
        }
        let mut laps = Vec::new();
        for _ in 0..TOGETHER_STEPS {
            let (took, moved) = self.time(self.by_table(key), |device| device.step(&rows))?;
            moved.into_iter().collect::<Result<Vec<_>, _>>()?;
            laps.push(took);
        }
        Ok(median(&laps[1..]).unwrap_or_default())
    }

    /// Draws one picture and lets go of it.
    fn draw(
        &mut self,
        family: &Family,
        target: &Target,
        plan: &Plan,
    ) -> Result<(Laps, Picture), Halt> {
        // A promise must hold for a prompt that is new.
        self.executor.forget(PROMPT);
        let job = job(family, plan);
        let drawn = self.draw_with(family, target, &job);
        self.executor.end(NOBODY);
        drawn.map_err(|halt| halt.of(|| format!("model {} fails its first picture", plan.model)))
    }

    fn draw_with(
        &mut self,
        family: &Family,
        target: &Target,
        job: &Job,
    ) -> Result<(Laps, Picture), Halt> {
        let (row, plan) = (candidate(0), job.binding.plan());
        let text = self.text(family, job)?;
        let step = self.by_table(&target.key(plan.size, 1));
        let mut steps = Vec::with_capacity(plan.steps as usize);
        for idx in 0..plan.steps {
            let (took, moved) = self.time(step, |device| {
                if idx == 0 {
                    device.begin(row, 0)?;
                }
                device.step(&[row])
            })?;
            moved.into_iter().collect::<Result<Vec<_>, _>>()?;
            steps.push(took);
        }
        let decode = self.by_table(&PhaseKey::decode(&family.id, plan.size));
        let (decode, decoded) = self.time(decode, |device| device.decode(row))?;
        let laps = Laps {
            text,
            steps,
            decode,
        };
        Ok((laps, decoded.picture))
    }

    /// Times the comparison of one candidate.
    fn ranker(
        &mut self,
        family: &Family,
        target: &Target,
        size: ImageSize,
    ) -> Result<Millis, Halt> {
        let ranked = self.rank_with(family, target, size);
        self.executor.end(NOBODY);
        ranked.map_err(|halt| halt.of(|| format!("family {} fails to rank", family.id)))
    }

    fn rank_with(
        &mut self,
        family: &Family,
        target: &Target,
        size: ImageSize,
    ) -> Result<Millis, Halt> {
        let plan = of_several(target.plan(1, size), RANKED);
        self.text(family, &job(family, &plan))?;
        let step = self.by_table(&target.key(size, 1));
        for row in (0..RANKED).map(candidate) {
            let (_, moved) = self.time(step, |device| {
                device.begin(row, 0)?;
                device.step(&[row])
            })?;
            moved.into_iter().collect::<Result<Vec<_>, _>>()?;
        }
        let all: Vec<u32> = (0..RANKED).collect();
        let takes = self.by_table(&PhaseKey::rank(&family.id, size)) * f64::from(RANKED);
        let (took, _) = self.time(takes, |device| device.rank(NOBODY, 0, &all))?;
        Ok(took * (1.0 / f64::from(RANKED)))
    }

    /// Whether there is a ranker to be timed, within the scope.
    fn ranks(&self, family: &Family, size: ImageSize) -> bool {
        family.ranks(size) && self.is_within(&PhaseKey::rank(&family.id, size))
    }

    fn encoder(&mut self, job: &Job, picture: &Picture) -> Result<Vec<Millis>, Halt> {
        let plan = job.binding.plan();
        let takes = self.by_table(&PhaseKey::Encode { size: plan.size });
        let encode = self.probe.encode;
        let mut times = Vec::with_capacity(FILES);
        for _ in 0..FILES {
            let file = self.time(takes, |_| encode(job, plan, picture).map_err(DrawError))?;
            times.push(file.0);
        }
        Ok(times)
    }

    fn text(&mut self, family: &Family, job: &Job) -> Result<Millis, Halt> {
        let takes = self.by_table(&PhaseKey::text(&family.id));
        let plan = job.binding.plan();
        let encoded = self.time(takes, |device| device.encode_text(NOBODY, job, plan))?;
        Ok(encoded.0)
    }

    /// Does a piece of work that takes so long by the table.
    fn time<T>(
        &mut self,
        takes: Millis,
        work: impl FnOnce(&mut dyn Executor) -> Result<T, DrawError>,
    ) -> Result<(Millis, T), Halt> {
        if !(self.may_go_on)(takes) {
            return Err(Halt::Interrupted);
        }
        let started = self.probe.clock.now();
        let done = work(self.executor)?;
        Ok((Millis::from(self.probe.clock.now().since(started)), done))
    }

    /// What the table says; zero where it says nothing yet.
    fn by_table(&self, key: &PhaseKey) -> Millis {
        self.latency().phases().time(key).unwrap_or_default()
    }

    fn is_within(&self, key: &PhaseKey) -> bool {
        self.by_table(key) * self.latency().speed_factor() <= self.scope.longest
    }

    fn latency(&self) -> RwLockReadGuard<'_, LatencyModel> {
        let latency = self.probe.latency.read();
        latency.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Target {
    /// A guided step has two rows; a distilled model has no guided step.
    fn of(model: &ModelCard) -> Vec<Self> {
        let rows: &[u32] = if model.distilled { &[1] } else { &[1, 2] };
        let of_rows = |rows: &u32| Self {
            model: model.id.clone(),
            sampler: model.samplers()[0],
            rows: *rows,
            steps: None,
        };
        rows.iter().map(of_rows).collect()
    }

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

    /// A step of so many pictures together.
    fn key(&self, size: ImageSize, pictures: u32) -> PhaseKey {
        PhaseKey::step(&self.model, size, pictures * self.rows)
    }
}

/// The same plan, of so many candidates.
fn of_several(plan: Plan, n: u32) -> Plan {
    Plan {
        candidates: Some(Candidates {
            n,
            pruned_after: None,
        }),
        ..plan
    }
}

fn job(family: &Family, plan: &Plan) -> Job {
    Job::of_plan(PROMPT, plan.clone(), family, &[0])
}

fn candidate(candidate: u32) -> RowKey {
    RowKey {
        job: NOBODY,
        picture: 0,
        candidate,
    }
}
