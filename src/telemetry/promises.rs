//! Was what had been promised kept? Budgets, predicted latencies, predicted scores, and the plans behind them.

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use super::{
    Metrics,
    labels::{
        Basis, BudgetEnd, BudgetKind, LatencyClass, Percentile, PlanChange, step_bucket,
        step_buckets,
    },
    register::Register,
    requests::REQUEST_SECONDS,
    seconds,
};
use crate::units::{Millis, Steps};

/// Buckets around 1, where the prediction was right.
const RATIO: &[f64] = &[0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.5, 2.0, 4.0];
/// Shares of a budget; beyond 1 it was missed.
const SHARE: &[f64] = &[
    0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.25, 2.0,
];
/// Scores lie in [0, 1], and those of plans worth offering in its upper half.
const SCORES: &[f64] = &[
    0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0,
];

#[derive(Debug)]
pub(super) struct PromiseSeries {
    budgets: IntCounterVec,
    budget_used: HistogramVec,
    generation_seconds: Histogram,
    latency_ratio: Histogram,
    predictions: IntCounterVec,
    scores: HistogramVec,
    plans: IntCounterVec,
    plan_changes: IntCounterVec,
    rebuilds: IntCounter,
}

impl PromiseSeries {
    pub(super) fn new(register: Register<'_>) -> Self {
        let budgets = "Limits that requests for pictures granted, by kind, by the class of their latency budget and by what \
                       became of them; those of clients that left are not counted.";
        let used = "What requests with pictures used of a limit, as a share of it.";
        let generation =
            "From a request's head to its pictures, of requests that got them in whatever form.";
        let ratio = "Actual over predicted p50 latency of the work that ran, queue left out.";
        let predictions = "Predicted latencies that held or were exceeded, once predictions rest on observed errors.";
        let scores = "Predicted scores of the pictures that were delivered, those of plans that were measured.";
        let plans = "Plans that were run, by their last model.";
        let changes =
            "Plans chosen again, when the device began (dispatch) and at pictures' steps.";
        let rebuilds =
            "Times the plans on offer were worked out anew, since the machine's times had moved.";
        Self {
            budgets: register.counters("budgets_total", budgets, &["kind", "class", "result"]),
            budget_used: register.histograms("budget_used_ratio", used, &["kind"], SHARE),
            generation_seconds: register.histogram(
                "generation_duration_seconds",
                generation,
                REQUEST_SECONDS,
            ),
            latency_ratio: register.histogram("latency_prediction_ratio", ratio, RATIO),
            predictions: register.counters(
                "latency_predictions_total",
                predictions,
                &["basis", "percentile", "result"],
            ),
            scores: register.histograms("predicted_score", scores, &["objective"], SCORES),
            plans: register.counters("plans_total", plans, &["model", "sampler", "steps"]),
            plan_changes: register.counters("plan_changes_total", changes, &["at", "change"]),
            rebuilds: register.counter_int("menu_rebuilds_total", rebuilds),
        }
    }

    /// Shows the closed label sets.
    pub(super) fn show_zeros(&self) {
        for kind in BudgetKind::ALL {
            self.budget_used.with_label_values(&[kind.label()]);
            for class in LatencyClass::all(*kind) {
                for end in BudgetEnd::ALL {
                    let labels = [kind.label(), class.label(), end.label()];
                    self.budgets.with_label_values(&labels);
                }
            }
        }
        for basis in Basis::ALL {
            for percentile in Percentile::ALL {
                for held in [true, false] {
                    self.predictions
                        .with_label_values(&prediction(*basis, *percentile, held));
                }
            }
        }
        for change in PlanChange::ALL {
            self.plan_changes.with_label_values(&change.labels());
        }
    }
}

fn prediction(basis: Basis, percentile: Percentile, held: bool) -> [&'static str; 3] {
    let result = if held { "held" } else { "exceeded" };
    [basis.label(), percentile.label(), result]
}

impl Metrics {
    /// Makes the plans of a model show as zero from the start, with the samplers that it is offered with.
    pub fn declare_plans(&self, model: &str, samplers: impl IntoIterator<Item = &'static str>) {
        for sampler in samplers {
            for steps in step_buckets() {
                self.promises
                    .plans
                    .with_label_values(&[model, sampler, steps]);
            }
        }
    }

    /// Makes the scores of these objectives show as zero from the start.
    pub fn declare_objectives(&self, objectives: impl IntoIterator<Item = &'static str>) {
        for objective in objectives {
            self.promises.scores.with_label_values(&[objective]);
        }
    }

    /// A request's pictures are there, made by this plan, after so long.
    pub fn generated(&self, (model, sampler, steps): (&str, &'static str, Steps), took: Millis) {
        self.promises
            .plans
            .with_label_values(&[model, sampler, step_bucket(steps)])
            .inc();
        self.promises.generation_seconds.observe(seconds(took));
    }

    /// This became of a limit of a request whose latency budget is of this class.
    pub fn budget(&self, kind: BudgetKind, class: LatencyClass, end: BudgetEnd) {
        self.promises
            .budgets
            .with_label_values(&[kind.label(), class.label(), end.label()])
            .inc();
    }

    /// A request with pictures used this share of a limit.
    pub fn budget_used(&self, kind: BudgetKind, share: f64) {
        self.promises
            .budget_used
            .with_label_values(&[kind.label()])
            .observe(share);
    }

    /// A request took this much of its predicted p50 latency, queue left out on both sides.
    pub fn latency_ratio(&self, ratio: f64) {
        self.promises.latency_ratio.observe(ratio);
    }

    /// A predicted latency held or was exceeded.
    pub fn prediction(&self, basis: Basis, percentile: Percentile, held: bool) {
        self.promises
            .predictions
            .with_label_values(&prediction(basis, percentile, held))
            .inc();
    }

    /// A picture was delivered that is predicted to be worth this much by this objective.
    pub fn delivered(&self, objective: &'static str, score: f64) {
        self.promises
            .scores
            .with_label_values(&[objective])
            .observe(score);
    }

    /// A plan was chosen again.
    pub fn plan_chosen_again(&self, change: PlanChange) {
        self.promises
            .plan_changes
            .with_label_values(&change.labels())
            .inc();
    }

    /// The planner's menus were made anew, since the machine's times had moved.
    pub fn menus_rebuilt(&self) {
        self.promises.rebuilds.inc();
    }
}
