//! Is there room for one more? Earliest deadline first over everything admitted, each at its least.
//!
//! What has begun claims what is left of its plan: that was decided and is not taken back. What waits
//! claims its floor, the least it may end on. If all of that can be done in time, the surplus is shared
//! out in proportion: everything that waits is granted the same multiple of its floor, the greatest that
//! makes nobody late.

use std::time::Duration;

use crate::{
    planner::Forecast,
    units::{Millis, Moment},
};

/// What one request claims of the device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Claim {
    /// When its reply must be written.
    pub(crate) due: Moment,
    /// Breaks ties.
    pub(crate) turn: u64,
    /// Time on the device, by the table.
    pub(crate) work: Millis,
    /// Whether it has not begun, so that it may be granted more.
    pub(crate) is_waiting: bool,
    /// Time after the device, by the table.
    pub(crate) tail: Millis,
}

/// The piece of work at hand, which nobody interrupts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct AtHand {
    /// The turn of its job; none if it is nobody's.
    pub(crate) turn: Option<u64>,
    /// Time until it is done, by the table.
    pub(crate) left: Millis,
}

/// All claims, the most urgent first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Claims {
    all: Vec<Claim>,
    at_hand: Option<AtHand>,
}

impl Claims {
    pub(crate) fn new(mut claims: Vec<Claim>, at_hand: Option<AtHand>) -> Self {
        claims.sort_by_key(|claim| (claim.due, claim.turn));
        Self {
            all: claims,
            at_hand,
        }
    }

    /// The same with one more, and its place.
    pub(crate) fn with(&self, claim: Claim) -> (Self, usize) {
        let before = |other: &Claim| (other.due, other.turn) <= (claim.due, claim.turn);
        let place = self.all.partition_point(before);
        let mut all = self.clone();
        all.all.insert(place, claim);
        (all, place)
    }

    /// The multiple of its floor that one more claim may take; see [`Self::stretch`].
    pub(crate) fn room_for(&self, claim: Claim, now: Moment, forecast: &Forecast) -> Option<f64> {
        let (all, place) = self.with(claim);
        all.stretch(place, now, forecast)
    }

    /// The multiple of its floor that the waiting claim at `place` may take without making itself or one
    /// behind it late; none if even its floor does. Times are judged at the 99th percentile, as budgets are. One
    /// that is in time only on average without the newcomer stays so, and one that is late anyway has no say.
    /// Everybody waits for the piece of work at hand, however little urgent that is.
    pub(crate) fn stretch(&self, place: usize, now: Moment, forecast: &Forecast) -> Option<f64> {
        let own = self.all[place].work.0;
        // What is left of the piece at hand, until its job's own claim is counted, of which it is a part.
        let mut blocked = self.at_hand.map_or(0.0, |piece| piece.left.0);
        let (mut fixed, mut waiting) = (0.0, 0.0);
        let mut stretch = f64::INFINITY;
        for (idx, claim) in self.all.iter().enumerate() {
            if self
                .at_hand
                .is_some_and(|piece| piece.turn == Some(claim.turn))
            {
                blocked = 0.0;
            }
            if claim.is_waiting {
                waiting += claim.work.0;
            } else {
                fixed += claim.work.0;
            }
            if idx < place {
                continue;
            }
            let room = claim.room(now, forecast);
            if blocked + fixed + waiting > room {
                let without = blocked + fixed + waiting - own;
                // One behind that will be late without the newcomer, too, has no say.
                if idx > place && without > claim.room_expected(now, forecast) {
                    continue;
                }
                return None;
            }
            stretch = stretch.min((room - blocked - fixed) / waiting.max(f64::MIN_POSITIVE));
        }
        Some(stretch)
    }

    /// After how long a request with this claim would be admitted if nobody else came: the first moment at
    /// which one of those ahead is done and there is room.
    pub(crate) fn room_in(&self, claim: Claim, now: Moment, forecast: &Forecast) -> Duration {
        let nobodys = self.at_hand.filter(|piece| piece.turn.is_none());
        let nobodys = nobodys.map_or(Millis::ZERO, |piece| forecast.expected(piece.left));
        let mut later = Duration::from_secs_f64(nobodys.0.max(0.0) / 1e3);
        for (n_done, done) in self.all.iter().enumerate() {
            let takes = forecast.expected(done.work).0.max(0.0);
            later += Duration::from_secs_f64(takes / 1e3);
            let then = Moment(now.0 + later);
            let asked = Claim {
                due: Moment(claim.due.0.saturating_add(later)),
                ..claim
            };
            let rest = Self {
                all: self.all[n_done + 1..].to_vec(),
                at_hand: None,
            };
            let (all, place) = rest.with(asked);
            if all.stretch(place, then, forecast).is_some() {
                return later;
            }
        }
        later
    }
}

impl Claim {
    /// Time on the device, by the table, that fits before it is due at the 99th percentile.
    fn room(&self, now: Moment, forecast: &Forecast) -> f64 {
        forecast.most_at_p99(self.left(now)).0 - self.tail.0
    }

    /// Time on the device, by the table, that fits before it is due on average.
    fn room_expected(&self, now: Moment, forecast: &Forecast) -> f64 {
        forecast.work_in(self.left(now)).0 - self.tail.0
    }

