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
mod entry;
mod picture;
mod review;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    binding::Binding,
    executor::{Ranked, RowKey, Stepped, Texts},
    job::{Job, JobId, OnLate},
    policy::{self, Piece, Policy, StepKey},
};
use crate::{
    catalog::ModelId,
    planner::{Forecast, LatencyModel, Plan, StepLap},
    telemetry::PlanChange,
    units::{Flops, Millis, Moment, Nfe, Steps},
};
use claims::{Claim, Claims};
use demand::Demand;
use entry::{Entry, Target};
pub(crate) use entry::{Finished, Run};
use review::Verdict;

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
    /// Share of the steps ahead that a picture which has begun gives up for the sake of newcomers, if it must.
    pub yields: f64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            patience: Duration::from_secs(30),
            most_rows: 64,
            most_jobs: 64,
            yields: 0.0,
        }
    }
}

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

/// What is to be done now.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Jobs that cannot be in time and would rather not be late.
    pub(crate) refused: Vec<JobId>,
    /// Network evaluations that those have had for nothing.
    pub(crate) wasted: Nfe,
    /// Plans that were chosen again.
    pub(crate) changes: Vec<PlanChange>,
    /// To be done before the work, and next to nothing.
    pub(crate) orders: Vec<Order>,
    /// Nothing where there is nothing to do.
    pub(crate) work: Option<Work>,
    /// The job that begins with this work.
    pub(crate) begins: Option<JobId>,
}

/// A change to a trajectory.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Order {
    Begin { row: RowKey, seed: u64 },
    Shorten { row: RowKey, left: Steps },
    MoveUp { row: RowKey, plan: Box<Plan> },
}

/// One piece of work.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Work {
    Text(JobId),
    Step {
        rows: Vec<RowKey>,
        model: usize,
        n_rows: Nfe,
    },
    Rank {
        job: JobId,
        picture: usize,
        candidates: Vec<u32>,
    },
    Decode(RowKey),
}

/// How far a picture is after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Advance {
    pub(crate) row: RowKey,
    pub(crate) done: Steps,
    pub(crate) total: Steps,
    /// The number under which it is to be shown now.
    pub(crate) partial: Option<u32>,
}

