//! How long does each phase of the work take on this machine? A table of measured times, and the
//! work it prices. Never shipped: it is wrong on every other machine.

mod learn;

use serde::{Deserialize, Serialize};

use super::workload::Workload;
use crate::{
    catalog::{Family, ModelId},
    units::{ImageSize, Millis},
};

/// Observations that a table entry stands for at most: the newest one moves it by one part in so many.
const MOST: f64 = 50.0;
/// Observations that the probe's median is worth: few, since a start is a noisy time.
const PROBE: f64 = 3.0;

/// Times of every phase, in milliseconds: as the probe at start found them, and corrected by what
/// finished requests took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PhaseTimes {
    times: Vec<PhaseTime>,
}

/// How long one phase takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseTime {
    /// The phase.
    pub of: PhaseKey,
    /// The time it takes.
    pub ms: Millis,
    /// Observations behind it, the probe's and those of finished requests, counted up to a limit.
    pub weight: f64,
}

/// What is timed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case", deny_unknown_fields)]
pub enum PhaseKey {
    /// One prompt through a family's text encoder.
    Text {
        /// The family.
        family: String,
    },
    /// One evaluation of a U-Net and the update behind it.
    Step {
        /// The model.
        model: ModelId,
        /// Size of the pictures.
        size: ImageSize,
        /// Rows of the batch: an unguided picture is one, a guided picture two.
        rows: u32,
    },
    /// One picture's latents to pixels.
    Decode {
        /// The family.
        family: String,
        /// Size of the picture.
        size: ImageSize,
    },
    /// One picture's pixels to a file.
    Encode {
        /// Size of the picture.
        size: ImageSize,
    },
    /// One picture's latents against its prompt.
    Rank {
        /// The family.
        family: String,
        /// Size of the picture.
        size: ImageSize,
    },
}

impl PhaseKey {
    /// One prompt.
    pub fn text(family: &str) -> Self {
        let family = family.to_owned();
        Self::Text { family }
    }

    /// One step of so many rows.
    pub fn step(model: &ModelId, size: ImageSize, rows: u32) -> Self {
        let model = model.clone();
        Self::Step { model, size, rows }
    }

    /// One picture's latents to pixels.
    pub fn decode(family: &str, size: ImageSize) -> Self {
        let family = family.to_owned();
        Self::Decode { family, size }
    }

    /// One picture's latents against its prompt.
    pub fn rank(family: &str, size: ImageSize) -> Self {
        let family = family.to_owned();
        Self::Rank { family, size }
    }
}

/// The times of one family at one size, by the models' places: looked up once for many plans.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FamilyTimes {
    pub(super) text: Option<Millis>,
    pub(super) decode: Option<Millis>,
    pub(super) encode: Option<Millis>,
    pub(super) rank: Option<Millis>,
    /// One step of one and of two rows.
    steps: Vec<[Option<Millis>; 2]>,
}

impl FamilyTimes {
    /// Returns the time of one picture, its prompt left out, if every phase of it was measured.
    pub fn picture(&self, workload: &Workload) -> Option<Millis> {
        let mut sum = self.decode? + self.encode?;
        if workload.n_ranked > 0 {
            sum = sum + self.rank? * f64::from(workload.n_ranked);
        }
        for leg in &workload.legs {
            sum = sum + self.step(leg.model, leg.rows)? * f64::from(leg.steps);
        }
        Some(sum)
    }

    /// One step of a model, by its place in the family; rows are one or two.
    pub(super) fn step(&self, model: usize, rows: u32) -> Option<Millis> {
        *self.steps.get(model)?.get(rows as usize - 1)?
    }

    /// Returns the time of a request: pictures run one after another, prompts are encoded before them.
    /// The empty prompt of guidance is encoded once for all requests.
    pub fn request(&self, workload: &Workload, n_prompts: u32, n_images: u32) -> Option<Millis> {
        let pictures = self.picture(workload)? * f64::from(n_images);
        Some(self.text? * f64::from(n_prompts) + pictures)
    }
}

