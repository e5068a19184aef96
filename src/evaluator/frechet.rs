//! How far is a set of pictures from real ones, in the field's customary number?
//!
//! The Frechet distance between Gaussians fitted to both feature sets (arXiv 1706.08500):
//! |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)). It is biased by the number of pictures, so it is
//! reported, at equal numbers only, and never optimised.
//!
//! With centred data A (n x d) and B (m x d), each divided by the root of its degrees of freedom,
//! S1 = A'A and S2 = B'B, and the trace of (S1 S2)^(1/2) is the sum of the singular values of AB'.
//! That needs no matrix root and stays exact where the covariances are singular (n < d).

use super::features::Features;

/// Off-diagonal correlation below which two columns count as orthogonal.
const ORTHOGONAL: f64 = 1e-12;
/// Jacobi converges quadratically; well-conditioned matrices of this size need about eight sweeps.
const MAX_SWEEPS: usize = 40;

/// Returns the Frechet distance between two sets of at least two pictures each.
pub fn distance(a: &Features, b: &Features) -> f64 {
    let (left, right) = (Centred::new(a), Centred::new(b));
    let means = left.mean.iter().zip(&right.mean);
    let shift: f64 = means.map(|(x, y)| (x - y) * (x - y)).sum();
    let trace: f64 = left.values.iter().chain(&right.values).map(|x| x * x).sum();
    let overlap: f64 = singular_values(left.columns_against(&right)).iter().sum();
    (shift + trace - 2.0 * overlap).max(0.0)
}

/// A set less its mean, divided by the root of its degrees of freedom.
struct Centred {
    mean: Vec<f64>,
    values: Vec<f64>,
}

impl Centred {
    fn new(features: &Features) -> Self {
        let mean = features.mean();
        let scale = ((features.len() - 1) as f64).sqrt();
        let rows = (0..features.len()).flat_map(|row| features.row(row).iter().zip(&mean));
        let values = rows.map(|(value, mean)| (value - mean) / scale).collect();
        Self { mean, values }
    }

    /// Returns AB' by columns.
    fn columns_against(&self, other: &Self) -> Vec<Vec<f64>> {
        let dim = self.mean.len();
        let column = |row: &[f64]| {
            self.values
                .chunks_exact(dim)
                .map(|mine| dot(mine, row))
                .collect()
        };
        other.values.chunks_exact(dim).map(column).collect()
    }
}

/// Returns the singular values of a matrix given by columns (one-sided Jacobi, Hestenes 1958).
fn singular_values(mut columns: Vec<Vec<f64>>) -> Vec<f64> {
    let largest = columns
        .iter()
        .map(|column| dot(column, column))
        .fold(0.0, f64::max);
    // A column this short carries no more than rounding of the longest one.
    let negligible = largest * f64::EPSILON * f64::EPSILON;
    for _ in 0..MAX_SWEEPS {
        let mut rotated = false;
        for right in 1..columns.len() {
            let (before, rest) = columns.split_at_mut(right);
            for left in before {
                rotated |= orthogonalise(left, &mut rest[0], negligible);
            }
        }
        if !rotated {
            break;
        }
    }
    columns
        .iter()
        .map(|column| dot(column, column).sqrt())
        .collect()
}

/// Rotates two columns within their plane until they are orthogonal; false if they already were.
fn orthogonalise(left: &mut [f64], right: &mut [f64], negligible: f64) -> bool {
    let (alpha, beta, gamma) = (dot(left, left), dot(right, right), dot(left, right));
    if alpha <= negligible
        || beta <= negligible
        || gamma.abs() <= ORTHOGONAL * (alpha * beta).sqrt()
    {
        return false;
    }
    let zeta = (beta - alpha) / (2.0 * gamma);
    let tangent = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    let sine = cosine * tangent;
    for (x, y) in left.iter_mut().zip(right) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
    true
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::{super::features::tests::gaussian, *};

    #[test]
    fn a_set_has_no_distance_from_itself_even_with_fewer_pictures_than_dimensions() {
        let features = gaussian(3, 20, 32, 1.0);
        assert!(distance(&features, &features) < 1e-9);
    }

    #[test]
    fn a_shift_alone_costs_its_square() {
        let features = gaussian(3, 100, 6, 0.0);
        let moved: Vec<Vec<f32>> = (0..100)
            .map(|row| features.row(row).iter().map(|x| *x as f32 + 2.0).collect())
            .collect();
        let moved = Features::from_rows(moved.iter().map(Vec::as_slice));
        assert!((distance(&features, &moved) - 24.0).abs() < 1e-4);
    }

    #[test]
    fn axis_aligned_gaussians_have_the_distance_of_the_formula() {
        // Both sets lie on the axes, so the covariances are diagonal and commute:
        // the distance is the sum over axes of (s1 - s2)^2.
        let cross = |x: f32, y: f32| {
            Features::from_rows([&[x, 0.0][..], &[-x, 0.0], &[0.0, y], &[0.0, -y]])
        };
        let deviation = |x: f64| (2.0 * x * x / 3.0).sqrt();
        let expected =
            (deviation(1.0) - deviation(3.0)).powi(2) + (deviation(2.0) - deviation(0.5)).powi(2);
        assert!((distance(&cross(1.0, 2.0), &cross(3.0, 0.5)) - expected).abs() < 1e-12);
    }

    #[test]
    fn fitted_gaussians_come_close_to_the_true_ones() {
        let (a, b) = (gaussian(1, 150, 4, 0.0), gaussian(2, 150, 4, 1.0));
        assert!((distance(&a, &b) - 4.0).abs() < 0.8);
    }

    #[test]
    fn fewer_pictures_look_farther_from_real_ones() {
        let at = |rows| distance(&gaussian(1, rows, 16, 0.0), &gaussian(2, rows, 16, 0.0));
        assert!(
            at(24) > 2.0 * at(120),
            "the bias that forbids comparing unequal numbers"
        );
    }
}
