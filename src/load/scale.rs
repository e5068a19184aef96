//! What if the same users came faster, or lived faster?

use super::trace::{Arrival, BudgetClass, Trace};
use crate::units::Millis;

/// Not a factor.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("a factor of {0} makes no trace; it must be a finite number above 0")]
pub struct ScaleError(f64);

impl Trace {
    /// The same requests, arriving `factor` times as fast; their budgets stay. The trace is shorter by as much.
    pub fn with_rate_scaled(&self, factor: f64) -> Result<Self, ScaleError> {
        check(factor)?;
        Ok(self.map(|arrival| Arrival {
            arrival_seconds: arrival.arrival_seconds / factor,
            ..arrival.clone()
        }))
    }

    /// The same story on another clock: every time in it, arrivals and latency budgets, is multiplied by `factor`. What
    /// was recorded of a service that takes seconds is replayed on one that takes milliseconds.
    pub fn with_time_scaled(&self, factor: f64) -> Result<Self, ScaleError> {
        check(factor)?;
        Ok(self.map(|arrival| Arrival {
            arrival_seconds: arrival.arrival_seconds * factor,
            class: BudgetClass {
                latency_ms: arrival
                    .class
                    .latency_ms
                    .map(|Millis(ms)| Millis(ms * factor)),
                ..arrival.class
            },
            ..arrival.clone()
        }))
    }
}

fn check(factor: f64) -> Result<(), ScaleError> {
    if factor.is_finite() && factor > 0.0 {
        Ok(())
    } else {
        Err(ScaleError(factor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> Trace {
        let rows = "0,,,1,a dog\n1.5,100,0.004,2,a cat\n";
        Trace::parse(&format!(
            "arrival_seconds,latency_ms,tflops,images,prompt\n{rows}"
        ))
        .unwrap()
    }

    #[test]
    fn at_twice_the_rate_requests_come_in_half_the_time_with_the_same_budgets() {
        let scaled = trace().with_rate_scaled(2.0).unwrap();
        assert!(
            scaled
                .to_csv()
                .ends_with("\n0,,,1,a dog\n0.75,100,0.004,2,a cat\n")
        );
    }

    #[test]
    fn on_a_clock_that_runs_ten_times_as_fast_budgets_shrink_too_but_work_does_not() {
        let scaled = trace().with_time_scaled(0.1).unwrap();
        let second = &scaled.arrivals()[1];
        assert!((second.arrival_seconds - 0.15).abs() < 1e-12);
        assert_eq!(second.class.latency_ms, Some(Millis(10.0)));
        assert_eq!(second.class.tflops, Some(0.004));
    }

    #[test]
    fn what_is_no_factor_is_refused() {
        for factor in [0.0, -1.0, f64::INFINITY, f64::NAN] {
            assert!(trace().with_rate_scaled(factor).is_err());
            let told = trace().with_time_scaled(factor).unwrap_err().to_string();
            assert!(told.contains("finite number above 0"), "{told}");
        }
    }
}
