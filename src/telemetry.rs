//! What does the operator see? One typed struct over one Prometheus registry, the clock and the log.
//!
//! Call sites say what happened (`metrics.refused("overloaded")`), never the name of a series. Each file below
//! has the series that answer its question, and the methods that feed them. Names are `goldilocks_*` in base units,
//! counters end in `_total`, and label sets are closed ([`labels`]): what can be known at the start shows as
//! zero from the start, so that the first of a kind is a change that a rate sees.

use prometheus::{Encoder, Registry, TextEncoder};

use crate::units::Millis;

pub mod clock;
mod jobs;
pub mod labels;
pub mod logging;
mod promises;
mod register;
mod requests;
mod work;

pub use clock::{Clock, ManualClock, SystemClock};
pub use labels::{
    Admission, Basis, BudgetEnd, BudgetKind, JobEnd, JobState, KeptJob, LatencyClass, Percentile,
    Phase, PlanChange, TimedAgain, Wasted,
};
pub use requests::InFlight;

use jobs::JobSeries;
use promises::PromiseSeries;
use register::Register;
use requests::RequestSeries;
use work::WorkSeries;

/// Every series of `/metrics`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: RequestSeries,
    promises: PromiseSeries,
    jobs: JobSeries,
    work: WorkSeries,
}

impl Metrics {
    /// Registers every series; those of `models` and of the closed label sets show as zero at once.
    pub fn new<'a>(models: impl IntoIterator<Item = &'a str>) -> Self {
        let registry = Registry::new();
        let register = Register(&registry);
        let metrics = Self {
            requests: RequestSeries::new(register),
            promises: PromiseSeries::new(register),
            jobs: JobSeries::new(register),
            work: WorkSeries::new(register),
            registry: registry.clone(),
        };
        let version = &["version"];
        let build = register.gauges("build_info", "1, with the version as a label.", version);
        build
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1.0);
        metrics.promises.show_zeros();
        metrics.jobs.show_zeros();
        metrics.work.show_zeros(models);
        metrics
    }

    /// Returns the text exposition of all series.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .expect("every series has a name and writing to memory cannot fail");
        String::from_utf8(text).expect("the text exposition is UTF-8")
    }
}

fn seconds(millis: Millis) -> f64 {
    millis.0 / 1e3
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::units::Memory;

    #[test]
    fn every_series_is_there_before_anything_happened() {
        let metrics = Metrics::new(["emoji-c8"]);
        metrics.declare_plans("emoji-c8", ["ddim"]);
        metrics.declare_objectives(["balanced"]);
        metrics.declare_routes(&["/v1/plan"]);
        metrics.declare_devices(1, 64);
        let text = metrics.text();
        for line in [
            "goldilocks_images_total{model=\"emoji-c8\"} 0",
            "goldilocks_model_loaded{model=\"emoji-c8\"} 0",
            "goldilocks_budgets_total{class=\"0.1s\",kind=\"latency\",result=\"missed\"} 0",
            "goldilocks_budgets_total{class=\"none\",kind=\"tflops\",result=\"infeasible\"} 0",
            "goldilocks_latency_predictions_total{basis=\"work\",percentile=\"p95\",result=\"held\"} 0",
            "goldilocks_plans_total{model=\"emoji-c8\",sampler=\"ddim\",steps=\"3-4\"} 0",
            "goldilocks_plan_changes_total{at=\"step\",change=\"larger\"} 0",
            "goldilocks_predicted_score_count{objective=\"balanced\"} 0",
            "goldilocks_phase_duration_seconds_count{phase=\"decode\"} 0",
            "goldilocks_request_duration_seconds_count{route=\"/v1/plan\"} 0",
            "goldilocks_admissions_total{result=\"no_room\"} 0",
            "goldilocks_jobs_total{outcome=\"cancelled\"} 0",
            "goldilocks_queued_jobs{state=\"waiting\"} 0",
            "goldilocks_kept_jobs{status=\"succeeded\"} 0",
            "goldilocks_queued_work_seconds 0",
            "goldilocks_queued_flops 0",
            "goldilocks_ready 0",
            "goldilocks_menu_rebuilds_total 0",
            "goldilocks_device_busy_seconds_total{device=\"0\"} 0",
            "goldilocks_batch_capacity_rows 64",
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
        assert!(text.contains(&format!("{bucket}\"0.02\"}} 0")));
        assert!(text.contains(&format!("{bucket}\"0.035\"}} 1")));
    }

    #[test]
    fn a_limit_counts_by_what_became_of_it_and_by_how_hurried_the_request_was() {
        let metrics = Metrics::new([]);
        let class = LatencyClass::of(Some(Millis(80.0)));
        metrics.budget(BudgetKind::Latency, class, BudgetEnd::Attained);
        metrics.budget(BudgetKind::Latency, class, BudgetEnd::Refused);
        let text = metrics.text();
        for result in ["attained", "refused"] {
            let labels = format!("class=\"0.1s\",kind=\"latency\",result=\"{result}\"");
            let line = format!("goldilocks_budgets_total{{{labels}}} 1");
            assert!(text.contains(&line), "{line} is not in\n{text}");
        }
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
