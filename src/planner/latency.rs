//! How long will this request take? Measured phase times, one machine-speed factor and an
//! empirical distribution of errors, all learned from requests as they finish.
//!
//! A prediction is the sum of the phases and a constant overhead, times the speed factor, plus a
//! margin that the recent errors ask for. The errors are those of whole requests, because quantiles of
//! phases do not add. What all phases have in common goes to the speed factor within a few requests;
//! what is one phase's own goes to its entry in the table, slowly.
//!
//! What is longer than any request, a wait behind many, has another margin: what spans of work without a pause were
//! off by.

mod errors;
mod spans;
mod speed;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{finished::Finished, phases::PhaseTimes, plan::LatencyEstimate};
use crate::units::Millis;
use errors::{Errors, Margins, PRIOR, RUN};
use spans::{Piece, Shares, Spans};
use speed::Speed;

/// Weight of the newest request in the overhead once there are enough of them.
const OVERHEAD_GAIN: f64 = 0.02;
/// One request moves the overhead as if it were at most this share of the request's phases off.
const OVERHEAD_LEASH: f64 = 0.1;

/// What this machine is known to take, and how well that is known. Pure: it reads no clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "State")]
pub struct LatencyModel {
    phases: PhaseTimes,
    /// What every request takes besides its phases, at the speed of the phase table.
    overhead: Millis,
    speed: Speed,
    errors: Errors,
    spans: Spans,
    /// ln(actual / (phases + overhead)) of the last [`RUN`] requests.
    recent: VecDeque<f64>,
    n_observed: u64,
    #[serde(skip_serializing)]
    margins: Margins,
    #[serde(skip_serializing)]
    of_spans: Shares,
}

/// What the model predicts behind one queue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    queued: Millis,
    speed: f64,
    overhead: Millis,
    /// At today's speed.
    margins: Margins,
    of_spans: Shares,
}

impl Forecast {
    /// Predicts from a sum of phases; see [`LatencyModel::estimate`].
    pub fn estimate(&self, sum: Millis) -> LatencyEstimate {
        LatencyEstimate {
            p50: self.quantile(sum, self.margins.p50, -1.0),
            p95: self.quantile(sum, self.margins.p95, self.of_spans.p95),
            p99: self.p99(sum),
        }
    }

    /// What work that does not wait for anything is expected to take, its own overhead left out.
    pub fn expected(&self, work: Millis) -> Millis {
        work * self.speed
    }

    /// The work that takes `span` at today's speed.
    pub fn work_in(&self, span: Millis) -> Millis {
        Millis(span.0.max(0.0) / self.speed)
    }

    /// The most work that a request may have for its 99th percentile to be within `limit`: the inverse of
    /// [`Self::p99`]; zero where no work at all is too much.
    pub fn most_at_p99(&self, limit: Millis) -> Millis {
        let work = (self.expected_at_p99(limit) - self.queued.0) / self.speed - self.overhead.0;
        Millis(work.max(0.0))
    }

    /// The expected milliseconds of which `limit` is the 99th percentile.
    fn expected_at_p99(&self, limit: Millis) -> f64 {
        let Margins {
            p99: margin,
            constant,
            longest,
            ..
        } = self.margins;
        let by_requests = (limit.0 - margin * constant) / (1.0 + margin);
        let by_requests = if by_requests > longest {
            limit.0 - margin * (longest + constant)
        } else {
            by_requests
        };
        by_requests.min(limit.0 / (1.0 + self.of_spans.p99))
    }

    /// The 99th percentile alone, which budgets are held against.
    pub fn p99(&self, sum: Millis) -> Millis {
        self.quantile(sum, self.margins.p99, self.of_spans.p99)
    }

    /// The predicted time with the larger of two margins: that of requests, in units of what they tell about and
    /// the constant, and that of spans, in units of the time.
    fn quantile(&self, sum: Millis, of_requests: f64, of_spans: f64) -> Millis {
        let expected = self.queued.0 + (sum.0 + self.overhead.0) * self.speed;
        let unit = expected.min(self.margins.longest) + self.margins.constant;
        Millis(expected + f64::max(of_requests * unit, of_spans * expected))
    }
}

