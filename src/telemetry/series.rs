//! What is each series called, and what does it mean? Names in base units, counters in `_total`.

use prometheus::{
    Counter, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, Opts, Registry, core::Collector,
};

/// Buckets around the budgets people grant, 10 ms to one minute.
const REQUEST_SECONDS: &[f64] = &[
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0,
];
/// Buckets for parts of a request: one millisecond for a small U-Net's step, seconds for a large one's.
const PHASE_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// Pictures that share an evaluation.
const PICTURES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
/// Buckets around 1, where the prediction was right.
const RATIO: &[f64] = &[0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.5, 2.0, 4.0];

/// What clients asked.
#[derive(Debug)]
pub(super) struct RequestSeries {
    pub(super) answered: IntCounterVec,
    pub(super) seconds: HistogramVec,
    pub(super) in_flight: IntGauge,
    pub(super) refusals: IntCounterVec,
    pub(super) warnings: IntCounterVec,
}

impl RequestSeries {
    pub(super) fn new(register: Register<'_>) -> Self {
        let answered = "HTTP requests answered.";
        let seconds = "From the request's head to the reply's body.";
        let in_flight = "HTTP requests being answered.";
        let refusals = "Requests refused, by error code.";
        let warnings = "Warnings in replies, by code.";
        Self {
            answered: register.counters("requests_total", answered, &["route", "status"]),
            seconds: register.histograms(
                "request_duration_seconds",
                seconds,
                &["route"],
                REQUEST_SECONDS,
            ),
            in_flight: register.gauge_int("requests_in_flight", in_flight),
            refusals: register.counters("refusals_total", refusals, &["code"]),
            warnings: register.counters("warnings_total", warnings, &["code"]),
        }
    }
}

/// What was chosen, and whether it kept its promise.
#[derive(Debug)]
pub(super) struct PlanSeries {
    pub(super) chosen: IntCounterVec,
    pub(super) budgets: IntCounterVec,
    pub(super) latency_ratio: Histogram,
    pub(super) rebuilds: IntCounter,
}

impl PlanSeries {
    pub(super) fn new(register: Register<'_>) -> Self {
        let budgets = "Granted limits, met (attained) or not (missed).";
        let ratio = "Actual latency over predicted p50 latency, queue left out.";
        let rebuilds =
            "Times the plans on offer were worked out anew, since the machine's times had moved.";
        Self {
            chosen: register.counters("plans_total", "Plans chosen.", &["model", "sampler"]),
            budgets: register.counters("budgets_total", budgets, &["kind", "result"]),
            latency_ratio: register.histogram("latency_ratio", ratio, RATIO),
            rebuilds: register.counter_int("menu_rebuilds_total", rebuilds),
        }
    }
}

/// What the workers did.
#[derive(Debug)]
pub(super) struct JobSeries {
    pub(super) images: IntCounterVec,
    pub(super) steps: IntCounterVec,
    pub(super) step_seconds: HistogramVec,
    pub(super) batch_pictures: HistogramVec,
    pub(super) wasted: IntCounterVec,
    pub(super) degraded: IntCounter,
    pub(super) rejected_late: IntCounter,
    pub(super) queue_seconds: Histogram,
    pub(super) phase_seconds: HistogramVec,
    pub(super) queued_work_seconds: Gauge,
    pub(super) queued_jobs: IntGauge,
    pub(super) nfe: IntCounter,
    pub(super) flops: Counter,
    pub(super) cancelled: IntCounter,
    pub(super) failures: IntCounter,
    pub(super) worker_panics: IntCounter,
    pub(super) model_loaded: GaugeVec,
    pub(super) engine_memory: GaugeVec,
}

impl JobSeries {
    pub(super) fn new(register: Register<'_>) -> Self {
        let step = "One evaluation, whatever the pictures that share it.";
        let batch = "Pictures that share an evaluation.";
        let wasted = "Evaluations for jobs that came to nothing.";
        let degraded = "Pictures that took fewer steps than planned, to be in time.";
        let rejected = "Admitted jobs refused later on, since they could not be in time any more.";
        let phase = "Parts of a job.";
        let waiting = "Waiting for the device.";
        let queued_work = "Predicted work admitted and not yet done.";
        let cancelled = "Jobs stopped because nobody waits for them any more.";
        let loaded = "1 once the model's weights are loaded.";
        let memory = "What the networks hold in memory between jobs, by what it is for.";
        Self {
            images: register.counters("images_total", "Pictures made.", &["model"]),
            steps: register.counters("steps_total", "Sampling steps run.", &["model"]),
            step_seconds: register.histograms(
                "step_duration_seconds",
                step,
                &["model"],
                PHASE_SECONDS,
            ),
            batch_pictures: register.histograms("batch_pictures", batch, &["model"], PICTURES),
            wasted: register.counters("wasted_evaluations_total", wasted, &["reason"]),
            degraded: register.counter_int("images_degraded_total", degraded),
            rejected_late: register.counter_int("jobs_rejected_late_total", rejected),
            queue_seconds: register.histogram("queue_seconds", waiting, REQUEST_SECONDS),
            phase_seconds: register.histograms(
                "phase_duration_seconds",
                phase,
                &["phase"],
                PHASE_SECONDS,
            ),
            queued_work_seconds: register.gauge("queued_work_seconds", queued_work),
            queued_jobs: register.gauge_int("queued_jobs", "Jobs admitted and not yet done."),
            nfe: register.counter_int("nfe_total", "Network evaluations run."),
            flops: register.counter("flops_total", "Floating-point operations run."),
            cancelled: register.counter_int("jobs_cancelled_total", cancelled),
            failures: register.counter_int("jobs_failed_total", "Jobs that the engine failed."),
            worker_panics: register
                .counter_int("worker_panics_total", "Faults that a worker survived."),
            model_loaded: register.gauges("model_loaded", loaded, &["model"]),
            engine_memory: register.gauges("engine_memory_bytes", memory, &["part"]),
        }
    }
}

/// Makes series and registers them. Every name and help text is a constant, so none of it can fail.
#[derive(Clone, Copy)]
pub(super) struct Register<'a>(pub(super) &'a Registry);

const VALID: &str = "names are valid and unique";

impl Register<'_> {
    fn counter(self, name: &str, help: &str) -> Counter {
        self.add(Counter::with_opts(opts(name, help)))
    }

    fn counter_int(self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::with_opts(opts(name, help)))
    }

    fn counters(self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(opts(name, help), labels))
    }

    fn gauge(self, name: &str, help: &str) -> Gauge {
        self.add(Gauge::with_opts(opts(name, help)))
    }

    fn gauge_int(self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::with_opts(opts(name, help)))
    }

    pub(super) fn gauges(self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.add(GaugeVec::new(opts(name, help), labels))
    }

    fn histogram(self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let opts = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
        self.add(Histogram::with_opts(opts))
    }

    fn histograms(self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        let opts = HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec());
        self.add(HistogramVec::new(opts, labels))
    }

    fn add<C: Collector + Clone + 'static>(self, collector: prometheus::Result<C>) -> C {
        let collector = collector.expect(VALID);
        self.0.register(Box::new(collector.clone())).expect(VALID);
        collector
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("goldilocks")
}
