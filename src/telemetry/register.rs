//! How is a series made? Every name and help text is a constant, so none of it can fail.

use prometheus::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter,
    IntCounterVec, IntGauge, Opts, Registry, core::Collector,
};

/// Makes series and registers them.
#[derive(Clone, Copy)]
pub(super) struct Register<'a>(pub(super) &'a Registry);

const VALID: &str = "names are valid and unique";

impl Register<'_> {
    pub(super) fn counter(self, name: &str, help: &str) -> Counter {
        self.add(Counter::with_opts(opts(name, help)))
    }

    pub(super) fn counter_int(self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::with_opts(opts(name, help)))
    }

    /// Counters of what comes in fractions, such as seconds.
    pub(super) fn counters_float(self, name: &str, help: &str, labels: &[&str]) -> CounterVec {
        self.add(CounterVec::new(opts(name, help), labels))
    }

    pub(super) fn counters(self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(opts(name, help), labels))
    }

    pub(super) fn gauge(self, name: &str, help: &str) -> Gauge {
        self.add(Gauge::with_opts(opts(name, help)))
    }

    pub(super) fn gauge_int(self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::with_opts(opts(name, help)))
    }

    pub(super) fn gauges(self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.add(GaugeVec::new(opts(name, help), labels))
    }

    pub(super) fn histogram(self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.add(Histogram::with_opts(buckets_of(name, help, buckets)))
    }

    pub(super) fn histograms(
        self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> HistogramVec {
        self.add(HistogramVec::new(buckets_of(name, help, buckets), labels))
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

fn buckets_of(name: &str, help: &str, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec())
}
