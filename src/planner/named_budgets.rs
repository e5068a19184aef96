//! What do `low` to `xhigh` grant where `models.toml` does not say?
//!
//! The names are spread evenly, in the logarithm, over the operations from the cheapest plan on offer to
//! the one that `auto` takes: `xhigh` buys that one, and every name below a quarter of the way less.

use super::{
    budget::{Budget, Cost, Load, Pins, PlanRequest},
    choice::Planner,
    latency::LatencyModel,
    phases::PhaseTimes,
    refusal::enough_tflops,
};
use crate::{catalog::NamedBudgets, units::Flops};

impl Planner {
    /// What `quality` grants for one picture of the family's default size.
    pub fn budgets(&self) -> &NamedBudgets {
        &self.budgets
    }

    /// Spreads the names over what is on offer. Where nothing is, they grant nothing, and so the cheapest
    /// plan.
    pub(super) fn spread_budgets(&self) -> NamedBudgets {
        let request = PlanRequest {
            size: self.family.default_size(),
            n_images: 1,
            budget: Budget::default(),
            pins: Pins::default(),
            has_negative_prompt: false,
            kept_texts: 0,
        };
        let untimed = LatencyModel::new(PhaseTimes::default());
        let frontier = self.frontier(&request, &untimed, Cost::Tflops);
        let cheapest = frontier.ok().and_then(|entries| entries.into_iter().next());
        let auto = self.choose(&request, &untimed, Load::IDLE);
        let (Some(cheapest), Ok(auto)) = (cheapest, auto) else {
            return NamedBudgets::default();
        };
        let (least, auto) = (cheapest.estimate.flops(), auto.estimate.flops());
        let ratio = auto.0 / least.0;
        let at = |share: f64| Flops(least.0 * ratio.powf(share));
        NamedBudgets {
            low: at(0.25),
            medium: at(0.5),
            high: at(0.75),
            // Not a rounding below the plan itself.
            xhigh: Flops::from_tflops(enough_tflops(auto)),
        }
    }
}
