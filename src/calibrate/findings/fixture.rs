//! Which measured plans do the tests of findings look at? Those of the planner's own toy family.

use super::{
    Material,
    budgets::Contest,
    measured::{Pricer, measured},
};
use crate::{
    catalog::{Family, ModelId, SamplerKind},
    planner::{
        Objective, Plan, Profile, ScoreEstimate,
        profile::{Anchor, Cell, ProfileKind, Provenance, References, Replicates},
        test_family,
    },
};

const N_REPLICATES: usize = 16;

/// A guided ddim plan with this score in every objective, up to 0.004 off in each replicate.
pub(in crate::calibrate) fn cell(model: &str, steps: u32, score: f64) -> Cell {
    let size = "64x64".parse().unwrap();
    let model = ModelId(model.to_owned());
    let estimate = ScoreEstimate {
        mean: score,
        standard_error: 0.002,
    };
    let wobble =
        |i: usize| ((i * 7 + steps as usize * 3 + model.0.len()) % 5) as f64 / 500.0 - 0.004;
    let replicates: Vec<f32> = (0..N_REPLICATES)
        .map(|i| (score + wobble(i)) as f32)
        .collect();
    Cell {
        plan: Plan::plain(model, SamplerKind::Ddim, steps, 3.0, size),
        n: 8,
        alignment: estimate,
        fidelity: estimate,
        balanced: estimate,
        cmmd: Some(0.1),
        frechet: Some(10.0),
        distance: None,
        replicates: Replicates {
            alignment: replicates.clone(),
            fidelity: replicates,
        },
    }
}

/// A profile of these cells.
pub(in crate::calibrate) fn profile(cells: &[Cell]) -> Profile {
    Profile {
        version: crate::planner::profile::PROFILE_VERSION,
        family: "toy".into(),
        kind: ProfileKind::Measured,
        weights_digest: "sha256:toy".into(),
        size: "64x64".parse().unwrap(),
        provenance: Provenance {
            commit: "abc".into(),
            date: "1970-01-01".into(),
            n_captions: 8,
            n_replicates: N_REPLICATES,
            evaluator_digest: Some("sha256:eyes".into()),
            prompts_digest: None,
            command: "goldilocks calibrate quality".into(),
        },
        cmmd_bandwidth: Some(1.0),
        anchor: Anchor {
            model: ModelId("small".into()),
            sampler: SamplerKind::Ddim,
            steps: 1,
            guidance_scale: 1.0,
            cmmd: Some(0.1),
            distance: None,
        },
        dearest: None,
        reference: References::default(),
        ranker_digest: None,
        cells: cells.to_vec(),
        rush: Vec::new(),
        held_out: Vec::new(),
        precision: None,
    }
}

/// What a report would be about.
pub(in crate::calibrate) fn material<'a>(family: &'a Family, profile: &'a Profile) -> Material<'a> {
    Material {
        family,
        profile,
        objective: Objective::Balanced,
        latency: None,
        requests: &[],
        literature: None,
    }
}

/// The contest of the models that are not distilled.
pub(in crate::calibrate) fn contest(cells: &[Cell]) -> Contest {
    let (family, profile) = (test_family::family(), profile(cells));
    let pricer = Pricer::new(&material(&family, &profile));
    let plans = measured(&pricer, &profile.cells, Objective::Balanced);
    Contest::of(&plans, &pricer, false).unwrap()
}
