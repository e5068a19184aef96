//! `goldilocks plan`: which plan would be chosen, and why did the others lose?

use std::{fmt::Write as _, path::PathBuf};

use serde::Serialize;

use super::{
    ask::{self, Wanted},
    examples, latency, numbers, out, precision,
    table::aligned,
};
use crate::{
    catalog::{Family, ModelId, SamplerKind},
    config,
    planner::{Estimate, Explanation, Load, Pins, Plan, PlanRequest, PlanToken},
    units::{ImageSize, Steps},
};

/// Explains which plan a budget would buy on an idle server, and why the others lose
///
/// Latencies are those last learned on this machine; if there are none, the models are timed first. Where no plan
/// fits, the smallest budget that works is told and the exit code is 3.
#[derive(Debug, clap::Args)]
#[command(after_help = examples::PLAN)]
pub struct Args {
    #[command(flatten)]
    wanted: Wanted,
    /// A model, a family, or auto
    #[arg(long, default_value = "auto")]
    model: String,
    /// Only this sampler
    #[arg(long)]
    sampler: Option<SamplerKind>,
    /// Only this many steps
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    steps: Option<Steps>,
    /// Only this guidance scale; 1 is unguided
    #[arg(long, allow_negative_numbers = true, value_parser = numbers::guidance)]
    guidance: Option<f64>,
    /// Size of the pictures [default: the family's first]
    #[arg(long)]
    size: Option<ImageSize>,
    /// Number of pictures
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    n: u32,
    /// Plan for a request with a negative prompt
    #[arg(long)]
    negative_prompt: bool,
    /// The hosted models
    #[arg(long, env = "GOLDILOCKS_CONFIG", default_value = "models.toml")]
    config: PathBuf,
    /// Where measured latencies are kept [default: goldilocks in the XDG state folder]
    #[arg(long, env = "GOLDILOCKS_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// The explanation for programs.
#[derive(Debug, Serialize)]
struct Answer {
    /// The plan in one word, for `generate --plan-token` and for requests.
    plan_token: String,
    #[serde(flatten)]
    explanation: Explanation,
}

/// Prints the explanation.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let catalog = precision::load(&args.config)?;
    let (family, model) = ask::target(&catalog, &args.model)?;
    let planner = ask::planner(family)?;
    let state_dir = args.state_dir.clone().or_else(config::default_state_dir);
    let latency = latency::known(&catalog, state_dir)?;
    let explanation = planner.explain(&request(args, family, model), &latency, Load::IDLE)?;
    if args.json {
        let plan_token = PlanToken::new(&explanation.plan, family).to_string();
        return out::print_json(&Answer {
            plan_token,
            explanation,
        });
    }
    out::print(&table(&explanation))
}

fn request(args: &Args, family: &Family, model: Option<ModelId>) -> PlanRequest {
    PlanRequest {
        size: args.size.unwrap_or_else(|| family.default_size()),
        n_images: args.n,
        budget: args.wanted.budget(),
        pins: Pins {
            model,
            sampler: args.sampler,
            steps: args.steps,
            guidance_scale: args.guidance,
            plan: None,
        },
        has_negative_prompt: args.negative_prompt,
        kept_texts: 0,
    }
}

/// The explanation for people.
fn table(explanation: &Explanation) -> String {
    let head = ["", "plan", "score", "p99 ms", "tflops", ""].map(str::to_owned);
    let chosen = row(
        "chosen",
        &explanation.plan,
        &explanation.estimate,
        String::new(),
    );
    let mut rows = vec![head, chosen];
    if let Some(next) = &explanation.next_better {
        let time = next
            .needs
            .latency_ms
            .map(|ms| format!("latency_ms {}", ms.0));
        let work = next.needs.tflops.map(|tflops| format!("tflops {tflops}"));
        let needs: Vec<String> = time.into_iter().chain(work).collect();
        let note = if needs.is_empty() {
            "within the budget; ask for --quality max".to_owned()
        } else {
            format!("needs {}", needs.join(" and "))
        };
        rows.push(row("next better", &next.plan, &next.estimate, note));
    }
    if let Some(free) = &explanation.pins_cost {
        rows.push(row(
            "unpinned",
            &free.plan,
            &free.estimate,
            free.message.clone(),
        ));
    }
    for other in &explanation.runners_up {
        rows.push(row(
            "lost",
            &other.plan,
            &other.estimate,
            other.message.clone(),
        ));
    }
    let mut text = aligned(&rows);
    for warning in &explanation.warnings {
        let _ = writeln!(text, "warning: {}", warning.message);
    }
    text
}

