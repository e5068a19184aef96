//! What does the person who starts the server decide? Flags and environment, read once.
//!
//! [`ServeFlags`] is what was typed, [`ServerConfig`] is what it means. Every default stands here and
//! shows in `--help`; every flag has a variable `GOLDILOCKS_...`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::units::Flops;

mod access;
mod cors_origin;

use access::AccessFlags;
pub use access::{Access, ApiKey, read_keys};
pub use cors_origin::CorsOrigin;

/// What was typed after `goldilocks serve`, or set in the environment.
#[derive(Debug, Clone, Args)]
pub struct ServeFlags {
    /// Address and port to listen on
    #[arg(long, env = "GOLDILOCKS_LISTEN", default_value = "127.0.0.1:8080", value_parser = address)]
    pub listen: SocketAddr,

    /// The hosted models
    #[arg(long, env = "GOLDILOCKS_CONFIG", default_value = "models.toml")]
    pub config: PathBuf,

    /// Where measured latencies are kept [default: goldilocks in the XDG state folder]
    #[arg(long, env = "GOLDILOCKS_STATE_DIR")]
    pub state_dir: Option<PathBuf>,

    #[command(flatten)]
    access: AccessFlags,

    /// Log filter: a level, or `target=level` pairs
    #[arg(long, env = "GOLDILOCKS_LOG", default_value = "info")]
    pub log: String,

    /// Shape of the log lines on standard error
    #[arg(long, env = "GOLDILOCKS_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    #[command(flatten)]
    limits: LimitFlags,

    /// Print the configuration in force and leave
    #[arg(long)]
    pub print_config: bool,
}

/// Shape of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The limits, as flags.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
struct LimitFlags {
    /// Longest request body in bytes
    #[arg(long, env = "GOLDILOCKS_MAX_BODY_BYTES", default_value_t = 64 * 1024)]
    max_body_bytes: usize,

    /// Longest prompt in characters
    #[arg(long, env = "GOLDILOCKS_MAX_PROMPT_CHARS", default_value_t = 2000)]
    max_prompt_chars: usize,

    /// Most pictures for one request
    #[arg(long, env = "GOLDILOCKS_MAX_IMAGES", default_value_t = 10)]
    max_images: u32,

    /// Most pixels in one picture
    #[arg(long, env = "GOLDILOCKS_MAX_PIXELS", default_value_t = 1024 * 1024)]
    max_pixels: u64,

    /// Most work for one request, in 10^12 operations
    #[arg(long, env = "GOLDILOCKS_MAX_TFLOPS", default_value_t = 1000.0)]
    max_tflops: f64,

    /// Seconds for the head of a request to arrive
    #[arg(long, env = "GOLDILOCKS_HEADER_TIMEOUT", default_value = "10", value_parser = seconds)]
    header_timeout: Duration,

    /// Seconds for the body of a request to arrive
    #[arg(long, env = "GOLDILOCKS_BODY_TIMEOUT", default_value = "10", value_parser = seconds)]
    body_timeout: Duration,

    /// Seconds for a request to be answered, whatever its budget
    #[arg(long, env = "GOLDILOCKS_REQUEST_TIMEOUT", default_value = "300", value_parser = seconds)]
    request_timeout: Duration,

    /// Most connections at once
    #[arg(long, env = "GOLDILOCKS_MAX_CONNECTIONS", default_value_t = 1024)]
    max_connections: usize,

    /// Most requests waiting for one device
    #[arg(long, env = "GOLDILOCKS_QUEUE_CAPACITY", default_value_t = 64)]
    queue_capacity: usize,

    /// Seconds that admitted requests have to finish once the server is told to stop
    #[arg(long, env = "GOLDILOCKS_SHUTDOWN_GRACE", default_value = "25", value_parser = seconds)]
    shutdown_grace: Duration,
}

/// What a server does, with nothing left to decide.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// The file with the hosted models.
    pub config: PathBuf,
    /// Where measured latencies are kept.
    pub state_dir: PathBuf,
    /// Who may ask.
    pub access: Access,
    /// What is refused.
    pub limits: Limits,
    /// Most jobs waiting for one device.
    pub queue_capacity: usize,
    /// What admitted requests have to finish once the server is told to stop.
    pub shutdown_grace: Duration,
}

/// What a request may ask for, and how long it may take to ask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Longest body in bytes.
    pub max_body_bytes: usize,
    /// Longest prompt in characters.
    pub max_prompt_chars: usize,
    /// Most pictures for one request.
    pub max_images: u32,
    /// Most pixels in one picture.
    pub max_pixels: u64,
    /// Most work for one request.
    pub max_flops: Flops,
    /// Time for the head to arrive.
    pub header_timeout: Duration,
    /// Time for the body to arrive.
    pub body_timeout: Duration,
    /// Time for the reply, whatever the budget.
    pub request_timeout: Duration,
    /// Most connections at once.
    pub max_connections: usize,
}

/// The flags do not make a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No place for the state.
    #[error("there is no home folder for measured latencies; name one with --state-dir")]
    NoStateDir,
    /// The key file cannot be read.
    #[error("cannot read the API keys in {path}: {source}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The key file would lock everybody out.
    #[error("{path} holds no API key; write one a line, or leave --api-key-file out")]
    NoKeys {
        /// The file.
        path: PathBuf,
    },
    /// A limit that would refuse everything.
    #[error("{flag} {value} would refuse every request; give it a value above zero")]
    ZeroLimit {
        /// The flag.
        flag: &'static str,
        /// Its value.
        value: String,
    },
}

