//! What does the measured curve look like? Score against cost of one picture, as an SVG.
//!
//! Written by hand: the figure has no fonts, scripts or links to load, and follows the reader's
//! light or dark scheme.

use std::fmt::Write;

/// One measured plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// 10^12 operations for one picture; above zero.
    pub tflops: f64,
    /// Its score, in [0, 1].
    pub score: f64,
    /// Half the length of its error bar.
    pub standard_error: f64,
    /// Its step count, written beside points of the frontier.
    pub steps: u32,
    /// Whether it is one of the plans on offer.
    pub on_frontier: bool,
}

/// Plans that differ in their step count only, by rising cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The model: lines of one model share a colour.
    pub model: String,
    /// Guidance scale 1 is drawn dashed, unless guidance is baked in.
    pub guidance_scale: f64,
    /// Whether guidance is baked in.
    pub is_distilled: bool,
    /// Its plans.
    pub points: Vec<Point>,
}

/// Everything the figure shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Written above it.
    pub title: String,
    /// What the vertical axis counts.
    pub score_name: String,
    /// The curves.
    pub lines: Vec<Line>,
}

impl Line {
    fn is_dashed(&self) -> bool {
        self.guidance_scale == 1.0 && !self.is_distilled
    }
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 470.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 62.0;

const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; fill: #3d4450; }
.title { font-size: 16px; font-weight: 600; fill: #171a1f; }
.grid { stroke: #8a93a3; stroke-opacity: .25; }
.line { fill: none; stroke-width: 2; }
.dashed { stroke-dasharray: 5 4; }
.bar { stroke-width: 1.5; stroke-opacity: .6; }
.frontier { fill: none; stroke: #e8b923; stroke-width: 12; stroke-opacity: .45; stroke-linecap: round; stroke-linejoin: round; }
.steps { font-size: 11px; text-anchor: middle; }
.c0 { stroke: #2563c9; fill: #2563c9; } .c1 { stroke: #c2590c; fill: #c2590c; } .c2 { stroke: #15803d; fill: #15803d; }
.c3 { stroke: #8b3fc4; fill: #8b3fc4; } .c4 { stroke: #be1e4c; fill: #be1e4c; } .c5 { stroke: #0e7490; fill: #0e7490; }
.c6 { stroke: #7a6a12; fill: #7a6a12; } .c7 { stroke: #6b7280; fill: #6b7280; }
.line.line { fill: none; }
@media (prefers-color-scheme: dark) {
text { fill: #b6bfcc; } .title { fill: #eef1f5; }
.c0 { stroke: #74a5f7; fill: #74a5f7; } .c1 { stroke: #f3924a; fill: #f3924a; } .c2 { stroke: #55c27d; fill: #55c27d; }
.c3 { stroke: #bd8bec; fill: #bd8bec; } .c4 { stroke: #f27598; fill: #f27598; } .c5 { stroke: #4cc3df; fill: #4cc3df; }
.c6 { stroke: #cdb93f; fill: #cdb93f; } .c7 { stroke: #a3abb8; fill: #a3abb8; }
}";
/// Colours in [`STYLE`]; more models begin again.
const N_COLORS: usize = 8;

impl Figure {
    /// Draws the figure; lines without points are left out.
    pub fn svg(&self) -> String {
        let axes = Axes::around(self.points());
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n\
             <style>\n{STYLE}\n</style>\n<text class=\"title\" x=\"{LEFT}\" y=\"26\">{title}</text>\n",
            title = escaped(&self.title),
        );
        axes.draw(&mut svg, &self.score_name);
        self.draw_frontier(&mut svg, &axes);
        for line in &self.lines {
            draw_line(&mut svg, &axes, line, self.color(&line.model));
        }
        self.draw_legend(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    fn points(&self) -> impl Iterator<Item = &Point> {
        self.lines.iter().flat_map(|line| &line.points)
    }

    fn models(&self) -> Vec<&str> {
        let mut models: Vec<&str> = Vec::new();
        for line in &self.lines {
            if !models.contains(&line.model.as_str()) {
                models.push(&line.model);
            }
        }
        models
    }

    fn color(&self, model: &str) -> usize {
        let position = self.models().iter().position(|known| *known == model);
        position.unwrap_or(0) % N_COLORS
    }

    fn draw_frontier(&self, svg: &mut String, axes: &Axes) {
        let mut offered: Vec<&Point> = self.points().filter(|point| point.on_frontier).collect();
        offered.sort_by(|a, b| a.tflops.total_cmp(&b.tflops));
        add(
            svg,
            format_args!(
                "<path class=\"frontier\" d=\"{}\"/>\n",
                axes.path(offered.iter().copied())
            ),
        );
        for point in offered {
            let (x, y) = axes.place(point);
            add(
                svg,
                format_args!(
                    "<text class=\"steps\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>\n",
                    y - 13.0,
                    point.steps
                ),
            );
        }
    }

    fn draw_legend(&self, svg: &mut String) {
        // At the lower right, where more cost for less score would be.
        let n_entries = self.models().len() + 2;
        let x = WIDTH - RIGHT - 240.0;
        let mut y = HEIGHT - BOTTOM - 21.0 * n_entries as f64;
        let mut entry = |key: &str, label: &str| {
            let text = escaped(label);
            let (end, text_x, text_y) = (x + 30.0, x + 40.0, y + 4.5);
            add(
                svg,
                format_args!(
                    "<path class=\"{key}\" d=\"M{x} {y}H{end}\"/><text x=\"{text_x}\" y=\"{text_y}\">{text}</text>\n"
                ),
            );
            y += 21.0;
        };
        for model in self.models() {
            entry(&format!("line c{}", self.color(model)), model);
        }
        if self.lines.iter().any(Line::is_dashed) {
            entry("line dashed c0", "unguided");
        }
        entry("frontier", "frontier, with step counts");
    }
}

fn draw_line(svg: &mut String, axes: &Axes, line: &Line, color: usize) {
    let dashed = if line.is_dashed() { " dashed" } else { "" };
    add(
        svg,
        format_args!(
            "<path class=\"line c{color}{dashed}\" d=\"{}\"/>\n",
            axes.path(line.points.iter())
        ),
    );
    for point in &line.points {
        let (x, y) = axes.place(point);
        let (low, high) = (
            axes.y(point.score - point.standard_error),
            axes.y(point.score + point.standard_error),
        );
        add(
            svg,
            format_args!(
                "<path class=\"bar c{color}\" d=\"M{x:.1} {low:.1}V{high:.1}\"/><circle class=\"c{color}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\">\
                 <title>{} guidance {}, {} steps: {:.3} +- {:.3} at {:.4} TFLOPs</title></circle>\n",
                escaped(&line.model),
                line.guidance_scale,
                point.steps,
                point.score,
                point.standard_error,
                point.tflops
            ),
        );
    }
}

/// Where numbers go: cost on a logarithmic axis, score on a linear one.
struct Axes {
    tflops: (f64, f64),
    score: (f64, f64),
}

impl Axes {
    fn around<'a>(points: impl Iterator<Item = &'a Point>) -> Self {
        let (mut tflops, mut score) = ((f64::MAX, f64::MIN), (f64::MAX, f64::MIN));
        for point in points {
            tflops = (tflops.0.min(point.tflops), tflops.1.max(point.tflops));
            score = (
                score.0.min(point.score - point.standard_error),
                score.1.max(point.score + point.standard_error),
            );
        }
        if tflops.0 > tflops.1 {
            (tflops, score) = ((0.1, 1.0), (0.0, 1.0));
        }
        let tenth = |value: f64| value.clamp(0.0, 1.0) * 10.0;
        Self {
            tflops: (tflops.0 / 1.15, tflops.1 * 1.15),
            score: (
                tenth(score.0 - 0.02).floor() / 10.0,
                tenth(score.1 + 0.02).ceil() / 10.0,
            ),
        }
    }

    fn x(&self, tflops: f64) -> f64 {
        let share = (tflops / self.tflops.0).ln() / (self.tflops.1 / self.tflops.0).ln();
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, score: f64) -> f64 {
        let share = (score - self.score.0) / (self.score.1 - self.score.0);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }

    fn place(&self, point: &Point) -> (f64, f64) {
        (self.x(point.tflops), self.y(point.score))
    }

    fn path<'a>(&self, points: impl Iterator<Item = &'a Point>) -> String {
        let places = points
            .map(|point| self.place(point))
            .map(|(x, y)| format!("{x:.1} {y:.1}"));
        match places.collect::<Vec<_>>().join("L") {
            path if path.is_empty() => path,
            path => format!("M{path}"),
        }
    }

    fn draw(&self, svg: &mut String, score_name: &str) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in self.score_ticks() {
            let y = self.y(tick);
            add(
                svg,
                format_args!(
                    "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{tick:.1}</text>\n",
                    LEFT - 10.0,
                    y + 4.5
                ),
            );
        }
        for tick in self.cost_ticks() {
            let x = self.x(tick);
            add(
                svg,
                format_args!(
                    "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/><text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{tick}</text>\n",
                    bottom + 20.0
                ),
            );
        }
        let (middle_x, middle_y) = (f64::midpoint(LEFT, right), f64::midpoint(TOP, bottom));
        add(
            svg,
            format_args!(
                "<text x=\"{middle_x}\" y=\"{}\" text-anchor=\"middle\">TFLOPs for one picture</text>\n",
                bottom + 46.0
            ),
        );
        add(
            svg,
            format_args!(
                "<text transform=\"translate(20 {middle_y}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
                escaped(score_name)
            ),
        );
    }

    fn score_ticks(&self) -> impl Iterator<Item = f64> + use<> {
        let (low, high) = (
            (self.score.0 * 10.0).round() as i32,
            (self.score.1 * 10.0).round() as i32,
        );
        let stride = if high - low > 6 { 2 } else { 1 };
        (low..=high)
            .filter(move |tenth| tenth % stride == 0)
            .map(|tenth| f64::from(tenth) / 10.0)
    }

    /// 1, 2 and 5 times powers of ten.
    fn cost_ticks(&self) -> impl Iterator<Item = f64> + use<> {
        let (low, high) = self.tflops;
        let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
        powers
            // Parsed rather than multiplied, so that a tick prints as 0.02 and not as 0.020000000000000004.
            .flat_map(|power| {
                [1, 2, 5].map(|digit| format!("{digit}e{power}").parse().expect("a number"))
            })
            .filter(move |tick| (low..=high).contains(tick))
    }
}

fn add(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text).expect("a string takes all text");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure() -> Figure {
        let line = |model: &str, guidance_scale: f64, factor: f64| Line {
            model: model.into(),
            guidance_scale,
            is_distilled: model.ends_with("-lcm"),
            points: (0..6)
                .map(|i| Point {
                    tflops: factor * 0.01 * f64::from(1 << i),
                    score: 0.9 - 0.7 / f64::from(1 + i) / factor.sqrt(),
                    standard_error: 0.02,
                    steps: 1 << i,
                    on_frontier: i < 3 && model == "toy-c8",
                })
                .collect(),
        };
        Figure {
            title: "Score & cost of \"toy\"".into(),
            score_name: "balanced score".into(),
            lines: vec![
                line("toy-c8", 3.0, 1.0),
                line("toy-c8", 1.0, 0.7),
                line("toy-c16", 3.0, 2.0),
                line("toy-c16-lcm", 1.0, 2.0),
            ],
        }
    }

    #[test]
    fn shows_every_plan_and_marks_those_on_offer() {
        let svg = figure().svg();
        assert_eq!(svg.matches("<circle").count(), 24);
        assert_eq!(svg.matches("class=\"steps\"").count(), 6);
        assert_eq!(svg.matches("class=\"line c0 dashed\"").count(), 1);
        assert_eq!(svg.matches("dashed c0").count(), 1, "in the legend");
        assert!(svg.contains("toy-c16 guidance 3, 32 steps"), "{svg}");
        assert!(svg.contains(">toy-c16-lcm<"), "{svg}");
    }

    #[test]
    fn a_cheaper_plan_stands_left_and_a_better_one_above() {
        let figure = figure();
        let axes = Axes::around(figure.points());
        let (first, last) = (figure.lines[0].points[0], figure.lines[0].points[5]);
        assert!(axes.x(first.tflops) < axes.x(last.tflops));
        assert!(axes.y(first.score) > axes.y(last.score));
        let inside = |point: &Point| {
            let (x, y) = axes.place(point);
            (LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y)
        };
        assert!(figure.points().all(inside));
    }

    #[test]
    fn text_cannot_break_the_markup_and_no_points_make_an_empty_figure() {
        assert!(
            figure()
                .svg()
                .contains("Score &amp; cost of &quot;toy&quot;")
        );
        let empty = Figure {
            lines: Vec::new(),
            ..figure()
        };
        assert!(!empty.svg().contains("NaN"));
    }
}
