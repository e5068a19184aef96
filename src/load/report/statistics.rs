//! How sure is a figure, and how long is long?
//!
//! Neighbors share a queue, so requests are no independent draws: what is resampled are blocks of requests that came
//! one after another (a block bootstrap: Künsch, 1989). An interval says how much the figure would move over runs like
//! this one; where all blocks agree it is a point, which is no proof that nothing ever goes wrong.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::Serialize;

use crate::load::record::Record;

/// Blocks that a run is cut into.
const BLOCKS: usize = 50;
const REPLICATES: usize = 1000;
/// The same records, the same interval.
const SEED: u64 = 1;

/// A figure with its bootstrap interval of 95%.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    /// The figure.
    pub mean: f64,
    /// The 2.5th percentile of its replicates.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

impl Figure {
    pub(super) const ZERO: Self = Self {
        mean: 0.0,
        low: 0.0,
        high: 0.0,
    };

    /// In another unit.
    pub(super) fn times(self, factor: f64) -> Self {
        Self {
            mean: self.mean * factor,
            low: self.low * factor,
            high: self.high * factor,
        }
    }
}

/// Returns the sum of `over` divided by the sum of `under` over all records; none if the latter is zero.
pub(super) fn figure(
    records: &[&Record],
    over: impl Fn(&Record) -> f64,
    under: impl Fn(&Record) -> f64,
) -> Option<Figure> {
    let size = records.len().div_ceil(BLOCKS).max(1);
    let blocks: Vec<(f64, f64)> = (records.chunks(size))
        .map(|block| {
            let terms = block.iter().map(|record| (over(record), under(record)));
            sum(terms)
        })
        .collect();
    let whole = sum(blocks.iter().copied());
    if whole.1 == 0.0 {
        return None;
    }
    let mut random = Pcg64::seed_from_u64(SEED);
    let mut replicates: Vec<f64> = (0..REPLICATES)
        .map(|_| {
            let drawn = (0..blocks.len()).map(|_| blocks[random.random_range(0..blocks.len())]);
            sum(drawn)
        })
        // A draw of blocks in which nothing was, say, admitted has no share of it.
        .filter(|drawn| drawn.1 != 0.0)
        .map(|drawn| drawn.0 / drawn.1)
        .collect();
    replicates.sort_by(f64::total_cmp);
    let mean = whole.0 / whole.1;
    Some(Figure {
        mean,
        low: quantile(&replicates, 0.025).unwrap_or(mean),
        high: quantile(&replicates, 0.975).unwrap_or(mean),
    })
}

fn sum(terms: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    terms.fold((0.0, 0.0), |sum, term| (sum.0 + term.0, sum.1 + term.1))
}

/// The mean of numbers; none if there are none.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = sum(values.map(|value| (value, 1.0)));
    (n > 0.0).then(|| sum / n)
}

/// Spans of time: so many of 100 took no longer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// 50 of 100.
    pub p50: f64,
    /// 95 of 100.
    pub p95: f64,
    /// 99 of 100.
    pub p99: f64,
    /// All of them.
    pub max: f64,
}

impl Quantiles {
    /// Returns the quantiles of some values, none if there are none: each is one of the values (nearest rank).
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        Some(Self {
            p50: quantile(&values, 0.5)?,
            p95: quantile(&values, 0.95)?,
            p99: quantile(&values, 0.99)?,
            max: quantile(&values, 1.0)?,
        })
    }
}

/// The smallest value that at least this share does not exceed.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::record::tests::{answered, record, refused};

    fn hits(pattern: impl Fn(usize) -> bool, n: usize) -> Vec<Record> {
        let one = |i: usize| {
            let outcome = if pattern(i) {
                answered(Some(1.0))
            } else {
                refused(429, "overloaded")
            };
            record(i as f64, 1.0, outcome)
        };
        (0..n).map(one).collect()
    }

    fn attainment(records: &[Record]) -> Figure {
        let records: Vec<&Record> = records.iter().collect();
        let attained = |record: &Record| f64::from(u8::from(record.is_attained()));
        figure(&records, attained, |_| 1.0).unwrap()
    }

    #[test]
    fn quantiles_are_values_of_the_nearest_rank() {
        let values = (1..=200).rev().map(f64::from).collect();
        let found = Quantiles::of(values).unwrap();
        assert_eq!(
            (found.p50, found.p95, found.p99, found.max),
            (100.0, 190.0, 198.0, 200.0)
        );
        let lonely = Quantiles::of(vec![7.0]).unwrap();
        assert_eq!((lonely.p50, lonely.max), (7.0, 7.0));
        assert_eq!(Quantiles::of(Vec::new()), None);
    }

    #[test]
    fn the_interval_of_independent_hits_is_that_of_the_formula() {
        let mut random = Pcg64::seed_from_u64(2);
        let hit: Vec<bool> = (0..6000).map(|_| random.random_bool(0.3)).collect();
        let found = attainment(&hits(|i| hit[i], 6000));
        let error = (0.3 * 0.7 / 6000.0_f64).sqrt();
        assert!((found.mean - 0.3).abs() < 4.0 * error, "{found:?}");
        assert!(found.low < found.mean && found.mean < found.high);
        // Of 50 blocks the standard deviation is known to a tenth.
        let ratio = (found.high - found.low) / 2.0 / (1.96 * error);
        assert!((0.7..1.3).contains(&ratio), "{ratio}");
    }

    #[test]
    fn what_goes_wrong_all_at_once_makes_the_interval_wide() {
        let apart = attainment(&hits(|i| i % 4 != 0, 2000));
        let together = attainment(&hits(|i| i >= 500, 2000));
        assert_eq!(apart.mean, together.mean);
        let width = |figure: Figure| figure.high - figure.low;
        assert!(width(together) > 0.15, "{together:?}");
        assert!(width(apart) < 0.02, "{apart:?}");
    }

    #[test]
    fn what_never_fails_is_a_point_and_nothing_is_no_figure() {
        let found = attainment(&hits(|_| true, 10));
        assert_eq!((found.low, found.mean, found.high), (1.0, 1.0, 1.0));
        assert_eq!(figure(&[], |_| 1.0, |_| 1.0), None);
        assert_eq!(mean(std::iter::empty()), None);
    }
}
