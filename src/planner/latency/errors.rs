//! By how much are predictions off? The errors of recent requests, and the margins they ask for.
//!
//! The error of a long request is a share of it (the cores are slower for a while), the error of a
//! short one is milliseconds (a thread woke up late). One scale serves both: the error over the
//! predicted time plus a constant, which is found from the errors themselves. Quantiles of such scores
//! are margins that hold for short and for long requests, and that never make a longer request's
//! quantile the shorter one (normalized split conformal prediction, arXiv 1604.04173, section 5.2).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Errors kept. Old ones fall out, so that what no longer holds is forgotten.
const MEMORY: usize = 256;
/// Errors kept when the machine has changed: what it was like before says less of what it is like now.
const AFTER_CHANGE: usize = 64;
/// Assumed errors that stand in until as many were observed.
pub(super) const PRIOR: u32 = 32;
/// The last errors, by which a change of the machine is recognized.
pub(super) const RUN: usize = 5;
/// The quantile by which the constant is chosen: near the margin that is asked for, and not yet the
/// rare stalls, of which the memory holds too few.
const FITTED: f64 = 0.9;
/// The constants to choose from, in units of the median request: from errors that are shares of the
/// time to errors that are milliseconds.
const CONSTANTS: [f64; 7] = [0.0, 0.25, 0.5, 1.0, 2.0, 5.0, 20.0];

/// Recent errors, oldest first, assumed ones before observed ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Errors(VecDeque<Error>);

/// How far off one prediction was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Error {
    /// Predicted milliseconds at the speed of the phase table; zero for an assumed error, which is
    /// the same share of any time.
    ms: f64,
    /// ln(actual / predicted).
    log: f64,
}

/// What quantiles lie above the prediction, in units of the predicted time plus `constant`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Margins {
    /// Milliseconds at the speed of the phase table.
    pub(super) constant: f64,
    /// Milliseconds of the median request at that speed; zero where none was observed.
    pub(super) usual: f64,
    /// Milliseconds of the longest one: these margins tell nothing of what takes longer. Infinity as long as errors
    /// are assumed.
    pub(super) longest: f64,
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
}

impl Margins {
    /// The same in milliseconds at another speed.
    pub(super) fn at(self, speed: f64) -> Self {
        Self {
            constant: self.constant * speed,
            usual: self.usual * speed,
            longest: self.longest * speed,
            ..self
        }
    }
}

impl Errors {
    /// Assumed errors, skewed to the late side: half of them within 5%, the worst half as long again.
    /// The order mixes small and large ones, since they are displaced one by one from the front.
    pub(super) fn assumed() -> Self {
        let error = |i: u32| {
            let mixed = i.reverse_bits() >> (u32::BITS - PRIOR.ilog2());
            let u = (f64::from(mixed) + 0.5) / f64::from(PRIOR);
            let log = 0.45 * u.powi(4) - 0.05;
            Error { ms: 0.0, log }
        };
        Self((0..PRIOR).map(error).collect())
    }

    /// Whether margins can be taken from these.
    pub(super) fn is_sound(&self) -> bool {
        let sound =
            |error: &Error| error.ms.is_finite() && error.ms >= 0.0 && error.log.is_finite();
        !self.0.is_empty() && self.0.len() <= MEMORY && self.0.iter().all(sound)
    }

    /// Adds the newest error in place of an assumed one, or of the oldest.
    pub(super) fn remember(&mut self, ms: f64, log: f64) {
        let is_assumed = self.0.front().is_some_and(|error| error.ms == 0.0);
        if is_assumed || self.0.len() >= MEMORY {
            self.0.pop_front();
        }
        self.0.push_back(Error { ms, log });
    }

    /// Restates the newest errors, given as a speed that is further off by `log`: a change of the
    /// machine was one event, not many wild errors that widen the margins for hours.
    pub(super) fn restate(&mut self, log: f64) {
        for error in self.0.iter_mut().rev().take(RUN) {
            error.log -= log;
        }
        let n_old = self.0.len().saturating_sub(AFTER_CHANGE);
        self.0.drain(..n_old);
    }

