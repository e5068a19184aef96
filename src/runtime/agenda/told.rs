//! What is told of the books? The work ahead, and where a job stands.

use super::{Agenda, NOBODY, entry::Entry};
use crate::{
    planner::Forecast,
    runtime::job::JobId,
    units::{Flops, Millis, Moment, Steps},
};

/// What is admitted and not yet done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Backlog {
    /// Jobs that have not begun.
    pub(crate) waiting: usize,
    /// Jobs that have.
    pub(crate) running: usize,
    /// The time that all of them are expected to take from now.
    pub(crate) work: Millis,
    /// Operations of their plans that have not run.
    pub(crate) flops: Flops,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// Jobs that are more urgent.
    pub ahead: usize,
    /// Whether the device has begun.
    pub has_begun: bool,
    /// Until it is expected to begin.
    pub starts_in: Millis,
    /// Until it is expected to be finished.
    pub finishes_in: Millis,
    /// Steps behind its pictures.
    pub steps_done: Steps,
    /// All steps of its pictures.
    pub steps_total: Steps,
}

impl Agenda {
    // === what is told of it ===

    /// The time that all admitted work is expected to take from now.
    pub(crate) fn queued_work(&self, now: Moment, forecast: &Forecast) -> Millis {
        let nobodys = self.busy.filter(|busy| busy.job == NOBODY);
        let nobodys = nobodys.map_or(Millis::ZERO, |busy| busy.takes);
        let rest: Millis = self.entries.values().map(Entry::rest).sum();
        let behind = self.behind(now, forecast).0;
        forecast.expected(Millis((rest.0 + nobodys.0 - behind).max(0.0)))
    }

    /// All that is admitted and not yet done.
    pub(crate) fn backlog(&self, now: Moment, forecast: &Forecast) -> Backlog {
        let waiting = self.entries.values().filter(|entry| entry.is_waiting());
        let waiting = waiting.count();
        Backlog {
            waiting,
            running: self.entries.len() - waiting,
            work: self.queued_work(now, forecast),
            flops: self.entries.values().map(Entry::rest_of_flops).sum(),
        }
    }

    /// Where a job stands, if it is not done.
    pub(crate) fn standing(&self, id: JobId, now: Moment, forecast: &Forecast) -> Option<Standing> {
        let entry = self.entries.get(&id)?;
        let key = |entry: &Entry| (entry.due(now, forecast, self.rules.patience), entry.turn);
        let mine = key(entry);
        let others = self.entries.values().filter(|other| key(other) < mine);
        let (mut ahead, mut work) = (0, Millis::ZERO);
        for other in others {
            ahead += 1;
            work = work + other.rest();
        }
        let rows = entry.pictures().iter().filter_map(|p| p.only_row());
        let done = rows.clone().map(|row| row.done as Steps).sum();
        let total = rows.map(|row| row.steps.len() as Steps).sum();
        let has_begun = !entry.is_waiting();
        let planned = entry.binding.plan().steps * entry.n_images();
        Some(Standing {
            ahead,
            has_begun,
            starts_in: if has_begun {
                Millis::ZERO
            } else {
                forecast.expected(work)
            },
            finishes_in: forecast.expected(work + entry.rest() + entry.tail()),
            steps_done: done,
            steps_total: if has_begun { total } else { planned },
        })
    }
}
