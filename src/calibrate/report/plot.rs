//! How are numbers drawn? Two axes, layers between them and a legend above, as an SVG without fonts,
//! scripts or links to load.
//!
//! Colours are classes, so that one drawing follows the reader's light or dark scheme (`style.rs`).

use maud::{Markup, PreEscaped, html};

use super::{scale::Scale, style};

/// Units of the drawing's own width; the page scales it.
pub const WIDTH: f64 = 760.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 20.0;
const BOTTOM: f64 = 54.0;
const LEGEND_ROW: f64 = 22.0;

/// One drawing.
#[derive(Debug, Clone)]
pub struct Plot {
    /// Unique on the page.
    pub id: String,
    /// What it shows, read aloud and written above a drawing that stands alone.
    pub title: String,
    /// What can be seen, for those who cannot.
    pub description: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// Drawn in order.
    pub layers: Vec<Layer>,
    /// Written above the plot.
    pub legend: Vec<Key>,
    /// Height of the space between the axes.
    pub height: f64,
}

/// One axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// What is counted, with its unit.
    pub label: String,
    /// Where numbers go.
    pub scale: Scale,
}

/// Something between the axes.
#[derive(Debug, Clone)]
pub enum Layer {
    /// A line from point to point.
    Line(&'static str, Color, Vec<(f64, f64)>),
    /// A line that keeps its height until the next point, and to the right end.
    Steps(Color, Vec<(f64, f64)>),
    /// The space between a lower and an upper edge, for each x.
    Band(Color, Vec<(f64, f64, f64)>),
    /// Points, with error bars where an error is known.
    Dots(&'static str, Color, Vec<Dot>),
    /// A height with a name, above the line or below it.
    Level(f64, String, Side),
    /// Words above points; those that would cover others are left out.
    Labels(Vec<(f64, f64, String)>),
    /// Named stretches along the foot.
    Strip(Vec<(f64, f64, Color, String)>),
}

/// On which side of a level its name stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Above the line.
    Above,
    /// Below the line, where another level is close above.
    Below,
}

/// One point.
#[derive(Debug, Clone)]
pub struct Dot {
    /// Where on the horizontal axis.
    pub x: f64,
    /// Where on the vertical axis.
    pub y: f64,
    /// Half the length of its error bar.
    pub error: Option<f64>,
    /// Shown when pointed at.
    pub title: String,
}

/// A class of the style sheet: one of its colours and whether the stroke is a student's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color {
    /// Which colour.
    pub index: usize,
    /// Dashed.
    pub is_dashed: bool,
}

impl Color {
    /// A full stroke.
    pub fn of(index: usize) -> Self {
        Self {
            index: index % style::N_COLORS,
            is_dashed: false,
        }
    }

    fn class(self, kind: &str) -> String {
        let dashed = if self.is_dashed { " dashed" } else { "" };
        format!("{kind} c{}{dashed}", self.index)
    }
}

/// One entry of the legend.
#[derive(Debug, Clone)]
pub struct Key {
    /// Class of the sample, without its colour.
    pub kind: &'static str,
    /// Its colour.
    pub color: Color,
    /// Its name.
    pub label: String,
}

impl Plot {
    /// The drawing as part of a page.
    pub fn svg(&self) -> Markup {
        self.draw(None)
    }

    /// The drawing as a file of its own, with its title written above it.
    pub fn file(&self) -> String {
        self.draw(Some(style::PLOT)).into_string() + "\n"
    }

    fn draw(&self, style: Option<&str>) -> Markup {
        let frame = Frame::new(self, style.is_some());
        let (title, description) = (format!("{}-t", self.id), format!("{}-d", self.id));
        html! {
            svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img"
                viewBox=(format!("0 0 {WIDTH} {}", frame.bottom + BOTTOM))
                aria-labelledby=(format!("{title} {description}")) {
                title id=(title) { (self.title) }
                desc id=(description) { (self.description) }
                @if let Some(style) = style {
                    style { (PreEscaped(style)) }
                    text class="title" x=(LEFT) y="26" { (self.title) }
                }
                (frame.legend(&self.legend))
                (frame.axes(self))
                @for layer in &self.layers { (frame.layer(layer)) }
            }
        }
    }
}