/// What is kept under the state dir.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    phases: PhaseTimes,
    overhead: Millis,
    speed: Speed,
    errors: Errors,
    spans: Spans,
    recent: VecDeque<f64>,
    n_observed: u64,
}

impl TryFrom<State> for LatencyModel {
    type Error = String;

    fn try_from(state: State) -> Result<Self, Self::Error> {
        let recent = state.recent.iter().all(|ratio| ratio.is_finite());
        let overhead = state.overhead.0.is_finite() && state.overhead.0 >= 0.0;
        let errors = state.errors.is_sound() && state.spans.is_sound();
        let sound = recent && overhead && state.speed.is_sound() && errors;
        if !sound || state.recent.len() > RUN {
            return Err(
                "the learned numbers must be finite, and at least one error among them".into(),
            );
        }
        if !state.phases.is_sound() {
            return Err("phase times must be finite and not negative".into());
        }
        Ok(Self {
            margins: state.errors.margins(),
            of_spans: state.spans.shares(),
            phases: state.phases,
            overhead: state.overhead,
            speed: state.speed,
            errors: state.errors,
            spans: state.spans,
            recent: state.recent,
            n_observed: state.n_observed,
        })
    }
}

impl LatencyModel {
    /// Starts from a phase table, with a cautious guess at its errors.
    pub fn new(phases: PhaseTimes) -> Self {
        let (errors, spans) = (Errors::assumed(), Spans::assumed());
        Self {
            phases,
            overhead: Millis::ZERO,
            speed: Speed::default(),
            margins: errors.margins(),
            errors,
            of_spans: spans.shares(),
            spans,
            recent: VecDeque::new(),
            n_observed: 0,
        }
    }

    /// The phase table as it is now.
    pub fn phases(&self) -> &PhaseTimes {
        &self.phases
    }

    /// How far the table has moved since it was `earlier`: the largest relative change of any entry,
    /// infinite if there is a new one. Sums of phases that were kept from then are off by at most that
    /// much; the speed factor, which scales every plan alike, is no part of it.
    pub fn moved_since(&self, earlier: &PhaseTimes) -> f64 {
        self.phases.moved_since(earlier)
    }

    /// Takes what a probe has found. What requests taught stays, errors and the relations between the
    /// table's entries; the speed factor starts again, since the probe measured at today's speed.
    pub fn probed(&mut self, fresh: PhaseTimes) {
        self.phases.probed(fresh, self.speed.log());
        let speed = self.speed_factor();
        self.overhead = self.overhead * speed;
        self.errors.rescale(speed);
        self.margins = self.errors.margins();
        self.speed.jump(0.0, 0);
        self.spans.interrupt();
        self.recent.clear();
    }

    /// Takes what a picture's phases were predicted to take and took that was drawn for nobody, one after another: that
    /// the machine is steady again shows in them, too. A margin that was only assumed so far stays: those who ask for
    /// nothing less than pictures meet more than these.
    pub fn drawn(&mut self, sum: Millis, took: Millis) {
        if self.is_learned() {
            let overhead = self.overhead * self.speed_factor();
            self.take(sum, took + overhead, true);
        }
    }

    /// How much slower than its phase table the machine is now.
    pub fn speed_factor(&self) -> f64 {
        self.speed.log().exp()
    }

    /// Requests observed, ever.
    pub fn n_observed(&self) -> u64 {
        self.n_observed
    }

    /// Whether predictions rest on observed errors alone.
    pub fn is_learned(&self) -> bool {
        self.n_observed >= u64::from(PRIOR)
    }

    /// Predicts from a sum of phases ([`FamilyTimes::request`](super::phases::FamilyTimes::request)) and
    /// the predicted work ahead of it. The margin is for both: what makes this request late makes the
    /// queue late.
    pub fn estimate(&self, sum: Millis, queued: Millis) -> LatencyEstimate {
        self.behind(queued).estimate(sum)
    }

