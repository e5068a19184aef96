//! What does one picture of a plan cost? Text, all network evaluations and the decoder.

use super::trial::Trial;
use crate::{
    catalog::Family,
    planner::{CostTable, Plan, Workload},
    units::Flops,
};

/// Returns the operations of a request for one picture; none if model or size are not the family's.
pub(super) fn of_picture(family: &Family, costs: &CostTable, plan: &Plan) -> Option<Flops> {
    let workload = Workload::of(plan, family)?;
    Some(costs.text + workload.flops(costs.at(plan.size)?))
}

/// The same for a trial, of which a shortened one takes its plan's evaluations only in part.
pub(super) fn of_trial(family: &Family, costs: &CostTable, trial: &Trial) -> Option<Flops> {
    let whole = of_picture(family, costs, &trial.plan)?;
    let Some(rush) = trial.rush else {
        return Some(whole);
    };
    let fixed = costs.text + costs.at(trial.plan.size)?.decode;
    let share = f64::from(rush.after + rush.then) / f64::from(trial.plan.steps);
    Some(Flops(fixed.0 + (whole.0 - fixed.0) * share))
}
