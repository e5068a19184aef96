//! A device that does what the prompt says and moves the clock by what that would take.
//!
//! Text takes 2 ms, once for each prompt until the device is told to forget, a step 5 ms for its first row
//! and [`Scripted::further_row`] for each further one, a decode 20 ms, ranking 3 ms a candidate. Prompts: `fail`,
//! `panic`, `fail to step`, `break the batch`, `panic in a step`, `fail to encode`, `panic while encoding`; anything
//! else is drawn.

use std::{
    path::Path,
    sync::{Arc, Mutex, RwLock, mpsc},
};

use goldilocks::{
    catalog::{self, DeviceSpec, Family, ModelId, SamplerKind},
    planner::{
        Decision, Estimate, LatencyModel, PhaseTimes, Plan, Rush, StepTime, Timetable, Workload,
    },
    runtime::{Binder, Binding, Job, OnLate, RowKey, Rules, Runtime, Settings, WorkerSpec},
    telemetry::{Clock, ManualClock, Metrics},
    units::{FileFormat, ImageSize, Millis, Moment, Steps},
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

mod device;

pub(crate) use device::Scripted;

pub(crate) const MODEL: &str = "toy";
const SIZE: ImageSize = ImageSize {
    width: 64,
    height: 64,
};
const STEP: f64 = 5.0;

/// A runtime over the device, and the test's hold on it.
pub(crate) struct Stage {
    pub(crate) runtime: Runtime,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) latency: Arc<RwLock<LatencyModel>>,
    /// Lets an evaluation run; none once all may.
    steps: Option<mpsc::Sender<()>>,
    /// The prompts of the jobs that have begun.
    pub(crate) begun: UnboundedReceiver<String>,
    /// The rows of every evaluation so far.
    pub(crate) ran: Arc<Mutex<Vec<Vec<RowKey>>>>,
}

/// How a stage is set.
#[derive(Clone, Copy)]
pub(crate) struct Set {
    pub(crate) is_gated: bool,
    pub(crate) further_row: f64,
    pub(crate) rules: Rules,
    /// Whether the device may be timed again.
    pub(crate) is_doubtful: bool,
}

impl Default for Set {
    fn default() -> Self {
        Self {
            is_gated: false,
            further_row: STEP,
            rules: Rules {
                most_jobs: 3,
                ..Rules::default()
            },
            is_doubtful: false,
        }
    }
}

impl Stage {
    /// Every step runs at once.
    pub(crate) async fn open() -> Self {
        Self::set(Set::default()).await
    }

    /// Every step waits for the test.
    pub(crate) async fn gated() -> Self {
        Self::set(Set {
            is_gated: true,
            ..Set::default()
        })
        .await
    }

    pub(crate) async fn set(set: Set) -> Self {
        let (steps, gate) = mpsc::channel();
        let (say, begun) = unbounded_channel();
        let clock = Arc::new(ManualClock::default());
        let ran = Arc::default();
        let device = Scripted {
            gate: set.is_gated.then_some(gate),
            begun: say,
            further_row: set.further_row,
            steps: Arc::clone(&ran),
            ..Scripted::alone(clock.clone())
        };
        let metrics = Arc::new(Metrics::new([MODEL]));
        let worker = WorkerSpec {
            device: DeviceSpec::Cpu,
            models: vec![ModelId(MODEL.into())],
            families: set.is_doubtful.then(family).into_iter().collect(),
            load: Box::new(move |on_loaded| {
                on_loaded(&ModelId(MODEL.into()));
                Ok(Box::new(device))
            }),
        };
        let latency = Arc::new(RwLock::new(latency(set.further_row)));
        let settings = Settings {
            rules: set.rules,
            latency: latency.clone(),
            ..settings(clock.clone(), metrics.clone())
        };
        let runtime = Runtime::start(vec![worker], settings).unwrap();
        super::ready(&runtime).await;
        Self {
            runtime,
            clock,
            metrics,
            latency,
            steps: Some(steps),
            begun,
            ran,
        }
    }

    /// The time, in milliseconds.
    pub(crate) fn clock_ms(&self) -> f64 {
        self.now().0.as_secs_f64() * 1e3
    }

    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Waits until so many evaluations have run.
    pub(crate) async fn until_ran(&self, n: usize) {
        while self.ran.lock().unwrap().len() < n {
            tokio::task::yield_now().await;
        }
        // The device's clock moves after that.
        let after = 2.0 + STEP * n as f64;
        self.until(after).await;
    }

    /// Waits until the device's clock shows so many milliseconds.
    pub(crate) async fn until(&self, ms: f64) {
        while self.clock_ms() < ms {
            tokio::task::yield_now().await;
        }
    }

    /// Lets one evaluation run.
    pub(crate) fn let_step(&self) {
        self.steps.as_ref().unwrap().send(()).unwrap();
    }

