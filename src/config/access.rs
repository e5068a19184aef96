//! Who may ask, and who may read the answer?

use std::{fs, path::PathBuf};

use clap::{Args, builder::BoolishValueParser};

use super::{ConfigError, CorsOrigin};

/// Who may ask, as flags.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Access")]
pub(super) struct AccessFlags {
    /// File with one API key a line; without it everybody may ask
    #[arg(long, env = "GOLDILOCKS_API_KEY_FILE")]
    api_key_file: Option<PathBuf>,

    /// Answer /livez and /readyz without a key, for probes that have none
    #[arg(long, env = "GOLDILOCKS_OPEN_PROBES", value_parser = BoolishValueParser::new())]
    open_probes: bool,

    /// Answer /metrics without a key, for scrapes that have none
    #[arg(long, env = "GOLDILOCKS_OPEN_METRICS", value_parser = BoolishValueParser::new())]
    open_metrics: bool,

    /// Pages of this origin may read replies in a browser, as `https://example.com`; * for all pages. May be
    /// given several times [default: none]
    #[arg(
        long = "cors-origin",
        env = "GOLDILOCKS_CORS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    cors_origins: Vec<CorsOrigin>,
}

/// Who may ask, and who may read the answer.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The keys that open the server; empty for everybody.
    pub api_keys: Vec<ApiKey>,
    /// Whether probes need no key.
    pub open_probes: bool,
    /// Whether scrapes need no key.
    pub open_metrics: bool,
    /// Whose pages may read replies in a browser; empty for nobody's.
    pub cors_origins: Vec<CorsOrigin>,
}

/// A secret that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Returns the secret.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

impl AccessFlags {
    /// Completes what was typed; reads the key file.
    pub(super) fn complete(self) -> Result<Access, ConfigError> {
        Ok(Access {
            api_keys: match self.api_key_file {
                Some(path) => read_keys(path)?,
                None => Vec::new(),
            },
            open_probes: self.open_probes,
            open_metrics: self.open_metrics,
            cors_origins: self.cors_origins,
        })
    }
}

/// Reads a file of keys: one a line; empty lines and those that begin with `#` do not count.
pub fn read_keys(path: PathBuf) -> Result<Vec<ApiKey>, ConfigError> {
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(ConfigError::KeyFile { path, source }),
    };
    let lines = text.lines().map(str::trim);
    let keys: Vec<ApiKey> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| ApiKey(line.to_owned()))
        .collect();
    if keys.is_empty() {
        return Err(ConfigError::NoKeys { path });
    }
    Ok(keys)
}
