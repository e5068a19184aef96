//! What does a request take besides its pictures? A server whose device does nothing, asked over loopback.
//!
//! Everything else is real: sockets, HTTP, JSON, validation, planning on the default family, admission, dispatch,
//! review of every step, base64, learning. The file is empty, so that encoding is left out. The time is the
//! client's, one request after another on one connection: from the first byte sent to the last one read.

#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the clock itself"
)]

use std::{
    io::{self, Write as _},
    path::Path,
    sync::{Arc, RwLock},
    time::Instant,
};

use clap::Parser as _;
use goldilocks::{
    api::{self, AppState, FamilyParts, Parts},
    catalog,
    config::{ServeFlags, ServerConfig},
    planner::{CostTable, LatencyModel, PhaseTimes, Plan, Profile},
    runtime::{
        Decoded, DrawError, Executor, Job, JobId, Picture, Ranked, Readiness, RowKey, Rules,
        Runtime, Settings, Stepped, Texts, WorkerSpec,
    },
    telemetry::{Metrics, SystemClock},
    units::{Flops, Millis, Steps},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

const WARM_UP: usize = 500;
const REQUESTS: usize = 10_000;

/// A device that takes no time.
struct Null;

impl Executor for Null {
    fn encode_text(&mut self, _: JobId, _: &Job, _: &Plan) -> Result<Texts, DrawError> {
        Ok(Texts {
            n_encoded: 1,
            ..Texts::default()
        })
    }

    fn begin(&mut self, _: RowKey, _: u64) -> Result<(), DrawError> {
        Ok(())
    }

    fn step(&mut self, rows: &[RowKey]) -> Result<Vec<Result<Stepped, DrawError>>, DrawError> {
        let stepped = Stepped {
            nfe: 1,
            flops: Flops::ZERO,
        };
        Ok(vec![Ok(stepped); rows.len()])
    }

    fn rank(&mut self, _: JobId, _: usize, candidates: &[u32]) -> Result<Ranked, DrawError> {
        Ok(Ranked {
            best: candidates[0],
            flops: Flops::ZERO,
        })
    }

    fn decode(&mut self, _: RowKey) -> Result<Decoded, DrawError> {
        let picture = Picture {
            width: 128,
            height: 128,
            rgb: Vec::new(),
            seed: 0,
            steps_run: 1,
        };
        Ok(Decoded {
            picture,
            flops: Flops::ZERO,
        })
    }

    fn shorten(&mut self, _: RowKey, _: Steps) -> Result<(), DrawError> {
        Ok(())
    }

    fn move_up(&mut self, _: RowKey, _: &Plan) -> Result<(), DrawError> {
        Ok(())
    }

    fn preview(&mut self, _: RowKey) -> Option<Picture> {
        None
    }

    fn end(&mut self, _: JobId) {}
}

#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    serve: ServeFlags,
}

fn state() -> AppState {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let catalog = catalog::load(&root.join("models.toml")).expect("the default family");
    let family = catalog.default_family().clone();
    let path = family.profile.as_ref().expect("its profile");
    let text = std::fs::read_to_string(path).expect("its profile can be read");
    let profile = Profile::from_json(&text, &family.digest).expect("its profile is of its weights");
    let mut phases = PhaseTimes::default();
    let size = family.default_size();
    phases.set_text(&family.id, Millis(0.01));
    phases.set_decode(&family.id, size, Millis(0.01));
    phases.set_encode(size, Millis(0.01));
    phases.set_rank(&family.id, size, Millis(0.01));
    for card in &family.models {
        for rows in [1, 2] {
            phases.set_step(&card.id, size, rows, Millis(0.01));
        }
    }
    let latency = Arc::new(RwLock::new(LatencyModel::new(phases)));
    let clock = Arc::new(SystemClock::start());
    let models: Vec<_> = family.models.iter().map(|card| card.id.clone()).collect();
    let metrics = Arc::new(Metrics::new(models.iter().map(|model| model.0.as_str())));
    let worker = WorkerSpec {
        device: family.models[0].device,
        models,
        families: Vec::new(),
        load: Box::new(|_| Ok(Box::new(Null))),
    };
    let settings = Settings {
        rules: Rules::default(),
        encode: |_, _, _| Ok(Vec::new()),
        latency: latency.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
    };
    let runtime = Runtime::start(vec![worker], settings).expect("threads can be started");
    let flags = Flags::parse_from(["overhead", "--state-dir=unused"]);
    let config = ServerConfig::new(flags.serve).expect("the defaults are sound");
    AppState::new(Parts {
        families: vec![FamilyParts {
            costs: CostTable::of(&family),
            profile: Some(profile),
            most_texts: 1000,
        }],
        catalog: Arc::new(catalog),
        latency,
        runtime,
        metrics,
        clock,
        limits: config.limits,
        access: config.access,
    })
}

/// Sends one request and reads its reply to the end.
async fn ask(stream: &mut TcpStream, request: &[u8], reply: &mut Vec<u8>) -> io::Result<()> {
    stream.write_all(request).await?;
    reply.clear();
    loop {
        if stream.read_buf(reply).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some(head) = reply.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            continue;
        };
        let text = String::from_utf8_lossy(&reply[..head]).to_lowercase();
        let length = text.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.lines().next()?.trim().parse::<usize>().ok());
        if length.is_some_and(|length| reply.len() >= head + 4 + length) {
            assert!(
                text.starts_with("http/1.1 200"),
                "{}",
                String::from_utf8_lossy(reply)
            );
            return Ok(());
        }
    }
}

async fn measure() -> io::Result<Vec<f64>> {
    let state = state();
    let mut readiness = state.runtime().watch_readiness();
    readiness
        .wait_for(Readiness::is_ready)
        .await
        .expect("it gets ready");
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(api::serve(listener, state, std::future::pending()));
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let body = r#"{"prompt":"a red heart above a teal square on grass","budget":{"tflops":0.0034,"latency_ms":1000},"seed":1}"#;
    let request = format!(
        "POST /v1/images/generations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut reply = Vec::new();
    let mut took = Vec::with_capacity(REQUESTS);
    for round in 0..WARM_UP + REQUESTS {
        let started = Instant::now();
        ask(&mut stream, request.as_bytes(), &mut reply).await?;
        if round >= WARM_UP {
            took.push(started.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(took)
}

fn main() -> io::Result<()> {
    let threads = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut took = threads.block_on(measure())?;
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    writeln!(
        io::stdout(),
        "overhead of a request, {REQUESTS} in a row: median {:.3} ms, p95 {:.3} ms, p99 {:.3} ms, max {:.1} ms",
        at(0.5),
        at(0.95),
        at(0.99),
        at(1.0)
    )
}
