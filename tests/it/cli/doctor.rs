//! Does the doctor find nothing where nothing is wrong, and everything that is?

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use super::{goldilocks, root, told};

/// Every check by its name and level, with all that was said of it.
fn checks(out: &Output) -> Vec<(String, String, String)> {
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap().iter();
    checks
        .map(|check| {
            let field = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
            let said = format!("{} -> {}", field("found"), field("remedy"));
            (field("name"), field("level"), said)
        })
        .collect()
}

fn doctor(arguments: &[&str]) -> Output {
    let state = tempfile::tempdir().unwrap();
    let all = [&["doctor"], arguments].concat();
    goldilocks(&state, &all).output().unwrap()
}

#[test]
fn a_good_machine_passes() {
    let out = doctor(&["--listen=127.0.0.1:0", "--json"]);
    let checks = checks(&out);
    assert!(out.status.success(), "{checks:?}");
    assert!(out.stderr.is_empty());
    let names: Vec<&str> = checks.iter().map(|(name, _, _)| name.as_str()).collect();
    let expected = [
        "processor",
        "threads",
        "open files",
        "settings",
        "models",
        "memory",
        "device",
        "precision",
        "profile",
        "state",
        "latencies",
        "port",
    ];
    assert_eq!(names, expected);
    let lines = doctor(&["--listen=127.0.0.1:0"]);
    assert!(told(&lines.stdout).contains("ok    profile     family emoji: "));
}

/// Two threads that wait for each other in a loop on one core made pictures take twice as long.
#[cfg(target_os = "linux")]
#[test]
fn who_may_use_one_core_takes_one_thread() {
    let state = tempfile::tempdir().unwrap();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .unwrap();
    let core = allowed.trim().split([',', '-']).next().unwrap();
    let inner = goldilocks(&state, &["doctor", "--listen=127.0.0.1:0", "--json"]);
    let out = Command::new("taskset")
        .args(["-c", core])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env("XDG_STATE_HOME", state.path())
        .env_remove("RAYON_NUM_THREADS")
        .output()
        .unwrap();
    let checks = checks(&out);
    let (_, level, said) = checks.iter().find(|(name, ..)| name == "threads").unwrap();
    assert_eq!(
        (level.as_str(), said.as_str()),
        ("ok", "1 threads on 1 cores -> ")
    );
}

#[test]
fn what_is_broken_fails_with_a_remedy_and_the_exit_code_says_so() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("--listen={}", taken.local_addr().unwrap());
    let state = format!("--state-dir={}", file.join("state").display());
    let keys = format!("--api-key-file={}", file.display());
    let out = doctor(&["--json", "--config=no/such.toml", &state, &keys, &listen]);
    assert_eq!(out.status.code(), Some(1));
    assert_eq!(
        told(&out.stderr),
        "error: 4 of 6 checks failed; each says what to do\n"
    );
    let failed: Vec<(String, String)> = checks(&out)
        .into_iter()
        .filter(|(_, level, _)| level == "fail")
        .map(|(name, _, said)| (name, said))
        .collect();
    for (name, part) in [
        ("settings", "write one a line"),
        ("models", "there is no no/such.toml"),
        ("state", "--state-dir"),
        ("port", "choose another --listen"),
    ] {
        let found = failed.iter().find(|(known, _)| known == name);
        assert!(found.unwrap().1.contains(part), "{failed:?}");
    }
}

/// A catalog of the shipped weights with another profile, or none.
fn catalog(place: &Path, profile: &str) -> String {
    let root = root();
    let text = fs::read_to_string(root.join("models.toml")).unwrap();
    let weights = root.join("weights").display().to_string();
    let text = text.replace("profile = \"calibration/emoji.json\"", profile);
    let text = text.replace("\"weights/", &format!("\"{weights}/"));
    let path = place.join("models.toml");
    fs::write(&path, text).unwrap();
    format!("--config={}", path.display())
}

#[test]
fn a_profile_that_does_not_hold_fails_and_none_is_a_warning() {
    let place = tempfile::tempdir().unwrap();
    let root = root();
    let profile = fs::read_to_string(root.join("calibration/emoji.json")).unwrap();
    let other = profile.replacen(
        "\"weights_digest\": \"sha256:",
        "\"weights_digest\": \"sha256:0",
        1,
    );
    fs::write(place.path().join("other.json"), other).unwrap();
    for (line, level, code, part) in [
        (
            "profile = \"other.json\"",
            "fail",
            1,
            "calibrate quality --family emoji",
        ),
        ("profile = \"lost.json\"", "fail", 1, "cannot read"),
        ("", "warn", 0, "no score"),
    ] {
        let out = doctor(&[
            "--listen=127.0.0.1:0",
            "--json",
            &catalog(place.path(), line),
        ]);
        assert_eq!(
            out.status.code(),
            Some(code),
            "{line}: {}",
            told(&out.stderr)
        );
        let checks = checks(&out);
        let found = checks
            .iter()
            .find(|(name, _, _)| name == "profile")
            .unwrap();
        assert!(found.1 == level && found.2.contains(part), "{found:?}");
    }
}

#[test]
fn learned_latencies_that_do_not_hold_are_a_warning() {
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().join("goldilocks");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("latency.json"), "{").unwrap();
    let arguments = ["doctor", "--listen=127.0.0.1:0", "--json"];
    let out = goldilocks(&state, &arguments).output().unwrap();
    assert!(out.status.success());
    let checks = checks(&out);
    let found = checks
        .iter()
        .find(|(name, _, _)| name == "latencies")
        .unwrap();
    assert!(
        found.1 == "warn" && found.2.contains("learned anew"),
        "{found:?}"
    );
}
