//! What does each measured plan cost, and what is it worth? Every other finding starts from here.

use serde::Serialize;

use super::{Material, difference::Difference};
use crate::{
    catalog::Family,
    planner::{
        CostTable, LatencyModel, Objective, Plan, Sample, ScoreEstimate, Workload,
        phases::FamilyTimes, profile::Cell,
    },
    units::{Millis, Nfe},
};

/// What one picture of a plan costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// 10^12 operations: text, every evaluation, decoder.
    pub tflops: f64,
    /// Median latency on an idle machine, in milliseconds; none where it was never timed.
    pub latency_ms: Option<f64>,
    /// Network evaluations.
    pub nfe: Nfe,
}

/// Prices plans of one family.
pub struct Pricer<'a> {
    family: &'a Family,
    costs: CostTable,
    clocked: Option<(&'a LatencyModel, FamilyTimes)>,
}

impl<'a> Pricer<'a> {
    /// Prices what `material` is about.
    pub fn new(material: &Material<'a>) -> Self {
        let size = material.profile.size;
        let timed = |latency: &'a LatencyModel| {
            let times = latency.phases().of_family(material.family, size);
            (latency, times)
        };
        Self {
            family: material.family,
            costs: CostTable::of(material.family),
            clocked: material.latency.map(timed),
        }
    }

    /// Returns the price of a picture; none if model or size are not the family's.
    pub fn of(&self, plan: &Plan) -> Option<Price> {
        let workload = Workload::of(plan, self.family)?;
        let flops = self.costs.text + workload.flops(self.costs.at(plan.size)?);
        let latency = self.clocked.as_ref().and_then(|(latency, times)| {
            let sum = times.request(&workload, 1, 1)?;
            Some(latency.estimate(sum, Millis(0.0)).p50.0)
        });
        Some(Price {
            tflops: flops.tflops(),
            latency_ms: latency,
            nfe: workload.nfe(),
        })
    }

    /// Whether one of the plan's models is a distilled one.
    pub fn is_distilled(&self, plan: &Plan) -> bool {
        let is_student = |id: &str| self.family.model(id).is_some_and(|card| card.distilled);
        plan.models().any(|id| is_student(&id.0))
    }

    /// The models' place by size.
    pub fn rank(&self, model: &str) -> usize {
        let place = self
            .family
            .models
            .iter()
            .position(|card| card.id.0 == model);
        place.unwrap_or(self.family.models.len())
    }
}

/// A measured plan with its price.
pub struct Measured<'a> {
    /// What was measured.
    pub cell: &'a Cell,
    /// Its price.
    pub price: Price,
    /// Its score.
    pub sample: Sample,
    /// Whether guidance is baked into one of its models.
    pub is_distilled: bool,
}

impl Measured<'_> {
    /// The measured plan.
    pub fn plan(&self) -> &Plan {
        &self.cell.plan
    }
}

/// Prices cells, cheapest first; of equals in cost the better comes first. Cells of models that the family
/// no longer has are left out.
pub fn measured<'a>(
    pricer: &Pricer<'_>,
    cells: &'a [Cell],
    objective: Objective,
) -> Vec<Measured<'a>> {
    let price = |cell: &'a Cell| {
        Some(Measured {
            price: pricer.of(&cell.plan)?,
            sample: Sample::of(cell, objective),
            is_distilled: pricer.is_distilled(&cell.plan),
            cell,
        })
    };
    let mut priced: Vec<Measured<'a>> = cells.iter().filter_map(price).collect();
    priced.sort_by(|a, b| {
        let by_cost = a.price.tflops.total_cmp(&b.price.tflops);
        by_cost.then(b.sample.mean.total_cmp(&a.sample.mean))
    });
    priced
}

/// The places of those plans, given by rising cost, that beat the last one before them by more than one
/// standard error of the paired difference.
pub fn frontier<'a>(by_cost: impl Iterator<Item = &'a Sample>) -> Vec<usize> {
    leaders(by_cost, Difference::is_progress)
}

