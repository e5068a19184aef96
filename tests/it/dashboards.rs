//! Do dashboards and rules name series that exist, and do alerts fire when they should? That they say something of a
//! server under load is checked by `scripts/check_metrics.py`, with a Prometheus.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use goldilocks::telemetry::Metrics;

const RULES: [&str; 2] = ["dashboards/rules.yml", "dashboards/alerts.yml"];
const BOARD: &str = "dashboards/grafana.json";

/// What a server exposes that nobody has asked anything yet.
fn exposition() -> String {
    let metrics = Metrics::new(["a-model"]);
    metrics.declare_routes(&["/v1/images/generations"]);
    metrics.declare_codes(&["overloaded"], &["unknown_words"]);
    metrics.declare_plans("a-model", ["ddim"]);
    metrics.declare_objectives(["balanced"]);
    metrics.declare_devices(1, 64);
    metrics.text()
}

#[test]
fn dashboards_and_rules_name_series_that_exist() {
    let text = exposition();
    let exposed: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(exposed.len() > 30, "{exposed:?}");
    for file in RULES.into_iter().chain([BOARD]) {
        let named = names_in(&read(file), "goldilocks_");
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
fn label_values_that_dashboards_and_rules_select_exist() {
    let text = exposition();
    for file in RULES.into_iter().chain([BOARD]) {
        let content = read(file).replace("\\\"", "\"");
        for label in [
            "kind",
            "result",
            "basis",
            "percentile",
            "outcome",
            "state",
            "at",
        ] {
            for value in selected(&content, label) {
                let shown = format!("{label}=\"{value}\"");
                assert!(text.contains(&shown), "{file} selects {shown}");
            }
        }
    }
}

#[test]
fn dashboards_and_alerts_use_rules_that_exist_and_every_rule_is_tested() {
    let recorded: BTreeSet<String> = after_each(&read(RULES[0]), "- record: ");
    assert!(recorded.len() > 10, "{recorded:?}");
    for file in [RULES[1], BOARD] {
        for name in names_in(&read(file), "goldilocks:") {
            assert!(
                recorded.contains(&name),
                "{file} names {name}, which no rule records"
            );
        }
    }
    let tested = names_in(&read("dashboards/tests/rules.yml"), "goldilocks:");
    assert!(
        recorded.is_subset(&tested),
        "not tested: {:?}",
        recorded.difference(&tested)
    );
}

#[test]
fn every_alert_is_proven_to_fire_and_not_to_fire() {
    let alerts = after_each(&read(RULES[1]), "- alert: ");
    assert!(alerts.len() > 10, "{alerts:?}");
    let cases: String = tests().iter().map(|file| read(file)).collect();
    for alert in alerts {
        let mark = format!("alertname: {alert}\n");
        let expected = cases.split(&mark).skip(1).map(|case| {
            let line = case.lines().find(|line| line.contains("exp_alerts:"));
            line.unwrap().trim() == "exp_alerts: []"
        });
        let silent: BTreeSet<bool> = expected.collect();
        assert_eq!(silent.len(), 2, "{alert} must be proven to do both");
    }
}

#[test]
fn promtool_agrees_with_every_test_of_the_rules() {
    let promtool = |arguments: &[&str]| {
        let mut command = Command::new("promtool");
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command.args(arguments).output()
    };
    let Ok(version) = promtool(&["--version"]) else {
        eprintln!(
            "SKIPPED: promtool is not installed, so no rule was tested; apt-get install prometheus"
        );
        return;
    };
    assert!(version.status.success(), "{version:?}");
    let tests = tests();
    let tests: Vec<&str> = tests.iter().map(String::as_str).collect();
    for (words, files) in [
        (["check", "rules"], &RULES[..]),
        (["test", "rules"], &tests),
    ] {
        let said = promtool(&[&words[..], files].concat()).unwrap();
        let text = String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "promtool {words:?}: {text}");
    }
}

#[test]
fn the_grafana_dashboard_is_json_with_a_title_and_a_unit_for_every_panel() {
    let dashboard: serde_json::Value = serde_json::from_str(&read(BOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let (rows, charts): (Vec<_>, Vec<_>) = panels.iter().partition(|panel| panel["type"] == "row");
    assert!(rows.len() >= 5 && charts.len() > 30);
    let mut titles = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(!title.is_empty() && titles.insert(title), "{title:?} twice");
    }
    for panel in charts {
        assert!(
            panel["fieldConfig"]["defaults"]["unit"].is_string(),
            "{panel}"
        );
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            assert!(expression.contains("{job=~\"$job\""), "{expression}");
        }
    }
}

/// The files of `promtool test rules`.
fn tests() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/tests");
    let names = fs::read_dir(folder).unwrap().map(|entry| {
        let name = entry.unwrap().file_name();
        format!("dashboards/tests/{}", name.to_string_lossy())
    });
    let names: Vec<String> = names.collect();
    assert!(names.len() > 1, "{names:?}");
    names
}

/// Every name in a text that begins so.
fn names_in(text: &str, prefix: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let found = text
        .match_indices(prefix)
        .map(|(start, _)| text[start..].chars().take_while(|c| is_name(*c)).collect());
    let names: BTreeSet<String> = found.collect();
    names
        .into_iter()
        .map(|name| name.trim_end_matches(':').to_owned())
        .collect()
}

/// What follows each mark, to the end of its line.
fn after_each(text: &str, mark: &str) -> BTreeSet<String> {
    let lines = text.lines().map(str::trim_start);
    lines
        .filter_map(|line| line.strip_prefix(mark))
        .map(str::to_owned)
        .collect()
}

/// The values that a text selects of a label, alternatives one by one.
fn selected(text: &str, label: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for operator in ["=", "!=", "=~", "!~"] {
        let mark = format!("{label}{operator}\"");
        for (start, _) in text.match_indices(&mark) {
            let begins = !text[..start].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            let value = text[start + mark.len()..].split('"').next().unwrap();
            if begins {
                found.extend(value.split('|').map(str::to_owned));
            }
        }
    }
    found
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}
