//! How far is long work? A bar where somebody watches, and a line now and then where a file or a log does.
//!
//! Both go to standard error: standard output is for what was asked for.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a line is written where no bar can be drawn; work that is shorter writes none.
const EVERY: Duration = Duration::from_secs(10);

/// Work of a known length.
#[derive(Debug)]
pub struct Progress {
    what: String,
    bar: ProgressBar,
    said: Mutex<Said>,
}

/// What lines have told so far.
#[derive(Debug, Default)]
struct Said {
    message: String,
    last: Duration,
}

impl Progress {
    /// Begins work of `length`, in any unit; `what` is one word for it.
    pub fn new(what: &str, length: u64) -> Self {
        let template = "{prefix} {bar:30} {percent:>3}%  {elapsed} so far, {eta} left  {msg}";
        let style = ProgressStyle::with_template(template).expect("the template is valid");
        // indicatif draws on standard error, and nothing where that is not a terminal.
        let bar = ProgressBar::new(length).with_style(style);
        Self {
            what: what.to_owned(),
            bar: bar.with_prefix(what.to_owned()),
            said: Mutex::default(),
        }
    }

    /// Says what is being done.
    pub fn say(&self, message: String) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.message.clone_from(&message);
        drop(said);
        self.bar.set_message(message);
    }

    /// So much more is done.
    pub fn advance(&self, by: u64) {
        self.bar.inc(by);
        if !self.bar.is_hidden() {
            return;
        }
        let elapsed = self.bar.elapsed();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if elapsed.saturating_sub(said.last) >= EVERY {
            said.last = elapsed;
            eprintln!("{}", self.line(elapsed, &said.message));
        }
    }

    /// So much less is to be done than was thought.
    pub fn shorten(&self, by: u64) {
        self.bar.dec_length(by);
    }

    /// Takes the bar away; a last line closes those that were written.
    pub fn finish(&self) {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if self.bar.is_hidden() && said.last > Duration::ZERO {
            eprintln!("{}: done, {} in all", self.what, span(self.bar.elapsed()));
        }
        self.bar.finish_and_clear();
    }

    fn line(&self, elapsed: Duration, message: &str) -> String {
        let length = self.bar.length().unwrap_or(0);
        line(&self.what, self.bar.position(), length, elapsed, message)
    }
}

/// Work of unknown length, which ends with the value.
#[derive(Debug)]
pub struct Waiting(ProgressBar);

impl Waiting {
    /// Says what is waited for.
    pub fn new(what: &str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(what.to_owned());
        if bar.is_hidden() {
            eprintln!("{what}");
        } else {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self(bar)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// One line for a log.
fn line(what: &str, done: u64, length: u64, elapsed: Duration, message: &str) -> String {
    let share = done as f64 / length.max(1) as f64;
    let left = if share > 0.0 {
        let left = elapsed.as_secs_f64() * (1.0 / share - 1.0).max(0.0);
        Duration::try_from_secs_f64(left).ok()
    } else {
        None
    };
    let left = left.map_or_else(String::new, |left| format!(", about {} left", span(left)));
    let so_far = span(elapsed);
    let message = if message.is_empty() {
        String::new()
    } else {
        format!("; {message}")
    };
    format!(
        "{what}: {:.0}%, {so_far} so far{left}{message}",
        100.0 * share
    )
}

/// A span of time as people say it.
fn span(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_how_long_and_what() {
        let told = line("measuring", 30, 120, Duration::from_secs(100), "c8, ddim");
        assert_eq!(
            told,
            "measuring: 25%, 100 s so far, about 5 min left; c8, ddim"
        );
    }

    #[test]
    fn nothing_is_promised_before_anything_is_done_and_no_length_is_no_fault() {
        let told = line("drawing", 0, 0, Duration::from_secs(12), "");
        assert_eq!(told, "drawing: 0%, 12 s so far");
    }

    #[test]
    fn spans_are_in_the_unit_that_people_would_use() {
        let said = [5, 119, 125, 7384].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(said, ["5 s", "119 s", "2 min", "2 h 3 min"]);
    }
}
