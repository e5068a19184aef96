//! Did requests take as long as was predicted? Coverage, median error and pinball loss of what a server saw.

use serde::{Deserialize, Serialize};

use crate::planner::Plan;

/// One line of a file of observed requests.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ObservedRequest {
    /// What was promised.
    pub predicted: Quantiles,
    /// What it took, in milliseconds.
    pub actual_ms: f64,
    /// What was run.
    pub plan: ObservedPlan,
    /// What the phase times of the start alone would have predicted.
    pub static_ms: Option<StaticQuantiles>,
    /// When it was sent, in seconds.
    pub at_s: f64,
}

/// Predicted quantiles, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half of the requests take no longer.
    pub p50: f64,
    /// 95 of 100 requests take no longer.
    pub p95: f64,
    /// 99 of 100 requests take no longer.
    pub p99: f64,
}

/// What nobody learned anything for, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct StaticQuantiles {
    /// In place of the predicted median.
    pub p50: f64,
    /// In place of the predicted 95th percentile.
    pub p95: f64,
}

/// A plan, in full or in words.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum ObservedPlan {
    /// In full.
    Full(Box<Plan>),
    /// In words.
    Words(String),
}

impl ObservedPlan {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Full(plan) => plan.to_string(),
            Self::Words(words) => words.clone(),
        }
    }
}

/// A line that is no observed request.
#[derive(Debug, thiserror::Error)]
#[error(
    "line {line} is not an observed request: {fault}; one JSON object a line is expected, with predicted, actual_ms, plan, static_ms and at_s"
)]
pub struct MalformedRequest {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: String,
}

/// Reads one request a line; empty lines are skipped. Times must be above zero.
pub fn parse(text: &str) -> Result<Vec<ObservedRequest>, MalformedRequest> {
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    let read = |(i, line): (usize, &str)| {
        let malformed = |fault: String| MalformedRequest { line: i + 1, fault };
        let request: ObservedRequest =
            serde_json::from_str(line).map_err(|e| malformed(e.to_string()))?;
        let promised = [request.predicted.p50, request.predicted.p95];
        let fixed = request.static_ms.map(|fixed| [fixed.p50, fixed.p95]);
        let mut times = promised.into_iter().chain(fixed.into_iter().flatten());
        if request.actual_ms > 0.0 && times.all(|ms| ms > 0.0) {
            Ok(request)
        } else {
            Err(malformed("a time is not above zero".into()))
        }
    };
    lines.map(read).collect()
}

/// How the predictions did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LatencyFindings {
    /// Requests observed.
    pub n: usize,
    /// Every request, in order of time.
    pub points: Vec<LatencyPoint>,
    /// Share of requests within the predicted quantiles; 0.5, 0.95 and 0.99 would be right.
    pub coverage: Quantiles,
    /// 95% interval (Wilson's) of the share within p95.
    pub coverage_p95_interval: (f64, f64),
    /// Median of |actual / p50 - 1|.
    pub median_relative_error: f64,
    /// Mean pinball losses in milliseconds.
    pub pinball: Pinball,
    /// The same over time.
    pub blocks: Vec<Block>,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LatencyPoint {
    /// What was run.
    pub plan: String,
    /// Promised.
    pub predicted: Quantiles,
    /// What it took, in milliseconds.
    pub actual_ms: f64,
    /// Seconds since the first request.
    pub at_s: f64,
}

/// Mean pinball losses in milliseconds; smaller is better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pinball {
    /// Of p50 at 0.5.
    pub p50: f64,
    /// Of p95 at 0.95.
    pub p95: f64,
    /// Of the static prediction at 0.5, over the requests that have one.
    pub static_p50: Option<f64>,
    /// Of the static prediction at 0.95.
    pub static_p95: Option<f64>,
}

/// Some requests in a row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Block {
    /// Requests in it.
    pub n: usize,
    /// Seconds from the first request of all to the middle of the block.
    pub at_s: f64,
    /// Share within p95.
    pub coverage_p95: f64,
    /// Median of |actual / p50 - 1|.
    pub median_relative_error: f64,
}

/// Pinball loss of a predicted quantile: Koenker and Bassett (1978).
pub fn pinball(level: f64, predicted: f64, actual: f64) -> f64 {
    let excess = actual - predicted;
    f64::max(level * excess, (level - 1.0) * excess)
}

/// What the requests say; none if there are none.
pub fn findings(requests: &[ObservedRequest]) -> Option<LatencyFindings> {
    let mut requests: Vec<&ObservedRequest> = requests.iter().collect();
    requests.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    let start = requests.first()?.at_s;
    let n = requests.len();
    let within = |quantile: fn(&Quantiles) -> f64| {
        share(&requests, |r| r.actual_ms <= quantile(&r.predicted))
    };
    let coverage = Quantiles {
        p50: within(|q| q.p50),
        p95: within(|q| q.p95),
        p99: within(|q| q.p99),
    };
    let loss = |level: f64, predicted: &dyn Fn(&ObservedRequest) -> Option<f64>| {
        let losses = requests
            .iter()
            .filter_map(|r| Some(pinball(level, predicted(r)?, r.actual_ms)));
        let losses: Vec<f64> = losses.collect();
        (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64)
    };
    let n_blocks = (n / 20).clamp(1, 24);
    let blocks = requests.chunks(n.div_ceil(n_blocks)).map(|chunk| Block {
        n: chunk.len(),
        at_s: chunk[chunk.len() / 2].at_s - start,
        coverage_p95: share(chunk, |r| r.actual_ms <= r.predicted.p95),
        median_relative_error: median_error(chunk),
    });
    let point = |r: &&ObservedRequest| LatencyPoint {
        plan: r.plan.words(),
        predicted: r.predicted,
        actual_ms: r.actual_ms,
        at_s: r.at_s - start,
    };
    Some(LatencyFindings {
        n,
        points: requests.iter().map(point).collect(),
        coverage,
        coverage_p95_interval: wilson(coverage.p95, n),
        median_relative_error: median_error(&requests),
        pinball: Pinball {
            p50: loss(0.5, &|r| Some(r.predicted.p50))?,
            p95: loss(0.95, &|r| Some(r.predicted.p95))?,
            static_p50: loss(0.5, &|r| Some(r.static_ms?.p50)),
            static_p95: loss(0.95, &|r| Some(r.static_ms?.p95)),
        },
        blocks: blocks.collect(),
    })
}

