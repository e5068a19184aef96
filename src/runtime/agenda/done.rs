//! What becomes of the books when a piece of work is done, and when a job is?

use super::{
    Agenda, Busy, Finished, NOBODY, Run,
    picture::{Picture, Stage},
};
use crate::{
    planner::StepLap,
    runtime::{
        executor::{Ranked, RowKey, Stepped, Texts},
        job::JobId,
    },
    units::{Flops, Millis, Moment, Nfe, Steps},
};

/// How far a picture is after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Advance {
    pub(crate) row: RowKey,
    pub(crate) done: Steps,
    pub(crate) total: Steps,
    /// The number under which it is to be shown now.
    pub(crate) partial: Option<u32>,
}

impl Agenda {
    // === what was done ===

    pub(crate) fn text_done(&mut self, id: JobId, took: Millis, texts: Texts) {
        self.busy = None;
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.has_text();
        let tally = &mut entry.tally;
        tally.phases.text = took;
        tally.texts_encoded = texts.n_encoded;
        tally.tokens_cut = texts.tokens_cut;
        tally.flops = tally.flops + texts.flops;
    }

    /// Rows took a step together; those that failed are not among them. Returns how far their pictures are.
    pub(crate) fn stepped(
        &mut self,
        (model, n_rows): (usize, Nfe),
        took: Millis,
        rows: &[(RowKey, Stepped)],
    ) -> Vec<Advance> {
        self.busy = None;
        let mut advances = Vec::new();
        let mut told: Option<JobId> = None;
        for (row, stepped) in rows {
            let Some(entry) = self.entries.get_mut(&row.job) else {
                continue;
            };
            let partials = entry.job.partial_images;
            if let Some(picture) = entry.picture_mut(row.picture) {
                picture.stepped(row.candidate);
                advances.extend(picture.only_row().map(|its| Advance {
                    row: *row,
                    done: its.done as Steps,
                    total: its.steps.len() as Steps,
                    partial: None,
                }));
                if let Some(advance) = advances.last_mut().filter(|advance| advance.row == *row) {
                    advance.partial = picture.next_partial(partials);
                }
            }
            let tally = &mut entry.tally;
            tally.nfe += stepped.nfe;
            tally.flops = tally.flops + stepped.flops;
            // Rows of one job follow one another, and one evaluation is one time.
            if told != Some(row.job) {
                told = Some(row.job);
                tally.phases.denoise = tally.phases.denoise + took;
                tally.steps.push(StepLap {
                    model: entry.job.models[model].clone(),
                    rows: n_rows,
                    took,
                });
            }
        }
        advances
    }

    pub(crate) fn ranked(
        &mut self,
        (job, picture): (JobId, usize),
        n_candidates: u32,
        took: Millis,
        ranked: Ranked,
    ) {
        self.busy = None;
        let Some(entry) = self.entries.get_mut(&job) else {
            return;
        };
        if let Some(picture) = entry.picture_mut(picture) {
            picture.ranked(ranked.best);
        }
        let tally = &mut entry.tally;
        tally.phases.rank = tally.phases.rank + took;
        tally.n_ranked += n_candidates;
        tally.flops = tally.flops + ranked.flops;
    }

    /// A picture was decoded; returns what became of its trajectory.
    pub(crate) fn decoded(&mut self, row: RowKey, took: Millis, flops: Flops) -> Option<Run> {
        self.busy = None;
        let entry = self.entries.get_mut(&row.job)?;
        entry.tally.phases.decode = entry.tally.phases.decode + took;
        entry.tally.flops = entry.tally.flops + flops;
        let picture = entry.picture_mut(row.picture)?;
        picture.decoded();
        Some(Run {
            steps: picture.steps_run(),
            rush: picture.rush,
        })
    }

    /// Work that came to nothing is over.
    pub(crate) fn idle(&mut self) {
        self.busy = None;
    }

    /// The device does something that is nobody's, and takes so long for it by the table.
    pub(crate) fn occupy(&mut self, now: Moment, takes: Millis) {
        self.busy = Some(Busy {
            job: NOBODY,
            since: now,
            takes,
        });
    }

    /// Closes the books of a job whose pictures are all decoded.
    pub(crate) fn finish(&mut self, id: JobId, now: Moment) -> Option<Finished> {
        let is_done = |picture: &Picture| picture.stage() == Stage::Done;
        let pictures = self.entries.get(&id)?.pictures();
        if pictures.is_empty() || !pictures.iter().all(is_done) {
            return None;
        }
        let entry = self.entries.remove(&id)?;
        let mut tally = entry.tally;
        let in_house = Millis::from(now.since(entry.admitted)).0;
        tally.phases.queue = Millis((in_house - tally.phases.on_device().0).max(0.0));
        Some(Finished {
            decision: entry.binding.decision,
            tally,
        })
    }

    /// Strikes a job out; returns the network evaluations that it has had for nothing.
    pub(crate) fn remove(&mut self, id: JobId) -> Nfe {
        let entry = self.entries.remove(&id);
        entry.map_or(0, |entry| entry.tally.nfe)
    }

    /// Strikes out every job that has not begun, and returns their names.
    pub(crate) fn remove_waiting(&mut self) -> Vec<JobId> {
        let waiting = self.entries.iter().filter(|(_, entry)| entry.is_waiting());
        let ids: Vec<JobId> = waiting.map(|(id, _)| *id).collect();
        for id in &ids {
            self.entries.remove(id);
        }
        ids
    }
}
