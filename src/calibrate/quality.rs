//! What is every plan of a family worth? Draws, judges and scores, and writes it down.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};

use super::{
    bootstrap::REPLICATES,
    campaign::{Campaign, Findings, Measuring, Sizes},
    captions,
    date::iso_date,
    grid::Grid,
    reference::RealPictures,
    score::Scorer,
    store::Store,
    studio::{self, Studio},
    sweep::Sweep,
};
use crate::{
    catalog::Family,
    evaluator::{Features, cmmd},
    planner::{
        Plan,
        profile::{Anchor, Cell, PROFILE_VERSION, Profile, ProfileKind, Provenance, References},
    },
    telemetry::Clock,
    units::Moment,
};

/// How a calibration goes about its work.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is measured.
    pub grid: Grid,
    /// How many captions are drawn.
    pub sizes: Sizes,
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

impl Settings {
    /// Whether time is up for what began then.
    pub(super) fn is_over(&self, clock: &dyn Clock, started: Moment) -> bool {
        self.limit
            .is_some_and(|limit| clock.now().since(started) >= limit)
    }
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
    let sizes = settings.sizes.checked()?;
    let path = evaluation.join("captions.json");
    let (known, held_out) = captions::read_split(&path, sizes.refined, sizes.held_out)?;
    let real = RealPictures::read(&evaluation)?;
    let studio = Studio::load(family)?;
    let previous = previous.filter(|profile| profile.weights_digest == family.digest);
    let reference = Features::from_rows(real.reference.iter().map(Vec::as_slice));
    let bandwidth = previous
        .and_then(|profile| profile.cmmd_bandwidth)
        .unwrap_or_else(|| cmmd::median_bandwidth(&reference));
    let started = clock.now();
    let sweep = Sweep {
        judge: &studio,
        store: &Store::open(&settings.work_dir)?,
        fresh: settings.fresh,
        threads: settings.threads,
        batch: settings.batch,
        expired: &|| settings.is_over(clock, started),
    };
    let scorer = |captions| {
        let accepted = studio.evaluator().accepted();
        let n_equal = settings.sizes.captions;
        Scorer::new(captions, n_equal, accepted, reference.clone(), bandwidth)
    };
    let campaign = Campaign {
        family,
        grid: &settings.grid,
        sizes: settings.sizes,
        sweep: &sweep,
        known: Measuring {
            captions: &known,
            scorer: scorer(&known),
        },
        held_out: Measuring {
            captions: &held_out,
            scorer: scorer(&held_out),
        },
    };
    let anchor_plan = settings.grid.anchor(family, family.default_size());
    let anchor = match previous {
        Some(profile) => profile.anchor.clone(),
        None => frozen(&anchor_plan, campaign.anchor_cmmd(&anchor_plan)?),
    };
    let anchor_cmmd = anchor.cmmd.context("the last profile has no CMMD")?;
    let Findings {
        cells,
        rush,
        held_out,
    } = campaign.run(&anchor_plan, anchor_cmmd)?;
    let scorer = &campaign.known.scorer;
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
        ranker_digest: cells
            .iter()
            .find(|cell| cell.plan.candidates.is_some())
            .and(family.image_encoder_digest.clone()),
        cells: in_reading_order(family, cells),
        rush,
        held_out: in_reading_order(family, held_out),
        precision: previous.and_then(|profile| profile.precision.clone()),
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

pub(super) fn provenance(
    family: &Family,
    settings: &Settings,
    clock: &dyn Clock,
) -> Result<Provenance> {
    Ok(Provenance {
        commit: settings.commit.clone(),
        date: iso_date(clock.unix_seconds()),
        n_captions: settings.sizes.refined,
        n_replicates: REPLICATES,
        evaluator_digest: Some(studio::evaluator_digest(family)?),
        prompts_digest: None,
        command: settings.command.clone(),
    })
}

/// By model, sampler, guidance and steps, plain plans before others: the order people look things up in.
pub(super) fn in_reading_order(family: &Family, mut cells: Vec<Cell>) -> Vec<Cell> {
    let place = |plan: &Plan| family.models.iter().position(|card| card.id == plan.model);
    cells.sort_by(|a, b| {
        let (a, b) = (&a.plan, &b.plan);
        let kind = |plan: &Plan| (!plan.is_plain(), place(plan), plan.sampler);
        let guidance = a.guidance_scale.total_cmp(&b.guidance_scale);
        let variant = |plan: &Plan| {
            let plan = Plan {
                steps: 0,
                ..plan.clone()
            };
            plan.to_string()
        };
        let same_curve = || variant(a).cmp(&variant(b)).then(a.steps.cmp(&b.steps));
        kind(a).cmp(&kind(b)).then(guidance).then_with(same_curve)
    });
    cells
}
