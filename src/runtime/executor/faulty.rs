//! What if evaluations fail? An executor that fails on purpose, to try everything around it.
//!
//! Steps fail in turn as a whole, in one trajectory, and by a panic.

use std::num::NonZeroU64;

use super::{Decoded, DrawError, Executor, LoadExecutor, Picture, Ranked, RowKey, Stepped, Texts};
use crate::{
    planner::Plan,
    runtime::{Job, JobId},
    units::{Memory, Steps},
};

/// Has an executor fail at every so-many-th step, once it is loaded.
pub fn failing(load: LoadExecutor, every: NonZeroU64) -> LoadExecutor {
    Box::new(move |on_loaded| {
        let sound = load(on_loaded)?;
        Ok(Box::new(Faulty {
            sound,
            every,
            n_steps: 0,
        }))
    })
}

struct Faulty {
    sound: Box<dyn Executor>,
    every: NonZeroU64,
    n_steps: u64,
}

impl Executor for Faulty {
    fn step(&mut self, rows: &[RowKey]) -> Result<Vec<Result<Stepped, DrawError>>, DrawError> {
        self.n_steps += 1;
        let on_purpose = || DrawError("this step failed on purpose".to_owned());
        if !self.n_steps.is_multiple_of(self.every.get()) {
            return self.sound.step(rows);
        }
        match (self.n_steps / self.every) % 3 {
            0 => panic!("this step panicked on purpose"),
            1 => Err(on_purpose()),
            _ => {
                let mut moved = self.sound.step(rows)?;
                if let Some(last) = moved.last_mut() {
                    *last = Err(on_purpose());
                }
                Ok(moved)
            }
        }
    }

    fn encode_text(&mut self, id: JobId, job: &Job, plan: &Plan) -> Result<Texts, DrawError> {
        self.sound.encode_text(id, job, plan)
    }

    fn begin(&mut self, row: RowKey, seed: u64) -> Result<(), DrawError> {
        self.sound.begin(row, seed)
    }

    fn rank(
        &mut self,
        job: JobId,
        picture: usize,
        candidates: &[u32],
    ) -> Result<Ranked, DrawError> {
        self.sound.rank(job, picture, candidates)
    }

    fn decode(&mut self, row: RowKey) -> Result<Decoded, DrawError> {
        self.sound.decode(row)
    }

    fn shorten(&mut self, row: RowKey, left: Steps) -> Result<(), DrawError> {
        self.sound.shorten(row, left)
    }

    fn move_up(&mut self, row: RowKey, plan: &Plan) -> Result<(), DrawError> {
        self.sound.move_up(row, plan)
    }

    fn preview(&mut self, row: RowKey) -> Option<Picture> {
        self.sound.preview(row)
    }

    fn end(&mut self, job: JobId) {
        self.sound.end(job);
    }

    fn forget(&mut self, prompt: &str) {
        self.sound.forget(prompt);
    }

    fn memory(&self) -> Memory {
        self.sound.memory()
    }
}
