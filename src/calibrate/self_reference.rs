//! What is every plan worth of a family whose pictures nobody can judge? How close it comes to the
//! family's own dearest plan.
//!
//! That plan is the largest model at most steps and the usual guidance: what an operator would run if
//! nothing cost anything. Every plan draws the same prompts from the same noise, so that its latents can be
//! compared one by one with the dearest plan's (`score`). The score says how little of the dearest
//! picture is given away, and nothing about whether that picture is good: no external data is needed, and
//! none is replaced.

use anyhow::{Context, Result, ensure};

use super::{
    bootstrap::REPLICATES,
    date::iso_date,
    grid::Grid,
    prompts::Prompts,
    quality::{Settings, in_reading_order},
    store::Store,
    sweep::{Judge, Measured, Set, Sweep},
    trial::Trial,
};
use crate::{
    catalog::{Family, SamplerKind},
    evaluator::{Assessment, Attributes},
    planner::{
        Plan,
        profile::{Anchor, PROFILE_VERSION, Profile, ProfileKind, Provenance, References},
    },
    telemetry::Clock,
    units::{ImageSize, Moment, Steps},
};

mod judge;
mod score;

use judge::{Distances, Drawing};
use score::Scorer;

/// Steps of the dearest plan: where more bring no improvement (arXiv 2404.01367, figure 11).
const DEAREST_STEPS: Steps = 50;
/// Guidance scale of Stable Diffusion pipelines.
const USUAL_GUIDANCE: f64 = 7.5;

/// Whether the family brings what [`super::quality`] judges pictures with.
pub fn has_evaluator(family: &Family) -> bool {
    ["evaluator", "evaluation"]
        .iter()
        .all(|folder| family.path.join(folder).is_dir())
}

/// Measures a family against its own dearest plan. Of the settings, `sizes` do not matter: all
/// `prompts` are drawn.
pub fn run(
    family: &Family,
    settings: &Settings,
    prompts: &Prompts,
    clock: &dyn Clock,
) -> Result<Profile> {
    let size = family.default_size();
    let dearest = dearest(&settings.grid, family, size);
    let anchor = settings.grid.anchor(family, size);
    let mut plans = settings.grid.plans(family, size);
    plans.retain(|plan| *plan != anchor && *plan != dearest);
    plans.insert(0, anchor.clone());

    let drawing = Drawing::load(family, &prompts.digest)?;
    let work = Work {
        settings,
        prompts,
        store: Store::open(&settings.work_dir)?,
        clock,
        started: clock.now(),
    };
    let latents = work.measure(&drawing, std::slice::from_ref(&dearest))?;
    let latents = latents.into_iter().next().with_context(|| {
        format!("time was up before the dearest plan was drawn, {dearest}; allow more minutes")
    })?;
    let distances = Distances::to(&drawing, &prompts.captions, &latents);
    let mut measured = work.measure(&distances, &plans)?;
    let first = measured
        .first()
        .context("time was up before the first plan was measured; allow more minutes")?;
    let scorer = Scorer::new(&first.assessments);
    ensure!(
        scorer.anchor_distance() > 0.0,
        "the cheapest plan, {anchor}, draws what the dearest does, {dearest}; there is nothing to choose"
    );
    measured.push(itself(dearest.clone(), prompts.captions.len()));
    Ok(Profile {
        version: PROFILE_VERSION,
        family: family.id.clone(),
        kind: ProfileKind::SelfReference,
        weights_digest: family.digest.clone(),
        size,
        provenance: provenance(settings, prompts, clock),
        cmmd_bandwidth: None,
        anchor: Anchor {
            model: anchor.model,
            sampler: anchor.sampler,
            steps: anchor.steps,
            guidance_scale: anchor.guidance_scale,
            cmmd: None,
            distance: Some(scorer.anchor_distance()),
        },
        dearest: Some(dearest),
        reference: References::default(),
        ranker_digest: None,
        cells: in_reading_order(
            family,
            measured.iter().map(|plan| scorer.cell(plan)).collect(),
        ),
        rush: Vec::new(),
        held_out: Vec::new(),
        precision: None,
    })
}

/// The plan that everything is compared with: the largest model, that is not distilled if there is any; at
/// least 50 steps, or as many as the sampler can take; of the measured guidance scales the one nearest to
/// the usual. A distilled model is at its best at the most steps it is measured with.
fn dearest(grid: &Grid, family: &Family, size: ImageSize) -> Plan {
    let largest = family.models.iter().rev().find(|card| !card.distilled);
    let Some(card) = largest else {
        let plans = grid.plans(family, size).into_iter();
        let last = &family.models[family.models.len() - 1].id;
        return plans
            .filter(|plan| plan.model == *last)
            .max_by_key(|plan| plan.steps)
            .unwrap_or_else(|| Plan::plain(last.clone(), SamplerKind::Lcm, 4, 1.0, size));
    };
    let sampler = grid.samplers[0];
    let most = family.noise_schedule.max_steps(sampler) as Steps;
    let steps = grid.steps.iter().copied().fold(DEAREST_STEPS, Steps::max);
    let apart = |scale: &f64| (scale / USUAL_GUIDANCE).ln().abs();
    let scales = grid.guidance.iter().copied();
    let guidance_scale = scales
        .min_by(|a, b| apart(a).total_cmp(&apart(b)))
        .unwrap_or(USUAL_GUIDANCE);
    Plan::plain(
        card.id.clone(),
        sampler,
        steps.min(most),
        guidance_scale,
        size,
    )
}

/// The dearest plan, which is no way from itself.
fn itself(dearest: Plan, n_captions: usize) -> Measured {
    let assessment = Assessment {
        features: vec![0.0],
        attributes: Attributes::new(),
    };
    Measured {
        trial: dearest.into(),
        assessments: vec![assessment; n_captions],
    }
}

fn provenance(settings: &Settings, prompts: &Prompts, clock: &dyn Clock) -> Provenance {
    Provenance {
        commit: settings.commit.clone(),
        date: iso_date(clock.unix_seconds()),
        n_captions: prompts.captions.len(),
        n_replicates: REPLICATES,
        evaluator_digest: None,
        prompts_digest: Some(prompts.digest.clone()),
        command: settings.command.clone(),
    }
}

/// What both sweeps share.
struct Work<'a> {
    settings: &'a Settings,
    prompts: &'a Prompts,
    store: Store,
    clock: &'a dyn Clock,
    started: Moment,
}

impl Work<'_> {
    fn measure(&self, judge: &dyn Judge, plans: &[Plan]) -> Result<Vec<Measured>> {
        let sweep = Sweep {
            judge,
            store: &self.store,
            fresh: self.settings.fresh,
            threads: self.settings.threads,
            batch: self.settings.batch,
            expired: &|| self.settings.is_over(self.clock, self.started),
        };
        let set = Set {
            name: "against itself",
            key: "",
            captions: &self.prompts.captions,
        };
        let trials: Vec<Trial> = plans.iter().cloned().map(Trial::from).collect();
        sweep.run(set, &trials)
    }
}
