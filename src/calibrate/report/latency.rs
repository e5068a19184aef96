//! The section on latency: what was predicted of requests, and what they took.

use maud::html;

use super::{
    parts::{self, Section, digits, percent},
    plot::{Axis, Color, Dot, Key, Layer, Plot, Side},
    scale::Scale,
};
use crate::calibrate::findings::{
    Findings,
    requests::{Block, LatencyFindings},
};

/// Predicted against measured latency; absent without observed requests.
pub(super) fn section(findings: &Findings) -> Option<Section> {
    let latency = findings.latency.as_ref()?;
    let (low, high) = latency.coverage_p95_interval;
    let pinball = latency.pinball;
    let body = html! {
        p {
            "Of " (latency.n) " requests, " strong { (percent(latency.coverage.p95)) } " took no longer than their predicted p95 (95% interval "
            (percent(low)) " to " (percent(high)) "; 95% would be right), " (percent(latency.coverage.p50)) " no longer than p50 and "
            (percent(latency.coverage.p99)) " no longer than p99. Half of them were within " strong { (percent(latency.median_relative_error)) } " of p50."
        }
        @if let (Some(p50), Some(p95)) = (pinball.static_p50, pinball.static_p95) {
            p {
                "Pinball loss of p50 is " (digits(pinball.p50)) " ms against " (digits(p50)) " ms for the phase times of the start alone ("
                (digits(p50 / pinball.p50)) " times as much), of p95 " (digits(pinball.p95)) " ms against " (digits(p95)) " ms (" (digits(p95 / pinball.p95)) " times as much)."
            }
        }
        (parts::plot(&scatter(latency), "Each point is a request, on logarithmic axes; on the line the prediction was exact."))
        (parts::plot(&over_time(latency), "Share of requests within p95, in blocks over time, and the level it is meant to have."))
        (parts::table("Blocks over time", &["#from start, s", "#requests", "#within p95", "#median error of p50"], &rows(&latency.blocks)))
    };
    Some(Section {
        id: "latency",
        title: "Predicted and measured latency",
        body,
    })
}

fn rows(blocks: &[Block]) -> Vec<Vec<String>> {
    let row = |block: &Block| {
        vec![
            digits(block.at_s),
            block.n.to_string(),
            percent(block.coverage_p95),
            percent(block.median_relative_error),
        ]
    };
    blocks.iter().map(row).collect()
}

fn scatter(latency: &LatencyFindings) -> Plot {
    let p50s = latency.points.iter().map(|point| point.predicted.p50);
    let both = p50s
        .clone()
        .chain(latency.points.iter().map(|point| point.actual_ms));
    let scale = Scale::log(both);
    let (low, high) = scale.ends();
    let dots = |kind, color, late: bool| {
        let chosen = latency
            .points
            .iter()
            .filter(|p| (p.actual_ms > p.predicted.p95) == late);
        let dot = chosen.map(|point| Dot {
            x: point.predicted.p50,
            y: point.actual_ms,
            error: None,
            title: format!(
                "{}: {} ms, p50 {}, p95 {}",
                point.plan,
                digits(point.actual_ms),
                digits(point.predicted.p50),
                digits(point.predicted.p95)
            ),
        });
        Layer::Dots(kind, color, dot.collect())
    };
    let key = |kind, color, label: &str| Key {
        kind,
        color,
        label: label.into(),
    };
    Plot {
        id: "latency-scatter".into(),
        title: "Predicted median and measured latency".into(),
        description: format!(
            "{} requests, {} of them within p95.",
            latency.n,
            percent(latency.coverage.p95)
        ),
        x: Axis {
            label: "predicted p50, ms".into(),
            scale,
        },
        y: Axis {
            label: "measured, ms".into(),
            scale,
        },
        layers: vec![
            Layer::Line("thin", Color::of(7), vec![(low, low), (high, high)]),
            dots("dotfaint", Color::of(0), false),
            dots("dot", Color::of(4), true),
        ],
        legend: vec![
            key("dotfaint", Color::of(0), "within p95"),
            key("dot", Color::of(4), "later than p95"),
            key("thin", Color::of(7), "exact"),
        ],
        height: 380.0,
    }
}

fn over_time(latency: &LatencyFindings) -> Plot {
    let points: Vec<(f64, f64)> = latency
        .blocks
        .iter()
        .map(|block| (block.at_s, block.coverage_p95))
        .collect();
    let dot = |(x, y): &(f64, f64)| Dot {
        x: *x,
        y: *y,
        error: None,
        title: percent(*y),
    };
    let lowest = points.iter().map(|(_, share)| *share).fold(0.9, f64::min);
    Plot {
        id: "latency-time".into(),
        title: "Share of requests within p95 over time".into(),
        description: format!("{} blocks of requests.", latency.blocks.len()),
        x: Axis {
            label: "seconds since the first request".into(),
            scale: Scale::linear(points.iter().map(|(at, _)| *at)),
        },
        y: Axis {
            label: "share within p95".into(),
            scale: Scale::between(lowest - 0.05, 1.005),
        },
        layers: vec![
            Layer::Level(0.95, "0.95".into(), Side::Below),
            Layer::Line("line", Color::of(0), points.clone()),
            Layer::Dots("dot", Color::of(0), points.iter().map(dot).collect()),
        ],
        legend: Vec::new(),
        height: 200.0,
    }
}