fn row(role: &str, plan: &Plan, estimate: &Estimate, note: String) -> [String; 6] {
    let unknown = || "-".to_owned();
    let score = estimate.score.map_or_else(unknown, |score| {
        format!("{:.3} +- {:.3}", score.mean, score.standard_error)
    });
    let p99 = estimate
        .latency_ms
        .map(|latency| format!("{:.0}", latency.p99.0));
    [
        role.to_owned(),
        plan.to_string(),
        score,
        p99.unwrap_or_else(unknown),
        format!("{:.4}", estimate.tflops),
        note,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::{
        LatencyEstimate, Loss, Needs, Notice, PinsCost, RunnerUp, ScoreEstimate, Upgrade,
    };
    use crate::units::Millis;

    fn plan(model: &str, steps: Steps) -> Plan {
        let size = "64x64".parse().unwrap();
        Plan::plain(ModelId(model.into()), SamplerKind::Ddim, steps, 3.0, size)
    }

    fn estimate(mean: f64) -> Estimate {
        Estimate {
            latency_ms: Some(LatencyEstimate {
                p50: Millis(100.0),
                p95: Millis(120.0),
                p99: Millis(130.0),
            }),
            tflops: 0.012,
            tflops_per_image: 0.012,
            nfe: 8,
            score: Some(ScoreEstimate {
                mean,
                standard_error: 0.01,
            }),
        }
    }

    #[test]
    fn the_table_tells_choice_upgrade_pins_losers_and_warnings() {
        let reason = Loss::BelowMinScore { by: Some(0.1) };
        let explanation = Explanation {
            plan: plan("toy-16", 4),
            estimate: estimate(0.8),
            next_better: Some(Upgrade {
                plan: plan("toy-16", 8),
                estimate: estimate(0.9),
                needs: Needs {
                    latency_ms: Some(Millis(210.5)),
                    tflops: None,
                },
            }),
            runners_up: vec![RunnerUp {
                plan: plan("toy-8", 16),
                estimate: Estimate {
                    latency_ms: None,
                    score: None,
                    ..estimate(0.0)
                },
                message: reason.to_string(),
                reason,
            }],
            pins_cost: Some(PinsCost {
                plan: plan("toy-32", 2),
                estimate: estimate(0.85),
                score: Some(0.05),
                standard_error: Some(0.01),
                latency_ms: Some(Millis(0.0)),
                tflops: 0.0,
                message: "without the pins: 0.0500 more score".into(),
            }),
            warnings: vec![Notice::new("odd", "something is odd".into())],
        };
        let expected = "\
             plan                                     score            p99 ms  tflops
chosen       toy-16, ddim, steps 4, guidance 3, 64x64  0.800 +- 0.010  130     0.0120
next better  toy-16, ddim, steps 8, guidance 3, 64x64  0.900 +- 0.010  130     0.0120  needs latency_ms 210.5
unpinned     toy-32, ddim, steps 2, guidance 3, 64x64  0.850 +- 0.010  130     0.0120  without the pins: 0.0500 more score
lost         toy-8, ddim, steps 16, guidance 3, 64x64  -               -       0.0120  0.1000 below min_score
warning: something is odd
";
        let words =
            |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        let told = table(&explanation);
        assert_eq!(words(&told), words(expected), "{told}");
        let starts: Vec<Option<usize>> = told
            .lines()
            .skip(1)
            .take(2)
            .map(|l| l.find("0.0120"))
            .collect();
        assert_eq!(starts[0], starts[1], "{told}");
    }
}
