//! What does bf16 cost? The same captions drawn from the same noise in both precisions, and judged.

use anyhow::{Context, Result};

use super::{
    captions,
    findings::difference::Difference,
    quality::{Settings, provenance},
    reference::RealPictures,
    score::Scorer,
    store::Store,
    studio::Studio,
    sweep::{Measured, Set, Sweep},
    trial::Trial,
};
use crate::{
    catalog::{Dtype, Family},
    evaluator::Features,
    planner::{
        Objective, Sample,
        precision::{Precision, PrecisionCell, ScoreDifference},
        profile::{Cell, Profile},
    },
    telemetry::Clock,
};

/// Draws the plans of the grid in f32 and in bf16. Bandwidth and anchor are those of `profile`, so that
/// scores are what they are there.
pub fn run(
    family: &Family,
    settings: &Settings,
    profile: &Profile,
    clock: &dyn Clock,
) -> Result<Precision> {
    let evaluation = family.path.join("evaluation");
    let n = settings.sizes.captions;
    let (captions, _) = captions::read_split(&evaluation.join("captions.json"), n, 0)?;
    let real = RealPictures::read(&evaluation)?;
    let reference = Features::from_rows(real.reference.iter().map(Vec::as_slice));
    let missing = "the profile has no CMMD; measure it with `goldilocks calibrate quality`";
    let bandwidth = profile.cmmd_bandwidth.context(missing)?;
    let anchor = profile.anchor.cmmd.context(missing)?;
    let plans = settings.grid.plans(family, family.default_size());
    let trials: Vec<Trial> = plans.into_iter().map(Trial::from).collect();
    let started = clock.now();
    let cells_in = |dtype: Dtype, name: &str| -> Result<Vec<Cell>> {
        let family = in_precision(family, dtype);
        let studio = Studio::load(&family)?;
        let sweep = Sweep {
            judge: &studio,
            store: &Store::open(&settings.work_dir)?,
            fresh: settings.fresh,
            threads: settings.threads,
            batch: settings.batch,
            expired: &|| settings.is_over(clock, started),
        };
        let set = Set {
            name,
            key: "",
            captions: &captions,
        };
        let measured = sweep.run(set, &trials)?;
        let accepted = studio.evaluator().accepted();
        let scorer = Scorer::new(&captions, n, accepted, reference.clone(), bandwidth);
        let cell = |measured: &Measured| scorer.cell(measured, anchor);
        Ok(measured.iter().map(cell).collect())
    };
    let (f32s, bf16s) = (cells_in(Dtype::F32, "f32")?, cells_in(Dtype::Bf16, "bf16")?);
    Ok(Precision {
        provenance: provenance(family, settings, clock)?,
        // Shorter if time was up.
        cells: bf16s.iter().zip(&f32s).map(compare).collect(),
    })
}

fn in_precision(family: &Family, dtype: Dtype) -> Family {
    let mut family = family.clone();
    for card in &mut family.models {
        card.dtype = dtype;
    }
    family
}

fn compare((bf16, f32): (&Cell, &Cell)) -> PrecisionCell {
    let difference = |objective| {
        let sample = |cell| Sample::of(cell, objective);
        let difference = Difference::paired(&sample(bf16), &sample(f32));
        // Without a sign of zero.
        let rounded = |value: f64| (value * 1e4).round() / 1e4 + 0.0;
        ScoreDifference {
            mean: rounded(difference.mean),
            standard_error: rounded(difference.standard_error),
        }
    };
    PrecisionCell {
        plan: bf16.plan.clone(),
        n: bf16.n,
        alignment: difference(Objective::Alignment),
        fidelity: difference(Objective::Fidelity),
        balanced: difference(Objective::Balanced),
    }
}