impl PhaseTimes {
    /// Every entry of the table.
    pub fn entries(&self) -> &[PhaseTime] {
        &self.times
    }

    /// Records the time of one prompt, replacing an earlier one.
    pub fn set_text(&mut self, family: &str, ms: Millis) {
        self.set(PhaseKey::text(family), ms);
    }

    /// Records the time of one step, replacing an earlier one.
    pub fn set_step(&mut self, model: &ModelId, size: ImageSize, rows: u32, ms: Millis) {
        self.set(PhaseKey::step(model, size, rows), ms);
    }

    /// Records the time of one decode, replacing an earlier one.
    pub fn set_decode(&mut self, family: &str, size: ImageSize, ms: Millis) {
        self.set(PhaseKey::decode(family, size), ms);
    }

    /// Records the time of ranking one picture, replacing an earlier one.
    pub fn set_rank(&mut self, family: &str, size: ImageSize, ms: Millis) {
        self.set(PhaseKey::rank(family, size), ms);
    }

    /// Records the time of one picture file, replacing an earlier one.
    pub fn set_encode(&mut self, size: ImageSize, ms: Millis) {
        self.set(PhaseKey::Encode { size }, ms);
    }

    fn set(&mut self, of: PhaseKey, ms: Millis) {
        self.times.retain(|known| known.of != of);
        let weight = PROBE;
        self.times.push(PhaseTime { of, ms, weight });
    }

    /// Returns the time of a phase. A number of rows that was not measured is taken in proportion to
    /// the nearest one that was.
    pub fn time(&self, of: &PhaseKey) -> Option<Millis> {
        let (idx, factor) = self.nearest(of)?;
        Some(self.times[idx].ms * factor)
    }

    /// Returns the time of one prompt.
    pub fn text(&self, family: &str) -> Option<Millis> {
        self.time(&PhaseKey::text(family))
    }

    /// Returns the time of one step of `rows` rows.
    pub fn step(&self, model: &ModelId, size: ImageSize, rows: u32) -> Option<Millis> {
        self.time(&PhaseKey::step(model, size, rows))
    }

    /// Looks up everything that a family's plans need at one size.
    pub fn of_family(&self, family: &Family, size: ImageSize) -> FamilyTimes {
        let mut times = FamilyTimes {
            text: None,
            decode: None,
            encode: None,
            rank: None,
            steps: vec![[None; 2]; family.models.len()],
        };
        // One pass over the table, since every choice asks for all.
        let mut nearest = vec![[u32::MAX; 2]; family.models.len()];
        for known in &self.times {
            match &known.of {
                PhaseKey::Text { family: its } if *its == family.id => times.text = Some(known.ms),
                PhaseKey::Decode {
                    family: its,
                    size: at,
                } if *at == size && *its == family.id => {
                    times.decode = Some(known.ms);
                }
                PhaseKey::Encode { size: at } if *at == size => times.encode = Some(known.ms),
                PhaseKey::Rank {
                    family: its,
                    size: at,
                } if *at == size && *its == family.id => {
                    times.rank = Some(known.ms);
                }
                PhaseKey::Step {
                    model,
                    size: at,
                    rows,
                } if *at == size && *rows > 0 => {
                    let mut models = family.models.iter();
                    let Some(place) = models.position(|card| card.id == *model) else {
                        continue;
                    };
                    for (idx, asked) in [1_u32, 2].into_iter().enumerate() {
                        let distance = rows.abs_diff(asked);
                        if distance < nearest[place][idx] {
                            nearest[place][idx] = distance;
                            let share = f64::from(asked) / f64::from(*rows);
                            times.steps[place][idx] = Some(known.ms * share);
                        }
                    }
                }
                _ => {}
            }
        }
        times
    }

