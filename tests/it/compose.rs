//! Does docker-compose.yml mount what is there, and do Prometheus and Grafana look where it is mounted? That it is
//! valid is checked by the gate, with the Compose specification's JSON schema.

use std::{fs, path::Path, process::Command};

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// What is mounted from the repository, and where.
fn mounts() -> Vec<(String, String)> {
    let text = read("docker-compose.yml");
    let lines = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- ./"));
    lines
        .map(|line| {
            let mut parts = line.split(':');
            let (from, to) = (parts.next().unwrap(), parts.next().unwrap());
            assert_eq!(parts.next(), Some("ro"), "{line}");
            (from.to_owned(), to.to_owned())
        })
        .collect()
}

#[test]
fn what_is_mounted_is_there_and_is_looked_for_where_it_is() {
    let mounts = mounts();
    assert!(mounts.len() >= 5, "{mounts:?}");
    for (from, _) in &mounts {
        assert!(
            Path::new(env!("CARGO_MANIFEST_DIR")).join(from).exists(),
            "{from}"
        );
    }
    let place = |file: &str| &mounts.iter().find(|(from, _)| from == file).unwrap().1;
    let prometheus = read("dashboards/prometheus.yml");
    for rules in ["dashboards/rules.yml", "dashboards/alerts.yml"] {
        assert!(
            prometheus.contains(&format!("- {}\n", place(rules))),
            "{rules}"
        );
    }
    let board = Path::new(place("dashboards/grafana.json"));
    let folder = board.parent().unwrap().display().to_string();
    let provider = read("dashboards/provisioning/dashboards/goldilocks.yml");
    assert!(provider.contains(&format!("path: {folder}\n")), "{folder}");
    assert!(read("docker-compose.yml").contains(&format!("DASHBOARD_PATH: {}\n", board.display())));
}

#[test]
fn prometheus_scrapes_the_service_under_the_name_that_alerts_expect() {
    let (compose, prometheus) = (
        read("docker-compose.yml"),
        read("dashboards/prometheus.yml"),
    );
    assert!(prometheus.contains("job_name: goldilocks\n"));
    assert!(prometheus.contains("targets: [\"goldilocks:8080\"]"));
    assert!(
        compose.contains("\n  goldilocks:\n")
            && compose.contains("GOLDILOCKS_OPEN_METRICS: \"true\"")
    );
    let source = read("dashboards/provisioning/datasources/prometheus.yml");
    assert!(
        source.contains("url: http://prometheus:9090\n") && compose.contains("\n  prometheus:\n")
    );
}

#[test]
fn promtool_reads_its_configuration() {
    let said = Command::new("promtool")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "check",
            "config",
            "--syntax-only",
            "dashboards/prometheus.yml",
        ])
        .output();
    let Ok(said) = said else {
        eprintln!("SKIPPED: promtool is not installed; apt-get install prometheus");
        return;
    };
    assert!(
        said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
}
