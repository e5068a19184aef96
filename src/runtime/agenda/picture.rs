//! How far is one picture? The steps behind its trajectories and those ahead.

use smallvec::SmallVec;

use crate::{
    planner::{Rush, StepTime, Timetable},
    units::{Millis, Steps},
};

/// One picture of a job that has begun.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    /// Its candidates; only the best one once they are ranked.
    rows: SmallVec<[Row; 1]>,
    stage: Stage,
    shared: usize,
    rank: Millis,
    decode: Millis,
    /// Where it was shortened for the last time.
    pub(super) rush: Option<Rush>,
    /// How often it was shown on its way.
    n_shown: u32,
}

/// What a picture needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Steps.
    Steps,
    /// The comparison of its candidates.
    Rank,
    /// The decoder.
    Decode,
    /// Nothing.
    Done,
}

/// One trajectory.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Its place among the candidates.
    pub(super) candidate: u32,
    /// All its steps, in order.
    pub(super) steps: Vec<StepTime>,
    pub(super) done: usize,
    /// Whether the device has its noise.
    pub(super) has_begun: bool,
}

impl Row {
    fn rest_until(&self, until: usize) -> Millis {
        let ahead = self.steps.iter().take(until).skip(self.done);
        ahead.map(|step| step.ms).sum()
    }
}

impl Picture {
    pub(super) fn new(timetable: &Timetable) -> Self {
        let row = |candidate| Row {
            candidate,
            steps: timetable.steps.clone(),
            done: 0,
            has_begun: false,
        };
        Self {
            rows: (0..timetable.n_candidates).map(row).collect(),
            stage: Stage::Steps,
            shared: timetable.shared as usize,
            rank: timetable.rank,
            decode: timetable.decode,
            rush: None,
            n_shown: 0,
        }
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    /// Trajectories that could take a step.
    pub(super) fn ready_rows(&self) -> impl Iterator<Item = &Row> {
        let until = self.until();
        let ready = (self.stage == Stage::Steps).then_some(&self.rows);
        ready
            .into_iter()
            .flatten()
            .filter(move |row| row.done < until)
    }

    /// Says that the device is given a trajectory's noise; false if it has it.
    pub(super) fn begins(&mut self, candidate: u32) -> bool {
        let mut rows = self.rows.iter_mut();
        let row = rows.find(|row| row.candidate == candidate);
        row.is_some_and(|row| !std::mem::replace(&mut row.has_begun, true))
    }

    pub(super) fn row(&self, candidate: u32) -> Option<&Row> {
        self.rows.iter().find(|row| row.candidate == candidate)
    }

    /// Every candidate that there still is.
    pub(super) fn candidates(&self) -> impl Iterator<Item = u32> + '_ {
        self.rows.iter().map(|row| row.candidate)
    }

    /// The trajectory that it will become, once that is known.
    pub(super) fn only_row(&self) -> Option<&Row> {
        match self.rows.as_slice() {
            [row] => Some(row),
            _ => None,
        }
    }

    /// Time that it still needs the device for, by the table.
    pub(super) fn rest(&self) -> Millis {
        match self.stage {
            Stage::Done => Millis::ZERO,
            Stage::Decode => self.decode,
            Stage::Rank => self.rank + self.rest_of_best() + self.decode,
            Stage::Steps if self.rows.len() > 1 => {
                let shared: Millis = self
                    .rows
                    .iter()
                    .map(|row| row.rest_until(self.shared))
                    .sum();
                shared + self.rank + self.rest_of_best() + self.decode
            }
            Stage::Steps => self.rest_of_steps() + self.decode,
        }
    }

    /// The same without the decoder, of a picture that has one trajectory.
    pub(super) fn rest_of_steps(&self) -> Millis {
        self.only_row()
            .map_or(Millis::ZERO, |row| row.rest_until(row.steps.len()))
    }

    /// What the best candidate has ahead after the shared steps.
    fn rest_of_best(&self) -> Millis {
        let after = self.rows[0].steps.iter().skip(self.shared);
        after.map(|step| step.ms).sum()
    }

