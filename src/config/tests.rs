//! Do flags become a configuration, and are the ones that cannot be one refused?

use std::fs;

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    flags: ServeFlags,
}

fn config(words: &[&str]) -> Result<ServerConfig, ConfigError> {
    let words = ["serve", "--state-dir", "state"].iter().chain(words);
    ServerConfig::new(Line::try_parse_from(words).unwrap().flags)
}

#[test]
fn the_defaults_are_those_of_the_design() {
    let config = config(&[]).unwrap();
    assert_eq!(config.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.limits.max_body_bytes, 65_536);
    assert_eq!(config.limits.max_prompt_chars, 2000);
    assert_eq!(config.limits.max_images, 10);
    let access = config.access;
    assert!(access.api_keys.is_empty() && access.cors_origins.is_empty());
    assert!(!access.open_probes && !access.open_metrics);
}

#[test]
fn a_limit_that_refuses_everything_is_refused_itself() {
    for flag in ["--max-images", "--queue-capacity", "--max-tflops"] {
        let message = config(&[flag, "0"]).unwrap_err().to_string();
        assert!(message.contains(flag), "{message}");
    }
    assert!(config(&["--max-tflops", "NaN"]).is_err());
}

#[test]
fn keys_are_read_one_a_line_and_never_shown() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "# staff\nalpha\n\n  beta \n").unwrap();
    let path = file.path().to_str().unwrap();
    let keys = config(&["--api-key-file", path]).unwrap().access.api_keys;
    let secrets: Vec<&str> = keys.iter().map(ApiKey::secret).collect();
    assert_eq!(secrets, ["alpha", "beta"]);
    assert!(!format!("{keys:?}").contains("alpha"));
}

#[test]
fn a_key_file_without_keys_locks_nobody_out_by_accident() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "# nobody yet\n").unwrap();
    let error = config(&["--api-key-file", file.path().to_str().unwrap()]).unwrap_err();
    assert!(matches!(error, ConfigError::NoKeys { .. }));
}

#[test]
fn origins_are_listed_one_by_one_or_together_and_shown() {
    let flags = [
        "--cors-origin",
        "https://a.example",
        "--cors-origin=http://b:3000,*",
    ];
    let config = config(&flags).unwrap();
    let expected = ["https://a.example", "http://b:3000", "*"];
    let origins = config.access.cors_origins.iter().map(ToString::to_string);
    assert_eq!(origins.collect::<Vec<_>>(), expected);
    let shown = config.to_toml();
    assert!(shown.contains("\"https://a.example\""), "{shown}");
    assert!(Line::try_parse_from(["serve", "--cors-origin=a.example"]).is_err());
}

#[test]
fn seconds_may_have_decimals_but_no_sign() {
    assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
    for text in ["-1", "soon", "inf"] {
        assert!(seconds(text).unwrap_err().contains(text));
    }
}
