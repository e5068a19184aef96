//! The sections on the paper's finding: a summary at the top, and the best size at each budget.

use maud::{Markup, html};

use super::{
    parts::{self, Section, color, difference, digits},
    plot::{Axis, Key, Layer, Plot},
    scale::Scale,
};
use crate::calibrate::findings::{
    Findings,
    budgets::{Contest, Finding},
};

/// The answer in one or two sentences.
pub(super) fn verdict(findings: &Findings) -> Markup {
    let Some(contest) = findings
        .undistilled
        .as_ref()
        .or(findings.distilled.as_ref())
    else {
        return html! { p class="verdict" { "Only one model of a kind was measured, so nothing can be said of sizes." } };
    };
    let answer = match contest.finding() {
        Finding::Holds => {
            "The paper\u{2019}s finding holds here: at small budgets a smaller model is the best, and the lead moves to larger ones as the budget grows."
        }
        Finding::HoldsInPart => {
            "The paper\u{2019}s finding holds here in part: there are budgets at which a smaller model beats an affordable larger one, but the lead does not simply move from small to large."
        }
        Finding::DoesNotHold => {
            "The paper\u{2019}s finding does not show here: at no budget does a smaller model beat a larger one that the budget affords by two standard errors."
        }
    };
    html! {
        p class="verdict" {
            (answer)
            @if let Some(upset) = contest.upset.as_ref().filter(|_| contest.finding() != Finding::DoesNotHold) {
                " Most clearly at " strong { (digits(upset.tflops)) " TFLOP" } ", where " (parts::plan(&upset.smaller)) " scores "
                (difference(upset.difference)) " against the best that " (upset.larger.model.0) " can do (" (parts::plan(&upset.larger)) ")."
            }
        }
    }
}

/// Which model leads where; absent if no kind has two models.
pub(super) fn section(findings: &Findings) -> Option<Section> {
    let contests: Vec<&Contest> = [&findings.undistilled, &findings.distilled]
        .into_iter()
        .flatten()
        .collect();
    if contests.is_empty() {
        return None;
    }
    let body = html! {
        p { "The lead is kept until another model\u{2019}s best measured plan within the budget is better by more than one standard error of the paired difference: ties go to whoever leads." }
        @for contest in contests {
            h3 { (kind(contest)) }
            p { (sentence(contest)) }
            (parts::plot(&figure(findings, contest), "Score of each model\u{2019}s best measured plan within the budget; the strip at the foot names the leader."))
            (parts::open_table(&["#from TFLOP", "#to", "best model", "its best plan there", "#score", "#ahead of the next", "next"], &rows(contest)))
        }
    };
    Some(Section {
        id: "budgets",
        title: "The best size at each budget",
        body,
    })
}

fn kind(contest: &Contest) -> &'static str {
    if contest.is_distilled {
        "Few-step students"
    } else {
        "Models that are not distilled"
    }
}

fn sentence(contest: &Contest) -> String {
    let names: Vec<String> = (contest.reigns.iter())
        .map(|reign| format!("{} from {} TFLOP", reign.model, digits(reign.from_tflops)))
        .collect();
    let changes = contest.reigns.len().saturating_sub(1);
    match changes {
        0 => format!("One model leads throughout: {}.", parts::listed(&names)),
        _ => format!(
            "The lead changes hands {}: {}.",
            if changes == 1 {
                "once".to_owned()
            } else {
                format!("{changes} times")
            },
            parts::listed(&names)
        ),
    }
}

fn rows(contest: &Contest) -> Vec<Vec<String>> {
    let row = |reign: &crate::calibrate::findings::budgets::Reign| {
        vec![
            digits(reign.from_tflops),
            reign
                .to_tflops
                .map_or_else(|| "\u{221e}".to_owned(), digits),
            reign.model.clone(),
            parts::plan(&reign.plan),
            parts::score(reign.score),
            reign.lead.map_or_else(|| "\u{2013}".to_owned(), difference),
            reign
                .runner_up
                .clone()
                .unwrap_or_else(|| "none fits".to_owned()),
        ]
    };
    contest.reigns.iter().map(row).collect()
}

fn figure(findings: &Findings, contest: &Contest) -> Plot {
    let points = contest.curves.iter().flat_map(|curve| &curve.steps);
    let x = Scale::log(points.clone().map(|best| best.tflops));
    let heights = Scale::linear(points.map(|best| best.score.mean)).ends();
    let end = x.ends().1;
    let mut layers: Vec<Layer> = (contest.curves.iter())
        .map(|curve| {
            let steps = curve
                .steps
                .iter()
                .map(|best| (best.tflops, best.score.mean));
            Layer::Steps(color(findings, &curve.model), steps.collect())
        })
        .collect();
    let reigns = contest.reigns.iter().map(|reign| {
        let to = reign.to_tflops.unwrap_or(end);
        (
            reign.from_tflops,
            to,
            color(findings, &reign.model),
            reign.model.clone(),
        )
    });
    layers.push(Layer::Strip(reigns.collect()));
    let name = findings.score_name();
    let key = |curve: &crate::calibrate::findings::budgets::BestCurve| Key {
        kind: "line",
        color: color(findings, &curve.model),
        label: curve.model.clone(),
    };
    Plot {
        id: format!(
            "best-{}",
            if contest.is_distilled {
                "students"
            } else {
                "models"
            }
        ),
        title: format!(
            "Best {name} within a budget, {}",
            kind(contest).to_lowercase()
        ),
        description: sentence(contest),
        x: Axis {
            label: "budget, TFLOP for one picture".into(),
            scale: x,
        },
        // Room for the strip at the foot.
        y: Axis {
            label: format!("best {name}"),
            scale: Scale::between(heights.0 - 0.09 * (heights.1 - heights.0), heights.1),
        },
        layers,
        legend: contest.curves.iter().map(key).collect(),
        height: 300.0,
    }
}
