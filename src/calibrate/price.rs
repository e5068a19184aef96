//! What does one picture of a plan cost? Text, all network evaluations and the decoder.

use crate::{
    catalog::Family,
    planner::{CostTable, Plan},
    units::Flops,
};

/// Returns the operations of a request for one picture; none if model or size are not the family's.
pub(super) fn of_picture(family: &Family, costs: &CostTable, plan: &Plan) -> Option<Flops> {
    let model = family
        .models
        .iter()
        .position(|card| card.id == plan.model)?;
    let cost = costs.at(plan.size)?;
    Some(costs.text + cost.evaluations[model] * f64::from(plan.nfe()) + cost.decode)
}
