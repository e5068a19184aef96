//! What did a request take, and what of that was the server's doing?
//!
//! A client may send its body slowly and read its events slowly. Neither says anything of this machine, and nothing may be
//! learned from it: one that dawdles would make everybody's requests look slow.

use std::time::Duration;

use crate::units::{Millis, Moment};

/// When what happened to a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    /// Its head was parsed.
    pub(super) arrived: Moment,
    /// The rest of it was there, too.
    pub(super) read: Moment,
    /// How long its client went on to be shown pictures when all of them were there.
    pub(super) shown: Duration,
}

/// What a request took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spans {
    /// From its head to its reply, which budgets are held against.
    pub(super) latency: Millis,
    /// The part of it that follows from the server alone.
    pub(super) own: Millis,
}

impl Marks {
    /// The spans of a request that is answered now.
    pub(super) fn until(self, now: Moment) -> Spans {
        let since = |mark| Millis::from(now.since(mark).saturating_sub(self.shown));
        Spans {
            latency: since(self.arrived),
            own: since(self.read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_own_time_is_not_the_servers() {
        let at = |ms| Moment(Duration::from_millis(ms));
        let marks = Marks {
            arrived: at(10),
            read: at(9_010),
            shown: Duration::from_millis(500),
        };
        let expected = Spans {
            latency: Millis(9_100.0),
            own: Millis(100.0),
        };
        assert_eq!(marks.until(at(9_610)), expected);
    }
}
