//! How far is a set of pictures from real ones? The maximum mean discrepancy of their features.
//!
//! CMMD (arXiv 2401.09603) is the squared MMD with a Gaussian kernel. Here it is the unbiased
//! U-statistic, so its expectation does not depend on the number of pictures: two sets of real
//! pictures score zero on average, and a single value may be slightly negative.

use super::features::Features;

/// Real pictures with a frozen bandwidth: what every plan is measured against.
#[derive(Debug, Clone)]
pub struct Reference {
    features: Features,
    bandwidth: f64,
    /// Mean kernel over pairs of different reference pictures.
    within: f64,
}

impl Reference {
    /// Takes at least two real pictures and the sigma of the kernel exp(-d^2 / (2 sigma^2)).
    pub fn new(features: Features, bandwidth: f64) -> Self {
        let n_rows = features.len();
        let mut total = 0.0;
        for row in 1..n_rows {
            for other in 0..row {
                total += kernel(features.squared_distance(row, &features, other), bandwidth);
            }
        }
        let within = total / (n_rows * (n_rows - 1) / 2) as f64;
        Self {
            features,
            bandwidth,
            within,
        }
    }

    /// Compares a set of pictures with the reference.
    pub fn compare(&self, sample: &Features) -> Cmmd {
        let n_rows = sample.len();
        let mut pairs = vec![0.0; n_rows * n_rows];
        for row in 1..n_rows {
            for other in 0..row {
                let value = kernel(sample.squared_distance(row, sample, other), self.bandwidth);
                pairs[row * n_rows + other] = value;
                pairs[other * n_rows + row] = value;
            }
        }
        let across = (0..n_rows)
            .map(|row| self.mean_kernel(sample, row))
            .collect();
        Cmmd {
            pairs,
            across,
            within_reference: self.within,
        }
    }

    fn mean_kernel(&self, sample: &Features, row: usize) -> f64 {
        let n_reference = self.features.len();
        let distances = (0..n_reference).map(|i| sample.squared_distance(row, &self.features, i));
        let total: f64 = distances.map(|d| kernel(d, self.bandwidth)).sum();
        total / n_reference as f64
    }
}

/// Kernel sums of one set of pictures against the reference, ready for any resampling of them.
#[derive(Debug, Clone)]
pub struct Cmmd {
    /// Kernel between pictures of the set, n x n, zero on the diagonal.
    pairs: Vec<f64>,
    /// Mean kernel of each picture to the reference.
    across: Vec<f64>,
    within_reference: f64,
}

impl Cmmd {
    /// The discrepancy of the whole set.
    pub fn value(&self) -> f64 {
        self.weighted(&vec![1.0; self.across.len()])
    }

    /// The discrepancy if picture `i` were drawn `counts[i]` times (a bootstrap replicate).
    ///
    /// Pairs of a picture with its own copy are left out: their kernel is 1 by construction, and
    /// would make every replicate larger than the value it shall tell the spread of.
    pub fn weighted(&self, counts: &[f64]) -> f64 {
        let n_rows = self.across.len();
        let total: f64 = counts.iter().sum();
        let squares: f64 = counts.iter().map(|count| count * count).sum();
        let mut within = 0.0;
        for (row, weight) in self.pairs.chunks_exact(n_rows).zip(counts) {
            let inner: f64 = row
                .iter()
                .zip(counts)
                .map(|(value, count)| value * count)
                .sum();
            within += weight * inner;
        }
        let across: f64 = self
            .across
            .iter()
            .zip(counts)
            .map(|(value, count)| value * count)
            .sum();
        within / (total * total - squares) + self.within_reference - 2.0 * across / total
    }
}

/// Returns the median distance between different pictures: the scale on which the kernel sees most.
pub fn median_bandwidth(features: &Features) -> f64 {
    let mut distances: Vec<f64> = (1..features.len())
        .flat_map(|row| (0..row).map(move |other| (row, other)))
        .map(|(row, other)| features.squared_distance(row, features, other))
        .collect();
    let middle = distances.len() / 2;
    let (_, median, _) = distances.select_nth_unstable_by(middle, f64::total_cmp);
    median.sqrt()
}

fn kernel(squared_distance: f64, bandwidth: f64) -> f64 {
    (-squared_distance / (2.0 * bandwidth * bandwidth)).exp()
}

#[cfg(test)]
mod tests {
    use super::{super::features::tests::gaussian, *};

    /// E k(x, y) for x ~ N(0, I), y ~ N(shift, I) in `dim` dimensions.
    fn expected_kernel(dim: i32, bandwidth: f64, shift: f64) -> f64 {
        let variance = bandwidth * bandwidth;
        let spread = (variance / (variance + 2.0)).sqrt();
        let each = spread * (-shift * shift / (2.0 * (variance + 2.0))).exp();
        each.powi(dim)
    }

    #[test]
    fn two_sets_of_one_kind_have_no_distance_on_average() {
        let values: Vec<f64> = (0..20)
            .map(|seed| {
                let reference = Reference::new(gaussian(100 + seed, 64, 8, 0.0), 4.0);
                reference.compare(&gaussian(200 + seed, 64, 8, 0.0)).value()
            })
            .collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 1e-3, "{mean}");
        assert!(
            values.iter().any(|&value| value < 0.0),
            "the unbiased form goes below zero"
        );
    }

    #[test]
    fn a_shifted_gaussian_has_the_distance_of_the_formula() {
        let (dim, bandwidth, shift) = (4, 2.0, 1.0);
        let reference = Reference::new(gaussian(1, 600, dim as usize, 0.0), bandwidth);
        let measured = reference
            .compare(&gaussian(2, 600, dim as usize, shift))
            .value();
        let expected = 2.0 * expected_kernel(dim, bandwidth, 0.0)
            - 2.0 * expected_kernel(dim, bandwidth, shift);
        assert!(
            (measured - expected).abs() < 0.02,
            "{measured} against {expected}"
        );
    }

    #[test]
    fn grows_with_every_bit_of_disturbance() {
        let reference = Reference::new(gaussian(1, 200, 8, 0.0), 4.0);
        let values: Vec<f64> = [0.0, 0.25, 0.5, 1.0, 2.0]
            .iter()
            .map(|&shift| reference.compare(&gaussian(2, 200, 8, shift)).value())
            .collect();
        assert!(values.is_sorted(), "{values:?}");
    }

    #[test]
    fn weights_agree_with_a_set_that_really_repeats_its_pictures() {
        let reference = Reference::new(gaussian(1, 50, 4, 0.0), 3.0);
        let sample = gaussian(2, 3, 4, 0.5);
        let weighted = reference.compare(&sample).weighted(&[2.0, 0.0, 1.0]);
        let k = |a: usize, b: usize| kernel(sample.squared_distance(a, &sample, b), 3.0);
        let across =
            (2.0 * reference.mean_kernel(&sample, 0) + reference.mean_kernel(&sample, 2)) / 3.0;
        let expected = k(0, 2) + reference.within - 2.0 * across;
        assert!((weighted - expected).abs() < 1e-12);
    }

    #[test]
    fn the_bandwidth_is_the_middle_distance() {
        let features = Features::from_rows([&[0.0][..], &[1.0], &[3.0]]);
        assert_eq!(median_bandwidth(&features), 2.0);
    }
}