    /// Returns the predictions for whatever waits behind this work, to be asked for many plans.
    pub fn behind(&self, queued: Millis) -> Forecast {
        let speed = self.speed_factor();
        Forecast {
            queued,
            speed,
            overhead: self.overhead,
            margins: self.margins.at(speed),
            of_spans: self.of_spans,
        }
    }

    /// Returns the greatest queue behind which a request with this sum of phases keeps `limit` at
    /// p99; nothing if it does not keep it on an idle server.
    pub fn longest_queue(&self, sum: Millis, limit: Millis) -> Option<Millis> {
        let idle = self.behind(Millis::ZERO);
        let spare = idle.expected_at_p99(limit) - (sum.0 + idle.overhead.0) * idle.speed;
        (spare >= 0.0).then_some(Millis(spare))
    }

    /// Returns the sum of the phases that ran, by the table as it is now; none if one is not in it.
    pub fn sum(&self, finished: &Finished) -> Option<Millis> {
        self.phases.sum(&finished.laps)
    }

    /// Learns from a finished request and its phases. One with a phase that is not in the table
    /// teaches nothing.
    pub fn learn(&mut self, finished: &Finished) {
        let Some(sum) = self.sum(finished) else {
            return;
        };
        if let Some(overhead) = finished.overhead() {
            self.observe_overhead(overhead, sum);
        }
        self.take(sum, finished.whole, finished.follows());
        // The speed of the last few requests, not the factor, which lags: a step in speed is no
        // single entry's own.
        if let Some(log_speed) = self.recent_speed() {
            self.phases.learn(&finished.laps, log_speed);
        }
    }

    /// Learns from a finished request that did not wait: the sum of its phases as they were predicted, and
    /// what it took. Spans that are not above zero are ignored.
    pub fn observe(&mut self, sum: Millis, actual: Millis) {
        self.take(sum, actual, false);
    }

    /// The same; `follows` says whether the device came to it straight from the one before, and `actual` leaves
    /// out the time that it waited.
    fn take(&mut self, sum: Millis, actual: Millis, follows: bool) {
        let expected = sum.0 + self.overhead.0;
        let ratio = (actual.0 / expected).ln();
        if !ratio.is_finite() || sum.0 <= 0.0 {
            return;
        }
        let piece = Piece {
            expected,
            actual: actual.0,
            follows,
        };
        self.spans.add(piece, self.margins.usual, self.speed.log());
        let error = ratio - self.speed.log();
        self.errors.remember(expected, error);
        if self.recent.len() == RUN {
            self.recent.pop_front();
        }
        self.recent.push_back(ratio);
        self.n_observed += 1;
        if self.recent.len() == RUN && self.errors.machine_changed(self.margins.constant) {
            self.start_again();
        } else {
            let share = expected / (expected + self.margins.constant);
            self.speed.follow(ratio, share);
        }
        self.margins = self.errors.margins();
        self.of_spans = self.spans.shares();
    }

    /// Moves the factor to the median of the last [`RUN`] requests.
    fn start_again(&mut self) {
        let Some(log_speed) = self.recent_speed() else {
            return;
        };
        self.errors.restate(log_speed - self.speed.log());
        self.spans.restate(RUN);
        self.speed.jump(log_speed, RUN as u64);
    }

    fn recent_speed(&self) -> Option<f64> {
        let mut sorted: Vec<f64> = self.recent.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    }

    fn observe_overhead(&mut self, overhead: Millis, sum: Millis) {
        let leash = OVERHEAD_LEASH * sum.0;
        let off = overhead.0 / self.speed_factor() - self.overhead.0;
        let gain = OVERHEAD_GAIN.max(1.0 / (self.n_observed + 1) as f64);
        if off.is_finite() && leash > 0.0 {
            self.overhead = self.overhead + Millis(gain * off.clamp(-leash, leash));
        }
    }
}

#[cfg(test)]
mod tests;
