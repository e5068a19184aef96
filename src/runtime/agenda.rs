//! What has one device to do, and what does it do next? The books of a runtime without its threads.
//!
//! Pure: the time and what is known of the machine are arguments, and nothing here draws. A worker thread
//! asks for the next piece of work, does it, and reports; a simulation does the same in virtual time.
//!
//! A plan is chosen three times. At admission, to answer at once; at dispatch, with what time is left and
//! what else has come in the meantime; and at every step, where a picture that falls behind takes fewer of
//! them, and one with time to spare may go on with a larger model.

mod claims;
mod demand;
mod done;
mod entry;
mod picture;
mod review;
mod told;
mod turn;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    binding::Binding,
    job::{Job, JobId},
    policy::Policy,
};
use crate::{
    catalog::ModelId,
    planner::{Forecast, LatencyModel},
    units::{Millis, Moment, Nfe},
};
use claims::{AtHand, Claim, Claims};
use demand::Demand;
pub(crate) use done::Advance;
use entry::Entry;
pub(crate) use entry::{Finished, Run};
pub(crate) use told::Backlog;
pub use told::Standing;
pub(crate) use turn::{Order, Turn, Work};

/// How one device's work is ordered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Who is first.
    pub policy: Policy,
    /// How long a request without a deadline is expected to wait at most.
    pub patience: Duration,
    /// Most rows of one evaluation.
    pub most_rows: Nfe,
    /// Most jobs that are admitted and not done.
    pub most_jobs: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            patience: Duration::from_secs(30),
            most_rows: 64,
            most_jobs: 64,
        }
    }
}

/// The job of work that the device does for itself.
pub(crate) const NOBODY: JobId = JobId(u64::MAX);

/// A request without a deadline may be admitted although its turn comes only after so many times the usual patience.
const MOST_PATIENT: u32 = 10;

/// The books of one device.
#[derive(Debug)]
pub(crate) struct Agenda {
    rules: Rules,
    models: Vec<ModelId>,
    entries: BTreeMap<JobId, Entry>,
    busy: Option<Busy>,
    demand: Demand,
    turns: u64,
}

/// What the device is doing.
#[derive(Debug, Clone, Copy)]
struct Busy {
    job: JobId,
    since: Moment,
    /// By the table.
    takes: Millis,
}

/// The time, and what is known of the machine then.
#[derive(Debug, Clone, Copy)]
struct Known<'a> {
    now: Moment,
    latency: &'a LatencyModel,
    forecast: &'a Forecast,
}

/// Why a job is not admitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum NoRoom {
    /// As many jobs are admitted as may be.
    Full { room_in: Duration },
    /// Somebody would be late.
    Late { room_in: Duration },
}

