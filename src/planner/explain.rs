//! Why this plan, what would more budget buy, and why did the others lose? What `POST /v1/plan` and
//! `goldilocks plan` tell.

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    budget::{Cost, Load, PlanRequest, Quality},
    candidates::Worth,
    choice::{Limits, Planner, best, cheapest, keeps},
    frontier::Offer,
    latency::LatencyModel,
    menu::Menu,
    plan::{Estimate, Plan},
    refusal::{Refusal, enough_tflops, enough_time},
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
    /// The best plan of each other model that can do what was asked, best first.
    pub runners_up: Vec<RunnerUp>,
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

/// Why a plan was not chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Loss {
    /// It is predicted to score less.
    LowerScore {
        /// By how much; null if one of the plans was never measured.
        by: Option<f64>,
        /// The standard error of the paired difference.
        standard_error: Option<f64>,
    },
    /// It is predicted to score more, but by less than one standard error, and costs more.
    WithinNoise {
        /// By how much.
        by: f64,
        /// The standard error of the paired difference.
        standard_error: f64,
    },
    /// It would be good enough, but costs more.
    CostsMore {
        /// By how many tflops; null if it does not.
        tflops: Option<f64>,
        /// By how many milliseconds at p95; null if it does not.
        #[schema(value_type = Option<f64>)]
        latency_ms: Option<Millis>,
    },
    /// Its cheapest plan exceeds the budget.
    OverBudget {
        /// By how many tflops; null if it does not.
        tflops: Option<f64>,
        /// By how many milliseconds at p95; null if it does not.
        #[schema(value_type = Option<f64>)]
        latency_ms: Option<Millis>,
    },
    /// It does not reach `min_score`.
    BelowMinScore {
        /// By how much; null if it was never measured.
        by: Option<f64>,
    },
    /// It is predicted to score more, but the request fixes another model.
    OtherModelPinned {
        /// By how much; null if one of the plans was never measured.
        by: Option<f64>,
    },
}

/// A warning with its stable name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Notice {
    /// A stable name.
    #[schema(value_type = String)]
    pub code: &'static str,
    /// The same in words.
    pub message: String,
}

impl From<PlanWarning> for Notice {
    fn from(warning: PlanWarning) -> Self {
        Self {
            code: warning.code(),
            message: warning.to_string(),
        }
    }
}

impl Planner {
    /// Chooses as [`Self::choose`] does, and says why.
    pub fn explain(
        &self,
        request: &PlanRequest,
        latency: &LatencyModel,
        load: Load,
    ) -> Result<Explanation, Refusal> {
        let menu = self.menu(request, latency)?;
        let chosen = self.select(&menu, request, latency, load)?;
        let limits = self.limits(&self.eligible(&menu, request, latency)?, request);
        let scene = Scene {
            planner: self,
            request,
            latency,
            load,
            limits,
            chosen,
        };
        let decision = self.decision(&chosen, request, latency, load);
        Ok(Explanation {
            next_better: scene.next_better(&menu),
            runners_up: scene.runners_up(),
            warnings: decision.warnings.into_iter().map(Notice::from).collect(),
            plan: decision.plan,
            estimate: decision.estimate,
        })
    }
}

