//! The section on samplers: paired differences at equal steps.

use maud::html;

use super::{
    parts::{self, Section, color, difference, signed},
    plot::{Axis, Dot, Key, Layer, Plot, Side},
    scale::Scale,
};
use crate::calibrate::findings::{Findings, difference::Verdict, samplers::Duel};

/// One figure for each pair of samplers; absent where one alone was measured.
pub(super) fn section(findings: &Findings) -> Option<Section> {
    if findings.samplers.is_empty() {
        return None;
    }
    let pairs: Vec<&[Duel]> = findings
        .samplers
        .chunk_by(|a, b| (a.one, a.other) == (b.one, b.other))
        .collect();
    let body = html! {
        @for (i, duels) in pairs.iter().enumerate() {
            p { (words(duels)) }
            (parts::plot(&figure(findings, i, duels), "Paired differences with one standard error; points of one step count stand side by side. Faint points are unguided."))
        }
        (parts::table("Every comparison", &["samplers", "model", "#steps", "#guidance", "#difference", "verdict"], &rows(&findings.samplers)))
    };
    Some(Section {
        id: "samplers",
        title: "Samplers at equal steps",
        body,
    })
}

fn words(duels: &[Duel]) -> String {
    let n = |verdict| duels.iter().filter(|duel| duel.verdict == verdict).count();
    let largest = duels
        .iter()
        .max_by(|a, b| a.difference.mean.abs().total_cmp(&b.difference.mean.abs()));
    let largest = largest.map_or_else(String::new, |duel| {
        format!(
            " The largest difference is {} for {} at {} and guidance {}.",
            difference(duel.difference),
            duel.model,
            parts::count(duel.steps as usize, "step", "steps"),
            duel.guidance_scale
        )
    });
    let mean = duels.iter().map(|duel| duel.difference.mean).sum::<f64>() / duels.len() as f64;
    format!(
        "{} against {}: {} better, {} worse and {} not told apart at two standard errors, {} on average.{largest}",
        duels[0].one,
        duels[0].other,
        n(Verdict::Wins),
        n(Verdict::Loses),
        n(Verdict::Ties),
        signed(mean)
    )
}

fn figure(findings: &Findings, i: usize, duels: &[Duel]) -> Plot {
    let ends = duels.iter().flat_map(|duel| {
        let (mean, error) = (duel.difference.mean, duel.difference.standard_error);
        [mean - error, mean + error, 0.0]
    });
    let models: Vec<&str> = (findings.models.iter())
        .map(|model| model.id.as_str())
        .filter(|id| duels.iter().any(|duel| duel.model == *id))
        .collect();
    let mut layers = vec![Layer::Level(0.0, String::new(), Side::Above)];
    let mut legend = Vec::new();
    for (place, model) in models.iter().enumerate() {
        let color = color(findings, model);
        // Side by side, in the logarithm of the steps.
        let shift = 1.0 + 0.06 * (place as f64 - (models.len() - 1) as f64 / 2.0);
        for is_guided in [false, true] {
            let kind = if is_guided { "dot" } else { "dotfaint" };
            let own = duels.iter().filter(|duel| duel.model == *model);
            let own = own.filter(|duel| (duel.guidance_scale != 1.0) == is_guided);
            layers.push(Layer::Dots(
                kind,
                color,
                own.map(|duel| dot(duel, shift)).collect(),
            ));
        }
        legend.push(Key {
            kind: "dot",
            color,
            label: (*model).to_owned(),
        });
    }
    let (one, other) = (duels[0].one, duels[0].other);
    Plot {
        id: format!("samplers-{i}"),
        title: format!("{one} minus {other} at equal steps"),
        description: words(duels),
        x: Axis {
            label: "steps".into(),
            scale: Scale::doubling(duels.iter().map(|duel| f64::from(duel.steps))),
        },
        y: Axis {
            label: format!("{one} minus {other}"),
            scale: Scale::linear(ends),
        },
        layers,
        legend,
        height: 240.0,
    }
}

fn dot(duel: &Duel, shift: f64) -> Dot {
    Dot {
        x: f64::from(duel.steps) * shift,
        y: duel.difference.mean,
        error: Some(duel.difference.standard_error),
        title: format!(
            "{}, {} steps, guidance {}: {}",
            duel.model,
            duel.steps,
            duel.guidance_scale,
            difference(duel.difference)
        ),
    }
}

fn rows(duels: &[Duel]) -> Vec<Vec<String>> {
    let row = |duel: &Duel| {
        vec![
            format!("{} \u{2212} {}", duel.one, duel.other),
            duel.model.clone(),
            duel.steps.to_string(),
            duel.guidance_scale.to_string(),
            difference(duel.difference),
            duel.verdict.word().to_owned(),
        ]
    };
    duels.iter().map(row).collect()
}
