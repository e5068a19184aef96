//! `goldilocks plan`: which plan would be chosen, and why did the others lose?

use std::{fmt::Write as _, path::PathBuf};

use anyhow::Context;
use serde::de::DeserializeOwned;

use super::{examples, latency, numbers, out, precision, serve, table::aligned};
use crate::{
    catalog::{Catalog, Family, ModelId, SamplerKind},
    config,
    planner::{
        Budget, Cost, Estimate, Explanation, Load, Objective, Pins, Plan, PlanRequest, Planner,
        Quality,
    },
    units::{Flops, ImageSize, Millis, Steps},
};

/// Explains which plan a budget would buy on an idle server, and why the others lose
///
/// Latencies are those last learned on this machine; if there are none, the models are timed first. Where no plan
/// fits, the smallest budget that works is told and the exit code is 3.
#[derive(Debug, clap::Args)]
#[command(after_help = examples::PLAN)]
pub struct Args {
    /// Milliseconds for the whole request
    #[arg(long, allow_negative_numbers = true, value_parser = numbers::positive)]
    latency_ms: Option<f64>,
    /// 10^12 operations for the whole request
    #[arg(long, allow_negative_numbers = true, value_parser = numbers::positive)]
    tflops: Option<f64>,
    /// A budget with a name: auto, low, medium, high, xhigh or max
    #[arg(long, value_parser = word::<Quality>)]
    quality: Option<Quality>,
    /// What is maximized: fidelity, alignment or balanced
    #[arg(long, value_parser = word::<Objective>, default_value = "balanced")]
    objective: Objective,
    /// Never a plan that is predicted to score less
    #[arg(long, allow_negative_numbers = true, value_parser = numbers::score)]
    min_score: Option<f64>,
    /// The cheapest plan that reaches --min-score: latency or tflops
    #[arg(long, value_parser = word::<Cost>, requires = "min_score")]
    minimize: Option<Cost>,
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

/// Reads one word of an enumeration as it is spelled in requests.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

/// Prints the explanation.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let catalog = precision::load(&args.config)?;
    let (family, model) = target(&catalog, &args.model)?;
    let profile = family.profile.as_ref();
    let profile = profile
        .map(|path| serve::read_profile(family, path))
        .transpose()?;
    let planner = Planner::new(family, profile);
    let state_dir = args.state_dir.clone().or_else(config::default_state_dir);
    let latency = latency::known(&catalog, state_dir)?;
    let explanation = planner.explain(&request(args, family, model), &latency, Load::IDLE)?;
    if args.json {
        return out::print_json(&explanation);
    }
    out::print(&table(&explanation))
}

/// The family that `--model` means, and the model if it names one.
fn target<'c>(catalog: &'c Catalog, name: &str) -> anyhow::Result<(&'c Family, Option<ModelId>)> {
    if name == "auto" {
        return Ok((catalog.default_family(), None));
    }
    if let Some(family) = catalog.family(name) {
        return Ok((family, None));
    }
    let found = catalog.model(name);
    let (family, card) = found.with_context(|| {
        let families = catalog.families.iter();
        let known: Vec<&str> = families
            .flat_map(|family| {
                let models = family.models.iter().map(|card| card.id.0.as_str());
                std::iter::once(family.id.as_str()).chain(models)
            })
            .collect();
        format!(
            "there is no model {name:?}; choose auto or one of {}",
            known.join(", ")
        )
    })?;
    Ok((family, Some(card.id.clone())))
}

fn request(args: &Args, family: &Family, model: Option<ModelId>) -> PlanRequest {
    PlanRequest {
        size: args.size.unwrap_or_else(|| family.default_size()),
        n_images: args.n,
        budget: Budget {
            latency: args.latency_ms.map(Millis),
            flops: args.tflops.map(Flops::from_tflops),
            quality: args.quality,
            objective: args.objective,
            min_score: args.min_score,
            minimize: args.minimize,
        },
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

    #[test]
    fn words_are_those_of_requests() {
        assert_eq!(word::<Quality>("xhigh"), Ok(Quality::Xhigh));
        let message = word::<Objective>("beauty").unwrap_err();
        assert!(
            message.contains("beauty") && message.contains("alignment"),
            "{message}"
        );
    }
}
