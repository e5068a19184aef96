//! `goldilocks serve`: the server, from its flags to its last reply.

use std::{
    future::Future,
    num::NonZeroU64,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use anyhow::Context;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::{oneshot, watch},
};

use super::{examples, latency, out, precision};
use crate::{
    api::{self, AppState, FamilyParts, Parts},
    catalog::{self, Catalog, Family},
    config::{self, LogFormat, ServeFlags, ServerConfig},
    engine::pipeline,
    planner::{CostTable, LatencyModel, PhaseTimes, Profile},
    runtime::{
        Readiness, Rules, Runtime, Settings, WorkerSpec,
        executor::{faulty, pipeline::encode_file},
        probe::Probe,
        state::LatencyFile,
    },
    telemetry::{Metrics, SystemClock, logging},
};

/// How often what was learned is kept; a crash loses no more than this.
const KEEP_EVERY: Duration = Duration::from_mins(1);
/// For replies to be written once their jobs are done.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Serves the hosted families over HTTP
///
/// The models load in the background and are timed on this machine; /readyz says when requests are taken. SIGTERM
/// or Ctrl-C ends it once what was admitted is finished, a second one at once.
#[derive(Debug, clap::Args)]
#[command(after_help = examples::SERVE)]
pub struct Args {
    #[command(flatten)]
    flags: ServeFlags,

    /// Every so-many-th step fails on purpose, to try what is around it
    #[arg(long, value_name = "STEPS", hide = true)]
    fail_every: Option<NonZeroU64>,
}

/// Runs until SIGTERM or SIGINT; a second signal ends it at once.
pub fn run(args: Args) -> anyhow::Result<()> {
    let flags = args.flags;
    let is_json = flags.log_format == LogFormat::Json;
    logging::start(&flags.log, is_json, config::allows_colors())?;
    let print_config = flags.print_config;
    let config = ServerConfig::new(flags)?;
    let mut catalog = catalog::load(&config.config)?;
    if print_config {
        return out::print(&format!("{}\n{}\n", config.to_toml(), catalog.to_toml()));
    }
    precision::resolve(&mut catalog)?;
    let families = known_of(&catalog)?;
    let threads = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the network threads")?;
    threads.block_on(serve(config, catalog, families, args.fail_every))
}

async fn serve(
    config: ServerConfig,
    catalog: Catalog,
    families: Vec<FamilyParts>,
    fail_every: Option<NonZeroU64>,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| {
            let listen = config.listen;
            format!("cannot listen on {listen}; choose another --listen, or ask `goldilocks doctor --listen {listen}`")
        })?;
    let file = latency::file(&catalog, &config.state_dir);
    let learned = file.load();
    let learned = learned.unwrap_or_else(|| LatencyModel::new(PhaseTimes::default()));
    let learned = Arc::new(RwLock::new(learned));
    let clock = Arc::new(SystemClock::start());
    let models = catalog.families.iter().flat_map(|family| &family.models);
    let metrics = Arc::new(Metrics::new(models.map(|model| model.id.0.as_str())));
    let probe = Probe {
        clock: clock.clone(),
        encode: encode_file,
        latency: Arc::clone(&learned),
    };
    let settings = Settings {
        rules: Rules {
            most_jobs: config.queue_capacity,
            ..Rules::default()
        },
        encode: encode_file,
        latency: Arc::clone(&learned),
        clock: clock.clone(),
        metrics: Arc::clone(&metrics),
    };
    let mut workers = latency::workers(&catalog, &probe);
    if let Some(every) = fail_every {
        workers = workers.into_iter().map(|it| failing(it, every)).collect();
    }
    let runtime = Runtime::start(workers, settings)?;
    let timed = runtime.watch_timed();
    let state = AppState::new(Parts {
        catalog: Arc::new(catalog),
        families,
        latency: Arc::clone(&learned),
        runtime: runtime.clone(),
        metrics,
        clock,
        limits: config.limits,
        access: config.access,
    });
    let address = listener.local_addr()?;
    tracing::info!(%address, "listening; models load in the background");
    tokio::spawn(follow_times(
        state.clone(),
        timed,
        (file.clone(), Arc::clone(&learned)),
    ));
    let keeper = tokio::spawn(keep_learned(file.clone(), Arc::clone(&learned)));
    answer_until_stopped(listener, state, runtime, config.shutdown_grace).await?;
    keeper.abort();
    keep(&file, &learned);
    tracing::info!("stopped");
    Ok(())
}