    /// Tells the same errors of requests that take so many times as long by the table.
    pub(super) fn rescale(&mut self, times: f64) {
        for error in &mut self.0 {
            error.ms *= times;
        }
    }

    /// Whether all but one of the last [`RUN`] errors lie beyond the same end of the interval that held
    /// before: chance alone makes three in 100,000 requests look so.
    pub(super) fn machine_changed(&self, constant: f64) -> bool {
        let mut before = self.scores(constant);
        if before.len() <= 2 * RUN {
            return false;
        }
        let run = before.split_off(before.len() - RUN);
        before.sort_by(f64::total_cmp);
        let low = order_statistic(&before, 0.05);
        let high = order_statistic(&before, 0.95);
        let beyond = |is_beyond: &dyn Fn(f64) -> bool| {
            run.iter().filter(|score| is_beyond(**score)).count() + 1 >= RUN
        };
        beyond(&|score| score > high) || beyond(&|score| score < low)
    }

    /// The margins that these errors ask for.
    pub(super) fn margins(&self) -> Margins {
        let usual = self.usual();
        let constant = self.constant(usual);
        let mut scores = self.scores(constant);
        scores.sort_by(f64::total_cmp);
        Margins {
            constant,
            usual,
            longest: self.longest(),
            p50: order_statistic(&scores, 0.5),
            p95: order_statistic(&scores, 0.95),
            p99: order_statistic(&scores, 0.99),
        }
    }

    fn scores(&self, constant: f64) -> Vec<f64> {
        let errors = self.0.iter();
        errors.map(|error| error.score(constant)).collect()
    }

    fn observed(&self) -> Vec<Error> {
        let observed = self.0.iter().filter(|error| error.ms > 0.0);
        observed.copied().collect()
    }

    fn longest(&self) -> f64 {
        let any_assumed = self.0.iter().any(|error| error.ms == 0.0);
        let observed = self.0.iter().map(|error| error.ms);
        if any_assumed {
            f64::INFINITY
        } else {
            observed.fold(0.0, f64::max)
        }
    }

    fn usual(&self) -> f64 {
        let mut observed = self.observed();
        if observed.is_empty() {
            return 0.0;
        }
        let middle = observed.len() / 2;
        let (_, median, _) = observed.select_nth_unstable_by(middle, |a, b| a.ms.total_cmp(&b.ms));
        median.ms
    }

    /// The constant with which one margin fits short and long requests best: the one of the least
    /// pinball loss in shares of the predicted times (quantile regression, Koenker and Bassett 1978).
    fn constant(&self, usual: f64) -> f64 {
        let observed = self.observed();
        if observed.len() < PRIOR as usize {
            return 0.0;
        }
        let constants = CONSTANTS.iter().map(|constant| constant * usual);
        let losses = constants.map(|constant| (constant, loss(&observed, constant)));
        let best = losses.min_by(|(_, a), (_, b)| a.total_cmp(b));
        best.map_or(0.0, |(constant, _)| constant)
    }
}

impl Error {
    fn score(self, constant: f64) -> f64 {
        if self.ms == 0.0 {
            return self.log.exp_m1();
        }
        self.millis() / (self.ms + constant)
    }

    fn millis(self) -> f64 {
        self.ms * self.log.exp_m1()
    }
}

/// The pinball loss of the best margin with this constant, up to a factor.
fn loss(observed: &[Error], constant: f64) -> f64 {
    let mut scores: Vec<f64> = observed.iter().map(|error| error.score(constant)).collect();
    let place = ((FITTED * scores.len() as f64) as usize).min(scores.len() - 1);
    let (_, margin, _) = scores.select_nth_unstable_by(place, f64::total_cmp);
    let margin = *margin;
    let losses = observed.iter().map(|error| {
        let beyond = (error.millis() - margin * (error.ms + constant)) / error.ms;
        f64::max(FITTED * beyond, (FITTED - 1.0) * beyond)
    });
    losses.sum()
}

/// The order statistic that the next error stays below with probability at least `p` if errors are
/// exchangeable (split conformal prediction, arXiv 1604.04173): rank ceil(p (n + 1)), at most n.
pub(super) fn order_statistic(sorted: &[f64], p: f64) -> f64 {
    let rank = (p * (sorted.len() + 1) as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}
