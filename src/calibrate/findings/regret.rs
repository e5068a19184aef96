//! What is lost by planning on predictions rather than on the truth?
//!
//! Regret at a budget: the held-out score of the best plan within it, minus that of the plan which the
//! predictions choose, both out of the plans that were held out. The choice is the planner's: of the
//! frontier (one standard error of the paired difference, cheapest first) the last entry that fits.
//!
//! The oracle is picked on the same captions that it is scored by, so that it is lucky, the more so the more plans
//! there are. How lucky is what the bootstrap says (Efron 1983, the optimism of an apparent error): an oracle that
//! is picked on resampled captions scores so much better on those than on the captions themselves, beyond what the
//! chosen plan does.

use serde::Serialize;

use super::{
    Material,
    measured::{Measured, Pricer, frontier, measured},
};
use crate::{
    calibrate::bootstrap::standard_error,
    planner::{Plan, Predictions, Sample},
};

/// Budgets that regret is averaged over, evenly spaced in logarithms.
pub const N_BUDGETS: usize = 48;
/// Promised: mean regret of no more than this, or of no more than two standard errors.
pub const PROMISE: f64 = 0.01;

/// Regret over budgets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Regret {
    /// Plans to choose from.
    pub n_plans: usize,
    /// At each budget, smallest first.
    pub budgets: Vec<RegretAt>,
    /// The mean over budgets.
    pub mean: f64,
    /// As much of it as is the oracle's luck.
    pub luck: f64,
    /// Its bootstrap standard error.
    pub standard_error: f64,
    /// The largest one.
    pub worst: f64,
    /// Whether the promise is kept, the oracle's luck left out.
    pub is_kept: bool,
}

/// Regret at one budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RegretAt {
    /// The budget, in 10^12 operations.
    pub tflops: f64,
    /// What the predictions choose.
    pub chosen: Plan,
    /// What was best on held-out captions.
    pub oracle: Plan,
    /// Held-out score of the chosen plan.
    pub chosen_score: f64,
    /// Held-out score of the best plan.
    pub oracle_score: f64,
}

