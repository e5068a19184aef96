//! The device of the script.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use goldilocks::{
    planner::Plan,
    runtime::{Decoded, DrawError, Executor, Job, JobId, Picture, Ranked, RowKey, Stepped, Texts},
    telemetry::ManualClock,
    units::{Flops, Steps},
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::STEP;

/// The device, on its thread.
pub(crate) struct Scripted {
    pub(crate) clock: Arc<ManualClock>,
    /// Milliseconds of each row of an evaluation but the first one.
    pub(crate) further_row: f64,
    /// One message lets one evaluation run; without it all run.
    pub(super) gate: Option<mpsc::Receiver<()>>,
    pub(super) begun: UnboundedSender<String>,
    /// Prompts that were encoded.
    pub(super) kept: HashSet<String>,
    pub(super) jobs: BTreeMap<JobId, (String, Plan)>,
    pub(super) rows: BTreeMap<RowKey, Row>,
    pub(super) steps: Arc<Mutex<Vec<Vec<RowKey>>>>,
}

#[derive(Clone)]
pub(super) struct Row {
    seed: u64,
    done: Steps,
}

impl Scripted {
    /// A device that waits for nobody and tells nobody.
    pub(crate) fn alone(clock: Arc<ManualClock>) -> Self {
        Self {
            clock,
            further_row: STEP,
            gate: None,
            begun: unbounded_channel().0,
            kept: HashSet::new(),
            jobs: BTreeMap::new(),
            rows: BTreeMap::new(),
            steps: Arc::default(),
        }
    }

    fn take(&self, ms: f64) {
        self.clock.advance(Duration::from_secs_f64(ms / 1e3));
    }

    fn says(&self, row: &RowKey, prompt: &str) -> bool {
        self.jobs
            .get(&row.job)
            .is_some_and(|(its, _)| its == prompt)
    }
}

impl Executor for Scripted {
    fn encode_text(&mut self, id: JobId, job: &Job, plan: &Plan) -> Result<Texts, DrawError> {
        self.begun.send(job.prompt.clone()).ok();
        match job.prompt.as_str() {
            "fail" => return Err(DrawError("a value was not finite".into())),
            "panic" => panic!("the device was told to panic"),
            _ => {}
        }
        self.jobs.insert(id, (job.prompt.clone(), plan.clone()));
        let n_encoded = u32::from(self.kept.insert(job.prompt.clone()));
        self.take(2.0 * f64::from(n_encoded));
        Ok(Texts {
            n_encoded,
            ..Texts::default()
        })
    }

    fn begin(&mut self, row: RowKey, seed: u64) -> Result<(), DrawError> {
        assert!(
            self.rows.insert(row, Row { seed, done: 0 }).is_none(),
            "begun twice"
        );
        Ok(())
    }

    fn step(&mut self, rows: &[RowKey]) -> Result<Vec<Result<Stepped, DrawError>>, DrawError> {
        if let Some(gate) = &self.gate {
            gate.recv().ok();
        }
        self.steps.lock().unwrap().push(rows.to_vec());
        assert!(
            !rows.iter().any(|row| self.says(row, "panic in a step")),
            "told to panic"
        );
        if rows.iter().any(|row| self.says(row, "break the batch")) {
            return Err(DrawError("the evaluation failed".into()));
        }
        let nfe: Vec<u32> = rows
            .iter()
            .map(|row| super::rows(&self.jobs[&row.job].1))
            .collect();
        let n_rows: u32 = nfe.iter().sum();
        self.take(STEP + self.further_row * f64::from(n_rows - 1));
        let stepped = |(row, nfe): (&RowKey, u32)| {
            if self.says(row, "fail to step") {
                return Err(DrawError("a value was not finite".into()));
            }
            Ok(Stepped {
                nfe,
                flops: Flops(1e9 * f64::from(nfe)),
            })
        };
        let stepped = rows.iter().zip(nfe).map(stepped).collect();
        for row in rows {
            self.rows.get_mut(row).expect("a row that was begun").done += 1;
        }
        Ok(stepped)
    }

    fn rank(&mut self, _: JobId, _: usize, candidates: &[u32]) -> Result<Ranked, DrawError> {
        self.take(3.0 * candidates.len() as f64);
        Ok(Ranked {
            best: *candidates.last().unwrap(),
            flops: Flops::ZERO,
        })
    }

    fn decode(&mut self, row: RowKey) -> Result<Decoded, DrawError> {
        self.take(20.0);
        let Row { seed, done } = self.rows.remove(&row).expect("a row that was begun");
        let picture = Picture {
            width: 1,
            height: 1,
            rgb: vec![0; 3],
            seed,
            steps_run: done,
        };
        Ok(Decoded {
            picture,
            flops: Flops::ZERO,
        })
    }

    fn shorten(&mut self, row: RowKey, _: Steps) -> Result<(), DrawError> {
        assert!(self.rows.contains_key(&row), "shortened before it began");
        Ok(())
    }

    fn move_up(&mut self, _: RowKey, _: &Plan) -> Result<(), DrawError> {
        Ok(())
    }

    fn preview(&mut self, row: RowKey) -> Option<Picture> {
        let Row { seed, done } = self.rows.get(&row)?.clone();
        Some(Picture {
            width: 1,
            height: 1,
            rgb: vec![0; 3],
            seed: 1000 * seed,
            steps_run: done,
        })
    }

    fn end(&mut self, job: JobId) {
        self.jobs.remove(&job);
        self.rows.retain(|row, _| row.job != job);
    }

    fn forget(&mut self, prompt: &str) {
        self.kept.remove(prompt);
    }
}
