//! A server with a toy family on a simulated device.
//!
//! Two models, 64x64 pictures, scores that rise with steps. Text takes 2 ms, a decode 10 ms, one row
//! of one step 1 ms on `toy-8` and 4 ms on `toy-16`.

use std::sync::{Arc, RwLock, mpsc};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode, header},
};
use clap::Parser;
use goldilocks::{
    api::{self, AppState, FamilyParts, Parts},
    catalog::{Catalog, DeviceSpec, ModelId},
    config::{ServeFlags, ServerConfig},
    planner::LatencyModel,
    runtime::{Rules, Runtime, Settings, WorkerSpec},
    telemetry::{ManualClock, Metrics},
    units::{ImageSize, Millis},
};
use serde_json::Value;
use tower::ServiceExt;

mod device;
mod family;

use device::Device;
use family::{costs, family, profile, times};

pub(super) const SIZE: ImageSize = ImageSize {
    width: 64,
    height: 64,
};
const TEXT: Millis = Millis(2.0);
const DECODE: Millis = Millis(10.0);
const MODELS: [(&str, Millis, f64); 2] = [
    ("toy-8", Millis(1.0), 0.001),
    ("toy-16", Millis(4.0), 0.004),
];
const TEXT_TFLOPS: f64 = 0.0005;
const DECODE_TFLOPS: f64 = 0.01;

/// What differs from test to test.
#[derive(Default)]
pub(super) struct Setup {
    /// Flags of `goldilocks serve`.
    pub(super) flags: Vec<String>,
    /// The device takes one message for each step, and says when a job's first step begins and when it ends.
    pub(super) gate: Option<Gate>,
    /// Weights are loaded once this is dropped.
    pub(super) load_gate: Option<mpsc::Receiver<()>>,
    /// The machine is so many times as fast as it is thought to be, and may be timed again.
    pub(super) faster: Option<f64>,
}

/// The test's hold on the device.
pub(super) struct Gate {
    pub(super) steps: mpsc::Receiver<()>,
    pub(super) said: tokio::sync::mpsc::UnboundedSender<&'static str>,
}

/// A server that is ready.
pub(super) struct Toy {
    pub(super) app: Router,
    pub(super) state: AppState,
    pub(super) clock: Arc<ManualClock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) latency: Arc<RwLock<LatencyModel>>,
}

/// What came back.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Toy {
    pub(super) async fn start() -> Self {
        Self::with(&[]).await
    }

    pub(super) async fn with(flags: &[&str]) -> Self {
        let toy = Self::launch(Setup {
            flags: flags.iter().map(ToString::to_string).collect(),
            ..Setup::default()
        });
        toy.ready().await;
        toy
    }

    pub(super) async fn gated(gate: Gate) -> Self {
        let toy = Self::launch(Setup {
            flags: vec!["--queue-capacity=2".to_owned()],
            gate: Some(gate),
            ..Setup::default()
        });
        toy.ready().await;
        toy
    }

    pub(super) fn launch(setup: Setup) -> Self {
        let config = config(&setup.flags);
        let clock = Arc::new(ManualClock::default());
        let metrics = Arc::new(Metrics::new(MODELS.map(|(id, ..)| id)));
        let times = times(setup.faster.unwrap_or(1.0));
        let latency = Arc::new(RwLock::new(LatencyModel::new(times)));
        let runtime = Runtime::start(
            vec![WorkerSpec {
                families: setup.faster.map(|_| family()).into_iter().collect(),
                ..worker(&clock, setup.gate, setup.load_gate)
            }],
            Settings {
                rules: Rules {
                    most_jobs: config.queue_capacity,
                    ..Rules::default()
                },
                latency: latency.clone(),
                encode: |job, _, picture| {
                    let format = job.format.name().to_uppercase();
                    Ok(format!("{format} of seed {}", picture.seed).into_bytes())
                },
                clock: clock.clone(),
                metrics: metrics.clone(),
            },
        )
        .unwrap();
        let state = AppState::new(Parts {
            catalog: Arc::new(Catalog {
                families: vec![family()],
            }),
            families: vec![FamilyParts {
                costs: costs(),
                profile: Some(profile()),
                most_texts: 100,
            }],
            latency: latency.clone(),
            runtime,
            metrics: metrics.clone(),
            clock: clock.clone(),
            limits: config.limits,
            access: config.access,
        });
        Self {
            app: api::app(state.clone()),
            state,
            clock,
            metrics,
            latency,
        }
    }

    pub(super) async fn ready(&self) {
        crate::runtime::ready(self.state.runtime()).await;
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        let request = Request::get(path).body(Body::empty()).unwrap();
        self.send(request).await
    }

    /// Posts a request for pictures.
    pub(super) async fn draw(&self, body: Value) -> Reply {
        self.post("/v1/images/generations", body).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Reply {
        self.post_with(path, &[], body).await
    }

    pub(super) async fn post_with(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Value,
    ) -> Reply {
        let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_string())).unwrap();
        self.send(request).await
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        Reply {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The JSON of a reply that must have worked.
    pub(super) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.json()
    }

    /// The error of a reply that must have this status and code.
    pub(super) fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        let error = self.json()["error"].clone();
        assert_eq!(error["code"], code, "{error}");
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|text| text.len() > 10),
            "{error}"
        );
        error
    }
}

fn config(flags: &[String]) -> ServerConfig {
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: ServeFlags,
    }
    let program = ["goldilocks".to_owned(), "--state-dir=unused".to_owned()];
    let line = Line::parse_from(program.iter().chain(flags));
    ServerConfig::new(line.flags).unwrap()
}

fn worker(
    clock: &Arc<ManualClock>,
    gate: Option<Gate>,
    load_gate: Option<mpsc::Receiver<()>>,
) -> WorkerSpec {
    let device = Device::new(clock.clone(), gate);
    WorkerSpec {
        device: DeviceSpec::Cpu,
        models: MODELS.map(|(id, ..)| ModelId(id.to_owned())).to_vec(),
        families: Vec::new(),
        load: Box::new(move |on_loaded| {
            if let Some(gate) = load_gate {
                gate.recv().ok();
            }
            for (id, ..) in MODELS {
                on_loaded(&ModelId(id.to_owned()));
            }
            Ok(Box::new(device))
        }),
    }
}
