//! Why this plan, what would more budget buy, and why did the others lose? What `POST /v1/plan` and
//! `goldilocks plan` tell.

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    bill::{Bill, Limits, best, cheapest},
    budget::{Cost, Quality},
    loss::Loss,
    menu::Menu,
    pins_cost::PinsCost,
    plan::{Estimate, Plan},
    refusal::{Refusal, enough_tflops, enough_time},
    search::Search,
    warning::PlanWarning,
};
use crate::{
    catalog::ModelId,
    units::{Flops, Millis},
};

/// The plan that would be chosen now, with its reasons.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Explanation {
    /// The plan.
    pub plan: Plan,
    /// What is predicted of it.
    pub estimate: Estimate,
    /// The next better plan on offer and the budget it needs; null if there is none.
    pub next_better: Option<Upgrade>,
    /// The best plan of each other model that can do what was asked, best first; the best one of the chosen
    /// model is the chosen plan.
    pub runners_up: Vec<RunnerUp>,
    /// What the pins give away; null if nothing is pinned, or if nothing else fits the budget.
    pub pins_cost: Option<PinsCost>,
    /// What the client should know.
    pub warnings: Vec<Notice>,
}

/// A better plan than the chosen one.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Upgrade {
    /// The plan.
    pub plan: Plan,
    /// What is predicted of it.
    pub estimate: Estimate,
    /// The budget it needs.
    pub needs: Needs,
}

/// The limits that stand between a request and a better plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub struct Needs {
    /// `latency_ms` has to be this much; null if it is enough already.
    #[schema(value_type = Option<f64>)]
    pub latency_ms: Option<Millis>,
    /// `tflops` has to be this much; null if it is enough already.
    pub tflops: Option<f64>,
}

/// The best plan of another model.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RunnerUp {
    /// The plan.
    pub plan: Plan,
    /// What is predicted of it.
    pub estimate: Estimate,
    /// Why it was not chosen.
    pub reason: Loss,
    /// The same in words.
    pub message: String,
}

/// A warning with its stable name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Notice {
    /// A stable name.
    #[schema(value_type = String)]
    pub code: &'static str,
    /// The same in words.
    pub message: String,
    /// Of `unknown_words`, the first eight of them; other warnings have none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<UnknownWord>,
}

/// A word that a family was not trained on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct UnknownWord {
    /// The word, in lower case; a very long one is cut.
    #[schema(example = "pinapple")]
    pub word: String,
    /// The known word that may have been meant.
    #[schema(example = "pineapple")]
    pub suggestion: Option<String>,
}

impl Notice {
    /// A warning that its words say everything of.
    pub fn new(code: &'static str, message: String) -> Self {
        let words = Vec::new();
        Self {
            code,
            message,
            words,
        }
    }
}

impl From<PlanWarning> for Notice {
    fn from(warning: PlanWarning) -> Self {
        Self::new(warning.code(), warning.to_string())
    }
}

impl Search<'_> {
    /// Chooses, and says why.
    pub(super) fn explain(&self) -> Result<Explanation, Refusal> {
        let menu = self.menu()?;
        let eligible = self.eligible(&menu)?;
        let limits = self.limits(&eligible);
        let chosen = self.select(&eligible, limits)?;
        let scene = Scene {
            search: *self,
            limits,
            chosen,
        };
        let decision = self.decision(&chosen);
        Ok(Explanation {
            next_better: scene.next_better(&menu),
            runners_up: scene.runners_up(),
            pins_cost: self.pins_cost(&chosen),
            warnings: decision.warnings.into_iter().map(Notice::from).collect(),
            plan: decision.plan,
            estimate: decision.estimate,
        })
    }
}

/// A choice that was made, with all it was made from.
struct Scene<'a> {
    search: Search<'a>,
    limits: Limits,
    chosen: Bill<'a>,
}

