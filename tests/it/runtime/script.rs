//! A device that does what the prompt says and moves the clock by what that would take.
//!
//! Text takes 2 ms, once for each prompt until the device is told to forget, a step of one row 5 ms, a
//! decode 20 ms, ranking 3 ms. Prompts: `fail`, `panic`, `fail to encode`,
//! `panic while encoding`; anything else is drawn.

use std::{
    collections::HashSet,
    ops::ControlFlow,
    sync::{Arc, mpsc},
    time::Duration,
};

use goldilocks::{
    catalog::{DeviceSpec, ModelId, SamplerKind},
    planner::Plan,
    runtime::{
        Boundary, DrawError, Drawn, Executor, Job, OnBoundary, Picture, Runtime, Settings,
        WorkerSpec,
    },
    telemetry::{Clock, ManualClock, Metrics},
    units::{Flops, ImageSize, Millis},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub(crate) const MODEL: &str = "toy";

/// The device, on its thread.
pub(crate) struct Scripted {
    pub(crate) clock: Arc<ManualClock>,
    /// One message lets one step run; without it all run.
    gate: Option<mpsc::Receiver<()>>,
    begun: UnboundedSender<String>,
    /// Prompts that were encoded.
    kept: HashSet<String>,
}

/// A runtime over the device, and the test's hold on it.
pub(crate) struct Stage {
    pub(crate) runtime: Runtime,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) metrics: Arc<Metrics>,
    /// Lets a step run.
    pub(crate) steps: mpsc::Sender<()>,
    /// The prompts of the jobs that have begun.
    pub(crate) begun: UnboundedReceiver<String>,
}

impl Stage {
    /// Every step runs at once.
    pub(crate) async fn open() -> Self {
        Self::start(false).await
    }

    /// Every step waits for the test.
    pub(crate) async fn gated() -> Self {
        Self::start(true).await
    }

    async fn start(is_gated: bool) -> Self {
        let (steps, gate) = mpsc::channel();
        let (say, begun) = unbounded_channel();
        let clock = Arc::new(ManualClock::default());
        let device = Scripted {
            clock: clock.clone(),
            gate: is_gated.then_some(gate),
            begun: say,
            kept: HashSet::new(),
        };
        let metrics = Arc::new(Metrics::new([MODEL]));
        let worker = WorkerSpec {
            device: DeviceSpec::Cpu,
            models: vec![ModelId(MODEL.into())],
            load: Box::new(move |on_loaded| {
                on_loaded(&ModelId(MODEL.into()));
                Ok(Box::new(device))
            }),
        };
        let runtime =
            Runtime::start(vec![worker], settings(clock.clone(), metrics.clone())).unwrap();
        super::ready(&runtime).await;
        Self {
            runtime,
            clock,
            metrics,
            steps,
            begun,
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

/// Room for two waiting jobs.
pub(crate) fn settings(clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Settings {
    Settings {
        queue_capacity: 2,
        encode: |job, picture| match job.prompt.as_str() {
            "fail to encode" => Err("the picture has no pixels".into()),
            "panic while encoding" => panic!("the encoder was told to panic"),
            _ => Ok(picture.seed.to_string().into_bytes()),
        },
        clock,
        metrics,
    }
}

/// Rows of the batch that one picture of a plain plan fills.
pub(crate) fn rows(plan: &Plan) -> u32 {
    if plan.is_guided() { 2 } else { 1 }
}

/// Four unguided steps for each seed, predicted to take 42 ms a picture.
pub(crate) fn job(prompt: &str, seeds: &[u64]) -> Job {
    Job {
        prompt: prompt.into(),
        negative_prompt: String::new(),
        plan: Plan::plain(
            ModelId(MODEL.into()),
            SamplerKind::Ddim,
            4,
            1.0,
            "64x64".parse().unwrap(),
        ),
        seeds: seeds.to_vec(),
        format: goldilocks::units::FileFormat::default(),
        arrived: goldilocks::units::Moment::default(),
        predicted: Millis(42.0) * seeds.len() as f64,
    }
}

impl Scripted {
    /// A device that waits for nobody and tells nobody.
    pub(crate) fn alone(clock: Arc<ManualClock>) -> Self {
        Self {
            clock,
            gate: None,
            begun: unbounded_channel().0,
            kept: HashSet::new(),
        }
    }
}

impl Executor for Scripted {
    fn draw(&mut self, job: &Job, on_boundary: &mut OnBoundary<'_>) -> Result<Drawn, DrawError> {
        self.begun.send(job.prompt.clone()).ok();
        match job.prompt.as_str() {
            "fail" => return Err(DrawError::Failed("a value was not finite".into())),
            "panic" => panic!("the device was told to panic"),
            _ => {}
        }
        let mut reached = |boundary, millis: u64| {
            self.clock.advance(Duration::from_millis(millis));
            match on_boundary(boundary) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(DrawError::Stopped),
            }
        };
        let texts_encoded = u32::from(self.kept.insert(job.prompt.clone()));
        reached(Boundary::Text, 2 * u64::from(texts_encoded))?;
        for _ in &job.seeds {
            for _ in 0..job.plan.steps {
                if let Some(gate) = &self.gate {
                    gate.recv().ok();
                }
                reached(Boundary::Step, 5 * u64::from(rows(&job.plan)))?;
            }
            reached(Boundary::Decode, 20)?;
        }
        let picture = |seed: &u64| Picture {
            width: 1,
            height: 1,
            rgb: vec![0; 3],
            seed: *seed,
            steps_run: job.plan.steps,
        };
        let nfe = job.plan.steps * rows(&job.plan) * job.seeds.len() as u32;
        Ok(Drawn {
            pictures: job.seeds.iter().map(picture).collect(),
            nfe,
            flops: Flops(1e9 * f64::from(nfe)),
            texts_encoded,
            tokens_cut: 0,
        })
    }

    fn rank(&mut self, _family: &str, prompt: &str, _size: ImageSize) -> Result<(), DrawError> {
        let text = 2 * u64::from(self.kept.insert(prompt.into()));
        self.clock.advance(Duration::from_millis(text + 3));
        Ok(())
    }

    fn forget(&mut self) {
        self.kept.clear();
    }
}
