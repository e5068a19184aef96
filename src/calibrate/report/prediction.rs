//! The section on predicted scores: interpolation between step counts, held-out captions, regret.

use maud::{Markup, html};

use super::{
    parts::{self, Section, digits, percent, signed},
    plot::{Axis, Color, Dot, Key, Layer, Plot, Side},
    scale::Scale,
};
use crate::calibrate::findings::{
    Findings,
    interpolation::{Check, Checks},
    regret::{PROMISE, Regret},
};

/// How far predictions of scores can be trusted; absent where nothing could be checked.
pub(super) fn section(findings: &Findings) -> Option<Section> {
    let (one_out, held_out, regret) = (
        &findings.leave_one_out,
        &findings.held_out,
        &findings.regret,
    );
    if one_out.is_none() && held_out.is_none() && regret.is_none() {
        return None;
    }
    let body = html! {
        @if let Some(checks) = one_out {
            h3 { "One step count left out at a time" }
            (told(findings, checks, "loo", "Scores between measured step counts are interpolated. Left out of its curve and predicted from the others,"))
        }
        @if let Some(checks) = held_out {
            h3 { "Held-out captions" }
            (told(findings, checks, "held-out", "Predicted for captions and step counts that no prediction rests on,"))
        }
        @if let Some(regret) = regret { (regretted(findings, regret)) }
    };
    Some(Section {
        id: "prediction",
        title: "How good the predicted scores are",
        body,
    })
}

fn told(findings: &Findings, checks: &Checks, id: &str, opening: &str) -> Markup {
    let n = checks.checks.len();
    html! {
        p {
            (opening) " " (parts::count(n, "plan is", "plans are")) " off by " strong { (format!("{:.3}", checks.mean_absolute)) } " on average (root mean square "
            (format!("{:.3}", checks.root_mean_square)) ", worst " (format!("{:.3}", checks.worst)) ", bias " (signed(checks.bias)) "); the measurement\u{2019}s own standard error is "
            (format!("{:.3}", checks.mean_standard_error)) ". " (percent(checks.within_two_errors)) " lie within two standard errors of the difference."
        }
        (parts::plot(&errors(findings, checks, id), "Predicted minus measured with one standard error of the difference."))
        (parts::table("Every prediction", &["plan", "#measured", "#predicted minus measured"], &rows(checks)))
    }
}

fn rows(checks: &Checks) -> Vec<Vec<String>> {
    let row = |check: &Check| {
        vec![
            parts::plan(&check.plan),
            parts::score(check.measured),
            parts::difference(check.error),
        ]
    };
    checks.checks.iter().map(row).collect()
}

fn errors(findings: &Findings, checks: &Checks, id: &str) -> Plot {
    let ends = checks.checks.iter().flat_map(|check| {
        let (mean, error) = (check.error.mean, check.error.standard_error);
        [mean - error, mean + error, 0.0]
    });
    let point = |check: &Check| {
        let model = check.plan.model.0.clone();
        // Side by side where step counts are the same.
        let place = findings.models.iter().position(|known| known.id == model);
        let aside = 0.93 + 0.045 * place.unwrap_or(0) as f64;
        let title = format!(
            "{}: {}",
            parts::plan(&check.plan),
            parts::difference(check.error)
        );
        let dot = Dot {
            x: f64::from(check.plan.steps) * aside,
            y: check.error.mean,
            error: Some(check.error.standard_error),
            title,
        };
        (model, dot)
    };
    let points: Vec<(String, Dot)> = checks.checks.iter().map(point).collect();
    let (dots, legend) = parts::dots(findings, &points);
    let mut layers = vec![Layer::Level(0.0, String::new(), Side::Above)];
    layers.extend(dots);
    Plot {
        id: format!("errors-{id}"),
        title: "Predicted minus measured score".into(),
        description: format!("{} predictions by step count.", checks.checks.len()),
        x: Axis {
            label: "steps".into(),
            scale: Scale::doubling(
                checks
                    .checks
                    .iter()
                    .map(|check| f64::from(check.plan.steps)),
            ),
        },
        y: Axis {
            label: "predicted minus measured".into(),
            scale: Scale::linear(ends),
        },
        layers,
        legend,
        height: 240.0,
    }
}

fn regretted(findings: &Findings, regret: &Regret) -> Markup {
    let (class, word) = if regret.is_kept {
        ("tag kept", "kept")
    } else {
        ("tag broken", "not kept")
    };
    let end = |regret: &Regret| regret.budgets.last().map_or(0.0, |at| at.tflops);
    html! {
        h3 { "Regret" }
        p {
            "Over " (regret.budgets.len()) " budgets up to " (digits(end(regret))) " TFLOP, choosing by predictions out of " (regret.n_plans) " held-out plans loses "
            strong { (format!("{:.4} \u{b1} {:.4}", regret.mean, regret.standard_error)) } " of the score of the best of them (worst " (format!("{:.3}", regret.worst))
            "). Of that " (format!("{:.4}", regret.luck)) " is luck: the best is picked on the captions that it is scored by. Promised, luck left out: at most " (PROMISE) " or two standard errors. " span class=(class) { (word) } "."
        }
        (parts::plot(&regret_figure(findings, regret), "Held-out score of the plan that predictions choose, and of the best one, within each budget."))
    }
}

fn regret_figure(findings: &Findings, regret: &Regret) -> Plot {
    let budgets = || regret.budgets.iter().map(|at| at.tflops);
    let chosen = regret.budgets.iter().map(|at| (at.tflops, at.chosen_score));
    let oracle = regret.budgets.iter().map(|at| (at.tflops, at.oracle_score));
    let heights = chosen.clone().chain(oracle.clone()).map(|(_, score)| score);
    let key = |color, label: &str| Key {
        kind: "line",
        color,
        label: label.into(),
    };
    let (best, ours) = (
        Color {
            is_dashed: true,
            ..Color::of(7)
        },
        Color::of(0),
    );
    Plot {
        id: "regret".into(),
        title: format!(
            "{}: chosen and best plan on held-out captions",
            findings.family
        ),
        description: format!("Mean regret {:.4}, worst {:.3}.", regret.mean, regret.worst),
        x: Axis {
            label: "budget, TFLOP for one picture".into(),
            scale: Scale::log(budgets()),
        },
        y: Axis {
            label: "held-out score".into(),
            scale: Scale::linear(heights),
        },
        layers: vec![
            Layer::Steps(ours, chosen.collect()),
            Layer::Steps(best, oracle.collect()),
        ],
        legend: vec![
            key(ours, "chosen by predictions"),
            key(best, "best on held-out captions"),
        ],
        height: 260.0,
    }
}
