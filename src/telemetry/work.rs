//! What did the devices do, and what was it good for?

use prometheus::{
    Counter, CounterVec, GaugeVec, HistogramVec, IntCounter, IntCounterVec, IntGauge,
};

use super::{
    Metrics,
    labels::{TimedAgain, Wasted},
    register::Register,
    seconds,
};
use crate::units::{Flops, Memory, Millis, Nfe};

/// Seconds of parts of a request: under a millisecond for a small U-Net's step, many for a large one's.
pub(super) const PHASE_SECONDS: &[f64] = &[
    0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0,
];
/// Pictures that share an evaluation.
const PICTURES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

#[derive(Debug)]
pub(super) struct WorkSeries {
    images: IntCounterVec,
    degraded: IntCounter,
    steps: IntCounterVec,
    nfe: IntCounterVec,
    wasted: IntCounterVec,
    flops: Counter,
    evaluation_seconds: HistogramVec,
    batch_pictures: HistogramVec,
    batch_capacity: IntGauge,
    busy_seconds: CounterVec,
    timed_again: IntCounterVec,
    panics: IntCounter,
    model_loaded: GaugeVec,
    memory: GaugeVec,
}

impl WorkSeries {
    pub(super) fn new(register: Register<'_>) -> Self {
        let degraded = "Pictures that took fewer steps than planned, to be in time.";
        let steps = "Sampling steps that pictures took.";
        let nfe = "Network evaluations (NFE), the rows of all evaluations together: a guided step of a picture counts as two.";
        let wasted =
            "Network evaluations (NFE) for jobs that came to nothing, of those in nfe_total.";
        let evaluation = "One evaluation, whatever the pictures that share it.";
        let batch = "Pictures that share an evaluation.";
        let capacity = "Most rows that may share an evaluation; a guided picture has two.";
        let busy = "Time that a device spent on pieces of work.";
        let timed_again = "Times that an idle device was timed again, since a request had been refused for its speed, by how that ended.";
        let panics = "Faults of the program that a worker survived.";
        let loaded = "1 once the model's weights are loaded.";
        let memory = "What the networks hold in memory between jobs, by what it is for.";
        Self {
            images: register.counters("images_total", "Pictures made.", &["model"]),
            degraded: register.counter_int("images_degraded_total", degraded),
            steps: register.counters("steps_total", steps, &["model"]),
            nfe: register.counters("nfe_total", nfe, &["model"]),
            wasted: register.counters("wasted_nfe_total", wasted, &["reason"]),
            flops: register.counter("flops_total", "Floating-point operations run."),
            evaluation_seconds: register.histograms(
                "evaluation_duration_seconds",
                evaluation,
                &["model"],
                PHASE_SECONDS,
            ),
            batch_pictures: register.histograms("batch_pictures", batch, &["model"], PICTURES),
            batch_capacity: register.gauge_int("batch_capacity_rows", capacity),
            busy_seconds: register.counters_float("device_busy_seconds_total", busy, &["device"]),
            timed_again: register.counters("timed_again_total", timed_again, &["result"]),
            panics: register.counter_int("worker_panics_total", panics),
            model_loaded: register.gauges("model_loaded", loaded, &["model"]),
            memory: register.gauges("engine_memory_bytes", memory, &["part"]),
        }
    }

    /// Shows the closed label sets.
    pub(super) fn show_zeros<'a>(&self, models: impl IntoIterator<Item = &'a str>) {
        for model in models {
            for counters in [&self.images, &self.steps, &self.nfe] {
                counters.with_label_values(&[model]);
            }
            self.evaluation_seconds.with_label_values(&[model]);
            self.batch_pictures.with_label_values(&[model]);
            self.model_loaded.with_label_values(&[model]);
        }
        for why in Wasted::ALL {
            self.wasted.with_label_values(&[why.label()]);
        }
        for end in TimedAgain::ALL {
            self.timed_again.with_label_values(&[end.label()]);
        }
        for (part, _) in Memory::default().parts() {
            self.memory.with_label_values(&[part]);
        }
    }
}

impl Metrics {
    /// So many devices work here, on so many rows at once.
    pub fn declare_devices(&self, n_devices: usize, most_rows: Nfe) {
        for device_idx in 0..n_devices {
            self.busy(device_idx, Millis::ZERO);
        }
        self.work.batch_capacity.set(i64::from(most_rows));
    }

    /// A device spent this long on a piece of work.
    pub fn busy(&self, device_idx: usize, took: Millis) {
        self.work
            .busy_seconds
            .with_label_values(&[&device_idx.to_string()])
            .inc_by(seconds(took));
    }

    /// So many pictures took a sampling step together, in one evaluation.
    pub fn stepped(&self, model: &str, took: Millis, n_pictures: usize, nfe: Nfe) {
        let work = &self.work;
        work.steps
            .with_label_values(&[model])
            .inc_by(n_pictures as u64);
        work.nfe.with_label_values(&[model]).inc_by(u64::from(nfe));
        work.batch_pictures
            .with_label_values(&[model])
            .observe(n_pictures as f64);
        work.evaluation_seconds
            .with_label_values(&[model])
            .observe(seconds(took));
    }

    /// Operations ran.
    pub fn computed(&self, flops: Flops) {
        self.work.flops.inc_by(flops.0);
    }

    /// Network evaluations ran for jobs that came to nothing.
    pub fn wasted(&self, why: Wasted, nfe: Nfe) {
        self.work
            .wasted
            .with_label_values(&[why.label()])
            .inc_by(u64::from(nfe));
    }

    /// A job's pictures were made, and so many of them were cut short to be in time.
    pub fn drawn(&self, model: &str, n_images: usize, n_degraded: usize) {
        self.work
            .images
            .with_label_values(&[model])
            .inc_by(n_images as u64);
        self.work.degraded.inc_by(n_degraded as u64);
    }

    /// An idle device was timed again.
    pub fn timed_again(&self, end: TimedAgain) {
        self.work
            .timed_again
            .with_label_values(&[end.label()])
            .inc();
    }

    /// A worker survived a fault in the program.
    pub fn worker_panicked(&self) {
        self.work.panics.inc();
    }

    /// The model's weights are loaded.
    pub fn model_loaded(&self, model: &str) {
        self.work.model_loaded.with_label_values(&[model]).set(1.0);
    }

    /// What one worker holds in memory is no longer `before` but `now`; all workers add up.
    pub fn engine_memory(&self, before: Memory, now: Memory) {
        for ((part, before), (_, now)) in before.parts().into_iter().zip(now.parts()) {
            let gauge = self.work.memory.with_label_values(&[part]);
            gauge.add(now as f64 - before as f64);
        }
    }
}
