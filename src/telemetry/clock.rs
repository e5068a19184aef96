//! What time is it? The only place that asks the machine; everybody else is handed a [`Moment`].

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::units::Moment;

/// Tells the time. Behind a trait so that tests and simulations move it themselves.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Returns the time since the process started; never runs backwards.
    fn now(&self) -> Moment;

    /// Returns the seconds since 1970 UTC, for `created` fields and nothing else.
    fn unix_seconds(&self) -> u64;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Starts at moment zero.
    #[expect(clippy::disallowed_methods, reason = "the one reader of the clock")]
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment(self.started.elapsed())
    }

    #[expect(clippy::disallowed_methods, reason = "the one reader of the clock")]
    fn unix_seconds(&self) -> u64 {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        since_1970.map_or(0, |span| span.as_secs())
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct ManualClock {
    nanos: AtomicU64,
}

impl ManualClock {
    /// Moves the time forwards.
    pub fn advance(&self, by: Duration) {
        self.nanos.fetch_add(by.as_nanos() as u64, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        Moment(Duration::from_nanos(self.nanos.load(Ordering::SeqCst)))
    }

    fn unix_seconds(&self) -> u64 {
        self.now().0.as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_it_is_moved() {
        let clock = ManualClock::default();
        assert_eq!(clock.now(), Moment(Duration::ZERO));
        clock.advance(Duration::from_millis(1500));
        assert_eq!(clock.now(), Moment(Duration::from_millis(1500)));
        assert_eq!(clock.unix_seconds(), 1);
    }

    #[test]
    fn the_system_clock_never_runs_backwards_and_knows_the_century() {
        let clock = SystemClock::start();
        let first = clock.now();
        assert!(clock.now() >= first);
        assert!(clock.unix_seconds() > 1_700_000_000);
    }
}
