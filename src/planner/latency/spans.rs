//! By how much is a prediction off that reaches far ahead? The errors of long spans of work, as shares of them.
//!
//! A request that waits behind twenty others is late when the machine is slower for as long as they take. What
//! single requests were off by does not tell: their errors are mostly stalls of a few milliseconds, which a long
//! wait averages out, and where all requests are of one length no margin for other lengths can be found from them.
//! So requests that followed one another without a pause are also looked at as one piece of work, predicted when
//! it began.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::errors::order_statistic;

/// Spans kept.
const MEMORY: usize = 64;
/// Assumed spans that stand in until as many were observed.
const PRIOR: usize = 16;
/// What those were off by.
const ASSUMED: f64 = 0.05;
/// A span is complete once it is as long as so many usual requests.
const ENOUGH: f64 = 8.0;

/// One request, at the speed of the phase table but for what it took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) expected: f64,
    pub(super) actual: f64,
    /// Whether the device came to it straight from the one before.
    pub(super) follows: bool,
}

/// Quantiles of errors of spans.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shares {
    pub(super) p95: f64,
    pub(super) p99: f64,
}

/// Errors of the latest spans, and the one that is under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spans {
    /// Actual over predicted time, less 1; oldest first.
    errors: VecDeque<f64>,
    open: Option<Open>,
}

/// A span that is not long enough yet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {
    /// ln of the speed factor when it began.
    log_speed: f64,
    expected: f64,
    actual: f64,
}

impl Spans {
    pub(super) fn assumed() -> Self {
        Self {
            errors: VecDeque::from([ASSUMED; PRIOR]),
            open: None,
        }
    }

    /// Adds a request to the span under way, or begins one with it. `usual` is what the median request takes,
    /// `log_speed` what was known of the machine before this one.
    pub(super) fn add(&mut self, piece: Piece, usual: f64, log_speed: f64) {
        let begins = Open {
            log_speed,
            expected: 0.0,
            actual: 0.0,
        };
        let mut open = self.open.filter(|_| piece.follows).unwrap_or(begins);
        open.expected += piece.expected;
        open.actual += piece.actual;
        if open.expected < ENOUGH * usual {
            self.open = Some(open);
            return;
        }
        self.open = None;
        let has_assumed = self.errors.front() == Some(&ASSUMED);
        if has_assumed || self.errors.len() >= MEMORY {
            self.errors.pop_front();
        }
        let predicted = open.expected * open.log_speed.exp();
        self.errors.push_back(open.actual / predicted - 1.0);
    }

    /// Forgets the span under way: the machine is another one than when it began.
    pub(super) fn interrupt(&mut self) {
        self.open = None;
    }

    /// Forgets what the last `n` requests said as well, which were off by the change of the machine.
    pub(super) fn restate(&mut self, n: usize) {
        self.interrupt();
        for newest in self.errors.iter_mut().rev().take(n) {
            *newest = ASSUMED;
        }
        let n = n.min(self.errors.len());
        self.errors.rotate_right(n);
    }

    /// The shares of the predicted time by which long work takes longer.
    pub(super) fn shares(&self) -> Shares {
        let mut sorted: Vec<f64> = self.errors.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        Shares {
            p95: order_statistic(&sorted, 0.95),
            p99: order_statistic(&sorted, 0.99),
        }
    }

