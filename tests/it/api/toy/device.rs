//! Moves the clock by what the work would take. The prompt can ask for a fault.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use goldilocks::{
    planner::Plan,
    runtime::{Decoded, DrawError, Executor, Job, JobId, Picture, Ranked, RowKey, Stepped, Texts},
    telemetry::ManualClock,
    units::{Flops, Millis, Steps},
};

use super::{DECODE, DECODE_TFLOPS, Gate, MODELS, SIZE, TEXT, TEXT_TFLOPS};

pub(super) struct Device {
    clock: Arc<ManualClock>,
    gate: Option<Mutex<Gate>>,
    jobs: BTreeMap<JobId, Plan>,
    /// Seeds, and the steps behind them.
    rows: BTreeMap<RowKey, (u64, Steps)>,
    /// Prompts that need no encoding again.
    kept: BTreeSet<String>,
}

impl Device {
    pub(super) fn new(clock: Arc<ManualClock>, gate: Option<Gate>) -> Self {
        Self {
            clock,
            gate: gate.map(Mutex::new),
            jobs: BTreeMap::new(),
            rows: BTreeMap::new(),
            kept: BTreeSet::new(),
        }
    }

    fn takes(&self, took: Millis) {
        self.clock.advance(Duration::from_secs_f64(took.0 / 1e3));
    }

    fn wait(&self) {
        if let Some(gate) = &self.gate {
            gate.lock().unwrap().steps.recv().ok();
        }
    }

    fn say(&self, word: &'static str) {
        if let Some(gate) = &self.gate {
            gate.lock().unwrap().said.send(word).ok();
        }
    }
}

impl Executor for Device {
    fn encode_text(&mut self, id: JobId, job: &Job, plan: &Plan) -> Result<Texts, DrawError> {
        match job.prompt.as_str() {
            "break the engine" => return Err(DrawError("a tensor was not finite".into())),
            "break the worker" => panic!("the toy device was told to panic"),
            _ => {}
        }
        self.jobs.insert(id, plan.clone());
        let n_encoded = u32::from(self.kept.insert(job.prompt.clone()));
        self.takes(TEXT * f64::from(n_encoded));
        Ok(Texts {
            n_encoded,
            // A token for each letter, which is not how CLIP counts.
            tokens_cut: job.prompt.chars().count().saturating_sub(100),
            flops: Flops::from_tflops(TEXT_TFLOPS),
        })
    }

    fn begin(&mut self, row: RowKey, seed: u64) -> Result<(), DrawError> {
        self.rows.insert(row, (seed, 0));
        Ok(())
    }

    fn step(&mut self, rows: &[RowKey]) -> Result<Vec<Result<Stepped, DrawError>>, DrawError> {
        if rows
            .iter()
            .any(|row| row.picture == 0 && self.rows[row].1 == 0)
        {
            self.say("begun");
        }
        self.wait();
        let stepped = rows.iter().map(|row| {
            let plan = &self.jobs[&row.job];
            let known = MODELS.into_iter().find(|(id, ..)| *id == plan.model.0);
            let (_, step, evaluation) = known.unwrap();
            let nfe = if plan.is_guided() { 2 } else { 1 };
            self.takes(step * f64::from(nfe));
            Ok(Stepped {
                nfe,
                flops: Flops::from_tflops(evaluation * f64::from(nfe)),
            })
        });
        let stepped = stepped.collect();
        for row in rows {
            self.rows.get_mut(row).unwrap().1 += 1;
        }
        Ok(stepped)
    }

    fn rank(&mut self, _: JobId, _: usize, candidates: &[u32]) -> Result<Ranked, DrawError> {
        Ok(Ranked {
            best: candidates[0],
            flops: Flops::ZERO,
        })
    }

    fn decode(&mut self, row: RowKey) -> Result<Decoded, DrawError> {
        self.takes(DECODE);
        let (seed, steps_run) = self.rows.remove(&row).unwrap();
        let picture = Picture {
            width: SIZE.width,
            height: SIZE.height,
            rgb: Vec::new(),
            seed,
            steps_run,
        };
        Ok(Decoded {
            picture,
            flops: Flops::from_tflops(DECODE_TFLOPS),
        })
    }

    fn shorten(&mut self, _: RowKey, _: Steps) -> Result<(), DrawError> {
        Ok(())
    }

    fn move_up(&mut self, _: RowKey, _: &Plan) -> Result<(), DrawError> {
        Ok(())
    }

    fn preview(&mut self, row: RowKey) -> Option<Picture> {
        let (seed, steps_run) = *self.rows.get(&row)?;
        Some(Picture {
            width: SIZE.width,
            height: SIZE.height,
            rgb: Vec::new(),
            seed,
            steps_run,
        })
    }

    fn end(&mut self, job: JobId) {
        if self.jobs.remove(&job).is_some() {
            let is_done = !self.rows.keys().any(|row| row.job == job);
            self.rows.retain(|row, _| row.job != job);
            self.say(if is_done { "done" } else { "stopped" });
        }
    }
}
