//! What became of one request?

use super::trace::BudgetClass;
use crate::units::{Millis, Steps};

/// One request of a trace and its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// When it should have been sent, in seconds since the start of the trace.
    pub arrival_seconds: f64,
    /// What it granted.
    pub class: BudgetClass,
    /// Pictures that it asked for.
    pub images: u32,
    /// From the intended time to the last byte of the end, whatever the end was; a second try included.
    pub latency_ms: Millis,
    /// How often it was sent: once, or twice where a refusal was asked again.
    pub tries: u32,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// All its pictures came.
    Answered(Answer),
    /// The server said no.
    Refused(Refusal),
    /// Nothing came that could be understood.
    Failed(Failure),
}

/// What came, without the pictures. What a server does not tell is none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The predicted score of the plan; none if it was never measured.
    pub score: Option<f64>,
    /// What the server says it took, the network excluded.
    pub server_ms: Option<Millis>,
    /// 10^12 operations that ran.
    pub tflops: Option<f64>,
    /// The model that drew.
    pub model: Option<String>,
    /// Steps that the first picture took.
    pub steps_run: Option<Steps>,
    /// Whether a picture was cut short to be in time.
    pub degraded: bool,
    /// Whether the server itself says that it is late.
    pub late: bool,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status, or what it would be.
    pub status: u16,
    /// The stable name of the error.
    pub code: String,
    /// When it is worth asking again, in whole milliseconds.
    pub retry_after_ms: Option<u64>,
}

/// Why nothing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// Nobody took the connection.
    NotConnected,
    /// The connection ended before the reply began.
    ConnectionLost,
    /// The connection ended within the reply.
    BodyCut,
    /// The reply was not what was asked for.
    NotUnderstood,
    /// The reply did not end within the client's patience.
    TimedOut,
}

impl Failure {
    /// Its name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotConnected => "not_connected",
            Self::ConnectionLost => "connection_lost",
            Self::BodyCut => "body_cut",
            Self::NotUnderstood => "not_understood",
            Self::TimedOut => "timed_out",
        }
    }
}

impl Record {
    /// Its answer, if it had one.
    pub fn answer(&self) -> Option<&Answer> {
        match &self.outcome {
            Outcome::Answered(answer) => Some(answer),
            _ => None,
        }
    }

    /// Whether every picture came within the request's own budget. Operations that nobody tells are not within one.
    pub fn is_attained(&self) -> bool {
        let within = |answer: &Answer| {
            let in_time = (self.class.latency_ms).is_none_or(|limit| self.latency_ms <= limit);
            let in_work = (self.class.tflops)
                .is_none_or(|limit| answer.tflops.is_some_and(|spent| spent <= limit));
            in_time && in_work
        };
        self.answer().is_some_and(within)
    }

    /// Whether the server took the request on. One that was given up later (500, 504) was, and so was one whose reply
    /// was lost on its way.
    pub fn is_admitted(&self) -> bool {
        match &self.outcome {
            Outcome::Answered(_) => true,
            Outcome::Refused(refusal) => matches!(refusal.status, 500 | 504),
            Outcome::Failed(failure) => *failure != Failure::NotConnected,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A request at `arrival_seconds` with a latency budget of 100 ms.
    pub(in crate::load) fn record(arrival_seconds: f64, ms: f64, outcome: Outcome) -> Record {
        Record {
            arrival_seconds,
            class: BudgetClass {
                latency_ms: Some(Millis(100.0)),
                tflops: None,
            },
            images: 1,
            latency_ms: Millis(ms),
            tries: 1,
            outcome,
        }
    }

    pub(in crate::load) fn answered(score: Option<f64>) -> Outcome {
        Outcome::Answered(Answer {
            score,
            tflops: Some(0.004),
            ..Answer::default()
        })
    }

    pub(in crate::load) fn refused(status: u16, code: &str) -> Outcome {
        Outcome::Refused(Refusal {
            status,
            code: code.into(),
            retry_after_ms: None,
        })
    }

    #[test]
    fn a_budget_is_kept_where_every_limit_is() {
        let mut kept = record(0.0, 100.0, answered(None));
        assert!(kept.is_attained(), "to the last millisecond");
        kept.class.tflops = Some(0.004);
        assert!(kept.is_attained());
        kept.class.tflops = Some(0.0039);
        assert!(!kept.is_attained());
        assert!(!record(0.0, 100.1, answered(None)).is_attained());
        assert!(!record(0.0, 1.0, refused(429, "overloaded")).is_attained());
        let mut untold = record(0.0, 1.0, Outcome::Answered(Answer::default()));
        assert!(untold.is_attained());
        untold.class.tflops = Some(1.0);
        assert!(!untold.is_attained());
    }

    #[test]
    fn what_was_given_up_had_been_admitted_and_what_was_refused_had_not() {
        let admitted = |outcome| record(0.0, 1.0, outcome).is_admitted();
        assert!(admitted(answered(None)));
        assert!(admitted(refused(504, "deadline_exceeded")));
        assert!(admitted(Outcome::Failed(Failure::BodyCut)));
        for (status, code) in [
            (429, "overloaded"),
            (422, "budget_infeasible"),
            (503, "loading"),
        ] {
            assert!(!admitted(refused(status, code)));
        }
        assert!(!admitted(Outcome::Failed(Failure::NotConnected)));
    }
}