/// Compares choices on held-out measurements; none if there are not two plans that were predicted and
/// held out.
pub fn regret(material: &Material<'_>, pricer: &Pricer<'_>) -> Option<Regret> {
    let profile = material.profile;
    let predictions = Predictions::new(material.family, &profile.cells);
    let held_out = measured(pricer, &profile.held_out, material.objective);
    let mut pool: Vec<(Measured<'_>, Sample)> = (held_out.into_iter())
        .filter_map(|plan| {
            let predicted = predictions.sample(plan.plan(), material.objective)?;
            Some((plan, predicted))
        })
        .collect();
    // The order of held-out scores must not break ties between predictions.
    pool.sort_by(|(a, predicted_a), (b, predicted_b)| {
        let by_cost = a.price.tflops.total_cmp(&b.price.tflops);
        by_cost.then(predicted_b.mean.total_cmp(&predicted_a.mean))
    });
    let (first, last) = (pool.first()?.0.price.tflops, pool.last()?.0.price.tflops);
    if pool.len() < 2 || first >= last {
        return None;
    }
    let offered = frontier(pool.iter().map(|(_, predicted)| predicted));
    let budget = |i: usize| {
        let share = i as f64 / (N_BUDGETS - 1) as f64;
        // Rounding must not leave the dearest plan just outside the largest budget.
        first * (last / first).powf(share) * (1.0 + 1e-9)
    };
    let held: Vec<&Measured<'_>> = pool.iter().map(|(plan, _)| plan).collect();
    let picks: Vec<(f64, &Measured<'_>, &Measured<'_>)> = (0..N_BUDGETS)
        .map(budget)
        .filter_map(|budget| {
            let fits = |plan: &Measured<'_>| plan.price.tflops <= budget;
            let chosen = offered
                .iter()
                .rev()
                .map(|place| &pool[*place].0)
                .find(|p| fits(p))?;
            let within = pool.iter().map(|(plan, _)| plan).filter(|plan| fits(plan));
            let oracle = within.max_by(|a, b| a.sample.mean.total_cmp(&b.sample.mean))?;
            Some((budget, chosen, oracle))
        })
        .collect();
    Some(summary(&picks, &held))
}

/// How much better oracles score on the captions that they were picked on, beyond the chosen plans.
fn luck(picks: &[(f64, &Measured<'_>, &Measured<'_>)], held: &[&Measured<'_>]) -> f64 {
    let n_replicates = picks[0].1.sample.replicates.len();
    let mut sum = 0.0;
    for i in 0..n_replicates {
        let gained = |plan: &Measured<'_>| plan.sample.replicates[i] - plan.sample.mean;
        for (budget, chosen, _) in picks {
            let within = held.iter().filter(|plan| plan.price.tflops <= *budget);
            let by_replicate = |a: &&&Measured<'_>, b: &&&Measured<'_>| {
                a.sample.replicates[i].total_cmp(&b.sample.replicates[i])
            };
            sum += within
                .max_by(by_replicate)
                .map_or(0.0, |lucky| gained(lucky) - gained(chosen));
        }
    }
    sum / (n_replicates * picks.len()).max(1) as f64
}

fn summary(picks: &[(f64, &Measured<'_>, &Measured<'_>)], held: &[&Measured<'_>]) -> Regret {
    let n_replicates = picks[0].1.sample.replicates.len();
    let mean_of = |loss: &dyn Fn(&Measured<'_>, &Measured<'_>) -> f64| {
        let losses = picks.iter().map(|(_, chosen, oracle)| loss(chosen, oracle));
        losses.sum::<f64>() / picks.len() as f64
    };
    let replicate = |i: usize| mean_of(&|c, o| o.sample.replicates[i] - c.sample.replicates[i]);
    let mean = mean_of(&|chosen, oracle| oracle.sample.mean - chosen.sample.mean);
    let replicates: Vec<f64> = (0..n_replicates).map(replicate).collect();
    let standard_error = standard_error(&replicates);
    let at = |(tflops, chosen, oracle): &(f64, &Measured<'_>, &Measured<'_>)| RegretAt {
        tflops: *tflops,
        chosen: chosen.plan().clone(),
        oracle: oracle.plan().clone(),
        chosen_score: chosen.sample.mean,
        oracle_score: oracle.sample.mean,
    };
    let budgets: Vec<RegretAt> = picks.iter().map(at).collect();
    let luck = luck(picks, held);
    Regret {
        n_plans: held.len(),
        luck,
        worst: (budgets.iter()).fold(0.0, |worst, at| {
            f64::max(worst, at.oracle_score - at.chosen_score)
        }),
        budgets,
        mean,
        standard_error,
        is_kept: mean - luck <= f64::max(PROMISE, 2.0 * standard_error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        calibrate::findings::fixture::{cell, material, profile},
        planner::{profile::Cell, test_family::family},
    };

    fn regret_of(cells: &[Cell], held_out: &[Cell]) -> Option<Regret> {
        let mut profile = profile(cells);
        profile.held_out = held_out.to_vec();
        let family = family();
        let material = material(&family, &profile);
        regret(&material, &Pricer::new(&material))
    }

    #[test]
    fn predictions_that_order_plans_rightly_have_no_regret() {
        let cells = [
            cell("small", 1, 0.3),
            cell("small", 4, 0.5),
            cell("small", 16, 0.6),
        ];
        let held_out = [
            cell("small", 1, 0.2),
            cell("small", 2, 0.35),
            cell("small", 16, 0.65),
        ];
        let regret = regret_of(&cells, &held_out).unwrap();
        assert_eq!((regret.mean, regret.n_plans), (0.0, 3));
        assert!(regret.is_kept);
    }

    #[test]
    fn a_wrong_order_is_paid_for_at_the_budgets_where_it_matters() {
        let cells = [
            cell("small", 1, 0.3),
            cell("small", 4, 0.6),
            cell("small", 16, 0.8),
        ];
        let held_out = [
            cell("small", 1, 0.3),
            cell("small", 4, 0.7),
            cell("small", 16, 0.6),
        ];
        let regret = regret_of(&cells, &held_out).unwrap();
        assert!((regret.worst - 0.1).abs() < 1e-9, "{regret:?}");
        assert!(regret.mean > 0.0 && regret.mean < 0.1);
        let last = regret.budgets.last().unwrap();
        assert_eq!((last.chosen.steps, last.oracle.steps), (16, 4));
        assert!(!regret.is_kept || regret.mean <= PROMISE);
    }

    #[test]
    fn an_oracle_among_equals_is_nothing_but_lucky() {
        let steps = [1, 2, 4, 8, 16];
        let cells = steps.map(|steps| cell("small", steps, 0.5));
        let held_out = steps.map(|steps| cell("small", steps, 0.5));
        let regret = regret_of(&cells, &held_out).unwrap();
        assert!(regret.luck >= 0.0 && regret.is_kept, "{regret:?}");
        assert!(regret.mean <= regret.luck + 1e-9, "{regret:?}");
    }

    #[test]
    fn without_held_out_plans_there_is_nothing_to_regret() {
        assert_eq!(regret_of(&[cell("small", 1, 0.3)], &[]), None);
    }
}