/// A worker that fails on purpose once its models are timed.
fn failing(worker: WorkerSpec, every: NonZeroU64) -> WorkerSpec {
    WorkerSpec {
        load: faulty::failing(worker.load, every),
        ..worker
    }
}

/// What is on offer follows from the times of the models, and is made anew before somebody asks. They are kept at once:
/// that it cannot be done is better told at the start than at the end.
async fn follow_times(
    state: AppState,
    mut timed: watch::Receiver<u64>,
    (file, learned): (LatencyFile, Arc<RwLock<LatencyModel>>),
) {
    // They may have been timed before anybody watched.
    timed.mark_changed();
    while timed.changed().await.is_ok() {
        state.freshen();
        if *timed.borrow_and_update() > 0 {
            keep(&file, &learned);
        }
    }
}

/// Answers until told to stop, then lets admitted jobs finish within the grace: whoever asks meanwhile is told that the
/// server stops, and whoever comes for a job gets it. Models that cannot be loaded end it as well.
async fn answer_until_stopped(
    listener: TcpListener,
    state: AppState,
    runtime: Runtime,
    grace: Duration,
) -> anyhow::Result<()> {
    let mut stop = StopSignals::new()?;
    let (tell, told) = oneshot::channel();
    let serving = api::serve(listener, state, async { drop(told.await) });
    let failing = failed_to_load(&runtime);
    let stopping = async {
        stop.next().await;
        tracing::info!(
            grace_seconds = grace.as_secs_f64(),
            "told to stop; finishing what is admitted"
        );
        tokio::select! {
            () = runtime.shutdown(grace) => {}
            () = stop.next() => return,
        }
        tell.send(()).ok();
        tokio::select! {
            () = tokio::time::sleep(LAST_WORDS) => {}
            () = stop.next() => {}
        }
        tracing::warn!("connections are still open; they are cut off");
    };
    tokio::select! {
        served = serving => served.context("the server failed"),
        reason = failing => Err(anyhow::anyhow!(reason)),
        () = stopping => Ok(()),
    }
}

/// Waits until models could not be loaded, and says why: nothing but another start can mend that.
async fn failed_to_load(runtime: &Runtime) -> String {
    let mut readiness = runtime.watch_readiness();
    let failed = readiness.wait_for(|now| matches!(now, Readiness::Failed { .. }));
    match failed.await.as_deref() {
        Ok(Readiness::Failed { reason }) => reason.clone(),
        _ => std::future::pending().await,
    }
}

/// SIGTERM, which orchestrators send, and SIGINT, which Ctrl-C sends.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    fn next(&mut self) -> impl Future<Output = ()> + '_ {
        let Self {
            terminate,
            interrupt,
        } = self;
        async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
    }
}

/// Reads what was measured of each family; a profile of other weights would promise what is not true.
fn known_of(catalog: &Catalog) -> anyhow::Result<Vec<FamilyParts>> {
    catalog
        .families
        .iter()
        .map(|family| {
            Ok(FamilyParts {
                costs: CostTable::of(family),
                profile: family
                    .profile
                    .as_ref()
                    .map(|path| read_profile(family, path))
                    .transpose()?,
                most_texts: pipeline::most_texts(family),
            })
        })
        .collect()
}

/// Reads a family's profile, which must be of the weights in use.
pub(super) fn read_profile(family: &Family, path: &std::path::Path) -> anyhow::Result<Profile> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| {
        format!("cannot read {shown}; measure it with `goldilocks calibrate quality`, or leave it out of the catalog")
    })?;
    Profile::from_json(&text, &family.digest).with_context(|| {
        format!("{shown} cannot be used; measure anew with `goldilocks calibrate quality`, or leave it out of the catalog")
    })
}

async fn keep_learned(file: LatencyFile, latency: Arc<RwLock<LatencyModel>>) {
    let mut n_kept = 0;
    loop {
        tokio::time::sleep(KEEP_EVERY).await;
        let n_observed = latency
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .n_observed();
        if n_observed != n_kept {
            keep(&file, &latency);
            n_kept = n_observed;
        }
    }
}

fn keep(file: &LatencyFile, latency: &RwLock<LatencyModel>) {
    let latency = latency
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    if let Err(error) = file.save(&latency) {
        tracing::warn!(
            %error,
            path = %file.path().display(),
            "learned latencies cannot be kept; name a folder that can be written to with --state-dir"
        );
    }
}
