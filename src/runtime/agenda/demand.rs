//! How much of the device do newcomers ask for at least? What is granted beyond floors must leave that much.
//!
//! If floors alone fill a share of the device's time, each job may have one over that share times its floor before
//! the device is full: more, and those who come next find no room. So a long deadline is no licence to fill it.

use std::time::Duration;

use crate::units::{Millis, Moment};

/// How far the estimate looks back.
const WINDOW: Duration = Duration::from_secs(3);
/// Share of the device that is given out: the rest is for what comes in bunches.
const GIVEN_OUT: f64 = 0.85;

/// The share of the device's time that floors asked for lately, refused ones among them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Demand {
    share: f64,
    at: Moment,
}

impl Demand {
    /// Somebody asks for so much time at least.
    pub(crate) fn asked(&mut self, floor: Millis, now: Moment) {
        self.share = self.share_at(now) + floor.0.max(0.0) / Millis::from(WINDOW).0;
        self.at = now;
    }

    /// The greatest multiple of its floor that a job may have; at least 1.
    pub(crate) fn most_stretch(&self, now: Moment) -> f64 {
        (GIVEN_OUT / self.share_at(now).max(f64::MIN_POSITIVE)).max(1.0)
    }

    fn share_at(&self, now: Moment) -> f64 {
        let since = now.since(self.at).as_secs_f64();
        self.share * (-since / WINDOW.as_secs_f64()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(ms))
    }

    #[test]
    fn one_who_comes_alone_may_have_hundreds_of_times_its_floor() {
        let mut demand = Demand::default();
        demand.asked(Millis(10.0), at(60_000));
        assert!(demand.most_stretch(at(60_000)) > 200.0);
    }

    #[test]
    fn where_floors_fill_half_of_the_device_nobody_has_twice_its_floor() {
        let mut demand = Demand::default();
        for i in 0..600 {
            demand.asked(Millis(25.0), at(50 * i));
        }
        let stretch = demand.most_stretch(at(30_000));
        assert!((1.5..2.0).contains(&stretch), "{stretch}");
        assert!(demand.most_stretch(at(45_000)) > 100.0, "it is forgotten");
    }

    #[test]
    fn more_than_the_device_can_do_leaves_everybody_the_floor() {
        let mut demand = Demand::default();
        for i in 0..600 {
            demand.asked(Millis(100.0), at(50 * i));
        }
        assert_eq!(demand.most_stretch(at(30_000)), 1.0);
    }
}
