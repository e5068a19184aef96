//! What was found, how bad is it, and what helps?

use std::fmt::Write as _;

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// `serve` works, but not as well as it could.
    Warn,
    /// `serve` does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) level: Level,
    /// What is so.
    pub(super) found: String,
    /// What to do about it; null where there is nothing to do.
    pub(super) remedy: Option<String>,
}

impl Check {
    pub(super) fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            level: Level::Ok,
            found: found.into(),
            remedy: None,
        }
    }

    pub(super) fn warn(
        name: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Warn,
            remedy: Some(remedy.into()),
            ..Self::ok(name, found)
        }
    }

    pub(super) fn fail(
        name: &'static str,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Fail,
            remedy: Some(remedy.into()),
            ..Self::ok(name, found)
        }
    }
}

/// All that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: &'static str,
    pub(super) failed: usize,
    pub(super) warned: usize,
    pub(super) checks: Vec<Check>,
}

impl Report {
    pub(super) fn new(checks: Vec<Check>) -> Self {
        let count = |level| checks.iter().filter(|check| check.level == level).count();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            failed: count(Level::Fail),
            warned: count(Level::Warn),
            checks,
        }
    }

    /// One line a check, and one for what to do about it.
    pub(super) fn lines(&self) -> String {
        let mut text = String::new();
        for check in &self.checks {
            let level = match check.level {
                Level::Ok => "ok",
                Level::Warn => "warn",
                Level::Fail => "FAIL",
            };
            let found = check.found.replace('\n', "\n                  ");
            let _ = writeln!(text, "{level:<5} {:<11} {found}", check.name);
            if let Some(remedy) = &check.remedy {
                let _ = writeln!(text, "{:17} -> {remedy}", "");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_has_a_second_line_that_says_what_to_do() {
        let report = Report::new(vec![
            Check::ok("processor", "avx2"),
            Check::warn("threads", "8 threads on 2 cores", "unset it"),
            Check::fail("port", "taken", "take another"),
        ]);
        assert_eq!((report.failed, report.warned), (1, 1));
        let expected = "\
ok    processor   avx2
warn  threads     8 threads on 2 cores
                  -> unset it
FAIL  port        taken
                  -> take another
";
        assert_eq!(report.lines(), expected);
    }
}
