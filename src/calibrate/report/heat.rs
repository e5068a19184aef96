//! How does a table of numbers become a picture? Deeper is higher; the best of each row is framed.

use maud::{Markup, html};

use super::scale::Scale;

const LEFT: f64 = 52.0;
const TOP: f64 = 8.0;
const CELL: (f64, f64) = (56.0, 30.0);

/// A table of numbers with named rows and columns.
#[derive(Debug, Clone)]
pub(super) struct Heat {
    /// Unique on the page.
    pub id: String,
    /// What it shows.
    pub title: String,
    /// What the rows are.
    pub row_label: String,
    /// What the columns are.
    pub column_label: String,
    /// Names of columns.
    pub columns: Vec<String>,
    /// Names of rows with one number for each column, if there is one.
    pub rows: Vec<(String, Vec<Option<f64>>)>,
}

impl Heat {
    /// Draws it; `scale` is shared by tables that stand side by side.
    pub(super) fn svg(&self, scale: Scale) -> Markup {
        let width = LEFT + CELL.0 * self.columns.len() as f64 + 6.0;
        let bottom = TOP + CELL.1 * self.rows.len() as f64;
        let (title, description) = (format!("{}-t", self.id), format!("{}-d", self.id));
        html! {
            svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img"
                viewBox=(format!("0 0 {width} {}", bottom + 44.0)) aria-labelledby=(format!("{title} {description}")) {
                title id=(title) { (self.title) }
                desc id=(description) { "A table of scores; the best of each row is framed." }
                @for (i, row) in self.rows.iter().enumerate() { (draw_row(row, TOP + CELL.1 * i as f64, scale)) }
                @for (i, column) in self.columns.iter().enumerate() {
                    text class="tick" text-anchor="middle" x=(LEFT + CELL.0 * (i as f64 + 0.5)) y=(bottom + 17.0) { (column) }
                }
                text class="axis" text-anchor="middle" x=(f64::midpoint(LEFT, width)) y=(bottom + 37.0) { (self.column_label) }
                text class="axis" text-anchor="middle" transform=(format!("translate(13 {}) rotate(-90)", f64::midpoint(TOP, bottom))) { (self.row_label) }
            }
        }
    }
}

fn draw_row((name, values): &(String, Vec<Option<f64>>), y: f64, scale: Scale) -> Markup {
    let known = values.iter().flatten();
    let best = known.copied().fold(f64::NEG_INFINITY, f64::max);
    let x = |i: usize| LEFT + CELL.0 * i as f64;
    html! {
        text class="tick" text-anchor="end" x=(LEFT - 7.0) y=(y + 19.5) { (name) }
        @for (i, value) in values.iter().enumerate() {
            @if let Some(value) = value {
                rect class="cell" fill-opacity=(format!("{:.2}", 0.06 + 0.6 * scale.share(*value)))
                    x=(x(i)) y=(y) width=(CELL.0 - 2.0) height=(CELL.1 - 2.0) rx="3" {}
                text class="value" text-anchor="middle" x=(x(i) + CELL.0 / 2.0 - 1.0) y=(y + 18.5) { (format!("{value:.3}")) }
                @if *value == best {
                    rect class="best" x=(x(i) + 1.0) y=(y + 1.0) width=(CELL.0 - 4.0) height=(CELL.1 - 4.0) rx="3" {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_each_row_is_framed_and_gaps_stay_empty() {
        let heat = Heat {
            id: "h".into(),
            title: "t".into(),
            row_label: "steps".into(),
            column_label: "guidance".into(),
            columns: vec!["1".into(), "3".into()],
            rows: vec![
                ("4".into(), vec![Some(0.2), Some(0.5)]),
                ("8".into(), vec![None, Some(0.6)]),
            ],
        };
        let svg = heat.svg(Scale::between(0.0, 1.0)).into_string();
        assert_eq!(svg.matches("class=\"cell\"").count(), 3);
        assert_eq!(svg.matches("class=\"best\"").count(), 2);
        assert!(svg.contains(">0.500<"), "{svg}");
    }
}
