//! How fast is the machine now, relative to its phase table? What several followers say, the slow ones and
//! the hasty ones: believed is the one that was right lately.
//!
//! On a machine of its own a request says little of the next one, and a slow follower averages that out. On
//! a machine that others share, speed wanders from second to second, and a request takes much what the one
//! before it took, which a slow follower learns too late. Nobody can know beforehand which machine it is
//! (tracking the best expert: Herbster and Warmuth 1998).

use serde::{Deserialize, Serialize};

/// How each follower takes a request.
const PACES: [Pace; 3] = [
    Pace {
        gain: 0.1,
        leash: 0.2,
    },
    Pace {
        gain: 0.3,
        leash: LONG_LEASH,
    },
    Pace {
        gain: 0.7,
        leash: LONG_LEASH,
    },
];
/// The leash of whoever has seen little, and of those who are there for sudden changes.
const LONG_LEASH: f64 = 0.7;
/// Requests that the probe's word on the machine's speed is worth.
const PROBE: u64 = 2;
/// Weight of what a follower was off by before, one request later: about the last twenty count.
const MEMORY: f64 = 0.95;

struct Pace {
    /// Weight of the newest request once there are enough of them.
    gain: f64,
    /// One request moves the factor as if it were at most this far off, in log units: an outlier is not a
    /// trend.
    leash: f64,
}

/// Logarithms of the machine-speed factor: above zero is slower than the phase table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Speed {
    followers: [Follower; PACES.len()],
    /// Requests since the speed was last found anew.
    n: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Follower {
    log: f64,
    /// What it was off by lately.
    loss: f64,
}

impl Speed {
    /// What the follower says that was right lately; the slowest of those that are equally right.
    pub(super) fn log(&self) -> f64 {
        let followers = self.followers.iter();
        let best = followers.min_by(|a, b| a.loss.total_cmp(&b.loss));
        best.map_or(0.0, |follower| follower.log)
    }

    /// Takes a request of which the logarithm of actual over expected is `log`. `share` is how much of its
    /// time follows the machine's speed: the error of a short request is more its own.
    pub(super) fn follow(&mut self, log: f64, share: f64) {
        self.n += 1;
        let early = 1.0 / (self.n + PROBE) as f64;
        for (follower, pace) in self.followers.iter_mut().zip(PACES) {
            let off = log - follower.log;
            follower.loss = MEMORY * follower.loss + share * off.abs();
            let leash = if early > pace.gain {
                LONG_LEASH
            } else {
                pace.leash
            };
            follower.log += (pace.gain * share).max(early) * off.clamp(-leash, leash);
        }
    }

    /// Takes a speed that was found anew, by so many requests.
    pub(super) fn jump(&mut self, log: f64, n: u64) {
        for follower in &mut self.followers {
            follower.log = log;
        }
        self.n = n;
    }

    /// Whether it can be reckoned with.
    pub(super) fn is_sound(&self) -> bool {
        let sound = |follower: &Follower| {
            follower.log.is_finite() && follower.loss.is_finite() && follower.loss >= 0.0
        };
        self.followers.iter().all(sound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Repeats these many times and returns the mean of how far off the prediction was before each.
    fn mean_error(logs: impl Iterator<Item = f64>) -> f64 {
        let (mut speed, mut errors) = (Speed::default(), Vec::new());
        for log in logs {
            errors.push((log - speed.log()).abs());
            speed.follow(log, 1.0);
        }
        let late = &errors[errors.len() / 2..];
        late.iter().sum::<f64>() / late.len() as f64
    }

    #[test]
    fn noise_around_a_steady_speed_is_averaged_out() {
        // Alternating, so that the last request is the worst guess of the next one.
        let logs = (0..400).map(|i| 0.5 + if i % 2 == 0 { 0.1 } else { -0.1 });
        assert!(mean_error(logs) < 0.11);
    }

    #[test]
    fn a_speed_that_wanders_is_followed_from_request_to_request() {
        // A triangle of 0.6 up and down, 0.03 a request: a slow follower would lag by 0.27.
        let logs = (0..400_i32).map(|i| 0.03 * f64::from((i % 40 - 20).abs()));
        assert!(mean_error(logs) < 0.07);
    }

    #[test]
    fn one_outlier_is_no_trend() {
        let mut speed = Speed::default();
        for i in 0..100 {
            speed.follow(if i % 2 == 0 { 0.05 } else { -0.05 }, 1.0);
        }
        let before = speed.log();
        speed.follow(5.0, 1.0);
        assert!((speed.log() - before).abs() < 0.021);
        // The hasty ones believed it, and are not believed for that.
        speed.follow(0.0, 1.0);
        assert!((speed.log() - before).abs() < 0.021);
    }

    #[test]
    fn a_speed_found_anew_is_everybodys() {
        let mut speed = Speed::default();
        for _ in 0..50 {
            speed.follow(0.3, 1.0);
        }
        speed.jump(-0.7, 5);
        assert_eq!(speed.log(), -0.7);
        speed.follow(-0.7, 1.0);
        assert_eq!(speed.log(), -0.7);
        assert!(speed.is_sound());
    }
}
