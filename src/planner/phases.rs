//! How long does each phase of the work take on this machine? A table of measured times, and the
//! work it prices. Never shipped: it is wrong on every other machine.

use serde::{Deserialize, Serialize};

use super::workload::Workload;
use crate::{
    catalog::{Family, ModelId},
    units::{ImageSize, Millis},
};

/// Measured times of every phase, in milliseconds, as the probe at start found them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseTimes {
    /// One prompt through a text encoder.
    pub text: Vec<TextTime>,
    /// One sampling step.
    pub step: Vec<StepTime>,
    /// One picture's latents to pixels.
    pub decode: Vec<DecodeTime>,
    /// One picture's pixels to a file.
    pub encode: Vec<EncodeTime>,
    /// One picture's latents against its prompt.
    #[serde(default)]
    pub rank: Vec<RankTime>,
}

/// One prompt through a family's text encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextTime {
    /// The family.
    pub family: String,
    /// The time it takes.
    pub ms: Millis,
}

/// One evaluation of a U-Net and the update behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepTime {
    /// The model.
    pub model: ModelId,
    /// Size of the pictures.
    pub size: ImageSize,
    /// Rows of the batch: an unguided picture is one, a guided picture two.
    pub rows: u32,
    /// The time it takes.
    pub ms: Millis,
}

/// One picture through a family's decoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecodeTime {
    /// The family.
    pub family: String,
    /// Size of the picture.
    pub size: ImageSize,
    /// The time it takes.
    pub ms: Millis,
}

/// One picture into a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncodeTime {
    /// Size of the picture.
    pub size: ImageSize,
    /// The time it takes.
    pub ms: Millis,
}

/// One picture's latents against its prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankTime {
    /// The family.
    pub family: String,
    /// Size of the picture.
    pub size: ImageSize,
    /// The time it takes.
    pub ms: Millis,
}

/// The times of one family at one size, by the models' places: looked up once for many plans.
#[derive(Debug, Clone, PartialEq)]
pub struct FamilyTimes {
    text: Option<Millis>,
    /// Decoder and file.
    finish: Option<Millis>,
    rank: Option<Millis>,
    /// One step of one and of two rows.
    steps: Vec<[Option<Millis>; 2]>,
}

impl StepTime {
    fn in_proportion(&self, rows: u32) -> Millis {
        self.ms * (f64::from(rows) / f64::from(self.rows))
    }
}

impl FamilyTimes {
    /// Returns the time of one picture, its prompt left out, if every phase of it was measured.
    pub fn picture(&self, workload: &Workload) -> Option<Millis> {
        let mut sum = self.finish?;
        if workload.n_ranked > 0 {
            sum = sum + self.rank? * f64::from(workload.n_ranked);
        }
        for leg in &workload.legs {
            let step = self.steps.get(leg.model)?.get(leg.rows as usize - 1)?;
            sum = sum + (*step)? * f64::from(leg.steps);
        }
        Some(sum)
    }

    /// Returns the time of a request: pictures run one after another, prompts are encoded before them.
    /// The empty prompt of guidance is encoded once for all requests.
    pub fn request(&self, workload: &Workload, n_prompts: u32, n_images: u32) -> Option<Millis> {
        let pictures = self.picture(workload)? * f64::from(n_images);
        Some(self.text? * f64::from(n_prompts) + pictures)
    }
}

impl PhaseTimes {
    /// Records the time of one prompt, replacing an earlier one.
    pub fn set_text(&mut self, family: &str, ms: Millis) {
        self.text.retain(|known| known.family != family);
        let family = family.to_owned();
        self.text.push(TextTime { family, ms });
    }

    /// Records the time of one step, replacing an earlier one.
    pub fn set_step(&mut self, model: &ModelId, size: ImageSize, rows: u32, ms: Millis) {
        self.step
            .retain(|known| (&known.model, known.size, known.rows) != (model, size, rows));
        let model = model.clone();
        self.step.push(StepTime {
            model,
            size,
            rows,
            ms,
        });
    }

