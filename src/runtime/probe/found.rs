//! What did the clock say? Times of one family at one size, on their way into the table.

use super::session::Target;
use crate::{
    catalog::{Family, ModelId},
    planner::{PhaseKey, PhaseTimes},
    units::{ImageSize, Millis},
};

/// What one picture took.
pub(super) struct Laps {
    pub(super) text: Millis,
    pub(super) steps: Vec<Millis>,
    pub(super) decode: Millis,
}

impl Laps {
    fn whole(&self) -> Millis {
        self.text + self.steps.iter().copied().sum() + self.decode
    }
}

/// What one family takes at one size; empty where nothing was timed.
#[derive(Default)]
pub(super) struct FamilyTimes {
    text: Vec<Millis>,
    decode: Vec<Millis>,
    /// Model, rows, and every step that was timed.
    steps: Vec<(ModelId, u32, Vec<Millis>)>,
    /// The same of pictures together.
    pub(super) together: Vec<(ModelId, u32, Millis)>,
    /// By the table's entries: model, rows, and the picture's laps.
    draws: Vec<(ModelId, u32, Laps)>,
    pub(super) encode: Vec<Millis>,
    pub(super) rank: Vec<Millis>,
}

impl FamilyTimes {
    /// Adds what one draw of a target took.
    pub(super) fn take(&mut self, target: &Target, laps: Laps) {
        self.text.push(laps.text);
        self.decode.push(laps.decode);
        let (model, rows) = (&target.model, target.rows);
        let known = self.steps.iter_mut();
        match known.rev().find(|(its, n, _)| its == model && *n == rows) {
            Some((_, _, steps)) => steps.extend(&laps.steps),
            None => self.steps.push((model.clone(), rows, laps.steps.clone())),
        }
        self.draws.push((model.clone(), rows, laps));
    }

    /// What the phases of each picture take by a table, and what they took.
    pub(super) fn draws(
        &self,
        phases: &PhaseTimes,
        family: &Family,
        size: ImageSize,
    ) -> Vec<(Millis, Millis)> {
        let decode = PhaseKey::decode(&family.id, size);
        let of_draw = |(model, rows, laps): &(ModelId, u32, Laps)| {
            let steps = phases.step(model, size, *rows)? * laps.steps.len() as f64;
            let sum = phases.text(&family.id)? + steps + phases.time(&decode)?;
            Some((sum, laps.whole()))
        };
        self.draws.iter().filter_map(of_draw).collect()
    }

    /// Adds the medians to the times of other families and sizes.
    pub(super) fn store(&self, phases: &mut PhaseTimes, family: &Family, size: ImageSize) {
        if let Some(text) = median(&self.text) {
            phases.set_text(&family.id, text);
        }
        let of_one = self.steps.iter();
        let of_one =
            of_one.filter_map(|(model, rows, steps)| Some((model.clone(), *rows, median(steps)?)));
        for (model, rows, step) in of_one.chain(self.together.iter().cloned()) {
            tracing::info!(model.id = %model, %size, rows, step_ms = step.0, "timed");
            phases.set_step(&model, size, rows, step);
        }
        if let Some(decode) = median(&self.decode) {
            phases.set_decode(&family.id, size, decode);
        }
        if let Some(encode) = median(&self.encode) {
            phases.set_encode(size, encode);
        }
        if let Some(rank) = median(&self.rank) {
            phases.set_rank(&family.id, size, rank);
        }
    }
}

/// The middle one, the later of the two middle ones where there are two; none of none.
pub(super) fn median(times: &[Millis]) -> Option<Millis> {
    let mut sorted = times.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_not_moved_by_one_wild_time() {
        let times = [3.0, 900.0, 2.0].map(Millis);
        assert_eq!(median(&times), Some(Millis(3.0)));
        assert_eq!(median(&[]), None);
    }
}
