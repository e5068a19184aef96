//! Shall this picture go on as it is planned? Asked at every step.

use super::{Agenda, Known, Order, entry::Entry, picture::Picture};
use crate::{
    planner::{Forecast, Rush},
    runtime::{executor::RowKey, job::OnLate},
    telemetry::PlanChange,
    units::{Millis, Moment, Steps},
};

/// A larger model is worth a thought where this much more work than planned could be done.
const ROOM_TO_MOVE_UP: f64 = 1.2;

/// What becomes of a picture at a step.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// It goes on.
    GoOn,
    /// It takes other steps.
    Changed(Order),
    /// It cannot be in time without being worse than it may be.
    Refused,
}

impl Verdict {
    /// What it makes of the plan, if it changes that.
    pub(super) fn plan_change(&self) -> Option<PlanChange> {
        match self {
            Self::Changed(Order::Shorten { .. }) => Some(PlanChange::SmallerAtStep),
            Self::Changed(Order::MoveUp { .. }) => Some(PlanChange::LargerAtStep),
            Self::Changed(Order::Begin { .. }) | Self::GoOn | Self::Refused => None,
        }
    }
}

impl Agenda {
    pub(super) fn review(&mut self, row: RowKey, known: Known<'_>) -> Verdict {
        let Known { now, forecast, .. } = known;
        let Some(entry) = self.entries.get(&row.job) else {
            return Verdict::GoOn;
        };
        let Some(picture) = entry.pictures().get(row.picture) else {
            return Verdict::GoOn;
        };
        if picture.only_row().is_none() {
            return Verdict::GoOn;
        }
        let verdict = match time_for_steps(entry, picture, now, forecast) {
            Some(left) if forecast.expected(picture.rest_of_steps()) > left => {
                let is_late = is_late(entry, now, forecast);
                fewer_steps(entry, picture, row, left, forecast, is_late)
            }
            _ => self.move_up(row, known),
        };
        if let Verdict::Changed(Order::Shorten { left, .. }) = verdict {
            let entry = self.entries.get_mut(&row.job);
            if let Some(picture) = entry.and_then(|entry| entry.picture_mut(row.picture)) {
                picture.shorten(left);
            }
        }
        verdict
    }

    /// Goes on with a larger model if there is time for it and that was measured to be better.
    fn move_up(&mut self, row: RowKey, known: Known<'_>) -> Verdict {
        let Known {
            now,
            latency,
            forecast,
        } = known;
        let entry = &self.entries[&row.job];
        let [picture] = entry.pictures() else {
            return Verdict::GoOn;
        };
        // A row that has taken no step has been given its plan just now.
        let its = picture.only_row();
        let Some(its) = its.filter(|row| row.done > 0 && picture.rush.is_none()) else {
            return Verdict::GoOn;
        };
        let mut claim = entry.claim(entry.due(now, forecast, self.rules.patience));
        claim.is_waiting = true;
        let (all, place) = self.claims(Some(row.job), now, forecast).with(claim);
        let stretch = all.stretch(place, now, forecast).unwrap_or(1.0);
        let stretch = self.leaving_room(stretch, now);
        if stretch < ROOM_TO_MOVE_UP {
            return Verdict::GoOn;
        }
        let more = claim.work * (stretch - 1.0);
        let most = entry.binding.timetable.device(1) + claim.tail + more;
        let (binder, plan) = (&entry.job.binder, entry.binding.plan());
        let (done, waited) = (its.done as Steps, entry.waited(now));
        let Some(better) = binder.move_up(latency, plan, done, most, waited) else {
            return Verdict::GoOn;
        };
        let plan = Box::new(better.plan().clone());
        if let Some(entry) = self.entries.get_mut(&row.job) {
            if let Some(picture) = entry.picture_mut(row.picture) {
                picture.move_up(&better.timetable);
            }
            entry.binding = better;
        }
        Verdict::Changed(Order::MoveUp { row, plan })
    }
}

/// The time that a picture's steps have if it is to be in time, its decoder, its file and the other pictures
/// of its job at the 99th percentile; none where nothing hangs on it.
fn time_for_steps(
    entry: &Entry,
    picture: &Picture,
    now: Moment,
    forecast: &Forecast,
) -> Option<Millis> {
    if entry.job.limit.is_none() || entry.job.on_late != OnLate::Degrade {
        return None;
    }
    let besides = Millis(entry.rest().0 - picture.rest_of_steps().0) + entry.tail();
    let left = Millis::from(entry.deadline.since(now));
    Some(Millis(left.0 - forecast.p99(besides).0))
}

/// As many steps as there is time for.
fn fewer_steps(
    entry: &Entry,
    picture: &Picture,
    row: RowKey,
    left: Millis,
    forecast: &Forecast,
    is_late: bool,
) -> Verdict {
    let Some(its) = picture.only_row() else {
        return Verdict::GoOn;
    };
    let (done, open) = (its.done as Steps, (its.steps.len() - its.done) as Steps);
    let each = forecast.expected(picture.rest_of_steps()).0 / f64::from(open.max(1));
    let fit = (left.0.max(0.0) / each.max(f64::MIN_POSITIVE)) as Steps;
    // Without a step there is no estimate to decode.
    let least = Steps::from(done == 0);
    let then = fit.clamp(least, open);
    if then == open {
        return Verdict::GoOn;
    }
    let rush = Rush { after: done, then };
    if entry.job.binder.may_rush(entry.binding.plan(), rush) {
        Verdict::Changed(Order::Shorten { row, left: then })
    } else if is_late {
        Verdict::Refused
    } else {
        Verdict::GoOn
    }
}

/// Whether a job is expected to be late as it is planned.
fn is_late(entry: &Entry, now: Moment, forecast: &Forecast) -> bool {
    let rest = forecast.expected(entry.rest() + entry.tail());
    rest > Millis::from(entry.deadline.since(now))
}
