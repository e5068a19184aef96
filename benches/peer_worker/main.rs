//! How fast is this engine, beside its peers? Our side of `bench/peers`: answers one JSON line for
//! every JSON line, as its README describes. `cargo bench` alone only says so.
//!
//! Times run from numbers in memory, laid out as the peers have them, to numbers in memory.

use std::{
    collections::HashMap,
    io::{self, BufRead as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use candle_core::{DType, Device, Tensor};
use goldilocks::telemetry::clock::{Clock as _, SystemClock};
use safetensors::{Dtype, SafeTensorError, tensor::TensorView};
use serde::{Deserialize, Serialize};

mod case;
mod jobs;

use case::Case;
use jobs::{Job, Outputs};

/// Side of the matrices whose product stands for the processor's peak.
const PEAK_SIDE: usize = 768;

/// Products that the peak is the best of.
const PEAK_PRODUCTS: usize = 64;

/// What the orchestrator asks for.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Order {
    /// Drop the last case and load this one.
    Load { case: Case },
    /// Compute it so many times.
    Run { times: usize },
    /// Write what the last run computed.
    Output { path: PathBuf },
    /// Measure what the processor can do.
    Peak {},
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Reply {
    Loaded { gflop: f64 },
    Ran { seconds: Vec<f64> },
    Written {},
    Peak { gflops: f64, measured_by: String },
    Failed { error: String },
}

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let load: Load = match words.next().as_deref() {
        Some("native") => jobs::load_native,
        Some("native-bf16") => jobs::load_bf16,
        Some("candle") => jobs::load_candle,
        _ => {
            eprintln!(
                "run by bench/peers/run.py, as `peer_worker native|native-bf16|candle THREADS`"
            );
            return Ok(());
        }
    };
    let threads = words.next().context("no number of threads")?.parse()?;
    let clock = SystemClock::start();
    let mut worker = Worker {
        load,
        threads,
        clock,
        job: None,
        outputs: Vec::new(),
    };
    let mut replies = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let reply = serde_json::from_str(&line?)
            .context("not an order")
            .and_then(|order| worker.obey(order))
            .unwrap_or_else(|fault| Reply::Failed {
                error: format!("{fault:#}"),
            });
        writeln!(replies, "{}", serde_json::to_string(&reply)?)?;
        replies.flush()?;
    }
    Ok(())
}

/// Loads a case for so many threads.
type Load = fn(&Case, usize) -> anyhow::Result<Job>;

struct Worker {
    load: Load,
    threads: usize,
    clock: SystemClock,
    job: Option<Job>,
    outputs: Outputs,
}

impl Worker {
    fn obey(&mut self, order: Order) -> anyhow::Result<Reply> {
        match order {
            Order::Load { case } => {
                self.job = None;
                self.job = Some((self.load)(&case, self.threads)?);
                let gflop = case.cost()?.0 / 1e9;
                Ok(Reply::Loaded { gflop })
            }
            Order::Run { times } => self.run(times),
            Order::Output { path } => {
                write_outputs(&path, &self.outputs)?;
                Ok(Reply::Written {})
            }
            Order::Peak {} => peak(&self.clock, self.threads),
        }
    }

    fn run(&mut self, times: usize) -> anyhow::Result<Reply> {
        let job = self.job.as_ref().context("no case is loaded")?;
        let mut seconds = Vec::with_capacity(times);
        for _ in 0..times {
            let start = self.clock.now();
            self.outputs = job()?;
            seconds.push(self.clock.now().since(start).as_secs_f64());
        }
        Ok(Reply::Ran { seconds })
    }
}

fn write_outputs(path: &Path, outputs: &Outputs) -> anyhow::Result<()> {
    let bytes: Vec<(&str, Vec<u8>)> = outputs
        .iter()
        .map(|(name, values)| {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            (*name, bytes.collect())
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, bytes)| {
            Ok((
                *name,
                TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)?,
            ))
        })
        .collect::<Result<HashMap<_, _>, SafeTensorError>>()?;
    safetensors::serialize_to_file(views, None, path)?;
    Ok(())
}

/// Operations per second of a matrix product in f32, the best of many.
fn peak(clock: &SystemClock, threads: usize) -> anyhow::Result<Reply> {
    jobs::expect_threads(threads)?;
    let side = (PEAK_SIDE, PEAK_SIDE);
    let xs = Tensor::ones(side, DType::F32, &Device::Cpu)?;
    let mut best = f64::INFINITY;
    for _ in 0..PEAK_PRODUCTS {
        let start = clock.now();
        std::hint::black_box(xs.matmul(&xs)?);
        best = best.min(clock.now().since(start).as_secs_f64());
    }
    Ok(Reply::Peak {
        gflops: 2.0 * (PEAK_SIDE as f64).powi(3) / best / 1e9,
        measured_by: format!(
            "best of {PEAK_PRODUCTS} f32 products of {PEAK_SIDE}x{PEAK_SIDE} matrices by the gemm crate"
        ),
    })
}
