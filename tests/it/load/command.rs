//! `goldilocks trace` and `goldilocks load`, as they are typed.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use super::{Scripted, text};

fn goldilocks(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goldilocks"));
    command.args(args).current_dir(folder);
    command
}

async fn ended(mut command: Command) -> Output {
    let output = tokio::task::spawn_blocking(move || command.output());
    output.await.unwrap().unwrap()
}

fn told(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_trace_is_made_replayed_and_reported() {
    let server = Scripted::start().await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("prompts.txt"), "at once\ninfeasible\n").unwrap();
    let make = "trace poisson --rate 20 --seconds 2 --budgets 1000:1,none:1 --prompts prompts.txt -o t.csv";
    let made = ended(goldilocks(folder, &make.split(' ').collect::<Vec<_>>())).await;
    assert!(made.status.success(), "{}", told(&made.stderr));
    assert!(
        told(&made.stderr).contains("requests in 2 s"),
        "{}",
        told(&made.stderr)
    );
    let n = std::fs::read_to_string(folder.join("t.csv"))
        .unwrap()
        .lines()
        .count()
        - 1;

    let url = format!("--url={}", server.url);
    let replay = [
        "load",
        "t.csv",
        &url,
        "--rate-scale=4",
        "--json",
        "--records=records.csv",
    ];
    let replayed = ended(goldilocks(folder, &replay)).await;
    assert!(replayed.status.success(), "{}", told(&replayed.stderr));
    let report: Value = serde_json::from_slice(&replayed.stdout).unwrap();
    assert_eq!(report["offered"], n);
    let refused = report["refusals"]["422 budget_infeasible"]
        .as_u64()
        .unwrap();
    assert_eq!(report["attained"].as_u64().unwrap() + refused, n as u64);
    assert!(refused > 0 && report["seconds"].as_f64().unwrap() < 1.0);
    assert!(report["sending"]["late_ms"]["p50"].as_f64().is_some());
    assert_eq!(report["classes"].as_array().unwrap().len(), 2);
    let records = std::fs::read_to_string(folder.join("records.csv")).unwrap();
    assert_eq!(records.lines().count(), n + 1);

    let shown = ended(goldilocks(
        folder,
        &["load", "t.csv", &url, "--rate-scale=4"],
    ))
    .await;
    let shown = told(&shown.stdout).to_owned();
    for part in [
        "score at budget",
        "1000 ms",
        "no limit",
        "x 422 budget_infeasible",
        "sent late by",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
}

#[tokio::test]
async fn interrupted_it_waits_for_what_is_under_way_and_reports_that() {
    let server = Scripted::start().await;
    let folder = tempfile::tempdir().unwrap();
    let rows = "0,,,1,at once\n0.01,,,1,answer\n3600,,,1,answer\n";
    std::fs::write(folder.path().join("t.csv"), text(rows)).unwrap();
    let url = format!("--url={}", server.url);
    let mut load = goldilocks(folder.path(), &["load", "t.csv", &url, "--json"]);
    let load = load
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while server.heard().len() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let mut interrupt = Command::new("kill");
    interrupt.args(["-INT", &load.id().to_string()]);
    assert!(ended(interrupt).await.status.success());
    let output = tokio::task::spawn_blocking(move || load.wait_with_output());
    let output = output.await.unwrap().unwrap();
    assert!(output.status.success(), "{}", told(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["offered"], &report["answered"]),
        (&2.into(), &2.into())
    );
    assert_eq!(report["sending"]["unsent"], 1);
}

#[tokio::test]
async fn what_cannot_be_replayed_is_told_with_what_would_do() {
    let gone = Scripted::start().await.stop().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("good.csv"), text("0,,,1,a dog\n")).unwrap();
    std::fs::write(folder.path().join("bad.csv"), text("0,,,0,a dog\n")).unwrap();
    let url = format!("--url={gone}");
    for (args, parts) in [
        (
            ["load", "bad.csv"],
            ["bad.csv is not a trace", "line 2: images \"0\""],
        ),
        (["load", "none.csv"], ["cannot read none.csv", "error"]),
        (
            ["load", "good.csv"],
            [
                "nobody answers at http://127.0.0.1",
                "start `goldilocks serve`",
            ],
        ),
    ] {
        let output = ended(goldilocks(folder.path(), &[args[0], args[1], &url])).await;
        assert_eq!(output.status.code(), Some(1));
        for part in parts {
            assert!(
                told(&output.stderr).contains(part),
                "{}",
                told(&output.stderr)
            );
        }
    }
}
