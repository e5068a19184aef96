//! How does the table follow what requests really take? Each entry by itself, slowly, relative to what
//! all of them have in common: the machine's speed is not the table's business.
//!
//! The probe times every phase within seconds, and a burst of other work then biases some entries and
//! spares others. Every request that finishes is one more observation of the entries it used.

use super::{MOST, PROBE, PhaseTime, PhaseTimes};
use crate::{planner::finished::PhaseLap, units::Millis};

/// One observation counts as if it were at most this far off, in log units: a stall is not a trend.
const LEASH: f64 = 0.25;
/// A probe that disagrees with a learned entry by more than this, in log units, is believed: whatever
/// changed is not noise.
const CHANGED: f64 = 0.7;

impl PhaseTimes {
    /// Returns the sum of phases that ran, if each of them is in the table.
    pub(in crate::planner) fn sum(&self, laps: &[PhaseLap]) -> Option<Millis> {
        let of_lap = |lap: &PhaseLap| Some(self.time(&lap.of)? * f64::from(lap.n));
        laps.iter().map(of_lap).sum()
    }

    /// Moves the entries that a request used towards what it took of them; `log_speed` is what all of
    /// its phases took alike, as the logarithm of actual over table.
    pub(in crate::planner) fn learn(&mut self, laps: &[PhaseLap], log_speed: f64) {
        for lap in laps {
            let Some((took, (idx, factor))) = lap.took.zip(self.nearest(&lap.of)) else {
                continue;
            };
            // What many rows take together says little of what one takes alone.
            if factor != 1.0 {
                continue;
            }
            let known = &mut self.times[idx];
            let expected = known.ms.0 * f64::from(lap.n);
            let off = (took.0 / expected).ln() - log_speed;
            if off.is_finite() {
                known.move_by(off.clamp(-LEASH, LEASH), 1.0);
            }
        }
    }

    /// Takes what a probe found, at today's speed. Entries that are known keep what requests taught
    /// of them relative to each other, and the probe counts as some observations more. `log_speed` is
    /// today's speed of entries that the probe did not time.
    pub(in crate::planner) fn probed(&mut self, fresh: Self, log_speed: f64) {
        let mut ratios: Vec<f64> = fresh
            .times
            .iter()
            .filter_map(|time| Some((time.ms.0 / self.exact(time)?.ms.0).ln()))
            .filter(|ratio| ratio.is_finite())
            .collect();
        ratios.sort_by(f64::total_cmp);
        let common = ratios.get(ratios.len() / 2).copied();
        for known in &mut self.times {
            let is_fresh = fresh.exact(known).is_some();
            let speed = common.filter(|_| is_fresh).unwrap_or(log_speed);
            known.ms = known.ms * speed.exp();
        }
        for time in fresh.times {
            let known = self.times.iter_mut().find(|known| known.of == time.of);
            let off = known.as_ref().map(|known| (time.ms.0 / known.ms.0).ln());
            match known.zip(off) {
                Some((known, off)) if off.abs() < CHANGED => known.move_by(off, time.weight),
                _ => self.set(time.of, time.ms),
            }
        }
    }

    /// The largest relative difference of any entry from the same one in an `earlier` table; infinite
    /// where an entry came or went.
    pub(in crate::planner) fn moved_since(&self, earlier: &Self) -> f64 {
        let moved = |time: &PhaseTime| match earlier.exact(time) {
            Some(before) if before.ms == time.ms => 0.0,
            Some(before) => (time.ms.0 / before.ms.0 - 1.0).abs(),
            None => f64::INFINITY,
        };
        let gone = self.times.len() < earlier.times.len();
        let gone = if gone { f64::INFINITY } else { 0.0 };
        self.times.iter().map(moved).fold(gone, f64::max)
    }

    /// Whether every time is one that can be reckoned with.
    pub(in crate::planner) fn is_sound(&self) -> bool {
        let sound = |time: &PhaseTime| {
            time.ms.0.is_finite() && time.ms.0 >= 0.0 && (PROBE..=MOST).contains(&time.weight)
        };
        self.times.iter().all(sound)
    }

    fn exact(&self, time: &PhaseTime) -> Option<&PhaseTime> {
        self.times.iter().find(|known| known.of == time.of)
    }
}

impl PhaseTime {
    /// Takes `weight` observations that are off by so much, in log units.
    fn move_by(&mut self, off: f64, weight: f64) {
        self.weight = (self.weight + weight).min(MOST);
        self.ms = self.ms * (off * weight / self.weight).exp();
    }
}

#[cfg(test)]
mod tests;
