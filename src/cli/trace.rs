//! `goldilocks trace`: a trace that nobody recorded, for `goldilocks load` and for simulations.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Subcommand;
use serde::Serialize;

use super::{examples, out};
use crate::{
    files,
    load::{
        generate::{
            MEASURED_RATIO, Process, Recipe,
            captions::Prompts,
            generate,
            mix::{self, Latency, Mix},
        },
        trace::Trace,
    },
    units::Millis,
};

/// Makes up a trace of requests: who asks for what, and when
///
/// A row is a request: `arrival_seconds,latency_ms,tflops,images,prompt`. The same arguments give the same trace on every machine. When requests come depends on the process, the length and
/// the seed alone.
#[derive(Debug, clap::Args)]
#[command(after_help = examples::TRACE)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Independent users: one rate all the time
    #[command(after_help = examples::TRACE_POISSON)]
    Poisson {
        /// Requests a second
        #[arg(long)]
        rate: f64,
        #[command(flatten)]
        common: Common,
    },
    #[command(after_help = examples::TRACE_BURSTY)]
    /// Users who come in crowds: every minute has a rate of its own, drawn from a gamma distribution
    Bursty {
        /// Requests a second, on average
        #[arg(long)]
        rate: f64,
        /// Variance of the requests per minute over their mean; 1 would be Poisson
        #[arg(long, default_value_t = MEASURED_RATIO)]
        ratio: f64,
        #[command(flatten)]
        common: Common,
    },
    /// A crowd that comes at once and goes again
    #[command(after_help = examples::TRACE_FLASH)]
    Flash {
        /// Requests a second, before and after
        #[arg(long)]
        rate: f64,
        /// How many times as many come meanwhile
        #[arg(long, default_value_t = 10.0)]
        factor: f64,
        /// Second at which the crowd comes
        #[arg(long)]
        from: f64,
        /// Seconds that it stays
        #[arg(long = "for")]
        lasting: f64,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
struct Common {
    /// Length of the trace in seconds
    #[arg(long)]
    seconds: f64,

    /// Latency budgets and their weights: milliseconds, multiples of --floor-ms as in 2x, or none
    #[arg(long, value_name = "BUDGET:WEIGHT,...", default_value = "none")]
    budgets: String,

    /// What the cheapest plan takes on an idle server, which 1x is
    #[arg(long, value_name = "MS")]
    floor_ms: Option<f64>,

    /// Budgets of 10^12 operations and their weights, or none
    #[arg(long, value_name = "TFLOPS:WEIGHT,...", default_value = "none")]
    tflops: String,

    /// Pictures of a request and their weights
    #[arg(long, value_name = "COUNT:WEIGHT,...", default_value = "1")]
    images: String,

    /// Prompts to draw from, one a line [default: captions that the family emoji was trained on]
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,

    /// Another seed, another trace
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Where the trace goes [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print what came of it as JSON
    #[arg(long, requires = "output")]
    json: bool,
}

/// Makes the trace and writes it.
pub fn run(args: &Args) -> Result<()> {
    let (process, common) = args.command.parts();
    let trace = generate(&common.recipe(process)?)?;
    let text = trace.to_csv();
    match &common.output {
        Some(path) => files::replace(path, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?,
        None => out::print(&text)?,
    }
    let made = Made::new(&trace, common.seconds);
    if common.json {
        return out::print_json(&made);
    }
    eprintln!("{}", made.told());
    Ok(())
}

impl Command {
    fn parts(&self) -> (Process, &Common) {
        match self {
            Self::Poisson { rate, common } => (Process::Poisson { rate: *rate }, common),
            Self::Bursty {
                rate,
                ratio,
                common,
            } => {
                let (rate, ratio) = (*rate, *ratio);
                (Process::Bursty { rate, ratio }, common)
            }
            Self::Flash {
                rate,
                factor,
                from,
                lasting,
                common,
            } => {
                let process = Process::Flash {
                    rate: *rate,
                    factor: *factor,
                    from: *from,
                    lasting: *lasting,
                };
                (process, common)
            }
        }
    }
}

impl Common {
    fn recipe(&self, process: Process) -> Result<Recipe> {
        let flag = |name: &'static str| move |fault: String| anyhow::anyhow!("{name}: {fault}");
        let floor = self.floor_ms.map(Millis);
        if floor.is_some_and(|floor| !(floor.0.is_finite() && floor.0 > 0.0)) {
            return Err(flag("--floor-ms")("it must be a number above 0".into()));
        }
        let latencies = Mix::parse(&self.budgets, Latency::parse)
            .and_then(|mix| mix.map(|latency| latency.limit(floor)));
        Ok(Recipe {
            process,
            seconds: self.seconds,
            latencies: latencies.map_err(flag("--budgets"))?,
            tflops: Mix::parse(&self.tflops, mix::tflops).map_err(flag("--tflops"))?,
            images: Mix::parse(&self.images, mix::images).map_err(flag("--images"))?,
            prompts: self.prompts()?,
            seed: self.seed,
        })
    }

    fn prompts(&self) -> Result<Prompts> {
        let Some(path) = &self.prompts else {
            return Ok(Prompts::BuiltIn);
        };
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        Prompts::of_lines(&text)
            .with_context(|| format!("{shown} holds no prompt; write one a line"))
    }
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Made {
    requests: usize,
    seconds: f64,
    requests_per_second: f64,
    /// Of the requests per minute; null where there are too few minutes.
    variance_to_mean: Option<f64>,
}

impl Made {
    fn new(trace: &Trace, seconds: f64) -> Self {
        let requests = trace.arrivals().len();
        Self {
            requests,
            seconds,
            requests_per_second: requests as f64 / seconds,
            variance_to_mean: trace.variance_to_mean(),
        }
    }

    fn told(&self) -> String {
        let Self {
            requests,
            seconds,
            requests_per_second,
            variance_to_mean,
        } = self;
        let spread = variance_to_mean.map_or_else(String::new, |ratio| {
            format!("; requests per minute have a variance of {ratio:.2} times their mean")
        });
        format!("{requests} requests in {seconds} s, {requests_per_second:.3} a second{spread}")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn recipe(line: &str) -> Result<Recipe> {
        let args = Line::parse_from(["trace"].into_iter().chain(line.split(' '))).args;
        let (process, common) = args.command.parts();
        common.recipe(process)
    }

    #[test]
    fn every_process_is_made_from_its_flags() {
        for (line, n_expected) in [
            (
                "poisson --rate 10 --seconds 100 --budgets 60:1,2x:2 --floor-ms 20",
                1000.0,
            ),
            ("bursty --rate 10 --seconds 100 --seed 4", 1000.0),
            (
                "flash --rate 5 --seconds 100 --from 20 --for 10 --factor 11",
                1000.0,
            ),
        ] {
            let trace = generate(&recipe(line).unwrap()).unwrap();
            let n = trace.arrivals().len() as f64;
            assert!((n / n_expected - 1.0_f64).abs() < 0.2, "{n}: {line}");
            assert!(
                Made::new(&trace, 100.0)
                    .told()
                    .starts_with(&format!("{n} requests in 100 s"))
            );
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_flag() {
        for (flags, part) in [
            ("--budgets 2x", "--budgets: 2x is a multiple"),
            ("--budgets 2x --floor-ms 0", "--floor-ms: it must be"),
            ("--tflops x", "--tflops: \"x\""),
            ("--images 0", "--images: \"0\""),
            ("--prompts no/such/file", "cannot read no/such/file"),
        ] {
            let error = recipe(&format!("poisson --rate 1 --seconds 1 {flags}")).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn the_spread_of_minutes_is_told_where_there_are_any() {
        let long = generate(&recipe("poisson --rate 1 --seconds 600").unwrap()).unwrap();
        assert!(Made::new(&long, 600.0).told().contains("times their mean"));
        let short = generate(&recipe("poisson --rate 1 --seconds 60").unwrap()).unwrap();
        assert!(!Made::new(&short, 60.0).told().contains("times their mean"));
    }
}
