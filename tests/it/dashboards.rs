//! Does every series that a dashboard or an alert names exist?

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use goldilocks::telemetry::Metrics;

#[test]
fn dashboards_and_alerts_name_series_that_exist() {
    let metrics = Metrics::new(["a-model"]);
    // Series with labels from outside appear once they are counted.
    metrics.answered("/v1/images/generations", 200, Duration::from_millis(300));
    metrics.refused("overloaded");
    metrics.planned("a-model", "ddim");
    let text = metrics.text();
    let exposed: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(exposed.len() > 10, "{exposed:?}");

    for file in ["dashboards/grafana.json", "dashboards/alerts.yml"] {
        let named = series_in(file);
        assert!(!named.is_empty(), "{file} names no series");
        for series in named {
            let parts = ["_bucket", "_sum", "_count"];
            let base = parts.iter().find_map(|part| series.strip_suffix(part));
            let known = exposed.contains(series.as_str())
                || base.is_some_and(|base| exposed.contains(base));
            assert!(known, "{file} names {series}, which is not exposed");
        }
    }
}

#[test]
fn the_grafana_dashboard_is_json_with_a_title_for_every_panel() {
    let text = read("dashboards/grafana.json");
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(!panels.is_empty());
    for panel in panels {
        assert!(
            panel["title"]
                .as_str()
                .is_some_and(|title| !title.is_empty())
        );
        assert!(panel["targets"][0]["expr"].is_string(), "{panel}");
    }
}

/// Every series of ours that a file names.
fn series_in(file: &str) -> BTreeSet<String> {
    let text = read(file);
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices("goldilocks_")
        .map(|(start, _)| text[start..].chars().take_while(|c| is_name(*c)).collect())
        .collect()
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}
