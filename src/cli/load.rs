//! `goldilocks load`: what do the users of a running server get, if they come as a trace says?

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{examples, out};
use crate::{
    config::{self, seconds},
    files,
    load::{
        client::{BaseUrl, HttpServer, Presence},
        pace::Pacer,
        record::{Outcome, Record},
        records,
        replay::{Replay, Replayed, Sending, Settings},
        report::Report,
        trace::{Arrival, Trace},
    },
    progress::Progress,
    telemetry::{Clock, SystemClock},
    units::Moment,
};

mod table;

/// Time for the threads to be ready before the first request is due.
const LEAD: Duration = Duration::from_millis(200);

/// Replays a trace against a running server and reports what its users got
///
/// Open loop: each request is sent when the trace says so, whatever became of the others, and its latency counts from
/// that moment to the last byte of the reply. How late requests were sent is printed beside the report. Ctrl-C sends no
/// more and waits for what is under way, another one leaves that too; the report is of what ended.
#[derive(Debug, clap::Args)]
#[command(after_help = examples::LOAD)]
pub struct Args {
    /// The trace: CSV, `arrival_seconds,latency_ms,tflops,images,prompt` (`goldilocks trace` makes one)
    #[arg(value_name = "TRACE.csv")]
    trace: PathBuf,

    /// Where the server is
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: BaseUrl,

    /// File whose first line is the API key to send
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,

    /// Multiply every time in the trace, arrivals and latency budgets
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    time_scale: f64,

    /// Let the same requests come so many times as fast; budgets stay
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    rate_scale: f64,

    /// Ask once more after a refusal that says when, as it says
    #[arg(long)]
    retry: bool,

    /// Seconds to wait for the end of a reply
    #[arg(long, value_name = "SECONDS", default_value = "330", value_parser = seconds)]
    timeout: Duration,

    /// Most requests, and so connections, at once; beyond it requests wait, and the report says how many
    #[arg(long, value_name = "COUNT", default_value_t = 512,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    max_connections: usize,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,

    /// Also write what became of each request, as CSV
    #[arg(long, value_name = "FILE")]
    records: Option<PathBuf>,
}

/// The report with what it can be trusted with.
#[derive(Debug, Serialize)]
struct Printed<'r> {
    #[serde(flatten)]
    report: &'r Report,
    sending: &'r Sending,
}

