//! How far have the times of this machine moved since a menu was made from them?

use super::phases::{DecodeTime, EncodeTime, PhaseTimes, RankTime, StepTime, TextTime};
use crate::units::Millis;

/// Returns the largest relative change of an entry, infinite where an entry came or went.
pub(super) fn largest_change(now: &PhaseTimes, then: &PhaseTimes) -> f64 {
    [
        of_entries(&now.text, &then.text),
        of_entries(&now.step, &then.step),
        of_entries(&now.decode, &then.decode),
        of_entries(&now.encode, &then.encode),
        of_entries(&now.rank, &then.rank),
    ]
    .into_iter()
    .fold(0.0, f64::max)
}

/// One time of the table.
trait Entry {
    /// Whether both are about the same.
    fn is_about(&self, other: &Self) -> bool;
    fn ms(&self) -> Millis;
}

fn of_entries<E: Entry>(now: &[E], then: &[E]) -> f64 {
    if now.len() != then.len() {
        return f64::INFINITY;
    }
    let change = |(place, entry): (usize, &E)| {
        let same = |known: &&E| known.is_about(entry);
        // Entries move only when they are measured anew, so nearly all lie where they lay.
        let known = Some(&then[place]).filter(same);
        let known = known.or_else(|| then.iter().find(same));
        known.map_or(f64::INFINITY, |known| relative(entry.ms(), known.ms()))
    };
    now.iter().enumerate().map(change).fold(0.0, f64::max)
}

fn relative(now: Millis, then: Millis) -> f64 {
    if now == then {
        return 0.0;
    }
    ((now.0 - then.0) / then.0).abs()
}

impl Entry for TextTime {
    fn is_about(&self, other: &Self) -> bool {
        self.family == other.family
    }
    fn ms(&self) -> Millis {
        self.ms
    }
}

impl Entry for StepTime {
    fn is_about(&self, other: &Self) -> bool {
        (self.rows, self.size) == (other.rows, other.size) && self.model == other.model
    }
    fn ms(&self) -> Millis {
        self.ms
    }
}

impl Entry for DecodeTime {
    fn is_about(&self, other: &Self) -> bool {
        self.size == other.size && self.family == other.family
    }
    fn ms(&self) -> Millis {
        self.ms
    }
}

impl Entry for EncodeTime {
    fn is_about(&self, other: &Self) -> bool {
        self.size == other.size
    }
    fn ms(&self) -> Millis {
        self.ms
    }
}

impl Entry for RankTime {
    fn is_about(&self, other: &Self) -> bool {
        self.size == other.size && self.family == other.family
    }
    fn ms(&self) -> Millis {
        self.ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ModelId;

    fn table() -> PhaseTimes {
        let size = "64x64".parse().unwrap();
        let mut table = PhaseTimes::default();
        table.set_text("toy", Millis(2.0));
        table.set_encode(size, Millis::ZERO);
        for (model, ms) in [("small", 4.0), ("large", 10.0)] {
            table.set_step(&ModelId(model.into()), size, 1, Millis(ms));
        }
        table
    }

    #[test]
    fn the_largest_change_of_any_entry_is_told_wherever_it_lies() {
        let (size, mut now) = ("64x64".parse().unwrap(), table());
        assert_eq!(largest_change(&now, &table()), 0.0);
        now.set_step(&ModelId("small".into()), size, 1, Millis(4.04));
        now.set_text("toy", Millis(1.9));
        let change = largest_change(&now, &table());
        assert!((change - 0.05).abs() < 1e-12, "{change}");
    }

    #[test]
    fn an_entry_that_comes_or_goes_is_a_change_without_measure() {
        let (size, mut now) = ("64x64".parse().unwrap(), table());
        now.set_decode("toy", size, Millis(1.0));
        assert_eq!(largest_change(&now, &table()), f64::INFINITY);
        assert_eq!(largest_change(&table(), &now), f64::INFINITY);
        let mut other = table();
        other.text[0].family = "another".into();
        assert_eq!(largest_change(&other, &table()), f64::INFINITY);
    }
}