    /// Records the time of one decode, replacing an earlier one.
    pub fn set_decode(&mut self, family: &str, size: ImageSize, ms: Millis) {
        self.decode
            .retain(|known| (known.family.as_str(), known.size) != (family, size));
        let family = family.to_owned();
        self.decode.push(DecodeTime { family, size, ms });
    }

    /// Records the time of ranking one picture, replacing an earlier one.
    pub fn set_rank(&mut self, family: &str, size: ImageSize, ms: Millis) {
        self.rank
            .retain(|known| (known.family.as_str(), known.size) != (family, size));
        let family = family.to_owned();
        self.rank.push(RankTime { family, size, ms });
    }

    /// Records the time of one picture file, replacing an earlier one.
    pub fn set_encode(&mut self, size: ImageSize, ms: Millis) {
        self.encode.retain(|known| known.size != size);
        self.encode.push(EncodeTime { size, ms });
    }

    /// Returns the time of one prompt.
    pub fn text(&self, family: &str) -> Option<Millis> {
        let of_family = |known: &&TextTime| known.family == family;
        self.text.iter().find(of_family).map(|known| known.ms)
    }

    /// Returns the time of one step of `rows` rows. A number of rows that was not measured is taken
    /// in proportion to the nearest one that was.
    pub fn step(&self, model: &ModelId, size: ImageSize, rows: u32) -> Option<Millis> {
        self.step
            .iter()
            .filter(|known| &known.model == model && known.size == size && known.rows > 0)
            .min_by_key(|known| known.rows.abs_diff(rows))
            .map(|known| known.in_proportion(rows))
    }

    /// The times of one step of one and of two rows, for each model of a family: as [`Self::step`] has
    /// them, in one pass over the table, since every choice asks for all.
    fn steps(&self, family: &Family, size: ImageSize) -> Vec<[Option<Millis>; 2]> {
        let mut nearest: Vec<[Option<&StepTime>; 2]> = vec![[None; 2]; family.models.len()];
        let of_size = self.step.iter();
        for known in of_size.filter(|known| known.size == size && known.rows > 0) {
            let mut models = family.models.iter();
            let Some(place) = models.position(|card| card.id == known.model) else {
                continue;
            };
            for (rows, nearest) in [1_u32, 2].into_iter().zip(&mut nearest[place]) {
                let distance = |step: &StepTime| step.rows.abs_diff(rows);
                if nearest.is_none_or(|other| distance(known) < distance(other)) {
                    *nearest = Some(known);
                }
            }
        }
        let times = |[one, two]: [Option<&StepTime>; 2]| {
            [(one, 1), (two, 2)].map(|(known, rows)| known.map(|known| known.in_proportion(rows)))
        };
        nearest.into_iter().map(times).collect()
    }

    /// Looks up everything that a family's plans need at one size.
    pub fn of_family(&self, family: &Family, size: ImageSize) -> FamilyTimes {
        let decode = self.decode.iter();
        let mut decode = decode.filter(|known| known.family == family.id && known.size == size);
        let encode = self.encode.iter().find(|known| known.size == size);
        let rank = self.rank.iter();
        let mut rank = rank.filter(|known| known.family == family.id && known.size == size);
        FamilyTimes {
            text: self.text(&family.id),
            finish: decode
                .next()
                .zip(encode)
                .map(|(decode, encode)| decode.ms + encode.ms),
            rank: rank.next().map(|known| known.ms),
            steps: self.steps(family, size),
        }
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
        for (card, steps) in family.models.iter().zip(phases.steps(&family, size)) {
            assert_eq!(steps, [1, 2].map(|rows| phases.step(&card.id, size, rows)));
            assert!(steps.iter().all(Option::is_some));
        }
    }

    #[test]
    fn a_later_measurement_replaces_the_earlier_one() {
        let (mut phases, model, size) = measured();
        phases.set_step(&model, size, 2, Millis(7.0));
        assert_eq!(phases.step(&model, size, 2), Some(Millis(7.0)));
        assert_eq!(phases.step.len(), 2);
    }
}
