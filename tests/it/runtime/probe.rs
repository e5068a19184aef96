//! Does the probe measure what the device takes?

use std::sync::{Arc, RwLock};

use goldilocks::{
    catalog::{DeviceSpec, Family},
    planner::{LatencyModel, PhaseKey, PhaseTime, PhaseTimes, Workload},
    runtime::{
        LoadExecutor,
        probe::{Probe, probing},
    },
    telemetry::ManualClock,
    units::Millis,
};

use super::script::{Scripted, family};

/// What the probe finds on the scripted device.
fn probed(family: &Family) -> PhaseTimes {
    let clock = Arc::new(ManualClock::default());
    let latency = Arc::new(RwLock::new(LatencyModel::new(PhaseTimes::default())));
    let probe = Probe {
        clock: clock.clone(),
        encode: |_, _, _| Ok(Vec::new()),
        latency: latency.clone(),
    };
    let device = Scripted::alone(clock);
    let load: LoadExecutor = Box::new(move |_| Ok(Box::new(device)));
    probing(load, vec![family.clone()], probe)(&mut |_| {}).unwrap();
    let latency = latency.read().unwrap();
    assert_eq!(latency.n_observed(), 0);
    latency.phases().clone()
}

#[test]
fn every_phase_of_every_model_is_timed() {
    let family = family();
    let (times, size) = (probed(&family), family.default_size());
    let model = &family.models[0].id;
    assert_eq!(times.step(model, size, 1), Some(Millis(5.0)));
    assert_eq!(times.step(model, size, 2), Some(Millis(10.0)));
    let besides_steps = times.of_family(&family, size);
    let besides_steps = besides_steps.request(&Workload::default(), 1, 1);
    assert_eq!(besides_steps, Some(Millis(22.0)));
    let ranks = |time: &PhaseTime| matches!(time.of, PhaseKey::Rank { .. });
    assert!(
        !times.entries().iter().any(ranks),
        "the family has no ranker"
    );
}

#[test]
fn pictures_together_are_timed_on_an_accelerator_alone() {
    let mut family = family();
    let rows_of = |times: &PhaseTimes| {
        let rows = times.entries().iter().filter_map(|time| match time.of {
            PhaseKey::Step { rows, .. } => Some(rows),
            _ => None,
        });
        rows.collect::<Vec<_>>()
    };
    assert_eq!(rows_of(&probed(&family)), [1, 2]);
    family.models[0].device = DeviceSpec::Cuda(0);
    let (times, size) = (probed(&family), family.default_size());
    assert_eq!(rows_of(&times), [1, 2, 4, 8, 16, 32, 64]);
    // Five milliseconds for each row of the scripted device.
    let of_64 = times.step(&family.models[0].id, size, 64);
    assert_eq!(of_64, Some(Millis(320.0)));
}

#[test]
fn ranking_is_timed_without_its_prompt_where_the_family_ranks() {
    let mut family = family();
    let size = family.default_size();
    let tower = format!(
        r#"{{"num_channels": 4, "image_size": {}, "patch_size": 2, "hidden_size": 16, "intermediate_size": 32,
        "num_hidden_layers": 1, "num_attention_heads": 2, "projection_dim": 16}}"#,
        size.width / family.vae.downscale()
    );
    family.image_encoder = Some(serde_json::from_str(&tower).unwrap());
    let times = probed(&family).of_family(&family, size);
    let ranked = |n_ranked| {
        let legs = Workload::default().legs;
        times.picture(&Workload { legs, n_ranked })
    };
    assert_eq!(ranked(0), Some(Millis(20.0)));
    assert_eq!(ranked(2), Some(Millis(26.0)));
}
