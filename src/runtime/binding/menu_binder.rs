//! Who chooses for a request while it waits and runs? The menus that were in force when it came, with the
//! times of the moment.

use std::sync::Arc;

use super::{Binder, Binding};
use crate::{
    planner::{Decision, LatencyModel, Load, Menus, Plan, PlanRequest, Refusal, Rush},
    units::{Millis, Steps},
};

/// Chooses for one request.
#[derive(Debug)]
pub struct MenuBinder {
    menus: Arc<Menus>,
    request: PlanRequest,
}

impl MenuBinder {
    /// Chooses from these menus.
    pub fn new(menus: Arc<Menus>, request: PlanRequest) -> Self {
        Self { menus, request }
    }

    /// What an idle server would do, or why not even that one can do it.
    pub fn on_idle(&self, latency: &LatencyModel) -> Result<Binding, Refusal> {
        let decision = self.menus.choose(&self.request, latency, Load::IDLE)?;
        Ok(self.bind(decision, latency))
    }

    /// The least that the request may end on.
    pub fn floor(&self, latency: &LatencyModel) -> Result<Binding, Refusal> {
        let floor = self.menus.floor(&self.request, latency)?;
        Ok(self.bind(floor, latency))
    }

    /// Lays out a decision.
    pub(crate) fn bind(&self, decision: Decision, latency: &LatencyModel) -> Binding {
        Binding {
            timetable: self.menus.timetable(&decision, &self.request, latency),
            decision,
        }
    }
}

impl Binder for MenuBinder {
    fn within(&self, latency: &LatencyModel, most: Millis, waited: Millis) -> Option<Binding> {
        let mut request = self.request.clone();
        if let Some(limit) = &mut request.budget.latency {
            *limit = Millis(limit.0 - waited.0);
        }
        let chosen = self.menus.choose_within(&request, latency, most).ok()?;
        Some(self.bind(chosen?, latency).after(waited))
    }

    fn move_up(
        &self,
        latency: &LatencyModel,
        plan: &Plan,
        done: Steps,
        most: Millis,
        waited: Millis,
    ) -> Option<Binding> {
        let better = self
            .menus
            .move_up(&self.request, latency, (plan, done), most)?;
        Some(self.bind(better, latency).after(waited))
    }

    fn may_rush(&self, plan: &Plan, rush: Rush) -> bool {
        let budget = &self.request.budget;
        budget.min_score.is_none_or(|least| {
            let score = self.menus.rushed(plan, rush, budget.objective);
            score.is_some_and(|score| score.mean >= least)
        })
    }
}