/// Replays, reports, writes.
pub fn run(args: &Args) -> Result<()> {
    let trace = args.read_trace()?;
    let threads = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the network threads")?;
    let replayed = threads.block_on(args.replay(trace))?;
    if let Some(path) = &args.records {
        let text = records::to_csv(&replayed.records, &replayed.sent_late_ms);
        files::replace(path, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let sending = &replayed.sending;
    let Some(report) = Report::of(&replayed.records) else {
        bail!("stopped before a request had ended, so there is nothing to report");
    };
    if args.json {
        let report = &report;
        return out::print_json(&Printed { report, sending });
    }
    out::print(&(table::report(&report) + &table::sending(sending)))
}

impl Args {
    fn read_trace(&self) -> Result<Trace> {
        let shown = self.trace.display();
        let text =
            std::fs::read_to_string(&self.trace).with_context(|| format!("cannot read {shown}"))?;
        let trace = Trace::parse(&text).with_context(|| format!("{shown} is not a trace"))?;
        let trace = trace.with_time_scaled(self.time_scale);
        let trace = trace.context("--time-scale")?;
        trace
            .with_rate_scaled(self.rate_scale)
            .context("--rate-scale")
    }

    fn api_key(&self) -> Result<Option<config::ApiKey>> {
        let Some(path) = self.api_key_file.clone() else {
            return Ok(None);
        };
        Ok(config::read_keys(path)?.into_iter().next())
    }

    /// Nothing is sent to nobody.
    fn check(&self, presence: Presence) -> Result<()> {
        let url = &self.url;
        match presence {
            Presence::Ready => Ok(()),
            Presence::NotReady => bail!("the server at {url} is not ready yet; ask again soon"),
            Presence::Locked => bail!(
                "the server at {url} wants one of its API keys; name a file that holds it with --api-key-file"
            ),
            Presence::Absent(why) => bail!(
                "nobody answers at {url}: {why}; start `goldilocks serve`, or name the server with --url"
            ),
        }
    }

    async fn replay(&self, trace: Trace) -> Result<Replayed> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let key = self.api_key()?;
        let key = key.as_ref().map(config::ApiKey::secret);
        let server = HttpServer::new(self.url.clone(), key, Arc::clone(&clock))?;
        self.check(server.presence().await)?;
        let start = Moment(clock.now().0 + LEAD);
        let offsets = trace.arrivals().iter().map(Arrival::at).collect();
        let progress = Progress::new("replaying", trace.arrivals().len() as u64);
        let settings = Settings {
            start,
            patience: self.timeout,
            retry: self.retry,
            max_in_flight: self.max_connections,
        };
        let replay = Replay::new(trace, server, Arc::clone(&clock), settings);
        let Pacer { due, stop: _pacing } = Pacer::start(clock, start, offsets)
            .context("cannot start the thread that says when requests are due")?;
        let mut tally = Tally::default();
        let on_record = |record: &Record| {
            tally.add(record);
            progress.say(tally.told());
            progress.advance(1);
        };
        let replayed = replay.run(due, interrupts(), on_record).await;
        progress.finish();
        Ok(replayed)
    }
}

/// What has become of requests so far.
#[derive(Debug, Default)]
struct Tally {
    ended: usize,
    attained: usize,
    refused: usize,
    failed: usize,
}

impl Tally {
    fn add(&mut self, record: &Record) {
        self.ended += 1;
        self.attained += usize::from(record.is_attained());
        self.refused += usize::from(matches!(record.outcome, Outcome::Refused(_)));
        self.failed += usize::from(matches!(record.outcome, Outcome::Failed(_)));
    }

    fn told(&self) -> String {
        let attained = 100.0 * self.attained as f64 / self.ended.max(1) as f64;
        let Self {
            refused, failed, ..
        } = self;
        format!("{attained:.1}% attained, {refused} refused, {failed} failed")
    }
}

/// A message for every Ctrl-C.
fn interrupts() -> UnboundedReceiver<()> {
    let (tell, told) = unbounded_channel();
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if tell.send(()).is_err() {
                return;
            }
        }
    });
    told
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::load::record::{Answer, Failure};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(flags: &[&str]) -> Args {
        let line = ["load", "trace.csv"].iter().chain(flags);
        Line::parse_from(line).args
    }

    #[test]
    fn a_trace_that_is_none_and_a_factor_that_is_none_are_told_where_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace.csv");
        let mut args = args(&["--rate-scale=0"]);
        args.trace.clone_from(&path);
        let told = |args: &Args| format!("{:#}", args.read_trace().unwrap_err());
        assert!(told(&args).contains("cannot read"));
        std::fs::write(
            &path,
            "arrival_seconds,latency_ms,tflops,images,prompt\n0,0,,1,a dog\n",
        )
        .unwrap();
        assert!(told(&args).contains("trace.csv is not a trace: line 2: latency_ms \"0\""));
        std::fs::write(
            &path,
            "arrival_seconds,latency_ms,tflops,images,prompt\n0,9,,1,a dog\n",
        )
        .unwrap();
        assert!(
            told(&args).contains("--rate-scale: a factor of 0"),
            "{}",
            told(&args)
        );
        (args.rate_scale, args.time_scale) = (2.0, 3.0);
        let trace = args.read_trace().unwrap();
        assert_eq!(trace.arrivals()[0].class.to_string(), "27 ms");
    }

    #[test]
    fn flags_out_of_range_are_refused() {
        for flag in ["--max-connections=0", "--url=localhost:80", "--timeout=x"] {
            assert!(Line::try_parse_from(["load", "trace.csv", flag]).is_err());
        }
    }

    #[test]
    fn progress_tells_what_has_become_of_requests() {
        let record = |outcome| Record {
            arrival_seconds: 0.0,
            class: crate::load::trace::BudgetClass::default(),
            images: 1,
            latency_ms: crate::units::Millis(1.0),
            tries: 1,
            outcome,
        };
        let mut tally = Tally::default();
        tally.add(&record(Outcome::Answered(Answer::default())));
        tally.add(&record(Outcome::Failed(Failure::TimedOut)));
        assert_eq!(tally.told(), "50.0% attained, 0 refused, 1 failed");
    }
}