    /// Lets all evaluations run.
    pub(crate) fn release(&mut self) {
        self.steps = None;
    }

    /// Waits until a line is in the metrics.
    pub(crate) async fn until_shown(&self, line: &str) {
        while !self.metrics.text().lines().any(|shown| shown == line) {
            tokio::task::yield_now().await;
        }
    }

    /// Asserts that a line is in the metrics.
    pub(crate) fn shows(&self, line: &str) {
        let text = self.metrics.text();
        assert!(
            text.lines().any(|shown| shown == line),
            "{line} is not in\n{text}"
        );
    }
}

/// A family to be timed: the device takes as long for any.
pub(crate) fn family() -> Family {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sd1");
    catalog::family_from_folder(&golden, DeviceSpec::Cpu).unwrap()
}

/// What the device takes, known exactly.
pub(crate) fn latency(further_row: f64) -> LatencyModel {
    let mut phases = PhaseTimes::default();
    for rows in 1..=8 {
        let ms = STEP + further_row * f64::from(rows - 1);
        phases.set_step(&ModelId(MODEL.into()), SIZE, rows, Millis(ms));
    }
    LatencyModel::new(phases)
}

/// Room for two waiting jobs beside the one that runs.
pub(crate) fn settings(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Settings {
    Settings {
        rules: Set::default().rules,
        encode: |job, _, picture| match job.prompt.as_str() {
            "fail to encode" => Err("the picture has no pixels".into()),
            "panic while encoding" => panic!("the encoder was told to panic"),
            _ => Ok(picture.seed.to_string().into_bytes()),
        },
        latency: Arc::new(RwLock::new(latency(STEP))),
        clock,
        metrics,
    }
}

/// Rows of the batch that one picture of a plain plan fills.
pub(crate) fn rows(plan: &Plan) -> u32 {
    if plan.is_guided() { 2 } else { 1 }
}

pub(crate) fn plan(steps: Steps) -> Plan {
    Plan::plain(ModelId(MODEL.into()), SamplerKind::Ddim, steps, 1.0, SIZE)
}

/// A plan with what it takes on the device: 42 ms a picture at four unguided steps.
pub(crate) fn binding(plan: Plan) -> Binding {
    let step = StepTime {
        model: 0,
        rows: rows(&plan),
        ms: Millis(STEP * f64::from(rows(&plan))),
    };
    Binding {
        timetable: Timetable {
            text: Millis(2.0),
            steps: vec![step; plan.steps as usize],
            shared: plan.steps,
            n_candidates: 1,
            rank: Millis::ZERO,
            decode: Millis(20.0),
            encode: Millis::ZERO,
        },
        decision: Decision {
            estimate: Estimate {
                latency_ms: None,
                tflops: 0.0,
                tflops_per_image: 0.0,
                nfe: plan.steps,
                score: None,
            },
            plan,
            phases: None,
            workload: Workload::default(),
            warnings: Vec::new(),
        },
    }
}

/// Four unguided steps for each seed, and nothing else.
pub(crate) fn job(prompt: &str, seeds: &[u64]) -> Job {
    let binding = binding(plan(4));
    Job {
        prompt: prompt.into(),
        negative_prompt: String::new(),
        seeds: seeds.to_vec(),
        format: FileFormat::default(),
        models: [ModelId(MODEL.into())].into_iter().collect(),
        arrived: Moment::default(),
        limit: None,
        on_late: OnLate::Degrade,
        floor: binding.clone(),
        binder: Arc::new(binding.clone()),
        binding,
        wants_events: false,
        partial_images: 0,
    }
}

/// Plans of one to so many steps: as many as fit are best.
#[derive(Debug)]
pub(crate) struct UpTo {
    pub(crate) steps: Steps,
    pub(crate) n_images: u32,
    /// Whether a picture may take fewer than it was begun with.
    pub(crate) may_rush: bool,
}

impl Binder for UpTo {
    fn within(&self, _: &LatencyModel, most: Millis, _: Millis) -> Option<Binding> {
        let fits = |steps: &Steps| binding(plan(*steps)).timetable.device(self.n_images) <= most;
        let steps = (1..=self.steps).rev().find(fits)?;
        Some(binding(plan(steps)))
    }

    fn may_rush(&self, _: &Plan, _: Rush) -> bool {
        self.may_rush
    }
}

/// A job with a deadline that would like ten steps and may end on one.
pub(crate) fn flexible(prompt: &str, limit: f64, on_late: OnLate) -> Job {
    let binder = UpTo {
        steps: 10,
        n_images: 1,
        may_rush: true,
    };
    Job {
        limit: Some(Millis(limit)),
        on_late,
        binding: binding(plan(10)),
        floor: binding(plan(1)),
        binder: Arc::new(binder),
        ..job(prompt, &[1])
    }
}