fn share(requests: &[&ObservedRequest], holds: impl Fn(&ObservedRequest) -> bool) -> f64 {
    requests.iter().filter(|request| holds(request)).count() as f64 / requests.len() as f64
}

fn median_error(requests: &[&ObservedRequest]) -> f64 {
    let mut errors: Vec<f64> = (requests.iter())
        .map(|r| (r.actual_ms / r.predicted.p50 - 1.0).abs())
        .collect();
    errors.sort_by(f64::total_cmp);
    f64::midpoint(errors[(errors.len() - 1) / 2], errors[errors.len() / 2])
}

/// Wilson's score interval of a share at 95%: E. B. Wilson (1927).
fn wilson(share: f64, n: usize) -> (f64, f64) {
    const Z: f64 = 1.96;
    let n = n as f64;
    let center = share + Z * Z / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    ((center - half) / scale, (center + half) / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"predicted":{"p50":10.0,"p95":20.0,"p99":30.0},"actual_ms":12.0,"plan":"a","static_ms":{"p50":9.0,"p95":13.0},"at_s":1.5}"#;

    /// As `scripts/latency_run.py` writes them.
    const RUN: &str = r#"{"predicted": {"p50": 232.3, "p95": 343.3, "p99": 343.3}, "actual_ms": 242.4, "static_ms": {"p50": 204.5, "p95": 302.5}, "plan": {"model": "emoji-c32-lcm", "stages": [], "sampler": "lcm", "steps": 4, "guidance_scale": 1.0, "guidance_interval": null, "candidates": null, "size": "128x128"}, "n": 2, "phases_ms": {"queue": 0.1, "text": 3.5, "denoise": 113.7, "decode": 118.7, "encode": 0.8}, "at_s": 0.0}
{"predicted": {"p50": 79.5, "p95": 115.3, "p99": 115.3}, "actual_ms": 77.5, "static_ms": {"p50": 69.6, "p95": 103.0}, "plan": {"model": "emoji-c32-lcm", "stages": [{"model": "emoji-c16-lcm", "share": 0.34}], "sampler": "lcm", "steps": 2, "guidance_scale": 1.0, "guidance_interval": null, "candidates": null, "size": "128x128"}, "n": 1, "phases_ms": {"queue": 0.1, "text": 4.4, "denoise": 9.3, "decode": 54.5, "encode": 0.6}, "at_s": 0.6}
"#;

    #[test]
    fn a_run_of_the_script_is_read_with_its_static_table() {
        let requests = parse(RUN).unwrap();
        let ObservedPlan::Full(stitched) = &requests[1].plan else {
            panic!("{:?}", requests[1].plan);
        };
        assert_eq!(stitched.stages.len(), 1);
        let found = findings(&requests).unwrap();
        let off = 242.4 - 204.5 + (77.5 - 69.6);
        assert!((found.pinball.static_p50.unwrap() - 0.25 * off).abs() < 1e-9);
        let early = 302.5 - 242.4 + (103.0 - 77.5);
        assert!((found.pinball.static_p95.unwrap() - 0.025 * early).abs() < 1e-9);
        assert_eq!(found.coverage.p95, 1.0);
    }

    #[test]
    fn a_bad_line_is_named_and_an_empty_one_skipped() {
        let error = parse(&format!("{LINE}\n\n{{}}\n")).unwrap_err().to_string();
        assert!(
            error.starts_with("line 3 is not an observed request"),
            "{error}"
        );
        let zero = LINE.replace("12.0", "0.0");
        assert!(parse(&zero).is_err());
        assert_eq!(parse(LINE).unwrap()[0].plan.words(), "a");
    }

    #[test]
    fn coverage_errors_and_losses_are_those_of_hand_made_numbers() {
        let actual = [8.0, 12.0, 19.0, 25.0];
        let lines = actual.map(|ms| LINE.replace("12.0", &ms.to_string()));
        let found = findings(&parse(&lines.join("\n")).unwrap()).unwrap();
        assert_eq!(
            (found.coverage.p50, found.coverage.p95, found.coverage.p99),
            (0.25, 0.75, 1.0)
        );
        assert!(
            (found.median_relative_error - 0.55).abs() < 1e-12,
            "between 0.2 and 0.9"
        );
        assert_eq!(found.pinball.p50, (1.0 + 1.0 + 4.5 + 7.5) / 4.0);
        let late = (0.05 * (12.0 + 8.0 + 1.0) + 0.95 * 5.0) / 4.0;
        assert!((found.pinball.p95 - late).abs() < 1e-12);
        assert!(found.pinball.static_p95 > Some(found.pinball.p95));
        assert_eq!(found.blocks.len(), 1);
    }

    #[test]
    fn the_interval_of_a_share_narrows_with_the_requests() {
        let (low, high) = wilson(0.95, 100);
        assert!(
            (low - 0.888).abs() < 0.002 && (high - 0.978).abs() < 0.002,
            "{low} {high}"
        );
        assert!(wilson(0.95, 10_000).0 > 0.945);
    }
}