/// The same where `beats` says of the difference to the last one whether it is enough.
pub fn leaders<'a>(
    by_cost: impl Iterator<Item = &'a Sample>,
    beats: impl Fn(Difference) -> bool,
) -> Vec<usize> {
    let mut entries: Vec<(usize, &Sample)> = Vec::new();
    for (place, sample) in by_cost.enumerate() {
        let enters = entries
            .last()
            .is_none_or(|(_, last)| beats(Difference::paired(sample, last)));
        if enters {
            entries.push((place, sample));
        }
    }
    entries.into_iter().map(|(place, _)| place).collect()
}

/// One measured plan in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanRow {
    /// What was run.
    pub plan: Plan,
    /// Whether guidance is baked into one of its models.
    pub is_distilled: bool,
    /// 10^12 operations for one picture.
    pub tflops: f64,
    /// Median latency on this machine, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Network evaluations.
    pub nfe: Nfe,
    /// The score that the findings are about.
    pub score: ScoreEstimate,
    /// Share of pictures that show everything the caption says.
    pub alignment: ScoreEstimate,
    /// Closeness to real pictures.
    pub fidelity: ScoreEstimate,
    /// CMMD to real pictures; none without an evaluator.
    pub cmmd: Option<f64>,
    /// Frechet distance to real pictures, biased by their number, which is the same for all plans.
    pub frechet: Option<f64>,
    /// Pictures looked at.
    pub n: usize,
    /// Whether it is on the frontier over operations.
    pub on_frontier: bool,
    /// Whether it is on the frontier over latency.
    pub on_latency_frontier: bool,
}

/// Every measured plan, cheapest first, with both frontiers marked.
pub fn rows(plans: &[Measured<'_>]) -> Vec<PlanRow> {
    let offered = frontier(plans.iter().map(|plan| &plan.sample));
    let mut timed: Vec<(f64, usize)> = (plans.iter().enumerate())
        .filter_map(|(place, plan)| Some((plan.price.latency_ms?, place)))
        .collect();
    timed.sort_by(|a, b| {
        let mean = |place: usize| plans[place].sample.mean;
        a.0.total_cmp(&b.0).then(mean(b.1).total_cmp(&mean(a.1)))
    });
    let fast = frontier(timed.iter().map(|(_, place)| &plans[*place].sample));
    let fast: Vec<usize> = fast.into_iter().map(|place| timed[place].1).collect();
    let row = |(place, plan): (usize, &Measured<'_>)| PlanRow {
        plan: plan.plan().clone(),
        is_distilled: plan.is_distilled,
        tflops: plan.price.tflops,
        latency_ms: plan.price.latency_ms,
        nfe: plan.price.nfe,
        score: plan.sample.estimate(),
        alignment: plan.cell.alignment,
        fidelity: plan.cell.fidelity,
        cmmd: plan.cell.cmmd,
        frechet: plan.cell.frechet,
        n: plan.cell.n,
        on_frontier: offered.contains(&place),
        on_latency_frontier: fast.contains(&place),
    };
    plans.iter().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dearer_plan_must_win_by_more_than_the_error_of_the_paired_difference() {
        let sample = |mean, replicates: [f64; 3]| Sample {
            mean,
            replicates: replicates.to_vec(),
        };
        let first = sample(0.50, [0.4, 0.5, 0.6]);
        // As uncertain as the first, but better in every replicate by the same amount.
        let surely_better = sample(0.52, [0.42, 0.52, 0.62]);
        let perhaps_better = sample(0.53, [0.6, 0.5, 0.49]);
        let worse = sample(0.40, [0.4, 0.4, 0.4]);
        let samples = [first, surely_better, perhaps_better, worse];
        assert_eq!(frontier(samples.iter()), [0, 1]);
    }
}
