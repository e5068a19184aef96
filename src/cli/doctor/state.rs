//! Can what is learned be kept, and does what was learned before still hold?

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use super::check::Check;
use crate::{
    catalog::Catalog,
    cli::latency,
    files,
    runtime::state::Learned,
    telemetry::{Clock, SystemClock},
};

/// Whether `serve` could write to the state folder.
pub(super) fn folder(state_dir: &Path) -> Check {
    let shown = state_dir.display();
    match tried(state_dir) {
        Ok(()) if state_dir.exists() => Check::ok("state", format!("{shown} can be written to")),
        Ok(()) => Check::ok("state", format!("{shown} is not there and can be made")),
        Err(error) => Check::fail(
            "state",
            format!("{shown} cannot be written to: {error}"),
            "give it to the user who runs the server, or name another folder with --state-dir",
        ),
    }
}

/// Writes a file to the folder, or to the nearest one above it that is there, and takes it away again.
fn tried(state_dir: &Path) -> std::io::Result<()> {
    let there = state_dir.ancestors().find(|folder| folder.exists());
    let folder = there.map_or_else(|| PathBuf::from("."), Path::to_owned);
    let file = folder.join(".goldilocks-doctor");
    files::replace(&file, b"")?;
    fs::remove_file(file)
}

/// Whether what was learned before holds for what is hosted now.
pub(super) fn latencies(catalog: &Catalog, state_dir: &Path) -> Check {
    let file = latency::file(catalog, state_dir);
    let written = fs::metadata(file.path()).and_then(|file| file.modified());
    let written = written
        .ok()
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let now = Duration::from_secs(SystemClock::start().unix_seconds());
    judge_latencies(&file.look(), written.map(|at| now.saturating_sub(at)))
}

fn judge_latencies(learned: &Learned, age: Option<Duration>) -> Check {
    let age = age.map_or_else(String::new, |age| format!(", last {} ago", span(age)));
    match learned {
        Learned::Nothing => Check::ok(
            "latencies",
            "none are learned yet; serve times the models when it starts",
        ),
        Learned::Here(model) if !model.is_learned() => Check::ok(
            "latencies",
            format!(
                "learned from {} requests{age}, which are few: predictions are cautious",
                model.n_observed()
            ),
        ),
        Learned::Here(model) => Check::ok(
            "latencies",
            format!("learned from {} requests{age}", model.n_observed()),
        ),
        Learned::Elsewhere(differs) => Check::warn(
            "latencies",
            format!("learned with other {}{age}", differs.join(", ")),
            "they are learned anew; to keep both, give each its own --state-dir",
        ),
        Learned::Unusable(reason) => Check::warn(
            "latencies",
            format!("{reason}{age}"),
            "they are learned anew, and the file is replaced",
        ),
    }
}

fn span(age: Duration) -> String {
    let minutes = age.as_secs() / 60;
    match minutes {
        0..120 => format!("{minutes} min"),
        120..2880 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::doctor::check::Level,
        planner::{LatencyModel, PhaseTimes},
        units::Millis,
    };

    #[test]
    fn a_folder_that_is_not_there_is_tried_above_and_not_made() {
        let place = tempfile::tempdir().unwrap();
        let deep = place.path().join("a/b");
        assert_eq!(folder(&deep).level, Level::Ok);
        assert_eq!(folder(place.path()).level, Level::Ok);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_in_the_way_fails() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(folder(&file.join("state")).level, Level::Fail);
    }

    #[test]
    fn what_was_learned_is_told_with_its_age() {
        let hour = Some(Duration::from_hours(3));
        let mut model = LatencyModel::new(PhaseTimes::default());
        model.observe(Millis(1.0), Millis(1.0));
        let here = judge_latencies(&Learned::Here(Box::new(model)), hour);
        assert_eq!(here.level, Level::Ok);
        assert!(
            here.found
                .starts_with("learned from 1 requests, last 3 h ago"),
            "{here:?}"
        );
        assert_eq!(judge_latencies(&Learned::Nothing, None).level, Level::Ok);
    }

    #[test]
    fn what_does_not_hold_here_is_a_warning() {
        let other = judge_latencies(&Learned::Elsewhere(vec!["build", "threads"]), None);
        assert_eq!(other.level, Level::Warn);
        assert_eq!(other.found, "learned with other build, threads");
        let damaged = judge_latencies(&Learned::Unusable("it is damaged".into()), None);
        assert_eq!(damaged.level, Level::Warn);
    }
}