    /// Returns the place of the entry that prices a phase, and what its time is multiplied by.
    fn nearest(&self, of: &PhaseKey) -> Option<(usize, f64)> {
        let PhaseKey::Step { model, size, rows } = of else {
            let place = self.times.iter().position(|known| known.of == *of);
            return Some((place?, 1.0));
        };
        let rows_of = |known: &PhaseTime| match &known.of {
            PhaseKey::Step {
                model: its,
                size: at,
                rows,
            } if its == model && at == size && *rows > 0 => Some(*rows),
            _ => None,
        };
        let known = self.times.iter().enumerate();
        known
            .filter_map(|(idx, known)| Some((idx, rows_of(known)?)))
            .min_by_key(|(_, known)| known.abs_diff(*rows))
            .map(|(idx, known)| (idx, f64::from(*rows) / f64::from(known)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::{test_family::family, workload::Leg};

    fn measured() -> (PhaseTimes, ModelId, ImageSize) {
        let (model, size) = (ModelId("small".into()), "64x64".parse().unwrap());
        let mut phases = PhaseTimes::default();
        phases.set_text("toy", Millis(2.0));
        phases.set_step(&model, size, 1, Millis(3.0));
        phases.set_step(&model, size, 2, Millis(5.0));
        phases.set_decode("toy", size, Millis(20.0));
        phases.set_encode(size, Millis(1.0));
        (phases, model, size)
    }

    fn guided_steps(model: usize, n_ranked: u32) -> Workload {
        let leg = Leg {
            model,
            rows: 2,
            steps: 4,
        };
        Workload {
            legs: [leg].into_iter().collect(),
            n_ranked,
        }
    }

    #[test]
    fn a_request_takes_its_text_once_and_the_rest_for_each_picture() {
        let (phases, _, size) = measured();
        let times = phases.of_family(&family(), size);
        let work = guided_steps(0, 0);
        let expected = Millis(2.0 + 3.0 * (4.0 * 5.0 + 21.0));
        assert_eq!(times.request(&work, 1, 3), Some(expected));
        let elsewhere = phases.of_family(&family(), "32x32".parse().unwrap());
        assert_eq!(elsewhere.request(&work, 1, 3), None);
    }

    #[test]
    fn what_was_never_timed_has_no_time() {
        let (mut phases, _, size) = measured();
        let times = phases.of_family(&family(), size);
        assert_eq!(times.picture(&guided_steps(1, 0)), None);
        assert_eq!(times.picture(&guided_steps(0, 2)), None);
        phases.set_rank("toy", size, Millis(0.5));
        let times = phases.of_family(&family(), size);
        assert_eq!(times.picture(&guided_steps(0, 2)), Some(Millis(42.0)));
    }

    #[test]
    fn rows_that_were_not_measured_are_taken_in_proportion() {
        let (phases, model, size) = measured();
        assert_eq!(phases.step(&model, size, 1), Some(Millis(3.0)));
        assert_eq!(phases.step(&model, size, 4), Some(Millis(10.0)));
        assert_eq!(phases.step(&ModelId("large".into()), size, 1), None);
    }

    #[test]
    fn a_familys_steps_are_those_that_are_told_one_by_one() {
        let (mut phases, model, size) = measured();
        phases.set_step(&ModelId("large".into()), size, 4, Millis(30.0));
        phases.set_step(&ModelId("another's".into()), size, 1, Millis(1.0));
        phases.set_step(&model, "32x32".parse().unwrap(), 1, Millis(1.0));
        let family = family();
        for (card, steps) in family
            .models
            .iter()
            .zip(phases.of_family(&family, size).steps)
        {
            assert_eq!(steps, [1, 2].map(|rows| phases.step(&card.id, size, rows)));
            assert!(steps.iter().all(Option::is_some));
        }
    }

    #[test]
    fn a_later_measurement_replaces_the_earlier_one() {
        let (mut phases, model, size) = measured();
        phases.set_step(&model, size, 2, Millis(7.0));
        assert_eq!(phases.step(&model, size, 2), Some(Millis(7.0)));
        assert_eq!(phases.entries().len(), 5);
    }
}