impl Scene<'_> {
    /// The axis that the budget is about.
    fn axis(&self) -> Cost {
        match self.limits {
            Limits {
                latency: Some(_),
                flops: None,
            } => Cost::Latency,
            _ => Cost::Tflops,
        }
    }

    fn next_better(&self, menu: &Menu) -> Option<Upgrade> {
        let bills = menu.offers.iter().map(|offer| self.search.bill(offer));
        let better: Vec<Bill<'_>> = bills
            .filter(|bill| bill.merit() > self.chosen.merit())
            .collect();
        let next = cheapest(better.iter(), self.axis())?;
        let needed_time = self
            .search
            .p99(&next)
            .filter(|p99| self.limits.latency.is_some_and(|limit| *p99 > limit));
        let dear = self.limits.flops.is_some_and(|limit| next.flops > limit);
        Some(Upgrade {
            plan: self.search.plan(&next),
            estimate: self.search.estimate(&next),
            needs: Needs {
                latency_ms: needed_time.map(enough_time),
                tflops: dear.then(|| enough_tflops(next.flops)),
            },
        })
    }

    fn runners_up(&self) -> Vec<RunnerUp> {
        if self.search.request.pins.plan.is_some() {
            // No other model could have been chosen.
            return Vec::new();
        }
        let models = self.search.family().models.iter().enumerate();
        // Against its kind a model runs only where the request names it.
        let sampler = self.search.request.pins.sampler;
        let mut found: Vec<(f64, RunnerUp)> = models
            .filter(|(model, _)| *model != self.chosen.offer.candidate.model)
            .filter(|(_, card)| sampler.is_none_or(|pinned| card.suits(pinned)))
            .filter_map(|(_, card)| self.best_of(&card.id))
            .collect();
        found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        found.into_iter().map(|(_, runner_up)| runner_up).collect()
    }

    /// The best plan of one model under the same limits and pins, with its merit and why it lost; nothing
    /// if the model cannot do what was asked.
    fn best_of(&self, model: &ModelId) -> Option<(f64, RunnerUp)> {
        let mut request = self.search.request.clone();
        request.pins.model = Some(model.clone());
        let search = self.search.of(&request);
        let menu = search.menu().ok()?;
        let bills: Vec<Bill<'_>> = menu.offers.iter().map(|offer| search.bill(offer)).collect();
        let (bill, reason) = self.best_among(&bills)?;
        let runner_up = RunnerUp {
            plan: search.plan(&bill),
            estimate: search.estimate(&bill),
            message: reason.to_string(),
            reason,
        };
        Some((bill.merit(), runner_up))
    }

    fn best_among<'m>(&self, bills: &[Bill<'m>]) -> Option<(Bill<'m>, Loss)> {
        let request = self.search.request;
        let min_score = request.budget.min_score.unwrap_or(f64::NEG_INFINITY);
        let is_good = |bill: &&Bill<'m>| bill.merit() >= min_score;
        let good: Vec<Bill<'m>> = bills.iter().filter(is_good).copied().collect();
        if good.is_empty() {
            let by_merit = |a: &&Bill<'m>, b: &&Bill<'m>| a.merit().total_cmp(&b.merit());
            let top = bills.iter().max_by(by_merit).copied()?;
            let by = top.measured_row().map(|_| min_score - top.merit());
            return Some((top, Loss::BelowMinScore { by }));
        }
        let keeps = |bill: &&Bill<'m>| bill.keeps(self.limits, &self.search.now.behind);
        if let Some(runner_up) = best(good.iter().filter(keeps), request) {
            return Some((runner_up, self.loss(&runner_up)));
        }
        let nearest = cheapest(good.iter(), self.axis())?;
        Some((nearest, self.over_budget(&nearest)))
    }

    /// Why a plan lost that keeps every limit.
    fn loss(&self, other: &Bill<'_>) -> Loss {
        let gain = other.merit() - self.chosen.merit();
        let budget = &self.search.request.budget;
        let standard_error = self.search.paired_error(other, &self.chosen);
        let is_auto = budget.quality.unwrap_or_default() == Quality::Auto && !budget.is_limited();
        if budget.minimize.is_some() || (gain >= 0.0 && is_auto) {
            return self.costs_more(other);
        }
        if gain > 0.0 && self.search.request.pins.model.is_some() {
            let by = standard_error.map(|_| gain);
            return Loss::OtherModelPinned { by };
        }
        match standard_error {
            Some(standard_error) if gain > 0.0 => Loss::WithinNoise {
                by: gain,
                standard_error,
            },
            _ if gain == 0.0 => self.costs_more(other),
            _ => Loss::LowerScore {
                by: standard_error.map(|_| -gain),
                standard_error,
            },
        }
    }

    fn costs_more(&self, other: &Bill<'_>) -> Loss {
        let excess = other.flops.tflops() - self.chosen.flops.tflops();
        let delay = self.search.p99(other).zip(self.search.p99(&self.chosen));
        Loss::CostsMore {
            tflops: (excess > 0.0).then_some(excess),
            latency_ms: delay.and_then(|(theirs, ours)| above_zero(theirs.0 - ours.0)),
        }
    }

    fn over_budget(&self, other: &Bill<'_>) -> Loss {
        let over = |limit: Flops| other.flops.tflops() - limit.tflops();
        let late = self.limits.latency.zip(self.search.p99(other));
        Loss::OverBudget {
            tflops: self.limits.flops.map(over).filter(|by| *by > 0.0),
            latency_ms: late.and_then(|(limit, p99)| above_zero(p99.0 - limit.0)),
        }
    }
}

fn above_zero(ms: f64) -> Option<Millis> {
    (ms > 0.0).then_some(Millis(ms))
}