impl ServerConfig {
    /// Completes and checks what was typed; reads the key file.
    pub fn new(flags: ServeFlags) -> Result<Self, ConfigError> {
        flags.limits.check()?;
        let state_dir = match flags.state_dir {
            Some(folder) => folder,
            None => default_state_dir().ok_or(ConfigError::NoStateDir)?,
        };
        Ok(Self {
            listen: flags.listen,
            config: flags.config,
            state_dir,
            access: flags.access.complete()?,
            queue_capacity: flags.limits.queue_capacity,
            shutdown_grace: flags.limits.shutdown_grace,
            limits: flags.limits.into(),
        })
    }
}

/// What `--print-config` shows; secrets are counted, not shown.
#[derive(Serialize)]
struct Rendered<'a> {
    server: RenderedServer<'a>,
}

#[derive(Serialize)]
struct RenderedServer<'a> {
    listen: SocketAddr,
    config: &'a Path,
    state_dir: &'a Path,
    api_keys: usize,
    open_probes: bool,
    open_metrics: bool,
    cors_origins: Vec<String>,
    queue_capacity: usize,
    shutdown_grace: f64,
    max_body_bytes: usize,
    max_prompt_chars: usize,
    max_images: u32,
    max_pixels: u64,
    max_tflops: f64,
    header_timeout: f64,
    body_timeout: f64,
    request_timeout: f64,
    max_connections: usize,
}

impl ServerConfig {
    /// Returns what is in force as TOML, named as the flags are.
    pub fn to_toml(&self) -> String {
        let (access, limits) = (&self.access, &self.limits);
        let server = RenderedServer {
            listen: self.listen,
            config: &self.config,
            state_dir: &self.state_dir,
            api_keys: access.api_keys.len(),
            open_probes: access.open_probes,
            open_metrics: access.open_metrics,
            cors_origins: access
                .cors_origins
                .iter()
                .map(ToString::to_string)
                .collect(),
            queue_capacity: self.queue_capacity,
            shutdown_grace: self.shutdown_grace.as_secs_f64(),
            max_body_bytes: limits.max_body_bytes,
            max_prompt_chars: limits.max_prompt_chars,
            max_images: limits.max_images,
            max_pixels: limits.max_pixels,
            max_tflops: limits.max_flops.tflops(),
            header_timeout: limits.header_timeout.as_secs_f64(),
            body_timeout: limits.body_timeout.as_secs_f64(),
            request_timeout: limits.request_timeout.as_secs_f64(),
            max_connections: limits.max_connections,
        };
        toml::to_string(&Rendered { server }).expect("numbers and paths are TOML")
    }
}

impl LimitFlags {
    fn check(&self) -> Result<(), ConfigError> {
        let positive = [
            ("--max-body-bytes", self.max_body_bytes as f64),
            ("--max-prompt-chars", self.max_prompt_chars as f64),
            ("--max-images", f64::from(self.max_images)),
            ("--max-pixels", self.max_pixels as f64),
            ("--max-tflops", self.max_tflops),
            ("--max-connections", self.max_connections as f64),
            ("--queue-capacity", self.queue_capacity as f64),
            ("--header-timeout", self.header_timeout.as_secs_f64()),
            ("--body-timeout", self.body_timeout.as_secs_f64()),
            ("--request-timeout", self.request_timeout.as_secs_f64()),
        ];
        match positive
            .into_iter()
            .find(|(_, value)| value.is_nan() || *value <= 0.0)
        {
            None => Ok(()),
            Some((flag, value)) => Err(ConfigError::ZeroLimit {
                flag,
                value: value.to_string(),
            }),
        }
    }
}

impl From<LimitFlags> for Limits {
    fn from(flags: LimitFlags) -> Self {
        Self {
            max_body_bytes: flags.max_body_bytes,
            max_prompt_chars: flags.max_prompt_chars,
            max_images: flags.max_images,
            max_pixels: flags.max_pixels,
            max_flops: Flops::from_tflops(flags.max_tflops),
            header_timeout: flags.header_timeout,
            body_timeout: flags.body_timeout,
            request_timeout: flags.request_timeout,
            max_connections: flags.max_connections,
        }
    }
}

/// Reads an address and a port.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("{text:?} is not an IP address and a port; write for example 127.0.0.1:8080 or 0.0.0.0:8080")
    })
}

/// Reads a number of seconds.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let fault = || format!("{text:?} is not a number of seconds; write for example 10 or 0.5");
    let seconds: f64 = text.parse().map_err(|_| fault())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| fault())
}

/// Whether colors are welcome where they can be shown: any text in `NO_COLOR` forbids them, as
/// <https://no-color.org> says.
pub fn allows_colors() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|text| text.is_empty())
}

/// Where measured latencies are kept unless a flag says otherwise: `$XDG_STATE_HOME/goldilocks`, else
/// `~/.local/state/goldilocks`, as the base directory specification says.
pub fn default_state_dir() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let state = named
        .filter(|folder| folder.is_absolute())
        .or_else(|| Some(std::env::home_dir()?.join(".local/state")))?;
    Some(state.join("goldilocks"))
}

#[cfg(test)]
mod tests;
