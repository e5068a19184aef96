//! In which precision does a model compute? As `models.toml` says; "auto" is bf16 where the processor
//! multiplies in it and where it was measured that no score is lost by it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    plan::Plan,
    profile::{Profile, Provenance},
};
use crate::catalog::{DeviceSpec, Dtype, ModelCard};

/// What `goldilocks calibrate precision` found: plans drawn in bf16 and in f32, with the same captions
/// from the same noise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Precision {
    /// How the numbers came about.
    pub provenance: Provenance,
    /// One entry for each plan.
    pub cells: Vec<PrecisionCell>,
}

/// One plan's scores in bf16 less those in f32.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrecisionCell {
    /// What was run.
    pub plan: Plan,
    /// Pictures looked at in each precision, one for each caption.
    pub n: usize,
    /// Of the alignments.
    pub alignment: ScoreDifference,
    /// Of the fidelities.
    pub fidelity: ScoreDifference,
    /// Of the means of both.
    pub balanced: ScoreDifference,
}

/// A difference of two scores, paired by caption.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreDifference {
    /// The difference.
    pub mean: f64,
    /// Its standard error.
    pub standard_error: f64,
}

impl Precision {
    /// The same beside what was measured earlier of other plans.
    #[must_use]
    pub fn beside(self, earlier: Self) -> Self {
        let is_other = |cell: &PrecisionCell| self.cells.iter().all(|own| own.plan != cell.plan);
        let mut cells: Vec<PrecisionCell> = earlier.cells.into_iter().filter(is_other).collect();
        cells.extend(self.cells);
        Self {
            provenance: self.provenance,
            cells,
        }
    }
}

/// The last digit of scores and of their replicates. Differences of that size are rounding, and the
/// standard error of what differs in nothing else is zero.
const LAST_DIGIT: f64 = 1e-4;

impl ScoreDifference {
    /// Whether it is below zero by more than two standard errors and more than scores are rounded.
    pub fn is_loss(self) -> bool {
        self.mean < -(2.0 * self.standard_error + LAST_DIGIT)
    }
}

impl fmt::Display for ScoreDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:+.4} ± {:.4}", self.mean, self.standard_error)
    }
}

/// A precision with what speaks for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice<'a> {
    /// Never [`Dtype::Auto`].
    pub dtype: Dtype,
    /// Why.
    pub reason: Reason<'a>,
}

/// Why a model computes in its precision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reason<'a> {
    /// `models.toml` names it.
    Named,
    /// The processor does not multiply in bf16.
    NoInstructions,
    /// A GPU computes it, where everything is bf16 and not products alone.
    OnGpu,
    /// No plan of it was drawn in both.
    NotMeasured,
    /// bf16 scores less, with this plan.
    Loses(&'a PrecisionCell),
    /// bf16 scores no less, with any of so many plans.
    Keeps(usize),
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named => f.write_str("as models.toml says"),
            Self::NoInstructions => f.write_str("auto: the processor has no avx512_bf16"),
            Self::OnGpu => f.write_str(
                "auto: what bf16 costs was measured on processors only; write \"bf16\" to have it",
            ),
            Self::NotMeasured => f.write_str(
                "auto: what bf16 costs was not measured; `goldilocks calibrate precision` does",
            ),
            Self::Loses(cell) => {
                write!(f, "auto: bf16 loses {} with {}", cell.balanced, cell.plan)
            }
            Self::Keeps(n) => write!(f, "auto: bf16 loses no score with {n} measured plans"),
        }
    }
}

/// bf16 was asked for where there is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "model {model:?} says dtype = \"bf16\", but this processor has no avx512_bf16; write dtype = \"f32\", or \"auto\" to \
     have bf16 wherever it is possible and loses no score"
)]
pub struct NoBf16 {
    model: String,
}

