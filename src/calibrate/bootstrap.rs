//! How sure is a score? Resampled caption counts, the same for every cell.
//!
//! All cells draw the same captions from the same seeds, so resampling captions with the same draw
//! in every cell keeps what cells share and shows the spread of their *difference*.

/// Replicates behind every standard error.
pub const REPLICATES: usize = 128;

/// Returns, for each replicate, how often each of `n_captions` is drawn; each sums to `n_captions`.
pub fn draws(n_captions: usize) -> Vec<Vec<f64>> {
    let draw = |replicate: usize| {
        let mut counts = vec![0.0; n_captions];
        for position in 0..n_captions {
            counts[index(replicate, position, n_captions)] += 1.0;
        }
        counts
    };
    (0..REPLICATES).map(draw).collect()
}

/// Returns the standard deviation over replicates, which estimates the standard error.
pub fn standard_error(replicates: &[f64]) -> f64 {
    let n_replicates = replicates.len() as f64;
    let mean = replicates.iter().sum::<f64>() / n_replicates;
    let squares: f64 = replicates.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (n_replicates - 1.0)).sqrt()
}

/// A hash of (replicate, position), uniform over `0..n_captions` (SplitMix64's finaliser).
fn index(replicate: usize, position: usize, n_captions: usize) -> usize {
    let counter = ((replicate as u64) << 32) | position as u64;
    let mut bits = counter.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^= bits >> 31;
    ((u128::from(bits) * n_captions as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_replicate_draws_as_many_captions_as_there_are() {
        let draws = draws(50);
        assert_eq!(draws.len(), REPLICATES);
        assert!(
            draws
                .iter()
                .all(|counts| counts.iter().sum::<f64>() == 50.0)
        );
        assert_ne!(draws[0], draws[1]);
    }

    #[test]
    fn the_spread_of_a_mean_is_that_of_the_formula() {
        // Of 200 verdicts, 60 true: the standard error of the share is sqrt(p (1 - p) / n).
        let shares = draws(200)
            .into_iter()
            .map(|counts| counts[..60].iter().sum::<f64>() / 200.0);
        let measured = standard_error(&shares.collect::<Vec<_>>());
        let expected = (0.3f64 * 0.7 / 200.0).sqrt();
        assert!(
            (measured / expected - 1.0).abs() < 0.2,
            "{measured} against {expected}"
        );
    }
}
