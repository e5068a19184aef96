//! How long will this request take? Measured phase times, one machine-speed factor and an
//! empirical distribution of errors, both learned from whole requests as they finish.
//!
//! A prediction is the sum of the phases, times the speed factor, times a quantile of the recent
//! errors. The errors are those of whole requests, because quantiles of phases do not add.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{moved, phases::PhaseTimes, plan::LatencyEstimate};
use crate::units::Millis;

/// Errors kept. Old ones fall out, so that what no longer holds is forgotten.
const MEMORY: usize = 256;
/// Assumed errors that stand in until as many were observed.
const PRIOR: u32 = 32;
/// Requests in a row beyond the same end of the interval that mean the machine has changed: by
/// chance alone one in (1 / 0.05)^5 = 3.2 million requests would look like it.
const RUN: usize = 5;
/// Weight of the newest request in the speed factor once there are enough of them.
const GAIN: f64 = 0.1;
/// One request moves the factor as if it were at most this far off, in log units: an outlier is
/// not a trend.
const LEASH: f64 = 0.2;

/// What this machine is known to take, and how well that is known. Pure: it reads no clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "State")]
pub struct LatencyModel {
    phases: PhaseTimes,
    /// Natural logarithm of the machine-speed factor: above zero is slower than the phase table.
    log_speed: f64,
    /// ln(actual / predicted) of recent requests, oldest first, assumed ones before observed ones.
    errors: VecDeque<f64>,
    /// ln(actual / sum of phases) of the last [`RUN`] requests.
    recent: VecDeque<f64>,
    n_observed: u64,
    #[serde(skip_serializing)]
    quantiles: LogQuantiles,
}

/// Quantiles of the errors, computed once for each observation rather than for each prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
struct LogQuantiles {
    p50: f64,
    p95: f64,
    p99: f64,
}

/// What the model predicts behind one queue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    queued: Millis,
    speed: f64,
    p50: f64,
    p95: f64,
    p99: f64,
}

impl Forecast {
    /// Predicts from a sum of phases; see [`LatencyModel::estimate`].
    pub fn estimate(&self, sum: Millis) -> LatencyEstimate {
        let expected = self.expected(sum);
        LatencyEstimate {
            p50: expected * self.p50,
            p95: expected * self.p95,
            p99: expected * self.p99,
        }
    }

    /// The 95th percentile alone.
    pub fn p95(&self, sum: Millis) -> Millis {
        self.expected(sum) * self.p95
    }

    fn expected(&self, sum: Millis) -> Millis {
        self.queued + sum * self.speed
    }
}

/// What is kept under the state dir.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    phases: PhaseTimes,
    log_speed: f64,
    errors: VecDeque<f64>,
    recent: VecDeque<f64>,
    n_observed: u64,
}

impl TryFrom<State> for LatencyModel {
    type Error = String;

    fn try_from(state: State) -> Result<Self, Self::Error> {
        let numbers = state.errors.iter().chain(&state.recent);
        if !numbers.chain([&state.log_speed]).all(|x| x.is_finite()) || state.errors.is_empty() {
            return Err("errors and log_speed must be finite numbers, at least one error".into());
        }
        let mut model = Self {
            quantiles: log_quantiles(&state.errors),
            phases: state.phases,
            log_speed: state.log_speed,
            errors: state.errors,
            recent: state.recent,
            n_observed: state.n_observed,
        };
        model.recent.truncate(RUN);
        Ok(model)
    }
}

impl LatencyModel {
    /// Starts from a phase table, with a cautious guess at its errors.
    pub fn new(phases: PhaseTimes) -> Self {
        let errors = prior();
        Self {
            phases,
            log_speed: 0.0,
            quantiles: log_quantiles(&errors),
            errors,
            recent: VecDeque::new(),
            n_observed: 0,
        }
    }

    /// The phase table.
    pub fn phases(&self) -> &PhaseTimes {
        &self.phases
    }

    /// Takes a fresh phase table, for instance from the probe at start. The errors that were learned
    /// stay; the speed factor starts again, since the new table was measured at today's speed.
    pub fn set_phases(&mut self, phases: PhaseTimes) {
        self.phases = phases;
        self.log_speed = 0.0;
        self.recent.clear();
    }

    /// How much slower than its phase table the machine is now.
    pub fn speed_factor(&self) -> f64 {
        self.log_speed.exp()
    }

    /// Requests observed, ever.
    pub fn n_observed(&self) -> u64 {
        self.n_observed
    }

    /// Whether predictions rest on observed errors alone.
    pub fn is_learned(&self) -> bool {
        self.n_observed >= u64::from(PRIOR)
    }

