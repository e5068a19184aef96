//! Are plots where they should be?

use super::*;

fn plot(layers: Vec<Layer>) -> Plot {
    let axis = |label: &str, scale| Axis {
        label: label.into(),
        scale,
    };
    Plot {
        id: "p".into(),
        title: "a <b> & \"c\"".into(),
        description: "what it shows".into(),
        x: axis("TFLOP", Scale::log([1.0, 100.0])),
        y: axis("score", Scale::between(0.0, 1.0)),
        layers,
        legend: Vec::new(),
        height: 300.0,
    }
}

fn dot(x: f64, y: f64) -> Dot {
    Dot {
        x,
        y,
        error: Some(0.1),
        title: format!("{x}"),
    }
}

#[test]
fn more_stands_further_right_and_higher_and_nothing_leaves_the_frame() {
    let plot = plot(Vec::new());
    let frame = Frame::new(&plot, false);
    assert!(frame.x(1.0) < frame.x(100.0));
    assert!(frame.y(0.2) > frame.y(0.8));
    for (x, y) in [(1e-9, -5.0), (1e9, 5.0)] {
        assert!((LEFT..=WIDTH - RIGHT).contains(&frame.x(x)));
        assert!((frame.top..=frame.bottom).contains(&frame.y(y)));
    }
}

#[test]
fn a_file_of_its_own_is_one_tree_with_its_style_and_a_part_of_a_page_has_none() {
    let color = Color::of(1);
    let plot = plot(vec![
        Layer::Dots("dot", color, vec![dot(1.0, 0.5), dot(10.0, 0.7)]),
        Layer::Line("line", color, vec![(1.0, 0.1), (10.0, 0.4)]),
        Layer::Steps(color, vec![(1.0, 0.1), (10.0, 0.4)]),
        Layer::Band(color, vec![(1.0, 0.1, 0.2), (10.0, 0.3, 0.5)]),
        Layer::Level(0.9, "real".into(), Side::Above),
        Layer::Strip(vec![(1.0, 10.0, color, "small".into())]),
    ]);
    let (part, file) = (plot.svg().into_string(), plot.file());
    assert!(!part.contains("<style") && file.contains("<style"));
    assert!(part.contains("a &lt;b&gt; &amp; &quot;c&quot;"), "{part}");
    assert_eq!(part.matches("<circle").count(), 2);
    assert_eq!(part.matches("class=\"bar c1\"").count(), 2);
    for element in ["svg", "path", "text", "circle", "title", "rect"] {
        let (opened, closed) = (format!("<{element}"), format!("</{element}>"));
        assert_eq!(
            file.matches(&opened).count(),
            file.matches(&closed).count(),
            "{element}"
        );
    }
    assert!(!part.contains("NaN") && !plot_of_nothing().contains("NaN"));
}

fn plot_of_nothing() -> String {
    let mut empty = plot(vec![Layer::Line("line", Color::of(0), Vec::new())]);
    empty.x.scale = Scale::log([]);
    empty.y.scale = Scale::linear([]);
    empty.file()
}

#[test]
fn a_long_legend_takes_more_rows_and_labels_do_not_cover_each_other() {
    let key = |label: &str| Key {
        kind: "line",
        color: Color::of(0),
        label: label.into(),
    };
    let keys: Vec<Key> = (0..8)
        .map(|i| key(&format!("a rather long name {i}")))
        .collect();
    let places = rows(&keys);
    assert_eq!(places[0], (0, LEFT));
    assert!(places.last().unwrap().0 >= 2, "{places:?}");
    let crowded: Vec<(f64, f64, String)> = vec![
        (10.0, 0.5, "1".into()),
        (10.1, 0.5, "2".into()),
        (80.0, 0.5, "3".into()),
    ];
    let svg = plot(vec![Layer::Labels(crowded)]).svg().into_string();
    assert_eq!(svg.matches("class=\"steps\"").count(), 2);
}
