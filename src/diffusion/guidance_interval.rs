//! At which noise levels is a step guided? Guidance in a limited interval (Kynkäänniemi et al.,
//! arXiv 2404.07724): at high noise it takes variety away, at low noise it changes little, and every
//! step that goes without it costs half.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::noise_schedule::Level;

/// The noise levels at which steps are guided: `sigma_low < sigma <= sigma_high`, with sigma the noise
/// relative to the signal, as in the paper; pure noise is infinite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GuidanceInterval {
    /// Steps at this level and below are not guided.
    #[schema(minimum = 0, example = 0.3)]
    pub sigma_low: f64,
    /// Steps above this level are not guided; null for no bound.
    #[schema(example = 5.0)]
    pub sigma_high: Option<f64>,
}

impl GuidanceInterval {
    /// Whether a step that starts at this level is guided.
    pub fn contains(&self, level: Level) -> bool {
        let sigma = level.sigma / level.alpha;
        sigma > self.sigma_low && self.sigma_high.is_none_or(|high| sigma <= high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(alpha: f64, sigma: f64) -> Level {
        Level {
            alpha,
            sigma,
            timestep: 500.0,
        }
    }

    #[test]
    fn its_lower_end_is_outside_and_its_upper_end_inside() {
        let interval = GuidanceInterval {
            sigma_low: 0.5,
            sigma_high: Some(2.0),
        };
        let guided = [(2.0, 1.0), (1.0, 1.0), (1.0, 2.0), (1.0, 2.1)]
            .map(|(alpha, sigma)| interval.contains(level(alpha, sigma)));
        assert_eq!(guided, [false, true, true, false]);
    }

    #[test]
    fn pure_noise_is_beyond_every_bound_but_none() {
        let noise = level(0.0, 1.0);
        let up_to = |sigma_high| GuidanceInterval {
            sigma_low: 0.0,
            sigma_high,
        };
        assert!(up_to(None).contains(noise));
        assert!(!up_to(Some(1e9)).contains(noise));
    }
}