/// Why a job is not admitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum NoRoom {
    /// As many jobs are admitted as may be.
    Full { room_in: Duration },
    /// Somebody would be late.
    Late { room_in: Duration },
}

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
        let claims = self.claims(now, forecast);
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
        let claim = entry.claim(deadline, 0.0);
        self.demand.asked(forecast.expected(claim.work), now);
        if self.entries.len() >= self.rules.most_jobs {
            let first = claims.room_in(claim, now, forecast);
            return Err(NoRoom::Full { room_in: first });
        }
        let (all, place) = claims.with(claim);
        let room = all.stretch(place, now, forecast);
        // An idle device is not waited for: what is too tight for that was refused before it came here.
        let alone = self.entries.is_empty().then_some(1.0);
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

    /// Says what to do now, having chosen again whatever that work is about.
    pub(crate) fn next(&mut self, now: Moment, latency: &LatencyModel) -> Turn {
        let forecast = &latency.behind(Millis::ZERO);
        let mut turn = Turn {
            refused: self.hopeless(now, forecast),
            ..Turn::default()
        };
        for id in turn.refused.clone() {
            turn.wasted += self.remove(id);
        }
        while turn.work.is_none() {
            let Some(targets) = self.choose(now, latency, forecast) else {
                return turn;
            };
            self.prepare(
                &targets,
                Known {
                    now,
                    latency,
                    forecast,
                },
                &mut turn,
            );
        }
        turn
    }

    /// The most urgent piece of work and what shares it.
    fn choose(
        &self,
        now: Moment,
        latency: &LatencyModel,
        forecast: &Forecast,
    ) -> Option<Vec<Target>> {
        let mut found = Vec::new();
        for (id, entry) in &self.entries {
            let due = entry.due(now, self.rules.patience);
            entry.pieces(*id, due, &mut found);
        }
        let (mut pieces, targets): (Vec<Piece>, Vec<Target>) = found.into_iter().unzip();
        for piece in &mut pieces {
            piece.rest = forecast.expected(piece.rest);
            piece.takes = forecast.expected(piece.takes);
        }
        let time_of = |key: StepKey, rows: Nfe| {
            let model = &self.models[key.model];
            let by_table = latency.phases().step(model, key.size, rows);
            forecast.expected(by_table.unwrap_or_default())
        };
        let most = self.rules.most_rows;
        let chosen = policy::choose(self.rules.policy, now, &pieces, most, time_of);
        let targets: Vec<Target> = chosen.iter().map(|place| targets[*place]).collect();
        (!targets.is_empty()).then_some(targets)
    }

    /// Turns what was chosen into work, unless a second look at it changes what is most urgent.
    fn prepare(&mut self, targets: &[Target], known: Known<'_>, turn: &mut Turn) {
        match targets[0] {
            Target::Text(id) => {
                turn.changes.extend(self.dispatch(id, known));
                turn.begins = Some(id);
                turn.work = Some(Work::Text(id));
            }
            Target::Row(_) => turn.work = self.prepare_step(targets, known, turn),
            Target::Rank { job, picture } => {
                let candidates = self.entries[&job].pictures()[picture].candidates();
                turn.work = Some(Work::Rank {
                    job,
                    picture,
                    candidates: candidates.collect(),
                });
            }
            Target::Decode(row) => turn.work = Some(Work::Decode(row)),
        }
        if let Some(work) = &turn.work {
            self.busy = Some(Busy {
                job: work.lead(),
                since: known.now,
                takes: self.takes(work),
            });
        }
    }

    /// Reviews every row of a step; none if that changed what there is to do.
    fn prepare_step(
        &mut self,
        targets: &[Target],
        known: Known<'_>,
        turn: &mut Turn,
    ) -> Option<Work> {
        let rows: Vec<RowKey> = targets
            .iter()
            .filter_map(|target| match target {
                Target::Row(row) => Some(*row),
                _ => None,
            })
            .collect();
        let mut is_settled = true;
        for row in &rows {
            let verdict = self.review(*row, known);
            turn.changes.extend(verdict.plan_change());
            match verdict {
                Verdict::GoOn => {}
                // There is no step left to take: the estimate is decoded as it stands.
                Verdict::Changed(Order::Shorten { left: 0, .. }) => is_settled = false,
                Verdict::Changed(order) => {
                    is_settled &= matches!(order, Order::Shorten { .. });
                    turn.orders.extend(self.beginning(*row));
                    turn.orders.push(order);
                }
                Verdict::Refused => {
                    turn.wasted += self.remove(row.job);
                    turn.refused.push(row.job);
                    is_settled = false;
                }
            }
        }
        if !is_settled {
            return None;
        }
        let mut n_rows = 0;
        let mut model = 0;
        for row in &rows {
            turn.orders.extend(self.beginning(*row));
            let its = self.entries[&row.job].pictures()[row.picture].row(row.candidate)?;
            n_rows += its.steps[its.done].rows;
            model = its.steps[its.done].model;
        }
        Some(Work::Step {
            rows,
            model,
            n_rows,
        })
    }

    /// The order that gives the device a trajectory's noise, if it has to be given.
    fn beginning(&mut self, row: RowKey) -> Option<Order> {
        let entry = self.entries.get_mut(&row.job)?;
        let seed = *entry.job.seeds.get(row.picture)?;
        let begins = entry.picture_mut(row.picture)?.begins(row.candidate);
        begins.then_some(Order::Begin { row, seed })
    }

    /// Chooses a job's plan for good, with the time that it has left.
    fn dispatch(&mut self, id: JobId, known: Known<'_>) -> Option<PlanChange> {
        let Known {
            now,
            latency,
            forecast,
        } = known;
        let entry = &self.entries[&id];
        let claim = entry.claim(entry.due(now, self.rules.patience), 0.0);
        let (all, place) = self.claims_without(id, now, forecast).with(claim);
        let granted = all
            .stretch(place, now, forecast)
            .map(|stretch| self.leaving_room(stretch, now))
            .and_then(|stretch| granted(entry, claim, stretch, (now, latency)));
        let binding = match (granted, entry.job.on_late) {
            (Some(binding), _) => binding,
            (None, OnLate::RunLate) => entry.binding.clone(),
            (None, OnLate::Degrade | OnLate::Reject) => entry.job.floor.clone(),
        };
        let entry = self.entries.get_mut(&id)?;
        let change = binding.change_from(&entry.binding, entry.n_images());
        entry.begin(binding);
        Some(change)
    }

    /// Jobs that would rather not run than be late, and will be.
    fn hopeless(&self, now: Moment, forecast: &Forecast) -> Vec<JobId> {
        let is_hopeless = |entry: &Entry| {
            let least = forecast.expected(entry.claim(entry.deadline, 0.0).work + entry.tail());
            entry.rejects_lateness() && least > Millis::from(entry.deadline.since(now))
        };
        let entries = self.entries.iter();
        entries
            .filter(|(_, entry)| is_hopeless(entry))
            .map(|(id, _)| *id)
            .collect()
    }

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

    /// Closes the books of a job whose pictures are all decoded.
    pub(crate) fn finish(&mut self, id: JobId, now: Moment) -> Option<Finished> {
        let is_done = |picture: &picture::Picture| picture.stage() == picture::Stage::Done;
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

    /// Every admitted job.
    pub(crate) fn ids(&self) -> impl Iterator<Item = JobId> + '_ {
        self.entries.keys().copied()
    }

    // === what is told of it ===

    /// The time that all admitted work is expected to take from now.
    pub(crate) fn queued_work(&self, now: Moment, forecast: &Forecast) -> Millis {
        let rest: Millis = self.entries.values().map(Entry::rest).sum();
        let behind = self.behind(now, forecast).0;
        forecast.expected(Millis((rest.0 - behind).max(0.0)))
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
        let key = |entry: &Entry| (entry.due(now, self.rules.patience), entry.turn);
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

    // === what it all claims ===

    /// A multiple of a floor that leaves room for those who will come.
    fn leaving_room(&self, stretch: f64, now: Moment) -> f64 {
        stretch.min(self.demand.most_stretch(now))
    }

    fn claims(&self, now: Moment, forecast: &Forecast) -> Claims {
        self.claims_of(now, forecast, |_| true)
    }

    fn claims_without(&self, id: JobId, now: Moment, forecast: &Forecast) -> Claims {
        self.claims_of(now, forecast, |other| other != id)
    }

    fn claims_of(
        &self,
        now: Moment,
        forecast: &Forecast,
        counts: impl Fn(JobId) -> bool,
    ) -> Claims {
        let entries = self.entries.iter().filter(|(id, _)| counts(**id));
        let claims = entries.map(|(id, entry)| {
            let mut claim = entry.claim(entry.due(now, self.rules.patience), self.rules.yields);
            if self.busy.is_some_and(|busy| busy.job == *id) {
                let behind = self.behind(now, forecast).0;
                claim.work = Millis((claim.work.0 - behind).max(0.0));
            }
            claim
        });
        Claims::new(claims.collect())
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

    /// What a piece of work is expected to take, together with what shares it.
    pub(crate) fn expected(&self, work: &Work, latency: &LatencyModel) -> Millis {
        let forecast = latency.behind(Millis::ZERO);
        let Work::Step {
            rows,
            model,
            n_rows,
        } = work
        else {
            return forecast.expected(self.takes(work));
        };
        let together = self.entries.get(&rows[0].job).and_then(|entry| {
            let model = &entry.job.models[*model];
            let size = entry.binding.plan().size;
            latency.phases().step(model, size, *n_rows)
        });
        forecast.expected(together.unwrap_or_default())
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

impl Work {
    /// The job that it is done for, the most urgent one of several.
    pub(crate) fn lead(&self) -> JobId {
        match self {
            Self::Text(job) | Self::Rank { job, .. } => *job,
            Self::Step { rows, .. } => rows[0].job,
            Self::Decode(row) => row.job,
        }
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
    let waited = Millis::from(now.since(entry.job.arrived));
    entry.job.binder.within(latency, most, waited)
}