/// A choice that was made, with all it was made from.
struct Scene<'a> {
    planner: &'a Planner,
    request: &'a PlanRequest,
    latency: &'a LatencyModel,
    load: Load,
    limits: Limits,
    chosen: Offer,
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

    fn p95(&self, offer: &Offer) -> Option<Millis> {
        let sum = offer.phases?;
        Some(self.latency.estimate(sum, self.load.queued).p95)
    }

    fn estimate(&self, offer: &Offer) -> Estimate {
        let planner = self.planner;
        planner.estimate(offer, self.request, self.latency, self.load)
    }

    fn plan(&self, offer: &Offer) -> Plan {
        (offer.candidate).plan(
            &self.planner.family,
            &self.planner.scores,
            self.request.size,
        )
    }

    fn next_better(&self, menu: &Menu) -> Option<Upgrade> {
        let better = |offer: &&Offer| offer.merit > self.chosen.merit;
        let next = cheapest(menu.offers.iter().filter(better), self.axis())?;
        let needed_time = self
            .p95(&next)
            .filter(|p95| self.limits.latency.is_some_and(|limit| *p95 > limit));
        let dear = self.limits.flops.is_some_and(|limit| next.flops > limit);
        Some(Upgrade {
            plan: self.plan(&next),
            estimate: self.estimate(&next),
            needs: Needs {
                latency_ms: needed_time.map(enough_time),
                tflops: dear.then(|| enough_tflops(next.flops)),
            },
        })
    }

    fn runners_up(&self) -> Vec<RunnerUp> {
        let models = self.planner.family.models.iter().enumerate();
        // Against its kind a model runs only where the request names it.
        let sampler = self.request.pins.sampler;
        let mut found: Vec<(Offer, Loss)> = models
            .filter(|(model, _)| *model != self.chosen.candidate.model)
            .filter(|(_, card)| sampler.is_none_or(|pinned| card.suits(pinned)))
            .filter_map(|(_, card)| self.best_of(&card.id))
            .collect();
        found.sort_by(|(a, _), (b, _)| b.merit.total_cmp(&a.merit));
        let tell = |(offer, reason): (Offer, Loss)| RunnerUp {
            plan: self.plan(&offer),
            estimate: self.estimate(&offer),
            message: reason.to_string(),
            reason,
        };
        found.into_iter().map(tell).collect()
    }

    /// The best plan of one model under the same limits and pins, and why it lost; nothing if the
    /// model cannot do what was asked.
    fn best_of(&self, model: &ModelId) -> Option<(Offer, Loss)> {
        let mut request = self.request.clone();
        request.pins.model = Some(model.clone());
        let offers = self.planner.menu(&request, self.latency).ok()?.offers;
        let min_score = request.budget.min_score.unwrap_or(f64::NEG_INFINITY);
        let good: Vec<Offer> = offers
            .iter()
            .filter(|offer| offer.merit >= min_score)
            .copied()
            .collect();
        if good.is_empty() {
            let top = offers
                .into_iter()
                .max_by(|a, b| a.merit.total_cmp(&b.merit))?;
            let by = is_measured(&top).then_some(min_score - top.merit);
            return Some((top, Loss::BelowMinScore { by }));
        }
        let keeps = |offer: &&Offer| keeps(offer, self.limits, self.latency, self.load);
        let within: Vec<Offer> = good.iter().filter(keeps).copied().collect();
        if let Some(runner_up) = best(&within, &request) {
            return Some((runner_up, self.loss(&runner_up)));
        }
        let nearest = cheapest(good.iter(), self.axis())?;
        Some((nearest, self.over_budget(&nearest)))
    }

    /// Why a plan lost that keeps every limit.
    fn loss(&self, other: &Offer) -> Loss {
        let gain = other.merit - self.chosen.merit;
        let (rows, budget) = (measured_rows(other, &self.chosen), &self.request.budget);
        let objective = budget.objective;
        let standard_error = rows.map(|(a, b)| self.planner.scores.paired_error(a, b, objective));
        let is_auto = budget.quality.unwrap_or_default() == Quality::Auto && !budget.is_limited();
        if budget.minimize.is_some() || (gain >= 0.0 && is_auto) {
            return self.costs_more(other);
        }
        if gain > 0.0 && self.request.pins.model.is_some() {
            let by = rows.map(|_| gain);
            return Loss::OtherModelPinned { by };
        }
        match standard_error {
            Some(standard_error) if gain > 0.0 => Loss::WithinNoise {
                by: gain,
                standard_error,
            },
            _ if gain == 0.0 => self.costs_more(other),
            _ => Loss::LowerScore {
                by: rows.map(|_| -gain),
                standard_error,
            },
        }
    }

    fn costs_more(&self, other: &Offer) -> Loss {
        let excess = other.flops.tflops() - self.chosen.flops.tflops();
        let delay = self.p95(other).zip(self.p95(&self.chosen));
        Loss::CostsMore {
            tflops: (excess > 0.0).then_some(excess),
            latency_ms: delay.and_then(|(theirs, ours)| above_zero(theirs.0 - ours.0)),
        }
    }

    fn over_budget(&self, other: &Offer) -> Loss {
        let over = |limit: Flops| other.flops.tflops() - limit.tflops();
        let late = self.limits.latency.zip(self.p95(other));
        Loss::OverBudget {
            tflops: self.limits.flops.map(over).filter(|by| *by > 0.0),
            latency_ms: late.and_then(|(limit, p95)| above_zero(p95.0 - limit.0)),
        }
    }
}

fn is_measured(offer: &Offer) -> bool {
    matches!(offer.candidate.worth, Worth::Measured(_))
}

fn measured_rows(a: &Offer, b: &Offer) -> Option<(usize, usize)> {
    match (a.candidate.worth, b.candidate.worth) {
        (Worth::Measured(a), Worth::Measured(b)) => Some((a, b)),
        _ => None,
    }
}

fn above_zero(ms: f64) -> Option<Millis> {
    (ms > 0.0).then_some(Millis(ms))
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let and = |tflops: Option<f64>, latency_ms: Option<Millis>| {
            let tflops = tflops.map(|by| format!("{by:.4} tflops"));
            let latency = latency_ms.map(|by| format!("{:.1} ms", by.0));
            let parts: Vec<String> = latency.into_iter().chain(tflops).collect();
            parts.join(" and ")
        };
        match *self {
            Self::LowerScore {
                by: Some(by),
                standard_error: Some(error),
            } => write!(f, "predicted to score {by:.4} less (+- {error:.4})"),
            Self::LowerScore { .. } => f.write_str("not preferred; never measured"),
            Self::WithinNoise { by, standard_error } => write!(
                f,
                "predicted to score {by:.4} more, within the error of {standard_error:.4}, \
                 and not cheaper"
            ),
            Self::CostsMore { tflops, latency_ms } => match and(tflops, latency_ms) {
                by if by.is_empty() => f.write_str("good enough, and no cheaper"),
                by => write!(f, "good enough, but takes {by} more"),
            },
            Self::OverBudget { tflops, latency_ms } => match and(tflops, latency_ms) {
                by if by.is_empty() => f.write_str("its latency is not known"),
                by => write!(f, "its cheapest plan is {by} over budget"),
            },
            Self::BelowMinScore { by: Some(by) } => write!(f, "{by:.4} below min_score"),
            Self::BelowMinScore { by: None } => f.write_str("min_score is set; never measured"),
            Self::OtherModelPinned { by: Some(by) } => write!(
                f,
                "predicted to score {by:.4} more, but the request fixes another model"
            ),
            Self::OtherModelPinned { by: None } => f.write_str("the request fixes another model"),
        }
    }
}
