//! How long does each phase of the work take on this machine? A table of measured times, and the
//! work it prices. Never shipped: it is wrong on every other machine.

use serde::{Deserialize, Serialize};

use crate::{
    catalog::ModelId,
    units::{ImageSize, Millis, Steps},
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

/// One request's work, as far as its time depends on it. Pictures of a request run one after another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work<'a> {
    /// The family.
    pub family: &'a str,
    /// The model.
    pub model: &'a ModelId,
    /// Size of the pictures.
    pub size: ImageSize,
    /// Sampling steps of each picture.
    pub steps: Steps,
    /// Rows of the batch at each step ([`super::Plan::rows`]).
    pub rows: u32,
    /// Prompts to encode: one, and one more for a negative prompt. The empty prompt of guidance is
    /// encoded once for all requests.
    pub n_prompts: u32,
    /// Pictures.
    pub n_images: u32,
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
            .map(|known| known.ms * (f64::from(rows) / f64::from(known.rows)))
    }

    /// Returns what a request takes besides its steps, if every phase of it was measured.
    pub fn overhead(
        &self,
        family: &str,
        size: ImageSize,
        n_prompts: u32,
        n_images: u32,
    ) -> Option<Millis> {
        let text = self.text(family)?;
        let decode = self
            .decode
            .iter()
            .find(|known| known.family == family && known.size == size)?
            .ms;
        let encode = self.encode.iter().find(|known| known.size == size)?.ms;
        Some(text * f64::from(n_prompts) + (decode + encode) * f64::from(n_images))
    }

    /// Returns the sum of the phases of `work`, if every phase of it was measured.
    pub fn sum(&self, work: &Work<'_>) -> Option<Millis> {
        let overhead = self.overhead(work.family, work.size, work.n_prompts, work.n_images)?;
        let step = self.step(work.model, work.size, work.rows)?;
        Some(overhead + denoise(step, work.steps, work.n_images))
    }
}

/// The time of all steps of all pictures of a request.
pub(crate) fn denoise(step: Millis, steps: Steps, n_images: u32) -> Millis {
    step * (f64::from(steps) * f64::from(n_images))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> (PhaseTimes, ModelId, ImageSize) {
        let (model, size) = (ModelId("toy-8".into()), "64x64".parse().unwrap());
        let mut phases = PhaseTimes::default();
        phases.set_text("toy", Millis(2.0));
        phases.set_step(&model, size, 1, Millis(3.0));
        phases.set_step(&model, size, 2, Millis(5.0));
        phases.set_decode("toy", size, Millis(20.0));
        phases.set_encode(size, Millis(1.0));
        (phases, model, size)
    }

    #[test]
    fn a_request_takes_its_text_once_and_the_rest_for_each_picture() {
        let (phases, model, size) = measured();
        let work = Work {
            family: "toy",
            model: &model,
            size,
            steps: 4,
            rows: 2,
            n_prompts: 1,
            n_images: 3,
        };
        assert_eq!(
            phases.sum(&work),
            Some(Millis(2.0 + 3.0 * (4.0 * 5.0 + 21.0)))
        );
        let elsewhere = Work {
            size: "32x32".parse().unwrap(),
            ..work
        };
        assert_eq!(phases.sum(&elsewhere), None);
    }

    #[test]
    fn rows_that_were_not_measured_are_taken_in_proportion() {
        let (phases, model, size) = measured();
        assert_eq!(phases.step(&model, size, 1), Some(Millis(3.0)));
        assert_eq!(phases.step(&model, size, 4), Some(Millis(10.0)));
        assert_eq!(phases.step(&ModelId("other".into()), size, 1), None);
    }

    #[test]
    fn a_later_measurement_replaces_the_earlier_one() {
        let (mut phases, model, size) = measured();
        phases.set_step(&model, size, 2, Millis(7.0));
        assert_eq!(phases.step(&model, size, 2), Some(Millis(7.0)));
        assert_eq!(phases.step.len(), 2);
    }
}
