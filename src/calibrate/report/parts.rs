//! What are sections made of? Sentences, figures, the tables behind them, and how numbers are written.

use maud::{Markup, html};

use super::plot::{Color, Dot, Key, Layer, Plot};
use crate::{
    calibrate::findings::{
        Findings, ModelRow,
        difference::{Difference, Verdict},
    },
    planner::{Plan, ScoreEstimate},
};

/// One section of the page.
pub(super) struct Section {
    /// Its anchor.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// Sentences, figures and tables.
    pub body: Markup,
}

/// A drawing in its place, with words below it.
pub(super) fn figure(drawing: &Markup, caption: &str) -> Markup {
    html! { figure class="wide" { div class="scroll" tabindex="0" { (drawing) } figcaption { (caption) } } }
}

/// As [`figure`].
pub(super) fn plot(plot: &Plot, caption: &str) -> Markup {
    figure(&plot.svg(), caption)
}

/// The numbers behind a figure, folded away. Columns whose name begins with `#` hold numbers.
pub(super) fn table(summary: &str, columns: &[&str], rows: &[Vec<String>]) -> Markup {
    html! { details { summary { (summary) } (open_table(columns, rows)) } }
}

/// The same in plain sight.
pub(super) fn open_table(columns: &[&str], rows: &[Vec<String>]) -> Markup {
    let is_number = |i: usize| columns[i].starts_with('#');
    html! {
        div class="scroll" tabindex="0" { table {
            thead { tr { @for (i, name) in columns.iter().enumerate() {
                th scope="col" class=[is_number(i).then_some("n")] { (name.trim_start_matches('#')) }
            } } }
            tbody { @for row in rows { tr { @for (i, text) in row.iter().enumerate() {
                td class=[is_number(i).then_some("n")] { (text) }
            } } } }
        } }
    }
}

/// A verdict as a small label.
pub(super) fn tag(verdict: Verdict) -> Markup {
    html! { span class=(format!("tag {}", verdict.word())) { (verdict.word()) } }
}

/// The colour of a model: students wear their teacher's, dashed.
pub(super) fn color(findings: &Findings, model: &str) -> Color {
    let place = findings.models.iter().position(|row| row.id == model);
    let Some(place) = place else {
        return Color::of(7);
    };
    let before = findings.models[..=place].iter();
    let n_sizes = before.filter(|row| !row.is_distilled).count();
    Color {
        is_dashed: findings.models[place].is_distilled,
        ..Color::of(n_sizes.saturating_sub(1))
    }
}

/// Points in the colours of their models, and which colour is whose.
pub(super) fn dots(findings: &Findings, points: &[(String, Dot)]) -> (Vec<Layer>, Vec<Key>) {
    let of_model = |model: &ModelRow| {
        let own = points.iter().filter(|(id, _)| *id == model.id);
        let own: Vec<Dot> = own.map(|(_, dot)| dot.clone()).collect();
        let color = color(findings, &model.id);
        let key = Key {
            kind: "dot",
            color,
            label: model.id.clone(),
        };
        (!own.is_empty()).then_some((Layer::Dots("dot", color, own), key))
    };
    findings.models.iter().filter_map(of_model).unzip()
}

/// `0.818 ± 0.018`.
pub(super) fn score(score: ScoreEstimate) -> String {
    format!("{:.3} \u{b1} {:.3}", score.mean, score.standard_error)
}

/// `+0.012 ± 0.004`.
pub(super) fn difference(difference: Difference) -> String {
    format!(
        "{} \u{b1} {:.3}",
        signed(difference.mean),
        difference.standard_error
    )
}

/// `+0.012`, with a true minus sign.
pub(super) fn signed(value: f64) -> String {
    format!("{value:+.3}").replace('-', "\u{2212}")
}

/// Three significant digits.
pub(super) fn digits(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let decimals = (2.0 - value.abs().log10().floor()).max(0.0) as usize;
    format!("{value:.decimals$}")
}

/// `95.2%`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

/// A number with its noun.
pub(super) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// A plan without its size, which is the same for all.
pub(super) fn plan(plan: &Plan) -> String {
    let text = plan.to_string();
    let end = text.rfind(", ").unwrap_or(text.len());
    text[..end].to_owned()
}

/// Words in a row: `a, b and c`.
pub(super) fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_with_the_digits_they_deserve() {
        assert_eq!(digits(0.003_615_15), "0.00362");
        assert_eq!(digits(17.342), "17.3");
        assert_eq!(digits(1234.5), "1234");
        assert_eq!(signed(-0.0123), "\u{2212}0.012");
        assert_eq!(percent(0.9524), "95.2%");
        assert_eq!(listed(&["a".into(), "b".into(), "c".into()]), "a, b and c");
        assert_eq!(count(1, "plan", "plans"), "1 plan");
    }
}