impl Agenda {
    pub(crate) fn new(rules: Rules, models: Vec<ModelId>) -> Self {
        Self {
            rules,
            models,
            entries: BTreeMap::new(),
            busy: None,
            demand: Demand::default(),
            turns: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn job(&self, id: JobId) -> Option<&Arc<Job>> {
        self.entries.get(&id).map(|entry| &entry.job)
    }

    /// What a job is to run, as far as that is known.
    pub(crate) fn binding(&self, id: JobId) -> Option<&Binding> {
        self.entries.get(&id).map(|entry| &entry.binding)
    }

    /// Takes a job in if everything admitted can still be done in time, each at its least.
    pub(crate) fn admit(
        &mut self,
        now: Moment,
        latency: &LatencyModel,
        id: JobId,
        job: &Arc<Job>,
    ) -> Result<(), NoRoom> {
        let forecast = &latency.behind(Millis::ZERO);
        let claims = self.claims(None, now, forecast);
        let deadline = self.deadline(job);
        let turn = self.turns;
        let models = self.places(&job.models);
        let mut entry = Entry::new(
            Arc::clone(job),
            models,
            (now, deadline),
            turn,
            job.floor.clone(),
        );
        let claim = entry.claim(deadline);
        self.demand.asked(forecast.expected(claim.work), now);
        if self.entries.len() >= self.rules.most_jobs {
            let first = claims.room_in(claim, now, forecast);
            return Err(NoRoom::Full { room_in: first });
        }
        let mut room = claims.room_for(claim, now, forecast);
        if room.is_none() && job.limit.is_none() {
            room = self.later(&mut entry, &claims, now, forecast);
        }
        // An idle device is not waited for: what is too tight for that was refused before it came here.
        let is_idle = self.entries.is_empty() && self.busy.is_none();
        let alone = is_idle.then_some(1.0);
        let Some(stretch) = room.or(alone).map(|room| self.leaving_room(room, now)) else {
            let room_in = claims.room_in(claim, now, forecast);
            return Err(NoRoom::Late { room_in });
        };
        if let Some(binding) = granted(&entry, claim, stretch, (now, latency)) {
            entry.binding = binding;
        }
        self.turns += 1;
        self.entries.insert(id, entry);
        Ok(())
    }

    /// Whether a job that nobody asked to be in time is admitted with more patience than usual: behind all that is more
    /// urgent, as long as it does not take what is left of the queue for those.
    fn later(
        &self,
        entry: &mut Entry,
        claims: &Claims,
        now: Moment,
        forecast: &Forecast,
    ) -> Option<f64> {
        let claim = entry.claim(entry.deadline);
        let wait = claims.room_in(claim, now, forecast);
        let is_crowded = self.entries.len() >= self.rules.most_jobs / 2;
        if is_crowded || wait > self.rules.patience * MOST_PATIENT {
            return None;
        }
        let takes = Duration::try_from_secs_f64(forecast.expected(claim.work).0 / 1e3).ok()?;
        // Both are what is expected, and room is judged at the 99th percentile.
        entry.deadline = Moment(entry.deadline.0.saturating_add(2 * (wait + takes)));
        claims.room_for(entry.claim(entry.deadline), now, forecast)
    }

    /// Every admitted job.
    pub(crate) fn ids(&self) -> impl Iterator<Item = JobId> + '_ {
        self.entries.keys().copied()
    }

    // === what it all claims ===

    /// A multiple of a floor that leaves room for those who will come.
    fn leaving_room(&self, stretch: f64, now: Moment) -> f64 {
        stretch.min(self.demand.most_stretch(now))
    }

    /// What everything admitted claims, but for one job.
    fn claims(&self, but: Option<JobId>, now: Moment, forecast: &Forecast) -> Claims {
        let others = self.entries.iter().filter(|(id, _)| Some(**id) != but);
        let claims = others.map(|(id, entry)| {
            let mut claim = entry.claim(entry.due(now, forecast, self.rules.patience));
            if self.busy.is_some_and(|busy| busy.job == *id) {
                let behind = self.behind(now, forecast).0;
                claim.work = Millis((claim.work.0 - behind).max(0.0));
            }
            claim
        });
        let at_hand = self.busy.map(|busy| AtHand {
            turn: self.entries.get(&busy.job).map(|entry| entry.turn),
            left: Millis(busy.takes.0 - self.behind(now, forecast).0),
        });
        Claims::new(claims.collect(), at_hand)
    }

    /// How much of the work at hand is behind the device, by the table: at most all of it.
    fn behind(&self, now: Moment, forecast: &Forecast) -> Millis {
        self.busy.map_or(Millis::ZERO, |busy| {
            let done = forecast.work_in(Millis::from(now.since(busy.since)));
            Millis(done.0.min(busy.takes.0))
        })
    }

    fn takes(&self, work: &Work) -> Millis {
        let Some(entry) = self.entries.get(&work.lead()) else {
            return Millis::ZERO;
        };
        let timetable = &entry.binding.timetable;
        match work {
            Work::Text(_) => timetable.text,
            Work::Step { rows, .. } => {
                let row = entry.pictures()[rows[0].picture].row(rows[0].candidate);
                row.map_or(Millis::ZERO, |row| row.steps[row.done].ms)
            }
            Work::Rank { .. } => timetable.rank,
            Work::Decode(_) => timetable.decode,
        }
    }

    fn deadline(&self, job: &Job) -> Moment {
        let limit = job.limit.map_or(self.rules.patience, |limit| {
            Duration::try_from_secs_f64(limit.0 / 1e3).unwrap_or(Duration::MAX / 4)
        });
        Moment(job.arrived.0.saturating_add(limit))
    }

    fn places(&self, models: &[ModelId]) -> Arc<[usize]> {
        let place = |model| self.models.iter().position(|known| known == model);
        models
            .iter()
            .map(|model| place(model).unwrap_or(0))
            .collect()
    }
}

/// The best plan within a grant; none if there is none.
fn granted(
    entry: &Entry,
    claim: Claim,
    stretch: f64,
    (now, latency): (Moment, &LatencyModel),
) -> Option<Binding> {
    let most = Millis(claim.work.0 * stretch + claim.tail.0);
    entry.job.binder.within(latency, most, entry.waited(now))
}
