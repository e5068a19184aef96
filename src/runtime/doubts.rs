//! When is a device to be timed again? Seldom, and when there is nothing better to learn from.

use std::time::Duration;

use super::probe::Doubt;
use crate::units::Moment;

/// After a device was timed again it is not for so many times as long: clients that ask for the impossible cost a tenth
/// of its idle time at most.
const PAUSE: u32 = 9;
/// A request that was finished so lately taught what there is to learn.
const LATELY: Duration = Duration::from_secs(10);

/// The doubts about one device.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// To be settled as soon as there is nothing to do.
    raised: Option<Doubt>,
    /// The last one that was settled.
    settled: Option<Doubt>,
    /// One about something else, which came too soon and is the next one for that.
    other: Option<Doubt>,
    /// None is raised before.
    quiet_until: Moment,
    /// Whether somebody was turned away who would have been admitted without it.
    is_in_the_way: bool,
}

impl Doubts {
    /// Takes a doubt unless there is one, or one was settled lately; says whether there is one now that was not before.
    pub(super) fn raise(&mut self, doubt: Doubt, now: Moment) -> bool {
        if self.raised.is_some() {
            return false;
        }
        if now >= self.quiet_until {
            self.raised = self.other.take().or(Some(doubt));
            return true;
        }
        let is_of_another = |settled: &Doubt| !settled.is_about_the_same(&doubt);
        if self.settled.as_ref().is_some_and(is_of_another) {
            self.other.get_or_insert(doubt);
        }
        false
    }

    /// Returns the doubt that there is; no other is raised until it is settled.
    pub(super) fn take(&mut self) -> Option<Doubt> {
        let taken = self.raised.take()?;
        self.settled = Some(taken.clone());
        self.quiet_until = Moment(Duration::MAX);
        self.is_in_the_way = false;
        Some(taken)
    }

    /// The one that was taken is settled, or given up.
    pub(super) fn settle(&mut self, began: Moment, now: Moment) {
        self.quiet_until = after(now, now.since(began) * PAUSE);
    }

    /// A request was finished, which says more.
    pub(super) fn learned(&mut self, now: Moment) {
        self.raised = None;
        self.quiet_until = self.quiet_until.max(after(now, LATELY));
    }

    /// Somebody was turned away.
    pub(super) fn turned_away(&mut self) {
        self.is_in_the_way = true;
    }

    /// Whether timing should end, so that whoever was turned away is admitted when they come again.
    pub(super) fn is_in_the_way(&self) -> bool {
        self.is_in_the_way
    }
}

fn after(now: Moment, span: Duration) -> Moment {
    Moment(now.0.saturating_add(span))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Millis;

    fn about(family: &str) -> Doubt {
        Doubt {
            family: family.to_owned(),
            size: "64x64".parse().unwrap(),
            limit: Millis(40.0),
        }
    }

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(ms))
    }

    /// Raises and settles one within a tenth of a second.
    fn settled(doubts: &mut Doubts, family: &str, ms: u64) {
        assert!(doubts.raise(about(family), at(ms)));
        doubts.take().unwrap();
        doubts.settle(at(ms), at(ms + 100));
    }

    #[test]
    fn there_is_one_at_a_time_and_a_pause_after_it() {
        let mut doubts = Doubts::default();
        assert!(doubts.raise(about("a"), at(0)));
        assert!(!doubts.raise(about("a"), at(0)));
        doubts.take().unwrap();
        assert!(!doubts.raise(about("a"), at(1_000_000)), "it is under way");
        doubts.settle(at(1000), at(1100));
        assert!(!doubts.raise(about("a"), at(1999)));
        assert!(doubts.raise(about("a"), at(2000)));
    }

    #[test]
    fn a_flood_of_one_kind_does_not_keep_others_from_their_turn() {
        let mut doubts = Doubts::default();
        settled(&mut doubts, "a", 0);
        assert!(!doubts.raise(about("b"), at(200)));
        assert!(!doubts.raise(about("a"), at(999)));
        assert!(doubts.raise(about("a"), at(1000)));
        assert_eq!(doubts.take(), Some(about("b")));
    }

    #[test]
    fn requests_teach_better() {
        let mut doubts = Doubts::default();
        assert!(doubts.raise(about("a"), at(0)));
        doubts.learned(at(100));
        assert_eq!(doubts.take(), None);
        assert!(!doubts.raise(about("a"), at(10_099)));
        assert!(doubts.raise(about("a"), at(10_100)));
    }

    #[test]
    fn whoever_is_turned_away_ends_it() {
        let mut doubts = Doubts::default();
        doubts.raise(about("a"), at(0));
        doubts.take().unwrap();
        assert!(!doubts.is_in_the_way());
        doubts.turned_away();
        assert!(doubts.is_in_the_way());
        doubts.settle(at(0), at(1));
        settled(&mut doubts, "a", 2000);
        assert!(!doubts.is_in_the_way(), "that was another time");
    }
}
