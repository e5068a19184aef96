//! What is every plan of a family worth? Draws, judges and scores the whole grid, and writes it down.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};

use super::{
    bootstrap::REPLICATES,
    captions,
    date::iso_date,
    grid::Grid,
    reference::RealPictures,
    score::Scorer,
    store::Store,
    studio::{self, Studio},
    sweep::{Measured, Sweep},
};
use crate::{
    catalog::Family,
    evaluator::{Features, cmmd},
    planner::{
        Plan,
        profile::{Anchor, PROFILE_VERSION, Profile, ProfileKind, Provenance, References},
    },
    telemetry::Clock,
};

/// How a calibration goes about its work.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is measured.
    pub grid: Grid,
    /// Captions that every plan draws.
    pub n_captions: usize,
    /// Where finished plans are kept.
    pub work_dir: PathBuf,
    /// Whether plans found there are measured again.
    pub fresh: bool,
    /// Threads that draw at the same time.
    pub threads: usize,
    /// Pictures a thread draws together.
    pub batch: usize,
    /// After this time only finished plans count.
    pub limit: Option<Duration>,
    /// Commit of the program.
    pub commit: String,
    /// The command line that measures it again.
    pub command: String,
}

/// Measures a family. `previous` is its last profile: bandwidth and anchor stay what they were as
/// long as the weights do.
pub fn run(
    family: &Family,
    settings: &Settings,
    previous: Option<&Profile>,
    clock: &dyn Clock,
) -> Result<Profile> {
    let evaluation = family.path.join("evaluation");
    let captions = captions::read(&evaluation.join("captions.json"), settings.n_captions)?;
    let real = RealPictures::read(&evaluation)?;
    let studio = Studio::load(family)?;
    let anchor = settings.grid.anchor(family, family.default_size());
    let mut plans = settings.grid.plans(family, family.default_size());
    plans.retain(|plan| *plan != anchor);
    plans.insert(0, anchor.clone());
    let started = clock.now();
    let sweep = Sweep {
        judge: &studio,
        captions: &captions,
        store: &Store::open(&settings.work_dir)?,
        fresh: settings.fresh,
        threads: settings.threads,
        batch: settings.batch,
        expired: &|| {
            settings
                .limit
                .is_some_and(|limit| clock.now().since(started) >= limit)
        },
    };
    let measured = sweep.run(&plans)?;
    let anchor_pictures = measured
        .first()
        .context("time was up before the first plan was measured; allow more minutes")?;
    let previous = previous.filter(|profile| profile.weights_digest == family.digest);
    let reference = Features::from_rows(real.reference.iter().map(Vec::as_slice));
    let bandwidth = previous
        .and_then(|profile| profile.cmmd_bandwidth)
        .unwrap_or_else(|| cmmd::median_bandwidth(&reference));
    let scorer = Scorer::new(
        &captions,
        studio.evaluator().accepted(),
        reference,
        bandwidth,
    );
    let anchor = match previous {
        Some(profile) => profile.anchor.clone(),
        None => frozen(&anchor, scorer.cmmd(&anchor_pictures.assessments)),
    };
    let anchor_cmmd = anchor.cmmd.context("the last profile has no CMMD")?;
    Ok(Profile {
        version: PROFILE_VERSION,
        family: family.id.clone(),
        kind: ProfileKind::Measured,
        weights_digest: family.digest.clone(),
        size: family.default_size(),
        provenance: provenance(family, settings, clock)?,
        cmmd_bandwidth: Some(bandwidth),
        reference: References {
            real: Some(scorer.row(&real.others)),
            reconstruction: Some(scorer.row(&real.reconstructions)),
        },
        ranker_digest: None,
        rush: Vec::new(),
        held_out: Vec::new(),
        cells: in_reading_order(family, measured)
            .iter()
            .map(|plan| scorer.cell(plan, anchor_cmmd))
            .collect(),
        anchor,
        dearest: None,
    })
}

fn frozen(plan: &Plan, cmmd: f64) -> Anchor {
    Anchor {
        model: plan.model.clone(),
        sampler: plan.sampler,
        steps: plan.steps,
        guidance_scale: plan.guidance_scale,
        cmmd: Some(cmmd),
        distance: None,
    }
}

fn provenance(family: &Family, settings: &Settings, clock: &dyn Clock) -> Result<Provenance> {
    Ok(Provenance {
        commit: settings.commit.clone(),
        date: iso_date(clock.unix_seconds()),
        n_captions: settings.n_captions,
        n_replicates: REPLICATES,
        evaluator_digest: Some(studio::evaluator_digest(family)?),
        prompts_digest: None,
        command: settings.command.clone(),
    })
}

/// By model, sampler, guidance and steps: the order people look things up in.
pub(super) fn in_reading_order(family: &Family, mut measured: Vec<Measured>) -> Vec<Measured> {
    let place = |plan: &Plan| family.models.iter().position(|card| card.id == plan.model);
    measured.sort_by(|a, b| {
        let (a, b) = (&a.plan, &b.plan);
        let kind = (place(a), a.sampler).cmp(&(place(b), b.sampler));
        let guidance = a.guidance_scale.total_cmp(&b.guidance_scale);
        kind.then(guidance).then(a.steps.cmp(&b.steps))
    });
    measured
}
