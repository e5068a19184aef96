//! Does the probe measure what the device takes?

use std::{
    path::Path,
    sync::{Arc, RwLock},
};

use goldilocks::{
    catalog::{self, DeviceSpec},
    planner::{LatencyModel, PhaseTimes, Workload},
    runtime::{
        LoadExecutor,
        probe::{Probe, probing},
    },
    telemetry::ManualClock,
    units::Millis,
};

use super::script::Scripted;

#[test]
fn every_phase_of_every_model_is_timed() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sd1");
    let family = catalog::family_from_folder(&golden, DeviceSpec::Cpu).unwrap();
    let clock = Arc::new(ManualClock::default());
    let latency = Arc::new(RwLock::new(LatencyModel::new(PhaseTimes::default())));
    let probe = Probe {
        clock: clock.clone(),
        encode: |_, _| Ok(Vec::new()),
        latency: latency.clone(),
    };
    let device = Scripted::alone(clock);
    let load: LoadExecutor = Box::new(move |_| Ok(Box::new(device)));
    probing(load, vec![family.clone()], probe)(&mut |_| {}).unwrap();

    let latency = latency.read().unwrap();
    let (times, size) = (latency.phases(), family.default_size());
    let model = &family.models[0].id;
    assert_eq!(times.step(model, size, 1), Some(Millis(5.0)));
    assert_eq!(times.step(model, size, 2), Some(Millis(10.0)));
    let besides_steps = times.of_family(&family, size);
    let besides_steps = besides_steps.request(&Workload::default(), 1, 1);
    assert_eq!(besides_steps, Some(Millis(22.0)));
    assert_eq!(latency.n_observed(), 0);
}
