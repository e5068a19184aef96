//! What do the measurements say? Every statement of the report, in numbers and apart from its drawing.
//!
//! [`Findings`] is what `goldilocks calibrate report --json` prints and what the page is drawn from. A finding
//! without data is absent. Verdicts take two standard errors of the paired difference, the lead at a budget
//! and the frontier one, as the planner does.

pub mod budgets;
pub mod difference;
pub mod guidance;
pub mod interpolation;
pub mod measured;
pub mod regret;
pub mod requests;
pub mod rush;
pub mod samplers;
pub mod students;
pub mod variants;

#[cfg(test)]
pub(super) mod fixture;

use serde::Serialize;

use self::{
    budgets::Contest,
    guidance::GuidanceGrid,
    interpolation::Checks,
    measured::{PlanRow, Pricer},
    regret::Regret,
    requests::{LatencyFindings, ObservedRequest},
    rush::RushTrial,
    samplers::Duel,
    students::Students,
    variants::VariantTrial,
};
use crate::{
    calibrate::literature::Literature,
    catalog::Family,
    planner::{
        LatencyModel, Objective, Profile,
        precision::PrecisionCell,
        profile::{Anchor, ProfileKind, Provenance, ReferenceRow},
    },
};

/// What findings are made of.
#[derive(Debug, Clone)]
pub struct Material<'a> {
    /// The family that was measured.
    pub family: &'a Family,
    /// Its measurements.
    pub profile: &'a Profile,
    /// Which score is looked at.
    pub objective: Objective,
    /// What is known of this machine's speed.
    pub latency: Option<&'a LatencyModel>,
    /// Requests that a server saw.
    pub requests: &'a [ObservedRequest],
    /// A paper's table.
    pub literature: Option<Literature>,
}

/// Everything the report says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Findings {
    /// The family.
    pub family: String,
    /// Its models, smallest first.
    pub models: Vec<ModelRow>,
    /// Digest of its weights.
    pub weights_digest: String,
    /// Size of the pictures.
    pub size: String,
    /// Where the numbers come from.
    pub kind: ProfileKind,
    /// How the numbers came about.
    pub provenance: Provenance,
    /// The plan that scores zero fidelity.
    pub anchor: Anchor,
    /// Which score the findings are about.
    pub objective: Objective,
    /// What pictures score that no plan made.
    pub references: References,
    /// Every measured plan, cheapest first.
    pub plans: Vec<PlanRow>,
    /// Undistilled models against each other.
    pub undistilled: Option<Contest>,
    /// Distilled models against each other.
    pub distilled: Option<Contest>,
    /// Scores by guidance scale.
    pub guidance: Vec<GuidanceGrid>,
    /// Samplers at equal steps.
    pub samplers: Vec<Duel>,
    /// Variants against plain plans.
    pub variants: Vec<VariantTrial>,
    /// Students against teachers.
    pub students: Option<Students>,
    /// Shortened plans.
    pub rush: Vec<RushTrial>,
    /// Interpolation, one step count left out at a time.
    pub leave_one_out: Option<Checks>,
    /// Predictions against held-out measurements.
    pub held_out: Option<Checks>,
    /// What choosing by predictions loses.
    pub regret: Option<Regret>,
    /// What bf16 costs, plan by plan.
    pub precision: Vec<PrecisionCell>,
    /// Predicted against measured latency.
    pub latency: Option<LatencyFindings>,
    /// A paper's table.
    pub literature: Option<Literature>,
}

/// One model of the family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelRow {
    /// Its name.
    pub id: String,
    /// Whether guidance is baked in.
    pub is_distilled: bool,
}

/// Reference scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct References {
    /// Real pictures.
    pub real: Option<Reference>,
    /// Real pictures after a round trip through the autoencoder.
    pub reconstruction: Option<Reference>,
}

/// What pictures score that no plan made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reference {
    /// The score that the findings are about.
    pub score: f64,
    /// As measured.
    pub row: ReferenceRow,
}

impl Reference {
    fn of(row: ReferenceRow, anchor: &Anchor, objective: Objective) -> Option<Self> {
        let fidelity = (1.0 - row.cmmd / anchor.cmmd?).clamp(0.0, 1.0);
        let score = match objective {
            Objective::Alignment => row.alignment,
            Objective::Fidelity => fidelity,
            Objective::Balanced => f64::midpoint(row.alignment, fidelity),
        };
        Some(Self { score, row })
    }
}

impl Findings {
    /// Works everything out.
    pub fn of(material: &Material<'_>) -> Self {
        let (profile, objective) = (material.profile, material.objective);
        let pricer = Pricer::new(material);
        let plans = measured::measured(&pricer, &profile.cells, objective);
        let reference = |row: Option<ReferenceRow>| {
            row.and_then(|row| Reference::of(row, &profile.anchor, objective))
        };
        let models = material.family.models.iter();
        Self {
            family: profile.family.clone(),
            models: models
                .map(|card| ModelRow {
                    id: card.id.0.clone(),
                    is_distilled: card.distilled,
                })
                .collect(),
            weights_digest: profile.weights_digest.clone(),
            size: profile.size.to_string(),
            kind: profile.kind,
            provenance: profile.provenance.clone(),
            anchor: profile.anchor.clone(),
            objective,
            references: References {
                real: reference(profile.reference.real),
                reconstruction: reference(profile.reference.reconstruction),
            },
            undistilled: Contest::of(&plans, &pricer, false),
            distilled: Contest::of(&plans, &pricer, true),
            guidance: guidance::grids(&plans, &pricer),
            samplers: samplers::duels(&plans, &pricer),
            variants: variants::trials(&plans, material, &pricer),
            students: students::students(&plans, material, &pricer),
            rush: rush::trials(material),
            leave_one_out: interpolation::leave_one_out(material),
            held_out: interpolation::held_out(material),
            regret: regret::regret(material, &pricer),
            precision: profile
                .precision
                .iter()
                .flat_map(|it| it.cells.clone())
                .collect(),
            latency: requests::findings(material.requests),
            literature: material.literature.clone(),
            plans: measured::rows(&plans),
        }
    }
}

impl Findings {
    /// What the score is called.
    pub fn score_name(&self) -> &'static str {
        match (self.kind, self.objective) {
            (ProfileKind::SelfReference, _) => "fidelity to the dearest plan",
            (_, Objective::Alignment) => "alignment score",
            (_, Objective::Fidelity) => "fidelity score",
            (_, Objective::Balanced) => "balanced score",
        }
    }
}
