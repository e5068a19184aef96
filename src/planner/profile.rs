//! What was measured of a family's plans? The file `calibration/<family>.json`, which
//! `goldilocks calibrate quality` writes and the planner reads.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{
    plan::{Plan, ScoreEstimate},
    precision::Precision,
};
use crate::{
    catalog::{ModelId, SamplerKind},
    units::{ImageSize, Steps},
};

/// The version of the file format that this program reads and writes.
pub const PROFILE_VERSION: u32 = 2;

/// Measured scores of a family's plans, with the digest of the weights they were measured on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// [`PROFILE_VERSION`].
    pub version: u32,
    /// The family's id.
    pub family: String,
    /// Where the numbers come from.
    pub kind: ProfileKind,
    /// Digest of the weights that were measured, as [`crate::catalog::Family::digest`].
    pub weights_digest: String,
    /// Size of the measured pictures.
    pub size: ImageSize,
    /// How the numbers came about.
    pub provenance: Provenance,
    /// Bandwidth of the Gaussian kernel of CMMD (arXiv 2401.09603), frozen at the first calibration; a
    /// `self` profile has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmmd_bandwidth: Option<f64>,
    /// The plan that scores zero fidelity, never re-chosen.
    pub anchor: Anchor,
    /// The plan that scores one in a `self` profile, where all others are compared with it; other
    /// profiles have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dearest: Option<Plan>,
    /// What pictures score that no plan made.
    #[serde(default)]
    pub reference: References,
    /// Digest of the picture network that ranked candidates, as `sha256:<hex>`; null if none did.
    #[serde(default)]
    pub ranker_digest: Option<String>,
    /// One entry for each measured plan.
    pub cells: Vec<Cell>,
    /// Plans that were shortened on their way.
    #[serde(default)]
    pub rush: Vec<RushCell>,
    /// The same measurement on captions and step counts that no choice rests on: what predictions are
    /// checked against. The planner never looks at it.
    #[serde(default)]
    pub held_out: Vec<Cell>,
    /// What bf16 costs; null if nothing was drawn in it. Scores are those of f32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
}

/// Where the numbers of a profile come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileKind {
    /// The family's evaluator looked at pictures.
    Measured,
    /// Distance to the family's own dearest plan, for a family without an evaluator. There is one score:
    /// fidelity to that plan, which `balanced` repeats; a request for alignment is refused.
    #[serde(rename = "self")]
    SelfReference,
    /// Printed in a paper: for display, never planned with.
    Literature,
}

/// How the numbers of a profile came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Commit of the program.
    pub commit: String,
    /// Day of the measurement, as `YYYY-MM-DD`.
    pub date: String,
    /// Captions, the same for every cell.
    pub n_captions: usize,
    /// Bootstrap replicates in every cell.
    pub n_replicates: usize,
    /// Digest of the evaluator's weights, as `sha256:<hex>`; a `self` profile has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluator_digest: Option<String>,
    /// Digest of the prompts of a `self` profile, as `sha256:<hex>`; others draw the family's captions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts_digest: Option<String>,
    /// The command line that measures it again.
    pub command: String,
}

/// The plan that scores zero fidelity: the family's smallest model at one unguided step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// Its model.
    pub model: ModelId,
    /// Its sampler.
    pub sampler: SamplerKind,
    /// Its steps, 1.
    pub steps: Steps,
    /// Its guidance scale, 1.
    pub guidance_scale: f64,
    /// Its CMMD to real pictures, the denominator of every fidelity; a `self` profile has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmmd: Option<f64>,
    /// Its mean distance to the dearest plan, the denominator in a `self` profile; others have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance: Option<f64>,
}

/// What pictures score that no plan made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct References {
    /// Real pictures against other real pictures: the best there is.
    pub real: Option<ReferenceRow>,
    /// Real pictures after a round trip through the autoencoder: the best a plan can do.
    pub reconstruction: Option<ReferenceRow>,
}

