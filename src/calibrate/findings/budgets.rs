//! Which model is best at each budget, and where does the lead change hands?
//!
//! The lead is kept until another model's best measured plan within the budget is better by more than one
//! standard error of the paired difference: ties go to whoever leads, as on the planner's frontier.

use serde::Serialize;

use super::{
    difference::{Difference, Verdict},
    measured::{Measured, Pricer},
};
use crate::planner::{Plan, ScoreEstimate};

/// The models of one kind, against each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contest {
    /// Whether these are the distilled models.
    pub is_distilled: bool,
    /// Best score within each budget, model by model, smallest first.
    pub curves: Vec<BestCurve>,
    /// Who leads where, from the smallest budget upwards.
    pub reigns: Vec<Reign>,
    /// The clearest case of a smaller model that beats a larger one, which the budget affords as well.
    pub upset: Option<Upset>,
}

/// One model's best plans.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BestCurve {
    /// The model.
    pub model: String,
    /// Each with a higher score than the one before.
    pub steps: Vec<Best>,
}

/// A model's best plan from this budget on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Best {
    /// 10^12 operations.
    pub tflops: f64,
    /// The plan.
    pub plan: Plan,
    /// Its score.
    pub score: ScoreEstimate,
}

/// A stretch of budgets that one model leads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reign {
    /// Where it begins, in 10^12 operations.
    pub from_tflops: f64,
    /// Where it ends; none for the last one.
    pub to_tflops: Option<f64>,
    /// The leader.
    pub model: String,
    /// Its best plan at the end of the stretch.
    pub plan: Plan,
    /// That plan's score.
    pub score: ScoreEstimate,
    /// By how much it is ahead of the best other model there; none if no other fits.
    pub lead: Option<Difference>,
    /// The best other model there.
    pub runner_up: Option<String>,
}

/// A smaller model that beats a larger one within one budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Upset {
    /// The budget, in 10^12 operations.
    pub tflops: f64,
    /// The smaller model's plan.
    pub smaller: Plan,
    /// The larger model's best plan within the budget.
    pub larger: Plan,
    /// The smaller one minus the larger one.
    pub difference: Difference,
}

/// What the measured plans say of the paper's finding, that smaller models win at small budgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// A smaller model beats an affordable larger one by two standard errors, and the lead moves to larger
    /// models as the budget grows.
    Holds,
    /// A smaller model beats an affordable larger one, but the lead does not only move to larger models.
    HoldsInPart,
    /// No smaller model beats an affordable larger one by two standard errors.
    DoesNotHold,
}

impl Contest {
    /// Compares plans, which must be given cheapest first; none if there are not two models of the kind.
    pub fn of(plans: &[Measured<'_>], pricer: &Pricer<'_>, is_distilled: bool) -> Option<Self> {
        let plain =
            |plan: &&Measured<'_>| plan.is_distilled == is_distilled && plan.cell.plan.is_plain();
        let plans: Vec<&Measured<'_>> = plans.iter().filter(plain).collect();
        let mut models: Vec<&str> = Vec::new();
        for plan in &plans {
            if !models.contains(&plan.plan().model.0.as_str()) {
                models.push(&plan.plan().model.0);
            }
        }
        models.sort_by_key(|model| pricer.rank(model));
        if models.len() < 2 {
            return None;
        }
        let mut race = Race::new(&models);
        for (place, plan) in plans.iter().enumerate() {
            race.enter(plan);
            let is_last_of_its_cost = plans
                .get(place + 1)
                .is_none_or(|next| next.price.tflops > plan.price.tflops);
            if is_last_of_its_cost {
                race.judge(plan.price.tflops);
            }
        }
        Some(race.contest(is_distilled))
    }

    /// Whether the paper's finding holds here.
    pub fn finding(&self) -> Finding {
        let is_upset = self
            .upset
            .as_ref()
            .is_some_and(|upset| upset.difference.verdict() == Verdict::Wins);
        let place = |reign: &Reign| {
            self.curves
                .iter()
                .position(|curve| curve.model == reign.model)
        };
        let rises = self
            .reigns
            .windows(2)
            .all(|pair| place(&pair[0]) < place(&pair[1]));
        match (is_upset, rises && self.reigns.len() > 1) {
            (true, true) => Finding::Holds,
            (true, false) => Finding::HoldsInPart,
            (false, _) => Finding::DoesNotHold,
        }
    }
}

/// The state of the contest at one budget.
struct Race<'p> {
    models: Vec<&'p str>,
    /// Each model's best plan so far.
    best: Vec<Option<&'p Measured<'p>>>,
    curves: Vec<BestCurve>,
    leader: Option<usize>,
    reigns: Vec<Reign>,
    upset: Option<Upset>,
}