    fn left(&self, now: Moment) -> Millis {
        Millis::from(self.due.since(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::planner::{LatencyModel, PhaseTimes};

    fn forecast() -> Forecast {
        LatencyModel::new(PhaseTimes::default()).behind(Millis::ZERO)
    }

    fn at(ms: f64) -> Moment {
        Moment(Duration::from_secs_f64(ms / 1e3))
    }

    fn claim(due: f64, work: f64, is_waiting: bool) -> Claim {
        Claim {
            due: at(due),
            turn: 0,
            work: Millis(work),
            is_waiting,
            tail: Millis(1.0),
        }
    }

    fn stretch_of(claims: &[Claim], place: usize) -> Option<f64> {
        Claims::new(claims.to_vec(), None).stretch(place, at(0.0), &forecast())
    }

    #[test]
    fn alone_a_request_may_use_all_of_its_time() {
        let stretch = stretch_of(&[claim(1000.0, 100.0, true)], 0).unwrap();
        let most = forecast().most_at_p99(Millis(1000.0)).0 - 1.0;
        assert!((stretch * 100.0 - most).abs() < 1e-9);
        assert!(stretch > 6.0, "{stretch}");
    }

    #[test]
    fn what_waits_shares_the_surplus_in_proportion() {
        let two = [claim(1000.0, 100.0, true), claim(1001.0, 200.0, true)];
        let first = stretch_of(&two, 0).unwrap();
        let second = stretch_of(&two, 1).unwrap();
        let most = forecast().most_at_p99(Millis(1001.0)).0 - 1.0;
        assert!(
            (first * 300.0 - most).abs() < 1e-9,
            "the second one's deadline binds both"
        );
        assert!((second - first).abs() < 1e-9);
    }

    #[test]
    fn what_has_begun_keeps_its_plan() {
        let both = [claim(500.0, 300.0, false), claim(1000.0, 100.0, true)];
        let alone = stretch_of(&both[1..], 0).unwrap();
        let behind = stretch_of(&both, 1).unwrap();
        assert!(
            (alone - behind - 3.0).abs() < 1e-9,
            "300 ms less for a floor of 100"
        );
    }

    #[test]
    fn there_is_no_room_where_somebody_would_be_late() {
        let later = claim(300.0, 150.0, true);
        assert!(stretch_of(&[claim(200.0, 20.0, true), later], 0).is_some());
        assert_eq!(stretch_of(&[claim(200.0, 100.0, true), later], 0), None);
        let lost = claim(200.0, 500.0, false);
        let stretch = stretch_of(&[claim(150.0, 50.0, true), lost], 0);
        assert!(stretch.is_some(), "one that is late anyway has no say");
    }

    #[test]
    fn the_piece_at_hand_is_waited_for_even_by_the_most_urgent() {
        let long = Claim {
            turn: 1,
            ..claim(5000.0, 500.0, false)
        };
        let tight = claim(200.0, 100.0, true);
        let with = |left| {
            let at_hand = AtHand {
                turn: Some(1),
                left: Millis(left),
            };
            Claims::new(vec![tight, long], Some(at_hand)).stretch(0, at(0.0), &forecast())
        };
        let (free, behind) = (with(0.0).unwrap(), with(20.0).unwrap());
        assert!(
            (free - behind - 0.2).abs() < 1e-9,
            "20 ms less for a floor of 100"
        );
        assert_eq!(with(100.0), None);
    }

    #[test]
    fn the_wait_is_until_there_is_room() {
        let claims = Claims::new(
            vec![
                claim(400.0, 100.0, false),
                claim(450.0, 100.0, true),
                claim(460.0, 100.0, true),
            ],
            None,
        );
        let asked = claim(150.0, 100.0, true);
        let (all, place) = claims.with(asked);
        assert_eq!(all.stretch(place, at(0.0), &forecast()), None);
        let wait = claims.room_in(asked, at(0.0), &forecast());
        assert!((100..=300).contains(&wait.as_millis()), "{wait:?}");
    }

    proptest! {
        #[test]
        fn a_grant_makes_nobody_late_and_is_no_less_than_the_floor(
            raw in prop::collection::vec((50.0_f64..2000.0, 1.0_f64..200.0, any::<bool>()), 0..10),
            due in 50.0_f64..2000.0,
            work in 1.0_f64..200.0,
        ) {
            let claims = Claims::new(raw.into_iter().map(|(due, work, waits)| claim(due, work, waits)).collect(), None);
            let (all, place) = claims.with(claim(due, work, true));
            if let Some(stretch) = all.stretch(place, at(0.0), &forecast()) {
                prop_assert!(stretch >= 1.0);
                let mut granted = all.clone();
                granted.all[place].work = Millis(work * stretch);
                granted.all[place].is_waiting = false;
                let mut sum = 0.0;
                for (idx, claim) in granted.all.iter().enumerate() {
                    sum += claim.work.0;
                    let without: f64 = all.all[..=idx].iter().map(|c| c.work.0).sum::<f64>() - work;
                    let is_lost = idx > place && without > claim.room_expected(at(0.0), &forecast());
                    let is_kept = sum <= claim.room(at(0.0), &forecast()) + 1e-6;
                    prop_assert!(idx < place || is_kept || is_lost);
                }
            }
        }
    }
}
