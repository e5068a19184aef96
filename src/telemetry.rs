//! What does the operator see? One typed struct over one Prometheus registry, the clock and the log.
//!
//! Call sites say what happened (`metrics.refused("overloaded")`), never the name of a series. Label
//! sets are closed: routes, codes and phases are `&'static str`, models are those of the catalog.

use std::time::Duration;

use prometheus::{
    Counter, Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter,
    IntCounterVec, IntGauge, Opts, Registry, TextEncoder, core::Collector,
};

use crate::units::{Flops, Millis, Nfe};

pub mod clock;
pub mod logging;

pub use clock::{Clock, ManualClock, SystemClock};

/// Buckets around the budgets people grant, 10 ms to one minute.
const REQUEST_SECONDS: &[f64] = &[
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0,
];
/// Buckets for parts of a request: one millisecond for a small U-Net's step, seconds for a large one's.
const PHASE_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// Buckets around 1, where the prediction was right.
const RATIO: &[f64] = &[0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.5, 2.0, 4.0];

/// Part of a job, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Encoding the prompt.
    Text,
    /// All network evaluations.
    Denoise,
    /// Latents to pixels.
    Decode,
    /// Pixels to files.
    Encode,
}

impl Phase {
    /// Every phase, in the order in which a job runs through them.
    pub const ALL: [Self; 4] = [Self::Text, Self::Denoise, Self::Decode, Self::Encode];

    fn label(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Denoise => "denoise",
            Self::Decode => "decode",
            Self::Encode => "encode",
        }
    }
}

/// Which limit of a budget was met or missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetKind {
    /// `latency_ms`.
    Latency,
    /// `tflops`.
    Tflops,
}

impl BudgetKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Latency, Self::Tflops];

    fn label(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Tflops => "tflops",
        }
    }
}

/// Every series of `/metrics`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    in_flight: IntGauge,
    refusals: IntCounterVec,
    warnings: IntCounterVec,
    plans: IntCounterVec,
    budgets: IntCounterVec,
    latency_ratio: Histogram,
    images: IntCounterVec,
    steps: IntCounterVec,
    step_seconds: HistogramVec,
    queue_seconds: Histogram,
    phase_seconds: HistogramVec,
    queued_work_seconds: Gauge,
    queued_jobs: IntGauge,
    nfe: IntCounter,
    flops: Counter,
    cancelled: IntCounter,
    failures: IntCounter,
    worker_panics: IntCounter,
    model_loaded: GaugeVec,
}