/// One row of references.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceRow {
    /// Share of pictures in which the evaluator finds every attribute of the caption.
    pub alignment: f64,
    /// CMMD to real pictures.
    pub cmmd: f64,
    /// Frechet distance to real pictures; biased by `n`.
    pub frechet: f64,
    /// Pictures looked at.
    pub n: usize,
}

/// One measured plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// What was run.
    pub plan: Plan,
    /// Pictures looked at, one for each caption.
    pub n: usize,
    /// Share of pictures in which the evaluator finds every attribute of the caption. A `self` profile
    /// repeats the fidelity here, and the planner refuses to maximise it as an alignment.
    pub alignment: ScoreEstimate,
    /// 1 - CMMD / CMMD of the anchor, clipped to [0, 1]; in a `self` profile 1 - distance / distance of
    /// the anchor.
    pub fidelity: ScoreEstimate,
    /// The mean of both.
    pub balanced: ScoreEstimate,
    /// CMMD to real pictures; a `self` profile has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmmd: Option<f64>,
    /// Frechet distance to real pictures; biased by `n`. A `self` profile has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frechet: Option<f64>,
    /// In a `self` profile the mean over captions of |x - r| / |r|, x and r the latents of this plan and of
    /// the dearest one from the same noise; others have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance: Option<f64>,
    /// What the scores might have been.
    pub replicates: Replicates,
}

/// A measured plan that took fewer steps than it was begun with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RushCell {
    /// Where it was shortened.
    pub rush: Rush,
    /// The plan as it was begun, and what came out.
    pub cell: Cell,
}

/// Where a trajectory is shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rush {
    /// Steps that were taken as planned.
    pub after: Steps,
    /// Steps in place of the rest; 0 decodes the estimate as it stands.
    pub then: Steps,
}

/// Bootstrap replicates of a cell's scores. Replicate `i` resamples *the same captions in every
/// cell*, so that the standard deviation of the difference of two cells' replicates is the standard
/// error of their paired difference.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replicates {
    /// Of the alignment, rounded to four decimals.
    pub alignment: Vec<f32>,
    /// Of the fidelity, rounded to four decimals.
    pub fidelity: Vec<f32>,
}

/// A profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The text is not a profile.
    #[error("the profile is not valid: {0}; write it again with `goldilocks calibrate quality`")]
    Malformed(#[from] serde_json::Error),
    /// Another version of the format.
    #[error(
        "the profile has version {found}, this program reads version {PROFILE_VERSION}; \
         measure again with `goldilocks calibrate quality`"
    )]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// Other weights than those in use.
    #[error(
        "the profile of family {family:?} was measured on weights {measured}, but the weights in \
         use are {in_use}; measure these with `goldilocks calibrate quality --family {family}`"
    )]
    OtherWeights {
        /// The family.
        family: String,
        /// The digest in the file.
        measured: String,
        /// The digest of the weights in use.
        in_use: String,
    },
    /// The numbers are printed ones, one a model: no choice of plans can rest on them.
    #[error(
        "this is a literature profile, which is for display and offers no plans; measure the family with \
         `goldilocks calibrate quality`, with --self if it has no evaluator"
    )]
    Literature,
    /// The numbers contradict each other.
    #[error("{place} of the profile is not valid: {fault}")]
    Inconsistent {
        /// The key of the offending number.
        place: String,
        /// What is wrong with it.
        fault: String,
    },
}

impl Profile {
    /// Reads and checks a profile for weights with this digest.
    pub fn from_json(text: &str, weights_digest: &str) -> Result<Self, ProfileError> {
        /// Read first, so that a later version is named as such and not as an unknown field. A
        /// literature profile is another format altogether.
        #[derive(Deserialize)]
        struct Head {
            version: u32,
            kind: Option<String>,
        }
        let Head { version, kind } = serde_json::from_str(text)?;
        if kind.as_deref() == Some("literature") {
            return Err(ProfileError::Literature);
        }
        if version != PROFILE_VERSION {
            return Err(ProfileError::Version { found: version });
        }
        let profile: Self = serde_json::from_str(text)?;
        if profile.weights_digest != weights_digest {
            return Err(ProfileError::OtherWeights {
                family: profile.family,
                measured: profile.weights_digest,
                in_use: weights_digest.to_owned(),
            });
        }
        profile.check()?;
        Ok(profile)
    }

