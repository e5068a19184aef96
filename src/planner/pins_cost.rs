//! What do the pins cost?

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    bill::Bill,
    plan::{Estimate, Plan},
    search::Search,
    shortfall::without_pins,
};
use crate::units::Millis;

/// The plan that would be chosen without the pins, and what the pinned one gives away. Differences are
/// signed: below zero the pins save something.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PinsCost {
    /// The plan.
    pub plan: Plan,
    /// What is predicted of it.
    pub estimate: Estimate,
    /// How much less the pinned plan is predicted to score; null if one of the two was never measured.
    pub score: Option<f64>,
    /// The standard error of that, paired by caption.
    pub standard_error: Option<f64>,
    /// How many milliseconds more the pinned plan takes at p99; null before this machine was timed.
    #[schema(value_type = Option<f64>)]
    pub latency_ms: Option<Millis>,
    /// How many tflops more the pinned plan takes.
    pub tflops: f64,
    /// The same in words.
    pub message: String,
}

impl Search<'_> {
    /// Chooses once more without the pins; nothing if there are none, or if none of what would then be on
    /// offer keeps all limits.
    pub(super) fn pins_cost(&self, pinned: &Bill<'_>) -> Option<PinsCost> {
        if self.request.pins.is_empty() {
            return None;
        }
        let freed = without_pins(self.request);
        let search = self.of(&freed);
        let menu = search.menu().ok()?;
        let eligible = search.eligible(&menu).ok()?;
        let free = search.select(&eligible, search.limits(&eligible)).ok()?;
        let standard_error = self.paired_error(&free, pinned);
        let p99s = self.p99(pinned).zip(self.p99(&free));
        let mut cost = PinsCost {
            plan: search.plan(&free),
            estimate: search.estimate(&free),
            score: standard_error.map(|_| free.merit() - pinned.merit()),
            standard_error,
            latency_ms: p99s.map(|(pinned, free)| Millis(pinned.0 - free.0)),
            tflops: pinned.flops.tflops() - free.flops.tflops(),
            message: String::new(),
        };
        let is_same = cost.plan == self.plan(pinned);
        cost.message = if is_same {
            "the pins cost nothing: the same plan would be chosen without them".to_owned()
        } else {
            cost.in_words()
        };
        Some(cost)
    }
}

impl PinsCost {
    /// `without the pins: 0.0512 more score (+- 0.0101), 12.0 ms more, 0.0012 tflops less`
    fn in_words(&self) -> String {
        let more = |by: f64| if by < 0.0 { "less" } else { "more" };
        let score = match (self.score, self.standard_error) {
            (Some(by), Some(error)) => {
                format!("{:.4} {} score (+- {error:.4})", by.abs(), more(by))
            }
            _ => "a score that cannot be compared".to_owned(),
        };
        let latency = self.latency_ms.map(|ms| {
            let by = -ms.0;
            format!("{:.1} ms {}", by.abs(), more(by))
        });
        let by = -self.tflops;
        let tflops = format!("{:.4} tflops {}", by.abs(), more(by));
        let parts: Vec<String> = [score].into_iter().chain(latency).chain([tflops]).collect();
        format!("without the pins: {}", parts.join(", "))
    }
}