    /// A trajectory took a step.
    pub(super) fn stepped(&mut self, candidate: u32) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.candidate == candidate) {
            row.done += 1;
        }
        let until = self.until();
        if self.rows.iter().all(|row| row.done >= until) {
            self.stage = if self.rows.len() > 1 {
                Stage::Rank
            } else {
                Stage::Decode
            };
        }
    }

    /// The candidates are compared, and only the best one goes on.
    pub(super) fn ranked(&mut self, best: u32) {
        self.rows.retain(|row| row.candidate == best);
        let is_done = self.rows.iter().all(|row| row.done >= row.steps.len());
        self.stage = if is_done { Stage::Decode } else { Stage::Steps };
    }

    pub(super) fn decoded(&mut self) {
        self.stage = Stage::Done;
    }

    /// Takes so many steps in place of all that are ahead; none decodes the estimate as it stands.
    pub(super) fn shorten(&mut self, left: Steps) {
        let [row] = self.rows.as_mut_slice() else {
            return;
        };
        let (open, kept) = (row.steps.len() - row.done, left as usize);
        // As `diffusion::sampler::shortened` chooses them.
        let steps: Vec<StepTime> = (0..kept)
            .map(|i| row.steps[row.done + i * open / kept])
            .collect();
        row.steps.truncate(row.done);
        row.steps.extend(steps);
        self.rush = Some(Rush {
            after: row.done as Steps,
            then: left,
        });
        if left == 0 {
            self.stage = Stage::Decode;
        }
    }

    /// Takes the steps ahead as another timetable has them.
    pub(super) fn move_up(&mut self, timetable: &Timetable) {
        if let [row] = self.rows.as_mut_slice() {
            row.steps.truncate(row.done);
            row.steps.extend(timetable.steps.iter().skip(row.done));
        }
    }

    /// The number of the picture on its way that is to be shown now, of as many as are wanted, evenly
    /// spread.
    pub(super) fn next_partial(&mut self, wanted: u32) -> Option<u32> {
        let row = self.only_row()?;
        let (done, total) = (row.done as u64, row.steps.len() as u64);
        let mark = u64::from(self.n_shown + 1) * total;
        let is_due = self.n_shown < wanted
            && self.stage == Stage::Steps
            && done * u64::from(wanted + 1) >= mark;
        is_due.then(|| {
            self.n_shown += 1;
            self.n_shown - 1
        })
    }

    /// Steps of the trajectory that it has become.
    pub(super) fn steps_run(&self) -> Steps {
        self.rows[0].done as Steps
    }

    /// Steps that every trajectory takes before something else happens.
    fn until(&self) -> usize {
        if self.rows.len() > 1 {
            self.shared
        } else {
            self.rows[0].steps.len()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timetable(n_candidates: u32, shared: Steps) -> Timetable {
        let step = |ms| StepTime {
            model: 0,
            rows: 1,
            ms: Millis(ms),
        };
        Timetable {
            text: Millis(2.0),
            steps: [1.0, 2.0, 3.0, 4.0].map(step).to_vec(),
            shared,
            n_candidates,
            rank: Millis(0.5),
            decode: Millis(20.0),
            encode: Millis(1.0),
        }
    }

    #[test]
    fn a_picture_steps_and_is_decoded() {
        let table = timetable(1, 4);
        let mut picture = Picture::new(&table);
        for left in [30.0, 29.0, 27.0, 24.0] {
            assert_eq!(
                (picture.stage(), picture.rest()),
                (Stage::Steps, Millis(left))
            );
            assert_eq!(picture.ready_rows().count(), 1);
            picture.stepped(0);
        }
        assert_eq!(
            (picture.stage(), picture.rest()),
            (Stage::Decode, Millis(20.0))
        );
        picture.decoded();
        assert_eq!(
            (picture.stage(), picture.rest()),
            (Stage::Done, Millis::ZERO)
        );
        assert_eq!(picture.steps_run(), 4);
    }

    #[test]
    fn candidates_share_steps_are_ranked_and_one_goes_on() {
        let table = timetable(2, 3);
        let mut picture = Picture::new(&table);
        assert_eq!(picture.rest(), table.picture());
        assert_eq!(picture.rest(), Millis(2.0 * 6.0 + 0.5 + 4.0 + 20.0));
        for candidate in [0, 1, 0, 1, 0, 1] {
            assert!(picture.ready_rows().any(|row| row.candidate == candidate));
            picture.stepped(candidate);
        }
        assert_eq!(
            (picture.stage(), picture.rest()),
            (Stage::Rank, Millis(24.5))
        );
        picture.ranked(1);
        assert_eq!(
            (picture.stage(), picture.rest()),
            (Stage::Steps, Millis(24.0))
        );
        picture.stepped(1);
        assert_eq!((picture.stage(), picture.steps_run()), (Stage::Decode, 4));
    }

    #[test]
    fn a_shortened_picture_spreads_its_steps_over_what_was_ahead() {
        let mut picture = Picture::new(&timetable(1, 4));
        picture.shorten(2);
        assert_eq!(picture.rest(), Millis(1.0 + 3.0 + 20.0));
        picture.stepped(0);
        picture.shorten(0);
        assert_eq!(picture.stage(), Stage::Decode);
        assert_eq!(picture.rush, Some(Rush { after: 1, then: 0 }));
        assert_eq!(picture.steps_run(), 1);
    }
}
