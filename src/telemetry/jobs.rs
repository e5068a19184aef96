//! What was admitted, what became of it, and what is still to be done?

use std::time::Duration;

use prometheus::{Gauge, GaugeVec, Histogram, HistogramVec, IntCounterVec, IntGauge};

use super::{
    Metrics,
    labels::{Admission, JobEnd, JobState, KeptJob, Phase},
    register::Register,
    requests::REQUEST_SECONDS,
    seconds,
    work::PHASE_SECONDS,
};
use crate::units::{Flops, Millis};

#[derive(Debug)]
pub(super) struct JobSeries {
    admissions: IntCounterVec,
    ended: IntCounterVec,
    now: GaugeVec,
    kept: GaugeVec,
    queue_seconds: Histogram,
    phase_seconds: HistogramVec,
    queued_work_seconds: Gauge,
    queued_flops: Gauge,
    ready: IntGauge,
    silent_seconds: Gauge,
    workers_lost: IntGauge,
}

impl JobSeries {
    pub(super) fn new(register: Register<'_>) -> Self {
        let admissions = "Jobs admitted, and those that the load alone kept out.";
        let ended = "Admitted jobs, by how they ended.";
        let now = "Jobs admitted and not yet done.";
        let kept = "Asynchronous jobs that can be asked after.";
        let queue = "From a request's head to the first work on the device.";
        let phase = "Parts of a job; an evaluation that jobs share counts for each of them.";
        let queued_work = "Predicted work admitted and not yet done.";
        let queued_flops = "Operations of the plans admitted that have not run yet.";
        let ready = "1 while requests for pictures are taken.";
        let silent = "The longest that a busy worker has gone without a step.";
        let lost = "Workers whose thread ended before it was told to.";
        Self {
            admissions: register.counters("admissions_total", admissions, &["result"]),
            ended: register.counters("jobs_total", ended, &["outcome"]),
            now: register.gauges("queued_jobs", now, &["state"]),
            kept: register.gauges("kept_jobs", kept, &["status"]),
            queue_seconds: register.histogram("queue_duration_seconds", queue, REQUEST_SECONDS),
            phase_seconds: register.histograms(
                "phase_duration_seconds",
                phase,
                &["phase"],
                PHASE_SECONDS,
            ),
            queued_work_seconds: register.gauge("queued_work_seconds", queued_work),
            queued_flops: register.gauge("queued_flops", queued_flops),
            ready: register.gauge_int("ready", ready),
            silent_seconds: register.gauge("worker_silent_seconds", silent),
            workers_lost: register.gauge_int("workers_lost", lost),
        }
    }

    /// Shows the closed label sets.
    pub(super) fn show_zeros(&self) {
        for admission in Admission::ALL {
            self.admissions.with_label_values(&[admission.label()]);
        }
        for end in JobEnd::ALL {
            self.ended.with_label_values(&[end.label()]);
        }
        for state in JobState::ALL {
            self.now.with_label_values(&[state.label()]);
        }
        for kept in KeptJob::ALL {
            self.kept.with_label_values(&[kept.label()]);
        }
        for phase in Phase::ALL {
            self.phase_seconds.with_label_values(&[phase.label()]);
        }
    }
}

impl Metrics {
    /// A job was admitted, or the load kept it out.
    pub fn admission(&self, admission: Admission) {
        self.jobs
            .admissions
            .with_label_values(&[admission.label()])
            .inc();
    }

    /// An admitted job ended so.
    pub fn job_ended(&self, end: JobEnd) {
        self.jobs_ended(end, 1);
    }

    /// So many admitted jobs ended so.
    pub fn jobs_ended(&self, end: JobEnd, n_jobs: usize) {
        self.jobs
            .ended
            .with_label_values(&[end.label()])
            .inc_by(n_jobs as u64);
    }

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

    // === gauges ===

    /// So many admitted jobs are so far.
    pub fn jobs_now(&self, state: JobState, n_jobs: usize) {
        self.jobs
            .now
            .with_label_values(&[state.label()])
            .set(n_jobs as f64);
    }

    /// What is admitted and not yet done.
    pub fn queued(&self, work: Millis, flops: Flops) {
        self.jobs.queued_work_seconds.set(seconds(work));
        self.jobs.queued_flops.set(flops.0);
    }

    /// So many asynchronous jobs are kept.
    pub fn kept_jobs(&self, status: KeptJob, n_jobs: usize) {
        self.jobs
            .kept
            .with_label_values(&[status.label()])
            .set(n_jobs as f64);
    }

    /// Whether requests are taken, and whether the workers move.
    pub fn state(&self, is_ready: bool, silent_for: Duration, workers_lost: usize) {
        self.jobs.ready.set(i64::from(is_ready));
        self.jobs.silent_seconds.set(silent_for.as_secs_f64());
        self.jobs.workers_lost.set(workers_lost as i64);
    }
}