    /// Predicts from a sum of phases ([`FamilyTimes::request`](super::phases::FamilyTimes::request)) and the predicted work ahead of it. The
    /// quantile's factor applies to both: what makes this request late makes the queue late.
    pub fn estimate(&self, sum: Millis, queued: Millis) -> LatencyEstimate {
        self.behind(queued).estimate(sum)
    }

    /// Returns the predictions for whatever waits behind this work, to be asked for many plans.
    pub fn behind(&self, queued: Millis) -> Forecast {
        Forecast {
            queued,
            speed: self.speed_factor(),
            p50: self.quantiles.p50.exp(),
            p95: self.quantiles.p95.exp(),
            p99: self.quantiles.p99.exp(),
        }
    }

    /// Returns the largest relative change of an entry of the phase table since it was `then`, infinite
    /// where an entry came or went. The speed factor is no part of it: it scales all plans alike, so no
    /// order of plans depends on it.
    pub fn moved_since(&self, then: &PhaseTimes) -> f64 {
        moved::largest_change(&self.phases, then)
    }

    /// Returns the greatest queue behind which a request with this sum of phases keeps `limit` at
    /// p95; nothing if it does not keep it on an idle server.
    pub fn longest_queue(&self, sum: Millis, limit: Millis) -> Option<Millis> {
        let spare = limit.0 / self.quantiles.p95.exp() - sum.0 * self.speed_factor();
        (spare >= 0.0).then_some(Millis(spare))
    }

    /// Learns from a finished request: the sum of its phases as they were predicted, and what it
    /// took without the queue. Spans that are not above zero are ignored.
    pub fn observe(&mut self, sum: Millis, actual: Millis) {
        let ratio = (actual.0 / sum.0).ln();
        if !ratio.is_finite() || sum.0 <= 0.0 {
            return;
        }
        let error = ratio - self.log_speed;
        self.remember(ratio, error);
        if self.machine_changed() {
            self.start_again();
        } else {
            let gain = GAIN.max(1.0 / self.n_observed as f64);
            let leash = if gain > GAIN { f64::INFINITY } else { LEASH };
            self.log_speed += gain * error.clamp(-leash, leash);
        }
        self.quantiles = log_quantiles(&self.errors);
    }

    fn remember(&mut self, ratio: f64, error: f64) {
        let displaces_an_assumed_one = !self.is_learned();
        if displaces_an_assumed_one || self.errors.len() >= MEMORY {
            self.errors.pop_front();
        }
        self.errors.push_back(error);
        if self.recent.len() == RUN {
            self.recent.pop_front();
        }
        self.recent.push_back(ratio);
        self.n_observed += 1;
    }

    /// Whether the last [`RUN`] errors all lie beyond the same end of the interval that held before.
    fn machine_changed(&self) -> bool {
        if self.recent.len() < RUN || self.errors.len() <= RUN {
            return false;
        }
        let mut before: Vec<f64> = self.errors.iter().copied().collect();
        let run = before.split_off(before.len() - RUN);
        before.sort_by(f64::total_cmp);
        let (low, high) = (
            order_statistic(&before, 0.05),
            order_statistic(&before, 0.95),
        );
        run.iter().all(|error| *error > high) || run.iter().all(|error| *error < low)
    }

    /// Moves the factor to the median of the last [`RUN`] requests, and restates their errors with
    /// it: the change was one event, not five wild errors that widen the interval for hours.
    fn start_again(&mut self) {
        let mut sorted: Vec<f64> = self.recent.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        self.log_speed = sorted[sorted.len() / 2];
        let newest = self.errors.iter_mut().rev();
        for (error, ratio) in newest.zip(self.recent.iter().rev()) {
            *error = ratio - self.log_speed;
        }
    }
}

/// Assumed errors, skewed to the late side: half of them within 5%, the worst half as long again.
/// The order mixes small and large ones, since they are displaced one by one from the front.
fn prior() -> VecDeque<f64> {
    (0..PRIOR)
        .map(|i| {
            let mixed = i.reverse_bits() >> (u32::BITS - PRIOR.ilog2());
            let u = (f64::from(mixed) + 0.5) / f64::from(PRIOR);
            0.45 * u.powi(4) - 0.05
        })
        .collect()
}

fn log_quantiles(errors: &VecDeque<f64>) -> LogQuantiles {
    let mut sorted: Vec<f64> = errors.iter().copied().collect();
    sorted.sort_by(f64::total_cmp);
    LogQuantiles {
        p50: order_statistic(&sorted, 0.5),
        p95: order_statistic(&sorted, 0.95),
        p99: order_statistic(&sorted, 0.99),
    }
}

/// The order statistic that the next error stays below with probability at least `p` if errors are
/// exchangeable (split conformal prediction, arXiv 1604.04173): rank ceil(p (n + 1)), at most n.
fn order_statistic(sorted: &[f64], p: f64) -> f64 {
    let rank = (p * (sorted.len() + 1) as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

#[cfg(test)]
mod tests;
