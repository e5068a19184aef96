//! How are many differences shown at once? One row each, a point with its error beside a line at zero.

use maud::{Markup, html};

use super::{
    plot::{Color, WIDTH, px},
    scale::Scale,
};
use crate::calibrate::findings::difference::Difference;

const NAMES: f64 = 330.0;
const ROW: f64 = 23.0;
const FOOT: f64 = 48.0;

/// One row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// What is compared.
    pub name: String,
    /// Above zero is to the right.
    pub difference: Difference,
    /// Colour of the point.
    pub color: Color,
}

/// Draws rows over one axis; error bars reach two standard errors, which is what verdicts take.
pub(super) fn forest(id: &str, title: &str, axis: &str, rows: &[Row]) -> Markup {
    let reach = |sign: f64| {
        let end = move |row: &Row| row.difference.mean + sign * 2.0 * row.difference.standard_error;
        rows.iter().map(end)
    };
    let scale = Scale::linear(reach(-1.0).chain(reach(1.0)).chain([0.0]));
    let x = |value: f64| NAMES + scale.share(value) * (WIDTH - NAMES - 16.0);
    let bottom = 8.0 + ROW * rows.len() as f64;
    let (title_id, description_id) = (format!("{id}-t"), format!("{id}-d"));
    html! {
        svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img"
            viewBox=(format!("0 0 {WIDTH} {}", bottom + FOOT)) aria-labelledby=(format!("{title_id} {description_id}")) {
            title id=(title_id) { (title) }
            desc id=(description_id) { (rows.len()) " differences with two standard errors each, as in the table below the drawing." }
            @for tick in scale.ticks(6) {
                path class="grid" d=(format!("M{:.1} 4V{bottom}", x(tick.value))) {}
                text class="tick" text-anchor="middle" x=(px(x(tick.value))) y=(bottom + 18.0) { (tick.label) }
            }
            path class="level" d=(format!("M{:.1} 4V{bottom}", x(0.0))) {}
            text class="axis" text-anchor="middle" x=(f64::midpoint(NAMES, WIDTH - 16.0)) y=(bottom + 40.0) { (axis) }
            @for (i, row) in rows.iter().enumerate() {
                @let y = 8.0 + ROW * (i as f64 + 0.5);
                @let (mean, error) = (row.difference.mean, 2.0 * row.difference.standard_error);
                text text-anchor="end" x=(NAMES - 14.0) y=(y + 4.5) { (row.name) }
                path class=(format!("bar c{}", row.color.index)) d=(format!("M{:.1} {y}H{:.1}", x(mean - error), x(mean + error))) {}
                circle class=(format!("dot c{}", row.color.index)) cx=(px(x(mean))) cy=(y) r="4" {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_each_difference_and_zero_is_always_in_sight() {
        let row = |name: &str, mean| Row {
            name: name.into(),
            difference: Difference {
                mean,
                standard_error: 0.01,
            },
            color: Color::of(0),
        };
        let svg = forest("f", "t", "gain", &[row("a < b", 0.5), row("c", 0.6)]).into_string();
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("a &lt; b") && svg.contains(">0.0<"), "{svg}");
    }
}