impl<'p> Race<'p> {
    fn new(models: &[&'p str]) -> Self {
        let curve = |model: &&str| BestCurve {
            model: (*model).to_owned(),
            steps: Vec::new(),
        };
        Self {
            best: vec![None; models.len()],
            curves: models.iter().map(curve).collect(),
            models: models.to_vec(),
            leader: None,
            reigns: Vec::new(),
            upset: None,
        }
    }

    fn enter(&mut self, plan: &'p Measured<'p>) {
        let place = self
            .models
            .iter()
            .position(|model| *model == plan.plan().model.0);
        let Some(place) = place else { return };
        if self.best[place].is_none_or(|best| plan.sample.mean > best.sample.mean) {
            self.best[place] = Some(plan);
            self.curves[place].steps.push(Best {
                tflops: plan.price.tflops,
                plan: plan.plan().clone(),
                score: plan.sample.estimate(),
            });
        }
    }

    fn judge(&mut self, tflops: f64) {
        self.seek_upset(tflops);
        let best = |place: usize| self.best[place].map(|plan| &plan.sample);
        let beats_leader = |place: usize| {
            let leader = self.leader.and_then(best);
            leader.is_none_or(|leader| {
                best(place).is_some_and(|sample| Difference::paired(sample, leader).is_progress())
            })
        };
        let mean = |place: &usize| best(*place).map_or(f64::NEG_INFINITY, |sample| sample.mean);
        let challenger = (0..self.models.len())
            .filter(|place| self.best[*place].is_some() && Some(*place) != self.leader)
            .max_by(|a, b| mean(a).total_cmp(&mean(b)));
        if let Some(place) = challenger.filter(|place| beats_leader(*place)) {
            if let Some(last) = self.reigns.last_mut() {
                last.to_tflops = Some(tflops);
            }
            self.leader = Some(place);
            self.reigns.extend(self.reign(place, tflops));
        } else if let Some(place) = self.leader {
            let from = self.reigns.pop().map_or(tflops, |reign| reign.from_tflops);
            self.reigns.extend(self.reign(place, from));
        }
    }

    /// The leader as it stands now.
    fn reign(&self, place: usize, from_tflops: f64) -> Option<Reign> {
        let plan = self.best[place]?;
        let others = (0..self.models.len()).filter(|other| *other != place);
        let others = others.filter_map(|other| Some((other, self.best[other]?)));
        let runner_up = others.max_by(|(_, a), (_, b)| a.sample.mean.total_cmp(&b.sample.mean));
        Some(Reign {
            from_tflops,
            to_tflops: None,
            model: self.models[place].to_owned(),
            plan: plan.plan().clone(),
            score: plan.sample.estimate(),
            lead: runner_up.map(|(_, other)| Difference::paired(&plan.sample, &other.sample)),
            runner_up: runner_up.map(|(other, _)| self.models[other].to_owned()),
        })
    }

    /// Keeps the smaller-beats-larger case that is surest.
    fn seek_upset(&mut self, tflops: f64) {
        let sureness =
            |difference: Difference| difference.mean / difference.standard_error.max(1e-4);
        for larger in 1..self.models.len() {
            for smaller in 0..larger {
                let (Some(small), Some(large)) = (self.best[smaller], self.best[larger]) else {
                    continue;
                };
                let difference = Difference::paired(&small.sample, &large.sample);
                let known = self
                    .upset
                    .as_ref()
                    .map_or(0.0, |upset| sureness(upset.difference));
                if sureness(difference) > known {
                    self.upset = Some(Upset {
                        tflops,
                        smaller: small.plan().clone(),
                        larger: large.plan().clone(),
                        difference,
                    });
                }
            }
        }
    }

    fn contest(self, is_distilled: bool) -> Contest {
        Contest {
            is_distilled,
            curves: self.curves,
            reigns: self.reigns,
            upset: self.upset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::findings::fixture::{cell, contest};

    #[test]
    fn the_lead_moves_to_the_larger_model_once_it_can_take_enough_steps() {
        let cells = [
            cell("small", 1, 0.30),
            cell("small", 4, 0.50),
            cell("small", 16, 0.55),
            cell("large", 1, 0.10),
            cell("large", 4, 0.40),
            cell("large", 16, 0.80),
        ];
        let contest = contest(&cells);
        let leaders: Vec<&str> = contest.reigns.iter().map(|r| r.model.as_str()).collect();
        assert_eq!(leaders, ["small", "large"]);
        assert_eq!(
            contest.reigns[0].to_tflops,
            Some(contest.reigns[1].from_tflops)
        );
        assert_eq!(contest.finding(), Finding::Holds);
        let upset = contest.upset.unwrap();
        assert_eq!(
            (upset.smaller.steps, upset.larger.steps),
            (1, 1),
            "the surest case"
        );
    }

    #[test]
    fn where_the_larger_model_is_always_better_the_finding_does_not_hold() {
        let cells = [
            cell("small", 1, 0.30),
            cell("large", 1, 0.40),
            cell("small", 4, 0.35),
            cell("large", 4, 0.60),
        ];
        let contest = contest(&cells);
        assert_eq!(contest.finding(), Finding::DoesNotHold);
        assert_eq!(contest.curves[0].steps.len(), 2);
        assert_eq!(
            contest.reigns.last().unwrap().runner_up.as_deref(),
            Some("small")
        );
    }
}
