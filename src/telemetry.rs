//! What does the operator see? One typed struct over one Prometheus registry, the clock and the log.
//!
//! Call sites say what happened (`metrics.refused("overloaded")`), never the name of a series. Label
//! sets are closed: routes, codes and phases are `&'static str`, models are those of the catalog.

use std::time::Duration;

use prometheus::{Encoder, IntGauge, Registry, TextEncoder};

use crate::units::{Flops, Memory, Millis, Nfe};

pub mod clock;
pub mod logging;
mod series;

pub use clock::{Clock, ManualClock, SystemClock};

use series::{JobSeries, PlanSeries, Register, RequestSeries};

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

/// Why work was for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wasted {
    /// Nobody wanted it any more.
    Cancelled,
    /// It failed.
    Failed,
    /// It could not be in time any more.
    Late,
}

impl Wasted {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Cancelled, Self::Failed, Self::Late];

    fn label(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Late => "late",
        }
    }
}

/// Every series of `/metrics`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: RequestSeries,
    plans: PlanSeries,
    jobs: JobSeries,
}

impl Metrics {
    /// Registers every series; those of `models` and of the closed label sets show as zero at once.
    pub fn new<'a>(models: impl IntoIterator<Item = &'a str>) -> Self {
        let registry = Registry::new();
        let register = Register(&registry);
        let metrics = Self {
            requests: RequestSeries::new(register),
            plans: PlanSeries::new(register),
            jobs: JobSeries::new(register),
            registry: registry.clone(),
        };
        let version = &["version"];
        let build = register.gauges("build_info", "1, with the version as a label.", version);
        build
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1.0);
        metrics.show_zeros(models);
        metrics
    }

    fn show_zeros<'a>(&self, models: impl IntoIterator<Item = &'a str>) {
        for model in models {
            self.jobs.images.with_label_values(&[model]);
            self.jobs.steps.with_label_values(&[model]);
            self.jobs.step_seconds.with_label_values(&[model]);
            self.jobs.batch_pictures.with_label_values(&[model]);
            self.jobs.model_loaded.with_label_values(&[model]);
        }
        self.engine_memory(Memory::default(), Memory::default());
        for why in Wasted::ALL {
            self.jobs.wasted.with_label_values(&[why.label()]);
        }
        for phase in Phase::ALL {
            self.jobs.phase_seconds.with_label_values(&[phase.label()]);
        }
        for kind in BudgetKind::ALL {
            for result in ["attained", "missed"] {
                self.plans
                    .budgets
                    .with_label_values(&[kind.label(), result]);
            }
        }
    }

    /// Makes the series of these error codes and warning codes show as zero from the start.
    pub fn declare_codes(&self, refusals: &[&'static str], warnings: &[&'static str]) {
        for code in refusals {
            self.requests.refusals.with_label_values(&[code]);
        }
        for code in warnings {
            self.requests.warnings.with_label_values(&[code]);
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
            .answered
            .with_label_values(&[route, &status.to_string()])
            .inc();
        self.requests
            .seconds
            .with_label_values(&[route])
            .observe(took.as_secs_f64());
    }

    /// Counts a request as being answered until the guard is dropped.
    pub fn in_flight(&self) -> InFlight {
        self.requests.in_flight.inc();
        InFlight(self.requests.in_flight.clone())
    }

    /// A request was refused with this error code.
    pub fn refused(&self, code: &'static str) {
        self.requests.refusals.with_label_values(&[code]).inc();
    }

    /// A reply carries a warning of this code.
    pub fn warned(&self, code: &'static str) {
        self.requests.warnings.with_label_values(&[code]).inc();
    }

    /// A plan was chosen for a request that will run.
    pub fn planned(&self, model: &str, sampler: &'static str) {
        self.plans.chosen.with_label_values(&[model, sampler]).inc();
    }

    /// A granted limit was met or missed.
    pub fn budget(&self, kind: BudgetKind, attained: bool) {
        let result = if attained { "attained" } else { "missed" };
        self.plans
            .budgets
            .with_label_values(&[kind.label(), result])
            .inc();
    }

    /// A request took this much of its predicted p50 latency, queue left out on both sides.
    pub fn latency_ratio(&self, ratio: f64) {
        self.plans.latency_ratio.observe(ratio);
    }

    /// The planner's menus were made anew, since the machine's times had moved.
    pub fn menus_rebuilt(&self) {
        self.plans.rebuilds.inc();
    }

    // === what runtime reports ===

    /// A job waited this long for the device.
    pub fn queued_for(&self, waited: Millis) {
        self.jobs.queue_seconds.observe(seconds(waited));
    }

    /// A job spent this long in a phase.
    pub fn phase(&self, phase: Phase, took: Millis) {
        self.jobs
            .phase_seconds
            .with_label_values(&[phase.label()])
            .observe(seconds(took));
    }

    /// So many pictures took a sampling step together.
    pub fn stepped(&self, model: &str, took: Millis, n_pictures: usize) {
        self.jobs
            .steps
            .with_label_values(&[model])
            .inc_by(n_pictures as u64);
        self.jobs
            .batch_pictures
            .with_label_values(&[model])
            .observe(n_pictures as f64);
        self.jobs
            .step_seconds
            .with_label_values(&[model])
            .observe(seconds(took));
    }

    /// A job's pictures were made.
    pub fn drawn(&self, model: &str, n_images: usize, nfe: Nfe, flops: Flops) {
        self.jobs
            .images
            .with_label_values(&[model])
            .inc_by(n_images as u64);
        self.jobs.nfe.inc_by(u64::from(nfe));
        self.jobs.flops.inc_by(flops.0);
    }

    /// What is admitted and not yet done.
    pub fn backlog(&self, n_jobs: usize, work: Millis) {
        self.jobs.queued_jobs.set(n_jobs as i64);
        self.jobs.queued_work_seconds.set(seconds(work));
    }

    /// A job stopped because nobody waits for it any more.
    pub fn cancelled(&self) {
        self.jobs.cancelled.inc();
    }

    /// Evaluations ran for jobs that came to nothing.
    pub fn wasted(&self, why: Wasted, evaluations: usize) {
        self.jobs
            .wasted
            .with_label_values(&[why.label()])
            .inc_by(evaluations as u64);
    }

    /// A picture took fewer steps than planned, to be in time.
    pub fn degraded(&self) {
        self.jobs.degraded.inc();
    }

    /// An admitted job was refused, since it could not be in time any more.
    pub fn rejected_late(&self) {
        self.jobs.rejected_late.inc();
    }

    /// The engine failed a job.
    pub fn failed(&self) {
        self.jobs.failures.inc();
    }

    /// A worker survived a fault in the program.
    pub fn worker_panicked(&self) {
        self.jobs.worker_panics.inc();
    }

    /// The model's weights are loaded.
    pub fn model_loaded(&self, model: &str) {
        self.jobs.model_loaded.with_label_values(&[model]).set(1.0);
    }

    /// What one worker holds in memory is no longer `before` but `now`; all workers add up.
    pub fn engine_memory(&self, before: Memory, now: Memory) {
        for ((part, before), (_, now)) in before.parts().into_iter().zip(now.parts()) {
            let gauge = self.jobs.engine_memory.with_label_values(&[part]);
            gauge.add(now as f64 - before as f64);
        }
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
            "goldilocks_menu_rebuilds_total 0",
            "goldilocks_engine_memory_bytes{part=\"texts\"} 0",
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
    fn the_memory_of_all_workers_adds_up_and_may_shrink() {
        let metrics = Metrics::new([]);
        let arena = |arena| Memory {
            arena,
            ..Memory::default()
        };
        metrics.engine_memory(Memory::default(), arena(700));
        metrics.engine_memory(Memory::default(), arena(50));
        metrics.engine_memory(arena(700), arena(200));
        let line = "goldilocks_engine_memory_bytes{part=\"arena\"} 250";
        assert!(metrics.text().contains(line), "{}", metrics.text());
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