impl Metrics {
    /// Registers every series; those of `models` and of the closed label sets show as zero at once.
    pub fn new<'a>(models: impl IntoIterator<Item = &'a str>) -> Self {
        let registry = Registry::new();
        let r = &registry;
        let metrics = Self {
            requests: counters(
                r,
                "requests_total",
                "HTTP requests answered.",
                &["route", "status"],
            ),
            request_seconds: histograms(
                r,
                "request_duration_seconds",
                "From the request's head to the reply's body.",
                &["route"],
                REQUEST_SECONDS,
            ),
            in_flight: gauge_int(r, "requests_in_flight", "HTTP requests being answered."),
            refusals: counters(
                r,
                "refusals_total",
                "Requests refused, by error code.",
                &["code"],
            ),
            warnings: counters(
                r,
                "warnings_total",
                "Warnings in replies, by code.",
                &["code"],
            ),
            plans: counters(r, "plans_total", "Plans chosen.", &["model", "sampler"]),
            budgets: counters(
                r,
                "budgets_total",
                "Granted limits, met (attained) or not (missed).",
                &["kind", "result"],
            ),
            latency_ratio: histogram(
                r,
                "latency_ratio",
                "Actual latency over predicted p50 latency, queue left out.",
                RATIO,
            ),
            images: counters(r, "images_total", "Pictures made.", &["model"]),
            steps: counters(r, "steps_total", "Sampling steps run.", &["model"]),
            step_seconds: histograms(
                r,
                "step_duration_seconds",
                "One sampling step of all pictures of a job.",
                &["model"],
                PHASE_SECONDS,
            ),
            queue_seconds: histogram(
                r,
                "queue_seconds",
                "Waiting for the device.",
                REQUEST_SECONDS,
            ),
            phase_seconds: histograms(
                r,
                "phase_duration_seconds",
                "Parts of a job.",
                &["phase"],
                PHASE_SECONDS,
            ),
            queued_work_seconds: gauge(
                r,
                "queued_work_seconds",
                "Predicted work admitted and not yet done.",
            ),
            queued_jobs: gauge_int(r, "queued_jobs", "Jobs admitted and not yet done."),
            nfe: counter_int(r, "nfe_total", "Network evaluations run."),
            flops: counter(r, "flops_total", "Floating-point operations run."),
            cancelled: counter_int(
                r,
                "jobs_cancelled_total",
                "Jobs stopped because nobody waits for them any more.",
            ),
            failures: counter_int(r, "jobs_failed_total", "Jobs that the engine failed."),
            worker_panics: counter_int(r, "worker_panics_total", "Faults that a worker survived."),
            model_loaded: gauges(
                r,
                "model_loaded",
                "1 once the model's weights are loaded.",
                &["model"],
            ),
            registry: registry.clone(),
        };
        let build = gauges(
            r,
            "build_info",
            "1, with the version as a label.",
            &["version"],
        );
        build
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1.0);
        metrics.show_zeros(models);
        metrics
    }

    fn show_zeros<'a>(&self, models: impl IntoIterator<Item = &'a str>) {
        for model in models {
            self.images.with_label_values(&[model]);
            self.steps.with_label_values(&[model]);
            self.step_seconds.with_label_values(&[model]);
            self.model_loaded.with_label_values(&[model]);
        }
        for phase in Phase::ALL {
            self.phase_seconds.with_label_values(&[phase.label()]);
        }
        for kind in BudgetKind::ALL {
            for result in ["attained", "missed"] {
                self.budgets.with_label_values(&[kind.label(), result]);
            }
        }
    }

    /// Makes the series of these error codes and warning codes show as zero from the start.
    pub fn declare_codes(&self, refusals: &[&'static str], warnings: &[&'static str]) {
        for code in refusals {
            self.refusals.with_label_values(&[code]);
        }
        for code in warnings {
            self.warnings.with_label_values(&[code]);
        }
    }

    /// Returns the text exposition of all series.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .expect("every series has a name and writing to memory cannot fail");
        String::from_utf8(text).expect("the text exposition is UTF-8")
    }

    // === what api reports ===

    /// A request was answered; `route` is the pattern, never the path that was asked for.
    pub fn answered(&self, route: &'static str, status: u16, took: Duration) {
        self.requests
            .with_label_values(&[route, &status.to_string()])
            .inc();
        self.request_seconds
            .with_label_values(&[route])
            .observe(took.as_secs_f64());
    }

    /// Counts a request as being answered until the guard is dropped.
    pub fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// A request was refused with this error code.
    pub fn refused(&self, code: &'static str) {
        self.refusals.with_label_values(&[code]).inc();
    }

    /// A reply carries a warning of this code.
    pub fn warned(&self, code: &'static str) {
        self.warnings.with_label_values(&[code]).inc();
    }

    /// A plan was chosen for a request that will run.
    pub fn planned(&self, model: &str, sampler: &'static str) {
        self.plans.with_label_values(&[model, sampler]).inc();
    }

    /// A granted limit was met or missed.
    pub fn budget(&self, kind: BudgetKind, attained: bool) {
        let result = if attained { "attained" } else { "missed" };
        self.budgets
            .with_label_values(&[kind.label(), result])
            .inc();
    }

    /// A request took this much of its predicted p50 latency, queue left out on both sides.
    pub fn latency_ratio(&self, ratio: f64) {
        self.latency_ratio.observe(ratio);
    }

    // === what runtime reports ===

    /// A job waited this long for the device.
    pub fn queued_for(&self, waited: Millis) {
        self.queue_seconds.observe(seconds(waited));
    }

    /// A job spent this long in a phase.
    pub fn phase(&self, phase: Phase, took: Millis) {
        self.phase_seconds
            .with_label_values(&[phase.label()])
            .observe(seconds(took));
    }

    /// One sampling step of a job ran.
    pub fn stepped(&self, model: &str, took: Millis) {
        self.steps.with_label_values(&[model]).inc();
        self.step_seconds
            .with_label_values(&[model])
            .observe(seconds(took));
    }

    /// A job's pictures were made.
    pub fn drawn(&self, model: &str, n_images: usize, nfe: Nfe, flops: Flops) {
        self.images
            .with_label_values(&[model])
            .inc_by(n_images as u64);
        self.nfe.inc_by(u64::from(nfe));
        self.flops.inc_by(flops.0);
    }

    /// What is admitted and not yet done.
    pub fn backlog(&self, n_jobs: usize, work: Millis) {
        self.queued_jobs.set(n_jobs as i64);
        self.queued_work_seconds.set(seconds(work));
    }

    /// A job stopped because nobody waits for it any more.
    pub fn cancelled(&self) {
        self.cancelled.inc();
    }

    /// The engine failed a job.
    pub fn failed(&self) {
        self.failures.inc();
    }

    /// A worker survived a fault in the program.
    pub fn worker_panicked(&self) {
        self.worker_panics.inc();
    }

    /// The model's weights are loaded.
    pub fn model_loaded(&self, model: &str) {
        self.model_loaded.with_label_values(&[model]).set(1.0);
    }
}

