//! Does the program behave as its users' other programs do? Exit codes, channels, colors, completions.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

mod doctor;
mod generate;
mod serve;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program in the root of the repository, with a state folder of its own.
fn goldilocks(state: &tempfile::TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goldilocks"));
    command
        .current_dir(root())
        .env("XDG_STATE_HOME", state.path())
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::null())
        .args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    let state = tempfile::tempdir().unwrap();
    goldilocks(&state, arguments).output().unwrap()
}

fn told(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let help = run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for code in [
        "0  done",
        "1  it failed",
        "2  the command line",
        "3  no plan",
    ] {
        assert!(told(&help.stdout).contains(code), "{code}");
    }
    for (arguments, code, part) in [
        (
            &["models", "--config", "no/such.toml"][..],
            1,
            "there is no no/such.toml",
        ),
        (&["load", "no/such.csv"], 1, "cannot read no/such.csv"),
        (&["plan", "--latency-ms", "-4"], 2, "not a number above 0"),
        (&["plan", "--guidance", "0"], 2, "1 (unguided)"),
        (&["serve", "--listen", "localhost"], 2, "127.0.0.1:8080"),
        (&["generate", " "], 1, "say what to draw"),
        (
            &["generate", "a cat", "--tflops", "0.000001"],
            3,
            "tflops of at least",
        ),
        (
            &["generate", "a cat", "--plan-token", "AXg8"],
            2,
            "not a whole token",
        ),
        (
            &[
                "generate",
                "a cat",
                "--quality",
                "low",
                "--model-dir",
                "weights/emoji",
            ],
            1,
            "leave --model-dir out",
        ),
        (&["models", "--jsno"], 2, "--json"),
        (
            &["calibrate", "quality", "--steps", "1"],
            1,
            "calibration/emoji.json holds",
        ),
        (
            &[
                "calibrate",
                "quality",
                "--captions",
                "0",
                "--output",
                "no.json",
            ],
            1,
            "2 or more would do",
        ),
        (
            &[
                "calibrate",
                "sheet",
                "--captions",
                "0",
                "--output",
                "no.png",
            ],
            1,
            "1 or more are needed",
        ),
        (&["plan", "--steps", "0"], 2, "1..=1000"),
        (&[], 2, "Usage: goldilocks"),
        (&["plan", "--tflops", "0.000001"], 3, "tflops of at least"),
        (&["plan", "--min-score", "1"], 3, "min_score"),
        (&["plan", "--model", "emoji-c99"], 1, "emoji-c16"),
    ] {
        let out = run(arguments);
        let said = told(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
        assert!(out.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_of_a_command_is_all_that_is_said_of_it() {
    for (command, part) in [
        ("serve", "SIGTERM"),
        ("plan", "the exit code is 3"),
        ("generate", "hold it to theirs"),
        ("doctor", "without loading a model"),
        ("load", "Open loop"),
    ] {
        let out = run(&[command, "--help"]);
        let text = told(&out.stdout);
        let words: Vec<&str> = text.split_whitespace().collect();
        assert!(words.join(" ").contains(part), "{command}: {text}");
    }
}

#[test]
fn nothing_is_colored_where_nobody_watches() {
    for arguments in [
        &["--help"][..],
        &["serve", "--lisen"],
        &["models"],
        &["doctor", "--listen=127.0.0.1:0"],
    ] {
        let out = run(arguments);
        for text in [out.stdout, out.stderr] {
            assert!(!text.contains(&0x1b), "{arguments:?}: {}", told(&text));
        }
    }
}

#[test]
fn a_reader_who_has_had_enough_is_no_failure() {
    let state = tempfile::tempdir().unwrap();
    for arguments in [
        &["openapi"][..],
        &["openapi", "--markdown"],
        &["models", "--json"],
    ] {
        let mut command = goldilocks(&state, arguments);
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(process.stdout.take());
        let out = process.wait_with_output().unwrap();
        assert!(out.status.success(), "{arguments:?}: {}", told(&out.stderr));
        assert!(out.stderr.is_empty(), "{}", told(&out.stderr));
    }
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let out = run(&["completions", shell]);
        assert!(out.status.success(), "{shell}");
        let script = told(&out.stdout);
        assert!(
            script.contains("doctor") && script.contains("state-dir"),
            "{shell}"
        );
    }
}

#[test]
fn models_say_what_they_compute_in() {
    let out = run(&["models", "--json"]);
    let listed: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    for model in listed[0]["models"].as_array().unwrap() {
        let dtype = model["dtype"].as_str().unwrap();
        assert!(["f32", "bf16"].contains(&dtype), "{dtype}");
    }
    let out = run(&["doctor", "--listen", "127.0.0.1:0"]);
    let said = told(&out.stdout);
    assert!(
        said.contains("precision") && said.contains("emoji-c32"),
        "{said}"
    );
}

#[test]
fn what_a_script_reads_is_json() {
    let state = tempfile::tempdir().unwrap();
    let path = |name: &str| state.path().join(name).display().to_string();
    let (trace, picture, deep) = (path("trace.csv"), path("a.png"), path("b.png"));
    let config = "weights/emoji/unet-c8/config.json";
    for (arguments, field) in [
        (&["models", "--json"][..], "family"),
        (&["plan", "--tflops", "0.01", "--json"], "plan"),
        (
            &["flops", config, "--latent", "16x16", "--json"],
            "total_flops",
        ),
        (&["openapi"], "openapi"),
        (&["calibrate", "latency", "--json"], "weight"),
        (&["calibrate", "report", "--json"], "plans"),
        (
            &[
                "trace",
                "poisson",
                "--rate=2",
                "--seconds=5",
                "--output",
                &trace,
                "--json",
            ],
            "requests",
        ),
        (
            &["simulate", &trace, "--policy", "goldilocks", "--json"],
            "goldilocks",
        ),
        (
            &[
                "generate",
                "a cat",
                "--model=emoji-c8",
                "--steps=1",
                "--output",
                &picture,
                "--json",
            ],
            "seed",
        ),
        (&["doctor", "--listen=127.0.0.1:0", "--json"], "checks"),
    ] {
        let out = goldilocks(&state, arguments).output().unwrap();
        assert!(out.status.success(), "{arguments:?}: {}", told(&out.stderr));
        let value: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        let object = value.get(0).unwrap_or(&value);
        assert!(object.get(field).is_some(), "{arguments:?}: {value}");
    }
    let quiet = goldilocks(
        &state,
        &[
            "generate",
            "a cat",
            "--model=emoji-c8",
            "--steps=1",
            "-o",
            &deep,
        ],
    );
    let out = { quiet }.output().unwrap();
    assert!(told(&out.stderr).ends_with("b.png\n") && out.stdout.is_empty());
}
