//! Where do log lines go? To standard error, as text for people or as JSON for collectors.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, filter::ParseError};

/// The log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not one.
    #[error(
        "{text:?} is not a log filter ({source}); write a level such as info, or goldilocks=debug,info"
    )]
    Filter {
        /// What was given.
        text: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Somebody set up a log before.
    #[error("the log is set up already")]
    Twice,
}

/// Sends events that pass `filter` to standard error from now on, as text or as one JSON object a line. Text is colored
/// where that is a terminal and `colors` allows it.
pub fn start(filter: &str, json: bool, colors: bool) -> Result<(), LoggingError> {
    let filter = EnvFilter::try_new(filter).map_err(|source| LoggingError::Filter {
        text: filter.to_owned(),
        source,
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Colors are for terminals; a log file is read by other programs.
        .with_ansi(colors && std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = if json {
        lines.json().flatten_event(true).try_init()
    } else {
        lines.with_target(false).try_init()
    };
    started.map_err(|_| LoggingError::Twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_none_is_refused_with_an_example() {
        let error = start("goldilocks=loud", false, false).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("goldilocks=loud") && message.contains("info"),
            "{message}"
        );
    }
}
