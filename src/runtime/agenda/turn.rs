//! What does the device do next? The most urgent piece of work, chosen again whatever it is about.

use super::{
    Agenda, Busy, Known,
    entry::{Entry, Target},
    granted,
    review::Verdict,
};
use crate::{
    planner::{LatencyModel, Plan},
    runtime::{
        executor::RowKey,
        job::{JobId, OnLate},
        policy::{self, Piece, StepKey},
    },
    telemetry::PlanChange,
    units::{Millis, Moment, Nfe, Steps},
};

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

impl Agenda {
    /// Says what to do now, having chosen again whatever that work is about.
    pub(crate) fn next(&mut self, now: Moment, latency: &LatencyModel) -> Turn {
        let known = Known {
            now,
            latency,
            forecast: &latency.behind(Millis::ZERO),
        };
        let mut turn = Turn {
            refused: self.hopeless(known),
            ..Turn::default()
        };
        for id in turn.refused.clone() {
            turn.wasted += self.remove(id);
        }
        while turn.work.is_none() {
            let Some(targets) = self.choose(known) else {
                return turn;
            };
            self.prepare(&targets, known, &mut turn);
        }
        turn
    }

    /// The most urgent piece of work and what shares it.
    fn choose(&self, known: Known<'_>) -> Option<Vec<Target>> {
        let Known {
            now,
            latency,
            forecast,
        } = known;
        let mut found = Vec::new();
        for (id, entry) in &self.entries {
            let due = entry.due(now, forecast, self.rules.patience);
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
        let claim = entry.claim(entry.due(now, forecast, self.rules.patience));
        let (all, place) = self.claims(Some(id), now, forecast).with(claim);
        let granted = all
            .stretch(place, now, forecast)
            .map(|stretch| self.leaving_room(stretch, now))
            .and_then(|stretch| granted(entry, claim, stretch, (now, latency)));
        let waited = entry.waited(now);
        let binding = match (granted, entry.job.on_late) {
            (Some(binding), _) => binding,
            (None, OnLate::RunLate) => entry.binding.clone().after(waited),
            (None, OnLate::Degrade | OnLate::Reject) => entry.job.floor.clone().after(waited),
        };
        let entry = self.entries.get_mut(&id)?;
        let change = binding.change_from(&entry.binding, entry.n_images());
        entry.begin(binding);
        Some(change)
    }

    /// Jobs that would rather not run than be late, and will be.
    fn hopeless(&self, known: Known<'_>) -> Vec<JobId> {
        let is_hopeless = |entry: &Entry| {
            let work = entry.claim(entry.deadline).work + entry.tail();
            let left = Millis::from(entry.deadline.since(known.now));
            entry.rejects_lateness() && known.forecast.expected(work) > left
        };
        let entries = self.entries.iter();
        entries
            .filter(|(_, entry)| is_hopeless(entry))
            .map(|(id, _)| *id)
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
