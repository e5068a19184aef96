//! Where did the time of a job go? The spans between its boundaries.

use super::{Boundary, Phases};
use crate::units::{Millis, Moment};

/// The time between boundaries.
#[derive(Debug)]
pub(super) struct Laps {
    last: Moment,
    laps: Vec<(Boundary, Millis)>,
}

impl Laps {
    pub(super) fn new(started: Moment) -> Self {
        Self {
            last: started,
            laps: Vec::new(),
        }
    }

    /// Ends a lap and returns what it took.
    pub(super) fn lap(&mut self, boundary: Boundary, now: Moment) -> Millis {
        let took = Millis::from(now.since(self.last));
        self.laps.push((boundary, took));
        self.last = now;
        took
    }

    /// Returns the laps that ended at this kind of boundary.
    pub(super) fn of(&self, kind: Boundary) -> impl Iterator<Item = Millis> {
        let laps = self.laps.iter();
        laps.filter_map(move |(boundary, took)| (*boundary == kind).then_some(*took))
    }

    /// Returns the sums of the laps; queue and encoding are not timed here.
    pub(super) fn phases(&self) -> Phases {
        Phases {
            text: self.of(Boundary::Text).sum(),
            denoise: self.of(Boundary::Step).sum(),
            rank: self.of(Boundary::Rank).sum(),
            decode: self.of(Boundary::Decode).sum(),
            ..Phases::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_lap_lasts_from_one_boundary_to_the_next() {
        let at = |millis| Moment(Duration::from_millis(millis));
        let mut laps = Laps::new(at(100));
        laps.lap(Boundary::Text, at(103));
        assert_eq!(laps.lap(Boundary::Step, at(113)), Millis(10.0));
        laps.lap(Boundary::Step, at(125));
        laps.lap(Boundary::Decode, at(155));
        let expected = Phases {
            text: Millis(3.0),
            denoise: Millis(22.0),
            decode: Millis(30.0),
            ..Phases::default()
        };
        assert_eq!(laps.phases(), expected);
        let steps: Vec<Millis> = laps.of(Boundary::Step).collect();
        assert_eq!(steps, [Millis(10.0), Millis(12.0)]);
    }
}
