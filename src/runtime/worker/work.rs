//! How is a piece of work done? The device draws, and the books and whoever listens are told.

use std::sync::Arc;

use super::bench::{Bench, Fault};
use crate::{
    runtime::{
        agenda::{Advance, Work},
        encoder::{Chore, Showing},
        executor::{Decoded, DrawError, Picture, RowKey, Stepped},
        job::{Event, JobId},
        lane::Desk,
    },
    units::{Flops, Nfe},
};

impl Bench<'_> {
    pub(super) fn work(&mut self, work: Work) {
        match work {
            Work::Text(id) => self.text(id),
            Work::Step {
                rows,
                model,
                n_rows,
            } => self.step(&rows, model, n_rows),
            Work::Rank {
                job,
                picture,
                candidates,
            } => self.rank(job, picture, &candidates),
            Work::Decode(row) => self.decode(row),
        }
    }

    fn text(&mut self, id: JobId) {
        let desk = self.worker.lane().desk();
        let found = desk.agenda.job(id).cloned().zip(desk.agenda.binding(id));
        let Some((job, plan)) = found.map(|(job, binding)| (job, binding.plan().clone())) else {
            return;
        };
        drop(desk);
        match self.attempt(|executor| executor.encode_text(id, &job, &plan)) {
            Ok(texts) => {
                let took = self.lap(texts.flops);
                self.worker.lane().desk().agenda.text_done(id, took, texts);
            }
            Err(fault) => self.fail(id, fault),
        }
    }

    fn step(&mut self, rows: &[RowKey], model: usize, n_rows: u32) {
        let moved = match self.attempt(|executor| executor.step(rows)) {
            Ok(moved) => moved,
            // Nobody moved: whose fault it was shows when each goes by itself.
            Err(Fault::Failed(_)) if rows.len() > 1 => {
                return self.step_one_by_one(rows, model);
            }
            Err(Fault::Failed(error)) => vec![Err(error)],
            // How far each of them came is not known.
            Err(Fault::Panicked) => {
                for row in rows {
                    self.fail(row.job, Fault::Panicked);
                }
                return;
            }
        };
        self.moved(rows, moved, (model, n_rows));
    }

    fn step_one_by_one(&mut self, rows: &[RowKey], model: usize) {
        for row in rows {
            match self.attempt(|executor| executor.step(&[*row])) {
                Ok(moved) => {
                    let n_rows = moved.iter().flatten().map(|stepped| stepped.nfe).sum();
                    self.moved(&[*row], moved, (model, n_rows));
                }
                Err(fault) => self.fail(row.job, fault),
            }
        }
    }

    fn moved(
        &mut self,
        rows: &[RowKey],
        moved: Vec<Result<Stepped, DrawError>>,
        (model, n_rows): (usize, u32),
    ) {
        let flops: Flops = moved.iter().flatten().map(|stepped| stepped.flops).sum();
        let nfe: Nfe = moved.iter().flatten().map(|stepped| stepped.nfe).sum();
        let took = self.lap(flops);
        let mut good = Vec::with_capacity(rows.len());
        for (row, moved) in rows.iter().zip(moved) {
            match moved {
                Ok(stepped) => good.push((*row, stepped)),
                Err(error) => self.fail(row.job, Fault::Failed(error)),
            }
        }
        let mut desk = self.worker.lane().desk();
        let job = rows.first().and_then(|row| desk.agenda.job(row.job));
        let name = job.map(|job| job.models[model].clone());
        let advances = desk.agenda.stepped((model, n_rows), took, &good);
        tell_steps(&desk, &advances);
        drop(desk);
        if let Some(name) = name {
            let metrics = &self.worker.shared.settings.metrics;
            metrics.stepped(&name.0, took, good.len(), nfe);
        }
        for advance in advances {
            if let Some(number) = advance.partial {
                self.show(advance.row, number);
            }
        }
    }

    fn show(&mut self, row: RowKey, number: u32) {
        let preview = self.attempt(|executor| Ok(executor.preview(row)));
        if let Ok(Some(picture)) = preview
            && let Some(showing) = self.showing(row, picture)
        {
            self.send(Chore::Partial(showing, number));
        }
    }

    fn rank(&mut self, job: JobId, picture: usize, candidates: &[u32]) {
        match self.attempt(|executor| executor.rank(job, picture, candidates)) {
            Ok(ranked) => {
                let took = self.lap(ranked.flops);
                let n = candidates.len() as u32;
                let mut desk = self.worker.lane().desk();
                desk.agenda.ranked((job, picture), n, took, ranked);
            }
            Err(fault) => self.fail(job, fault),
        }
    }

    fn decode(&mut self, row: RowKey) {
        let decoded = self.attempt(|executor| executor.decode(row));
        let Decoded { picture, flops } = match decoded {
            Ok(decoded) => decoded,
            Err(fault) => return self.fail(row.job, fault),
        };
        let took = self.lap(flops);
        let showing = self.showing(row, picture);
        let run = self.worker.lane().desk().agenda.decoded(row, took, flops);
        if let Some((showing, run)) = showing.zip(run) {
            self.send(Chore::Picture(showing, run));
        }
        self.finish(row.job);
    }

    /// Hands a job on whose last picture is decoded.
    fn finish(&mut self, id: JobId) {
        let now = self.worker.now();
        let mut desk = self.worker.lane().desk();
        let Some(finished) = desk.agenda.finish(id, now) else {
            return;
        };
        let reply = desk.replies.remove(&id);
        desk.doubts.learned(now);
        drop(desk);
        self.executor.end(id);
        self.worker.shared.tell_backlog();
        if let Some(reply) = reply {
            self.send(Chore::Answer(Box::new(finished), reply));
        }
    }

    fn showing(&self, row: RowKey, picture: Picture) -> Option<Showing> {
        let desk = self.worker.lane().desk();
        let reply = desk.replies.get(&row.job)?;
        Some(Showing {
            job: desk.agenda.job(row.job)?.clone(),
            plan: desk.agenda.binding(row.job)?.plan().clone(),
            place: row.picture,
            picture,
            files: Arc::clone(&reply.files),
            events: reply.events.clone(),
        })
    }
}

fn tell_steps(desk: &Desk, advances: &[Advance]) {
    for advance in advances {
        let id = advance.row.job;
        if desk.agenda.job(id).is_some_and(|job| job.wants_events) {
            let step = Event::Step {
                picture: advance.row.picture,
                done: advance.done,
                total: advance.total,
            };
            desk.tell(id, step);
        }
    }
}
