//! Who says what a job may do with the time that it has? The planner, asked again as late as possible.

mod menu_binder;

use std::{cmp::Ordering, fmt};

use crate::{
    catalog::Family,
    planner::{Decision, LatencyEstimate, LatencyModel, Plan, Rush, Timetable},
    telemetry::PlanChange,
    units::{Millis, Steps},
};

pub use menu_binder::MenuBinder;

/// A plan that was chosen, and what it will take.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// The plan and what is predicted of it.
    pub decision: Decision,
    /// Its work, step by step.
    pub timetable: Timetable,
}

impl Binding {
    /// A plan of which nothing is predicted.
    pub fn unpredicted(plan: Plan, family: &Family) -> Self {
        let decision = Decision::unpredicted(plan, family);
        Self {
            timetable: Timetable::untimed(&decision),
            decision,
        }
    }

    /// Its plan.
    pub fn plan(&self) -> &Plan {
        &self.decision.plan
    }

    /// The same, told as of a request that has waited for so long.
    #[must_use]
    pub(super) fn after(mut self, waited: Millis) -> Self {
        if let Some(latency) = &mut self.decision.estimate.latency_ms {
            *latency = LatencyEstimate {
                p50: latency.p50 + waited,
                p95: latency.p95 + waited,
                p99: latency.p99 + waited,
            };
        }
        self
    }

    /// How it compares, as the device begins, with what was chosen at admission: by time on the device.
    pub(super) fn change_from(&self, admitted: &Self, n_images: u32) -> PlanChange {
        if self.plan() == admitted.plan() {
            return PlanChange::SameAtDispatch;
        }
        let time = |binding: &Self| binding.timetable.device(n_images).0;
        match time(self).total_cmp(&time(admitted)) {
            Ordering::Less => PlanChange::SmallerAtDispatch,
            Ordering::Equal => PlanChange::SameAtDispatch,
            Ordering::Greater => PlanChange::LargerAtDispatch,
        }
    }
}

/// Chooses for one request while it waits and runs. Called under a lock: microseconds.
pub trait Binder: fmt::Debug + Send + Sync {
    /// Returns the best plan whose phases take at most `most` by the table, told as of a request that has
    /// waited for so long; none if there is no such plan.
    fn within(&self, latency: &LatencyModel, most: Millis, waited: Millis) -> Option<Binding>;

    /// Returns the best plan that goes on where `plan` is after so many steps, better than it, and whose
    /// phases take at most `most` in all, told as of a request that waited for so long before it began;
    /// none if there is no such plan, as where nobody knows of larger ones.
    fn move_up(
        &self,
        _latency: &LatencyModel,
        _plan: &Plan,
        _done: Steps,
        _most: Millis,
        _waited: Millis,
    ) -> Option<Binding> {
        None
    }

    /// Whether a picture of this plan may be shortened so.
    fn may_rush(&self, plan: &Plan, rush: Rush) -> bool;
}

/// One plan, whatever the time.
impl Binder for Binding {
    fn within(&self, _: &LatencyModel, _: Millis, _: Millis) -> Option<Binding> {
        Some(self.clone())
    }

    fn may_rush(&self, _: &Plan, _: Rush) -> bool {
        true
    }
}