    /// Whether it can be reckoned with.
    pub(super) fn is_sound(&self) -> bool {
        let open = self.open.iter();
        let open = open.flat_map(|open| [open.log_speed, open.expected, open.actual]);
        let mut numbers = open.chain(self.errors.iter().copied());
        (1..=MEMORY).contains(&self.errors.len()) && numbers.all(f64::is_finite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds requests of 10 ms at the table's speed, the first after a pause, each taking what `actual` says.
    fn add(spans: &mut Spans, actual: impl IntoIterator<Item = f64>, log_speed: f64) {
        for (i, actual) in actual.into_iter().enumerate() {
            let piece = Piece {
                expected: 10.0,
                actual,
                follows: i > 0,
            };
            spans.add(piece, 10.0, log_speed);
        }
    }

    #[test]
    fn stalls_of_single_requests_are_averaged_out_and_a_slower_machine_is_not() {
        let mut stalls = Spans::assumed();
        add(
            &mut stalls,
            (0..800).map(|i| if i % 8 == 3 { 18.0 } else { 9.0 }),
            0.0,
        );
        assert!(stalls.shares().p99.abs() < 0.02, "{}", stalls.shares().p99);
        let mut slower = Spans::assumed();
        add(
            &mut slower,
            (0..800).map(|i| if i / 100 == 6 { 13.0 } else { 10.0 }),
            0.0,
        );
        assert!(
            (slower.shares().p99 - 0.3).abs() < 0.01,
            "{}",
            slower.shares().p99
        );
    }

    #[test]
    fn a_span_is_held_against_what_was_known_when_it_began() {
        let mut spans = Spans::assumed();
        for _ in 0..MEMORY {
            add(&mut spans, [20.0; 4], 2_f64.ln());
            // The machine got slower meanwhile, and that was learned.
            for _ in 0..4 {
                let piece = Piece {
                    expected: 10.0,
                    actual: 30.0,
                    follows: true,
                };
                spans.add(piece, 10.0, 3_f64.ln());
            }
        }
        assert!((spans.shares().p99 - 0.25).abs() < 1e-9);
    }

    #[test]
    fn a_pause_begins_anew_and_a_long_request_is_a_span_by_itself() {
        let mut spans = Spans::assumed();
        for _ in 0..100 {
            add(&mut spans, [20.0; 7], 0.0);
        }
        assert_eq!(spans.shares().p99, ASSUMED, "no span was long enough");
        for _ in 0..MEMORY {
            let long = Piece {
                expected: 80.0,
                actual: 88.0,
                follows: false,
            };
            spans.add(long, 10.0, 0.0);
        }
        assert!((spans.shares().p99 - 0.1).abs() < 1e-9);
    }

    #[test]
    fn what_is_assumed_gives_way_one_by_one_and_the_oldest_are_forgotten() {
        let mut spans = Spans::assumed();
        add(&mut spans, [10.0; 8 * (PRIOR - 1)], 0.0);
        assert_eq!(spans.shares().p99, ASSUMED);
        add(&mut spans, [10.0; 8], 0.0);
        assert!(spans.shares().p99.abs() < 1e-9);
        add(&mut spans, [15.0; 8], 0.0);
        assert!((spans.shares().p99 - 0.5).abs() < 1e-9);
        add(&mut spans, [10.0; 8 * MEMORY], 0.0);
        assert!(spans.shares().p99.abs() < 1e-9);
    }

    #[test]
    fn long_requests_after_a_change_that_was_not_known_yet_are_forgotten() {
        let mut spans = Spans::assumed();
        add(&mut spans, [10.0; 8 * MEMORY], 0.0);
        add(&mut spans, [20.0; 8 * 2], 0.0);
        assert!((spans.shares().p99 - 1.0).abs() < 1e-9);
        spans.restate(5);
        assert_eq!(spans.shares().p99, ASSUMED);
        // What is assumed gives way first.
        add(&mut spans, [10.0; 8 * 5], 0.0);
        assert!(spans.shares().p99.abs() < 1e-9);
    }

    #[test]
    fn a_span_across_a_change_of_the_machine_is_no_error() {
        let mut spans = Spans::assumed();
        add(&mut spans, [10.0; 8 * PRIOR], 0.0);
        add(&mut spans, [10.0; 7], 0.0);
        spans.interrupt();
        let piece = Piece {
            expected: 10.0,
            actual: 50.0,
            follows: true,
        };
        spans.add(piece, 10.0, 0.0);
        assert!(spans.shares().p99.abs() < 1e-9);
    }
}
