//! What did clients ask, and what were they told?

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, IntGauge};

use super::{Metrics, register::Register};

/// Seconds around the budgets that people grant, the bounds of the latency classes among them.
pub(super) const REQUEST_SECONDS: &[f64] = &[
    0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 30.0, 60.0,
];

#[derive(Debug)]
pub(super) struct RequestSeries {
    answered: IntCounterVec,
    seconds: HistogramVec,
    in_flight: IntGauge,
    refusals: IntCounterVec,
    warnings: IntCounterVec,
}

impl RequestSeries {
    pub(super) fn new(register: Register<'_>) -> Self {
        let answered = "HTTP requests answered.";
        let seconds =
            "From a request's head to the head of its reply, which of a stream is its beginning.";
        let in_flight = "HTTP requests being answered.";
        let refusals = "HTTP requests answered with an error, by its code.";
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

impl Metrics {
    /// Makes the series of these routes show as zero from the start.
    pub fn declare_routes(&self, routes: &[&'static str]) {
        for route in routes {
            self.requests.answered.with_label_values(&[route, "200"]);
            self.requests.seconds.with_label_values(&[route]);
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
}

/// Counts one request as being answered until it is dropped.
#[derive(Debug)]
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
