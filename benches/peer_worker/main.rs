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
use goldilocks::{
    catalog::Dtype,
    engine::{
        device,
        noise::{NoiseKey, gaussian},
    },
    telemetry::clock::{Clock as _, SystemClock},
};
use safetensors::{SafeTensorError, tensor::TensorView};
use serde::{Deserialize, Serialize};

mod case;
mod jobs;

use case::Case;
use jobs::{Job, On, Outputs};

/// Side of the matrices whose product stands for the processor's peak.
const PEAK_SIDE: usize = 768;

/// The same for an accelerator, which needs larger ones to be busy.
const ACCELERATOR_PEAK_SIDE: usize = 8192;

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
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let engine = match words.as_slice() {
        ["native", threads] => Engine::Native(threads.parse()?),
        ["native-bf16", threads] => Engine::NativeBf16(threads.parse()?),
        ["candle", threads] => Engine::Candle(threads.parse()?),
        ["on", device, dtype] => Engine::On(On::parse(device, dtype)?),
        _ => {
            eprintln!(
                "run by bench/peers/run.py, as `peer_worker native|native-bf16|candle THREADS`, or by \
                 scripts/gpu_check, as `peer_worker on DEVICE DTYPE`"
            );
            return Ok(());
        }
    };
    let clock = SystemClock::start();
    let mut worker = Worker {
        engine,
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

/// What computes: a backend with so many threads of the processor, or candle on a device.
enum Engine {
    Native(usize),
    NativeBf16(usize),
    Candle(usize),
    On(On),
}

impl Engine {
    fn load(&self, case: &Case) -> anyhow::Result<Job> {
        match self {
            Self::Native(threads) => jobs::load_native(case, *threads),
            Self::NativeBf16(threads) => jobs::load_bf16(case, *threads),
            Self::Candle(threads) => jobs::load_candle(case, *threads),
            Self::On(on) => jobs::load_on(case, *on),
        }
    }

    /// Operations per second of its largest matrix product.
    fn peak(&self, clock: &SystemClock) -> anyhow::Result<Reply> {
        match self {
            Self::Native(threads) | Self::NativeBf16(threads) | Self::Candle(threads) => {
                jobs::expect_threads(*threads)?;
                peak(clock, &Device::Cpu, Dtype::F32)
            }
            Self::On(on) => peak(clock, &device::open(on.device)?, on.dtype),
        }
    }
}

struct Worker {
    engine: Engine,
    clock: SystemClock,
    job: Option<Job>,
    outputs: Outputs,
}

impl Worker {
    fn obey(&mut self, order: Order) -> anyhow::Result<Reply> {
        match order {
            Order::Load { case } => {
                self.job = None;
                self.job = Some(self.engine.load(&case)?);
                let gflop = case.cost()?.0 / 1e9;
                Ok(Reply::Loaded { gflop })
            }
            Order::Run { times } => self.run(times),
            Order::Output { path } => {
                write_outputs(&path, &self.outputs)?;
                Ok(Reply::Written {})
            }
            Order::Peak {} => self.engine.peak(&self.clock),
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
                TensorView::new(safetensors::Dtype::F32, vec![bytes.len() / 4], bytes)?,
            ))
        })
        .collect::<Result<HashMap<_, _>, SafeTensorError>>()?;
    safetensors::serialize_to_file(views, None, path)?;
    Ok(())
}

/// Operations per second of a square matrix product, the best of many.
fn peak(clock: &SystemClock, device: &Device, dtype: Dtype) -> anyhow::Result<Reply> {
    let side = if device.is_cpu() {
        PEAK_SIDE
    } else {
        ACCELERATOR_PEAK_SIDE
    };
    // Not ones: an accelerator draws less power for those, and runs faster.
    let key = NoiseKey {
        seed: 0,
        candidate: 0,
        draw: 0,
    };
    let xs = Tensor::from_vec(gaussian(key, side * side), (side, side), device)?;
    // candle has no product in bf16 on a processor.
    let xs = match dtype {
        Dtype::Bf16 if !device.is_cpu() => xs.to_dtype(DType::BF16)?,
        _ => xs,
    };
    let mut best = f64::INFINITY;
    for _ in 0..PEAK_PRODUCTS {
        device.synchronize()?;
        let start = clock.now();
        std::hint::black_box(xs.matmul(&xs)?);
        device.synchronize()?;
        best = best.min(clock.now().since(start).as_secs_f64());
    }
    let by = if device.is_cpu() {
        "the gemm crate"
    } else {
        "cuBLAS"
    };
    let name = xs.dtype().as_str();
    Ok(Reply::Peak {
        gflops: 2.0 * (side as f64).powi(3) / best / 1e9,
        measured_by: format!(
            "best of {PEAK_PRODUCTS} {name} products of {side}x{side} matrices by {by}"
        ),
    })
}
