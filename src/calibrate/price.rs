//! What does one picture of a plan cost? Text, all network evaluations and the decoder.

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