    /// Refuses numbers that contradict each other; `calibrate` calls it before it writes.
    pub fn check(&self) -> Result<(), ProfileError> {
        if self.kind == ProfileKind::SelfReference {
            positive("anchor.distance", self.anchor.distance)?;
            if self.dearest.is_none() {
                return Err(inconsistent("dearest", "it is missing".into()));
            }
        } else {
            positive("cmmd_bandwidth", self.cmmd_bandwidth)?;
            positive("anchor.cmmd", self.anchor.cmmd)?;
        }
        self.check_cells("cells", &self.cells)?;
        self.check_cells("held_out", &self.held_out)?;
        for (i, rushed) in self.rush.iter().enumerate() {
            let place = format!("rush[{i}]");
            self.check_cell(&place, &rushed.cell)?;
        }
        Ok(())
    }

    fn check_cells(&self, list: &str, cells: &[Cell]) -> Result<(), ProfileError> {
        let mut seen = HashSet::new();
        for (i, cell) in cells.iter().enumerate() {
            let place = format!("{list}[{i}]");
            self.check_cell(&place, cell)?;
            if cell.plan.size != self.size {
                let fault = format!("its pictures are of {}, not {}", cell.plan.size, self.size);
                return Err(inconsistent(&place, fault));
            }
            let plan = cell.plan.to_string();
            if seen.contains(&plan) {
                return Err(inconsistent(&place, format!("{plan} stands there twice")));
            }
            seen.insert(plan);
        }
        Ok(())
    }

    fn check_cell(&self, place: &str, cell: &Cell) -> Result<(), ProfileError> {
        let needed = if self.kind == ProfileKind::SelfReference {
            &[("distance", cell.distance)][..]
        } else {
            &[("cmmd", cell.cmmd), ("frechet", cell.frechet)]
        };
        if let Some((name, _)) = needed.iter().find(|(_, value)| value.is_none()) {
            return Err(inconsistent(
                &format!("{place}.{name}"),
                "it is missing".into(),
            ));
        }
        cell.check(place, self.provenance.n_replicates)
    }
}

fn positive(place: &str, value: Option<f64>) -> Result<(), ProfileError> {
    match value {
        Some(value) if value > 0.0 && value.is_finite() => Ok(()),
        Some(value) => Err(inconsistent(place, format!("{value} is not above zero"))),
        None => Err(inconsistent(place, "it is missing".into())),
    }
}

impl Cell {
    fn check(&self, place: &str, n_replicates: usize) -> Result<(), ProfileError> {
        let scale = self.plan.guidance_scale;
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(inconsistent(
                place,
                format!("guidance {scale} is not above zero"),
            ));
        }
        if self.plan.steps == 0 {
            return Err(inconsistent(place, "0 steps make no picture".into()));
        }
        let scores = [
            ("alignment", self.alignment, &self.replicates.alignment),
            ("fidelity", self.fidelity, &self.replicates.fidelity),
        ];
        for (name, score, replicates) in scores {
            let place = format!("{place}.{name}");
            if !(0.0..=1.0).contains(&score.mean) {
                return Err(inconsistent(
                    &place,
                    format!("{} is outside [0, 1]", score.mean),
                ));
            }
            if replicates.len() != n_replicates || n_replicates < 2 {
                let n = replicates.len();
                let fault = format!(
                    "{n} replicates where provenance.n_replicates = {n_replicates}, at least 2"
                );
                return Err(inconsistent(&place, fault));
            }
            if let Some(odd) = replicates.iter().find(|r| !(0.0..=1.0).contains(*r)) {
                return Err(inconsistent(
                    &place,
                    format!("replicate {odd} is outside [0, 1]"),
                ));
            }
        }
        Ok(())
    }
}

fn inconsistent(place: &str, fault: String) -> ProfileError {
    ProfileError::Inconsistent {
        place: place.to_owned(),
        fault,
    }
}

#[cfg(test)]
pub(super) mod tests;
