//! How fast is this machine, before any server ran? The server's own probe, without the server.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use crate::{
    catalog::{Catalog, Family},
    engine::device,
    planner::{LatencyModel, PhaseTimes},
    progress::Waiting,
    runtime::{
        WorkerSpec,
        executor::pipeline::{self, encode_file},
        probe::{Probe, probing},
        state::{LatencyFile, LatencyKey},
    },
    telemetry::SystemClock,
};

/// Where the learned latencies of what `catalog` hosts are kept.
pub(super) fn file(catalog: &Catalog, state_dir: &Path) -> LatencyFile {
    let key = LatencyKey::new(catalog, &pipeline::backend(), device::n_threads());
    LatencyFile::new(state_dir, key)
}

/// One worker for each device, which times its models once they are loaded.
pub(super) fn workers(catalog: &Catalog, probe: &Probe) -> Vec<WorkerSpec> {
    let devices = pipeline::devices(catalog).into_iter();
    let worker = |(device, families): (_, Vec<Family>)| {
        let models = families.iter().flat_map(|family| &family.models);
        WorkerSpec {
            device,
            models: models.map(|model| model.id.clone()).collect(),
            load: probing(
                pipeline::loading(families.clone()),
                families.clone(),
                probe.clone(),
            ),
            families,
        }
    };
    devices.map(worker).collect()
}

/// Returns what was learned on this machine; if nothing was, times the models and keeps the times.
pub(super) fn known(catalog: &Catalog, state_dir: Option<PathBuf>) -> anyhow::Result<LatencyModel> {
    let file = state_dir.map(|folder| file(catalog, &folder));
    if let Some(learned) = file.as_ref().and_then(LatencyFile::load) {
        return Ok(learned);
    }
    let latency = measure(catalog, LatencyModel::new(PhaseTimes::default()))?;
    if let Some(file) = file
        && let Err(error) = file.save(&latency)
    {
        let path = file.path().display();
        eprintln!(
            "warning: the times cannot be kept in {path} ({error}), so they are taken again each time; name a \
             folder that can be written to with --state-dir"
        );
    }
    Ok(latency)
}

/// Times every model; what earlier requests taught about quantiles stays.
pub(super) fn measure(catalog: &Catalog, learned: LatencyModel) -> anyhow::Result<LatencyModel> {
    let _waiting = Waiting::new("timing the models on this machine");
    let latency = Arc::new(RwLock::new(learned));
    let probe = Probe {
        clock: Arc::new(SystemClock::start()),
        encode: encode_file,
        latency: Arc::clone(&latency),
    };
    for worker in workers(catalog, &probe) {
        (worker.load)(&mut |_| {}).map_err(anyhow::Error::msg)?;
    }
    let latency = latency.read().unwrap_or_else(PoisonError::into_inner);
    Ok(latency.clone())
}