/// Where the space between the axes lies.
struct Frame {
    x: Scale,
    y: Scale,
    legend_top: f64,
    top: f64,
    bottom: f64,
}

impl Frame {
    fn new(plot: &Plot, has_title: bool) -> Self {
        let legend_top = if has_title { 40.0 } else { 4.0 };
        let rows = rows(&plot.legend).last().map_or(0, |(row, _)| row + 1);
        let top = legend_top + LEGEND_ROW * rows as f64 + 12.0;
        Self {
            x: plot.x.scale,
            y: plot.y.scale,
            legend_top,
            top,
            bottom: top + plot.height,
        }
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.x.share(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - self.y.share(value) * (self.bottom - self.top)
    }

    fn axes(&self, plot: &Plot) -> Markup {
        let right = WIDTH - RIGHT;
        let middle = f64::midpoint(self.top, self.bottom);
        html! {
            @for tick in self.y.ticks((plot.height / 46.0) as usize) {
                path class="grid" d=(format!("M{LEFT} {:.1}H{right}", self.y(tick.value))) {}
                text class="tick" text-anchor="end" x=(LEFT - 9.0) y=(px(self.y(tick.value) + 4.5)) { (tick.label) }
            }
            @for tick in self.x.ticks(9) {
                path class="grid" d=(format!("M{:.1} {:.1}V{:.1}", self.x(tick.value), self.top, self.bottom)) {}
                text class="tick" text-anchor="middle" x=(px(self.x(tick.value))) y=(self.bottom + 19.0) { (tick.label) }
            }
            path class="frame" d=(format!("M{LEFT} {:.1}V{:.1}H{right}", self.top, self.bottom)) {}
            text class="axis" text-anchor="middle" x=(f64::midpoint(LEFT, right)) y=(self.bottom + 43.0) { (plot.x.label) }
            text class="axis" text-anchor="middle" transform=(format!("translate(15 {middle:.1}) rotate(-90)")) { (plot.y.label) }
        }
    }

    fn layer(&self, layer: &Layer) -> Markup {
        match layer {
            Layer::Line(kind, color, points) => html! {
                path class=(color.class(kind)) d=(self.path(points)) {}
            },
            Layer::Steps(color, points) => html! {
                path class=(color.class("line")) d=(self.staircase(points)) {}
            },
            Layer::Band(color, points) => html! {
                path class=(color.class("band")) d=(self.band(points)) {}
            },
            Layer::Dots(kind, color, dots) => html! {
                @for dot in dots { (self.dot(kind, *color, dot)) }
            },
            Layer::Level(height, name, side) => self.level(*height, name, *side),
            Layer::Labels(labels) => self.labels(labels),
            Layer::Strip(stretches) => html! {
                @for (from, to, color, name) in stretches { (self.stretch((*from, *to), *color, name)) }
            },
        }
    }

    /// The name stands at the left, where little cost buys little score.
    fn level(&self, height: f64, name: &str, side: Side) -> Markup {
        let y = self.y(height);
        let below = if side == Side::Below { 14.0 } else { -5.0 };
        html! {
            path class="level" d=(format!("M{LEFT} {y:.1}H{}", WIDTH - RIGHT)) {}
            @if !name.is_empty() {
                text class="note" x=(LEFT + 6.0) y=(px(y + below)) { (name) }
            }
        }
    }

    fn dot(&self, kind: &str, color: Color, dot: &Dot) -> Markup {
        let (x, y) = (self.x(dot.x), self.y(dot.y));
        html! {
            @if let Some(error) = dot.error {
                path class=(color.class("bar")) d=(format!("M{x:.1} {:.1}V{:.1}", self.y(dot.y - error), self.y(dot.y + error))) {}
            }
            circle class=(color.class(kind)) cx=(px(x)) cy=(px(y)) r="3.4" { title { (dot.title) } }
        }
    }

    fn labels(&self, labels: &[(f64, f64, String)]) -> Markup {
        let mut taken: Vec<(f64, f64)> = Vec::new();
        let mut placed = Vec::new();
        for (x, y, text) in labels {
            let (x, y) = (self.x(*x), self.y(*y) - 12.0);
            let is_free = |(a, b): &(f64, f64)| (a - x).abs() > 24.0 || (b - y).abs() > 13.0;
            if taken.iter().all(is_free) {
                taken.push((x, y));
                placed.push((x, y, text));
            }
        }
        html! {
            @for (x, y, text) in placed {
                text class="steps" text-anchor="middle" x=(px(x)) y=(px(y)) { (text) }
            }
        }
    }

    fn stretch(&self, (from, to): (f64, f64), color: Color, name: &str) -> Markup {
        let (x, width) = (self.x(from), (self.x(to) - self.x(from)).max(1.0));
        let fits = width > 8.0 * name.len() as f64;
        html! {
            rect class=(color.class("strip")) x=(px(x)) y=(px(self.bottom - 20.0)) width=(px(width)) height="20" { title { (name) } }
            @if fits {
                text class="stripname" text-anchor="middle" x=(px(x + width / 2.0)) y=(px(self.bottom - 5.5)) { (name) }
            }
        }
    }

    fn legend(&self, keys: &[Key]) -> Markup {
        let places = rows(keys);
        html! {
            @for (key, (row, x)) in keys.iter().zip(places) {
                @let y = self.legend_top + LEGEND_ROW * row as f64 + 11.0;
                @if key.kind.starts_with("dot") {
                    circle class=(key.color.class(key.kind)) cx=(x + 10.0) cy=(y) r="4" {}
                } @else {
                    // A wide stroke has round ends of its own.
                    @let inset = if key.kind == "frontier" { 5.0 } else { 0.0 };
                    path class=(key.color.class(key.kind)) d=(format!("M{:.1} {y:.1}h{}", x + inset, 22.0 - 2.0 * inset)) {}
                }
                text x=(px(x + 29.0)) y=(y + 4.5) { (key.label) }
            }
        }
    }

    fn path(&self, points: &[(f64, f64)]) -> String {
        let places = points
            .iter()
            .map(|(x, y)| format!("{:.1} {:.1}", self.x(*x), self.y(*y)));
        joined(&places.collect::<Vec<_>>())
    }

    fn staircase(&self, points: &[(f64, f64)]) -> String {
        let corner = |(i, (x, y)): (usize, &(f64, f64))| {
            let (x, y) = (self.x(*x), self.y(*y));
            if i == 0 {
                format!("M{x:.1} {y:.1}")
            } else {
                format!("H{x:.1}V{y:.1}")
            }
        };
        let mut corners: Vec<String> = points.iter().enumerate().map(corner).collect();
        if !corners.is_empty() {
            corners.push(format!("H{}", WIDTH - RIGHT));
        }
        corners.concat()
    }

    fn band(&self, points: &[(f64, f64, f64)]) -> String {
        let upper = points.iter().map(|(x, _, high)| (x, high));
        let lower = points.iter().rev().map(|(x, low, _)| (x, low));
        let around = upper
            .chain(lower)
            .map(|(x, y)| format!("{:.1} {:.1}", self.x(*x), self.y(*y)));
        joined(&around.collect::<Vec<_>>())
    }
}

/// Row and left end of each entry, by the width that its letters take at most.
fn rows(keys: &[Key]) -> Vec<(usize, f64)> {
    let (mut row, mut x) = (0, LEFT);
    let place = |key: &Key| {
        let width = 29.0 + 7.4 * key.label.chars().count() as f64 + 20.0;
        if x > LEFT && x + width > WIDTH {
            (row, x) = (row + 1, LEFT);
        }
        let place = (row, x);
        x += width;
        place
    };
    keys.iter().map(place).collect()
}

fn joined(places: &[String]) -> String {
    if places.is_empty() {
        String::new()
    } else {
        format!("M{}", places.join("L"))
    }
}

/// A coordinate to a tenth of a unit.
pub fn px(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests;
