//! The whole calibration of a tiny family.

use std::{fs, time::Duration};

use goldilocks::{
    calibrate::{
        campaign::Sizes,
        file,
        findings::{Findings, Material},
        grid::Grid,
        precision,
        quality::{self, Settings},
        report,
    },
    catalog::{Family, SamplerKind},
    engine::ops::native::Bf16,
    planner::{Objective, Profile, profile::Cell},
    telemetry::{Clock, ManualClock},
};

use super::toy::{N_CAPTIONS, Toy};

fn settings(toy: &Toy) -> Settings {
    Settings {
        grid: Grid {
            steps: vec![1, 2],
            guidance: vec![1.0, 3.0],
            samplers: vec![SamplerKind::Ddim],
            models: Vec::new(),
        },
        sizes: Sizes {
            captions: 6,
            refined: 8,
            held_out: 4,
        },
        work_dir: toy.path("work"),
        fresh: false,
        threads: 2,
        batch: 4,
        limit: None,
        commit: "abc".into(),
        command: "goldilocks calibrate quality".into(),
    }
}

/// The profile as it is read again from its file.
fn through_a_file(toy: &Toy, family: &Family, profile: &Profile) -> Profile {
    let path = toy.path("calibration/toy.json");
    file::write(profile, &path).unwrap();
    let read = Profile::from_json(&fs::read_to_string(&path).unwrap(), &family.digest).unwrap();
    assert_eq!(read, *profile);
    read
}

fn findings(family: &Family, profile: &Profile) -> Findings {
    Findings::of(&Material {
        family,
        profile,
        objective: Objective::Balanced,
        latency: None,
        requests: &[],
        literature: None,
    })
}

#[test]
fn what_bf16_costs_is_measured_kept_and_told() {
    if Bf16::detect().is_none() {
        eprintln!("SKIPPED: this processor has no AVX-512 with BF16");
        return;
    }
    let toy = Toy::new();
    let (family, clock) = (toy.family(), ManualClock::default());
    let mut profile = quality::run(&family, &settings(&toy), None, &clock).unwrap();
    let fewer = Settings {
        grid: Grid {
            steps: vec![2],
            guidance: vec![3.0],
            ..settings(&toy).grid
        },
        ..settings(&toy)
    };
    let found = precision::run(&family, &fewer, &profile, &clock).unwrap();
    // One plan of the model, and four of its student.
    assert_eq!(found.cells.len(), 5);
    for cell in &found.cells {
        let difference = cell.balanced;
        assert_eq!(cell.n, fewer.sizes.captions);
        assert!(difference.mean.abs() < 0.5 && difference.standard_error.is_finite());
    }
    profile.precision = Some(found);
    let read = through_a_file(&toy, &family, &profile);
    let again = quality::run(&family, &settings(&toy), Some(&read), &clock).unwrap();
    assert_eq!(again.precision, read.precision, "what was measured stays");
    let findings = findings(&family, &read);
    assert!(report::page(&findings).contains("<h2>What bf16 costs</h2>"));
}

#[test]
fn every_plan_is_measured_and_the_planner_reads_the_profile() {
    let toy = Toy::new();
    let family = toy.family();
    let profile = quality::run(&family, &settings(&toy), None, &ManualClock::default()).unwrap();
    let plans_of = |model: &str| -> Vec<(SamplerKind, u32, f64)> {
        let plans = profile.cells.iter().map(|cell| &cell.plan);
        plans
            .filter(|plan| plan.is_plain() && plan.model.0 == model)
            .map(|plan| (plan.sampler, plan.steps, plan.guidance_scale))
            .collect()
    };
    let ddim = |steps, scale| (SamplerKind::Ddim, steps, scale);
    assert_eq!(
        plans_of("toy-8")[..4],
        [ddim(1, 1.0), ddim(2, 1.0), ddim(1, 3.0), ddim(2, 3.0)]
    );
    assert_eq!(
        plans_of("toy-8-lcm"),
        [1, 2, 3, 4].map(|steps| (SamplerKind::Lcm, steps, 1.0))
    );
    assert_eq!(
        profile.cells[0].fidelity.mean, 0.0,
        "the anchor has no fidelity"
    );
    assert_eq!(profile.provenance.date, "1970-01-01");
    let sizes = settings(&toy).sizes;
    assert_eq!(profile.reference.real.unwrap().n, sizes.refined);
    assert_eq!(sizes.refined + sizes.held_out, N_CAPTIONS);
    let read = through_a_file(&toy, &family, &profile);
    let findings = findings(&family, &read);
    let svg = report::figure(&findings).file();
    assert_eq!(svg.matches("<circle").count(), read.cells.len());
    assert!(report::page(&findings).contains("<h2>Few-step students against their teachers</h2>"));
    assert!(
        svg.contains(">toy-8-lcm<"),
        "the distilled model has a curve of its own"
    );
}

#[test]
fn what_is_near_the_frontier_draws_more_captions_and_is_checked_on_others() {
    let toy = Toy::new();
    let sizes = settings(&toy).sizes;
    let clock = ManualClock::default();
    let profile = quality::run(&toy.family(), &settings(&toy), None, &clock).unwrap();
    let drew = |n| profile.cells.iter().filter(move |cell| cell.n == n).count();
    assert!(drew(sizes.refined) > 0);
    assert_eq!(
        drew(sizes.captions) + drew(sizes.refined),
        profile.cells.len()
    );
    let replicates = |cell: &Cell| cell.replicates.fidelity.len();
    assert!(profile.cells.iter().all(|cell| replicates(cell) == 128));
    assert!(!profile.held_out.is_empty());
    assert!(profile.held_out.iter().all(|cell| cell.n == sizes.held_out));
}

#[test]
fn a_second_run_draws_nothing_and_says_the_same() {
    let toy = Toy::new();
    let family = toy.family();
    let first = quality::run(&family, &settings(&toy), None, &ManualClock::default()).unwrap();
    let no_time = Settings {
        limit: Some(Duration::ZERO),
        ..settings(&toy)
    };
    let again = quality::run(&family, &no_time, Some(&first), &ManualClock::default()).unwrap();
    assert_eq!(again, first);
    let nowhere = Settings {
        work_dir: toy.path("elsewhere"),
        ..no_time
    };
    let message = quality::run(&family, &nowhere, None, &ManualClock::default())
        .unwrap_err()
        .to_string();
    assert!(message.contains("time was up"), "{message}");
}

#[test]
fn threads_and_batches_do_not_change_what_is_measured() {
    let toy = Toy::new();
    let family = toy.family();
    let clock: &dyn Clock = &ManualClock::default();
    let wide = quality::run(&family, &settings(&toy), None, clock).unwrap();
    let narrow = Settings {
        threads: 1,
        batch: 1,
        fresh: true,
        ..settings(&toy)
    };
    let narrow = quality::run(&family, &narrow, None, clock).unwrap();
    for (one, other) in wide.cells.iter().zip(&narrow.cells) {
        let apart = one.cmmd.unwrap() - other.cmmd.unwrap();
        assert!(apart.abs() < 1e-3, "{one:?} {other:?}");
    }
}