/// Counts one request as being answered until it is dropped.
#[derive(Debug)]
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn seconds(millis: Millis) -> f64 {
    millis.0 / 1e3
}

// === registration: every name and help text is a constant, so none of this can fail ===

const VALID: &str = "names are valid and unique";

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("goldilocks")
}

fn histogram_opts(name: &str, help: &str, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec())
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: prometheus::Result<C>,
) -> C {
    let collector = collector.expect(VALID);
    registry.register(Box::new(collector.clone())).expect(VALID);
    collector
}

fn counter(registry: &Registry, name: &str, help: &str) -> Counter {
    register(registry, Counter::with_opts(opts(name, help)))
}

fn counter_int(registry: &Registry, name: &str, help: &str) -> IntCounter {
    register(registry, IntCounter::with_opts(opts(name, help)))
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(registry, IntCounterVec::new(opts(name, help), labels))
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Gauge {
    register(registry, Gauge::with_opts(opts(name, help)))
}

fn gauge_int(registry: &Registry, name: &str, help: &str) -> IntGauge {
    register(registry, IntGauge::with_opts(opts(name, help)))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    register(registry, GaugeVec::new(opts(name, help), labels))
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Histogram {
    register(
        registry,
        Histogram::with_opts(histogram_opts(name, help, buckets)),
    )
}

fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> HistogramVec {
    register(
        registry,
        HistogramVec::new(histogram_opts(name, help, buckets), labels),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_there_before_anything_happened() {
        let text = Metrics::new(["emoji-c8"]).text();
        for line in [
            "goldilocks_images_total{model=\"emoji-c8\"} 0",
            "goldilocks_model_loaded{model=\"emoji-c8\"} 0",
            "goldilocks_budgets_total{kind=\"latency\",result=\"missed\"} 0",
            "goldilocks_phase_duration_seconds_count{phase=\"decode\"} 0",
            "goldilocks_queued_work_seconds 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_reply_counts_under_its_route_and_status() {
        let metrics = Metrics::new([]);
        metrics.answered("/v1/models", 200, Duration::from_millis(30));
        let text = metrics.text();
        assert!(text.contains("goldilocks_requests_total{route=\"/v1/models\",status=\"200\"} 1"));
        let bucket = "goldilocks_request_duration_seconds_bucket{route=\"/v1/models\",le=";
        assert!(text.contains(&format!("{bucket}\"0.025\"}} 0")));
        assert!(text.contains(&format!("{bucket}\"0.05\"}} 1")));
    }

    #[test]
    fn requests_in_flight_are_counted_until_the_guard_is_dropped() {
        let metrics = Metrics::new([]);
        let guard = metrics.in_flight();
        assert!(metrics.text().contains("goldilocks_requests_in_flight 1"));
        drop(guard);
        assert!(metrics.text().contains("goldilocks_requests_in_flight 0"));
    }

    #[test]
    fn counters_end_in_total_and_times_are_in_seconds() {
        let metrics = Metrics::new(["m"]);
        metrics.declare_codes(&["overloaded"], &["unknown_words"]);
        for line in metrics
            .text()
            .lines()
            .filter(|line| line.starts_with("# TYPE"))
        {
            let mut words = line.split(' ').skip(2);
            let (name, kind) = (words.next().unwrap(), words.next().unwrap());
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(
                !name.ends_with("_ms") && !name.ends_with("_millis"),
                "{line}"
            );
        }
    }
}