/// Chooses the precision of a model; `has_bf16` says whether the processor multiplies in it, `profile` is
/// that of the weights in use.
pub fn choose<'a>(
    card: &ModelCard,
    has_bf16: bool,
    profile: Option<&'a Profile>,
) -> Result<Choice<'a>, NoBf16> {
    let is_on_gpu = card.device != DeviceSpec::Cpu;
    let choice = |dtype, reason| Ok(Choice { dtype, reason });
    match card.dtype {
        Dtype::F32 => choice(Dtype::F32, Reason::Named),
        Dtype::Bf16 if is_on_gpu || has_bf16 => choice(Dtype::Bf16, Reason::Named),
        Dtype::Bf16 => Err(NoBf16 {
            model: card.id.0.clone(),
        }),
        Dtype::Auto if is_on_gpu => choice(Dtype::F32, Reason::OnGpu),
        Dtype::Auto if !has_bf16 => choice(Dtype::F32, Reason::NoInstructions),
        Dtype::Auto => {
            let cells = profile.and_then(|profile| profile.precision.as_ref());
            let cells = cells.map_or(&[][..], |precision| &precision.cells);
            let of_model = cells.iter().filter(|cell| cell.plan.model == card.id);
            let mut losses = of_model.clone().filter(|cell| cell.balanced.is_loss());
            match (losses.next(), of_model.count()) {
                (Some(loss), _) => choice(Dtype::F32, Reason::Loses(loss)),
                (None, 0) => choice(Dtype::F32, Reason::NotMeasured),
                (None, n) => choice(Dtype::Bf16, Reason::Keeps(n)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::SamplerKind,
        planner::{profile::tests::profile, test_family},
    };

    fn card(dtype: Dtype) -> ModelCard {
        ModelCard {
            dtype,
            ..test_family::family().models.remove(0)
        }
    }

    fn measured(differences: &[(f64, f64)]) -> Profile {
        let card = card(Dtype::Auto);
        let cell = |(steps, &(mean, standard_error)): (u32, &(f64, f64))| {
            let difference = ScoreDifference {
                mean,
                standard_error,
            };
            let size = "64x64".parse().unwrap();
            PrecisionCell {
                plan: Plan::plain(card.id.clone(), SamplerKind::Ddim, steps, 1.0, size),
                n: 8,
                alignment: difference,
                fidelity: difference,
                balanced: difference,
            }
        };
        let mut profile = profile();
        profile.precision = Some(Precision {
            provenance: profile.provenance.clone(),
            cells: (1..).zip(differences).map(cell).collect(),
        });
        profile
    }

    #[test]
    fn what_was_measured_of_other_plans_stays() {
        let precision = |differences: &[(f64, f64)]| measured(differences).precision.unwrap();
        let earlier = precision(&[(0.0, 0.1), (0.1, 0.1)]);
        let anew = precision(&[(0.5, 0.1)]);
        let both = anew.beside(earlier);
        let means: Vec<f64> = both.cells.iter().map(|cell| cell.balanced.mean).collect();
        assert_eq!(means, [0.1, 0.5]);
    }

    #[test]
    fn what_is_named_is_taken_where_it_is_possible() {
        let named = |dtype, has_bf16| choose(&card(dtype), has_bf16, None).map(|it| it.dtype);
        assert_eq!(named(Dtype::F32, true), Ok(Dtype::F32));
        assert_eq!(named(Dtype::Bf16, true), Ok(Dtype::Bf16));
        let message = named(Dtype::Bf16, false).unwrap_err().to_string();
        for part in ["avx512_bf16", "\"f32\"", "\"auto\""] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_gpu_has_bf16_but_no_measurement_of_it() {
        let on_gpu = |dtype| {
            let card = ModelCard {
                device: DeviceSpec::Cuda(0),
                ..card(dtype)
            };
            let profile = measured(&[(0.0, 0.002)]);
            let choice = choose(&card, false, Some(&profile)).unwrap();
            (choice.dtype, choice.reason.to_string())
        };
        assert_eq!(on_gpu(Dtype::Bf16).0, Dtype::Bf16);
        let (dtype, reason) = on_gpu(Dtype::Auto);
        assert_eq!(dtype, Dtype::F32);
        assert!(reason.contains("processors only"), "{reason}");
    }

    #[test]
    fn auto_is_bf16_only_where_it_was_measured_and_no_plan_loses() {
        let auto = |has_bf16, profile: Option<&Profile>| {
            let choice = choose(&card(Dtype::Auto), has_bf16, profile).unwrap();
            (choice.dtype, choice.reason.to_string())
        };
        let good = measured(&[(-0.001, 0.002), (0.01, 0.002)]);
        assert_eq!(auto(true, Some(&good)).0, Dtype::Bf16);
        assert_eq!(auto(false, Some(&good)).0, Dtype::F32);
        assert_eq!(auto(true, None).0, Dtype::F32);
        assert_eq!(auto(true, Some(&measured(&[]))).0, Dtype::F32);
        // One unit in the last place of two rounded scores.
        let rounding = measured(&[(-0.0001, 0.0)]);
        assert_eq!(auto(true, Some(&rounding)).0, Dtype::Bf16);
        let bad = measured(&[(0.0, 0.002), (-0.005, 0.002)]);
        let (dtype, reason) = auto(true, Some(&bad));
        assert_eq!(dtype, Dtype::F32);
        assert!(reason.contains("-0.0050 ± 0.0020"), "{reason}");
    }
}
