//! Which values may a label take? Closed sets, so that nothing a client sends makes a series.

use crate::units::{Millis, Steps};

/// An enum whose variants are the values of one label.
macro_rules! labels {
    (
        $(#[$about:meta])*
        $name:ident { $($(#[$what:meta])* $variant:ident = $label:literal,)+ }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$what])* $variant,)+
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            pub(super) fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }
        }
    };
}

labels! {
    /// Part of a job, in the order in which it runs through them.
    Phase {
        /// Encoding the prompt.
        Text = "text",
        /// All network evaluations.
        Denoise = "denoise",
        /// Latents to pixels.
        Decode = "decode",
        /// Pixels to files.
        Encode = "encode",
    }
}

labels! {
    /// Which limit of a budget it is about.
    BudgetKind {
        /// `latency_ms`.
        Latency = "latency",
        /// `tflops`.
        Tflops = "tflops",
    }
}

labels! {
    /// What became of a limit that a request granted.
    BudgetEnd {
        /// The pictures were delivered within it.
        Attained = "attained",
        /// They were delivered, but beyond it.
        Missed = "missed",
        /// The request was admitted, and there are no pictures.
        GivenUp = "given_up",
        /// It was not admitted, since the server had too much to do or was not ready.
        Refused = "refused",
        /// Not even an idle server could have kept it.
        Infeasible = "infeasible",
    }
}

labels! {
    /// What admission said.
    Admission {
        /// Come in.
        Admitted = "admitted",
        /// As many jobs are admitted as may be.
        Full = "full",
        /// Somebody would be late.
        NoRoom = "no_room",
    }
}

labels! {
    /// How an admitted job ended.
    JobEnd {
        /// With its pictures.
        Finished = "finished",
        /// Nobody waits for it any more.
        Cancelled = "cancelled",
        /// It could not be in time any more, and would rather have nothing than be late.
        Late = "late",
        /// The engine failed it.
        Failed = "failed",
        /// The server stopped before.
        Stopped = "stopped",
    }
}

labels! {
    /// How timing an idle device again ended.
    TimedAgain {
        /// Its times are new.
        Done = "done",
        /// Somebody came.
        Interrupted = "interrupted",
        /// The engine failed.
        Failed = "failed",
    }
}

labels! {
    /// How far an admitted job is.
    JobState {
        /// The device has not begun.
        Waiting = "waiting",
        /// It has.
        Running = "running",
    }
}

labels! {
    /// What is kept of an asynchronous job.
    KeptJob {
        /// It is under way.
        InProgress = "in_progress",
        /// Its pictures are there.
        Succeeded = "succeeded",
        /// There will be none.
        Failed = "failed",
        /// Somebody stopped it.
        Cancelled = "cancelled",
    }
}

labels! {
    /// Why work was for nothing.
    Wasted {
        /// Nobody wanted it any more.
        Cancelled = "cancelled",
        /// It failed.
        Failed = "failed",
        /// It could not be in time any more.
        Late = "late",
    }
}

labels! {
    /// What was predicted.
    Basis {
        /// The work that ran, by the times known at its end; the queue is left out on both sides.
        Work = "work",
        /// The request, as its reply says: queue, plan and all.
        Reply = "reply",
    }
}

labels! {
    /// A predicted latency that so many requests of a hundred should stay within.
    Percentile {
        /// Half of them.
        P50 = "p50",
        /// 95 of them.
        P95 = "p95",
        /// 99 of them.
        P99 = "p99",
    }
}

/// What became of a plan that was chosen at admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanChange {
    /// When the device began, less of the time was left than had been thought.
    SmallerAtDispatch,
    /// It was begun as it had been chosen.
    SameAtDispatch,
    /// When the device began, more of the time was left than had been thought.
    LargerAtDispatch,
    /// A picture on its way was given fewer steps.
    SmallerAtStep,
    /// A picture on its way went on with a larger model.
    LargerAtStep,
}

impl PlanChange {
    /// Every change.
    pub const ALL: &'static [Self] = &[
        Self::SmallerAtDispatch,
        Self::SameAtDispatch,
        Self::LargerAtDispatch,
        Self::SmallerAtStep,
        Self::LargerAtStep,
    ];

    /// The moment, and the change.
    pub(super) fn labels(self) -> [&'static str; 2] {
        match self {
            Self::SmallerAtDispatch => ["dispatch", "smaller"],
            Self::SameAtDispatch => ["dispatch", "same"],
            Self::LargerAtDispatch => ["dispatch", "larger"],
            Self::SmallerAtStep => ["step", "smaller"],
            Self::LargerAtStep => ["step", "larger"],
        }
    }
}

/// Seconds that a latency budget of a class is at most, and the class's name.
const CLASSES: [(f64, &str); 9] = [
    (0.05, "0.05s"),
    (0.1, "0.1s"),
    (0.25, "0.25s"),
    (0.5, "0.5s"),
    (1.0, "1s"),
    (2.0, "2s"),
    (5.0, "5s"),
    (15.0, "15s"),
    (f64::INFINITY, "longer"),
];

/// The class of requests without a latency budget.
const UNLIMITED: &str = "none";

/// How hurried a request is: the least of the classes' bounds that its latency budget does not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatencyClass(&'static str);

impl LatencyClass {
    /// The class of a latency budget.
    pub fn of(limit: Option<Millis>) -> Self {
        let Some(limit) = limit else {
            return Self(UNLIMITED);
        };
        let mut classes = CLASSES.iter();
        let class = classes.find(|(most, _)| limit.0 <= most * 1e3);
        Self(class.map_or(UNLIMITED, |(_, name)| name))
    }

    /// The classes that a limit of a kind can be of: a request that limits its latency is of one of those.
    pub(super) fn all(kind: BudgetKind) -> impl Iterator<Item = Self> {
        let unlimited = (kind == BudgetKind::Tflops).then_some(Self(UNLIMITED));
        let classes = CLASSES.iter().map(|(_, name)| Self(name));
        classes.chain(unlimited)
    }

    pub(super) fn label(self) -> &'static str {
        self.0
    }
}

/// Most steps of a bucket, and its name.
const STEPS: [(Steps, &str); 7] = [
    (1, "1"),
    (2, "2"),
    (4, "3-4"),
    (8, "5-8"),
    (16, "9-16"),
    (32, "17-32"),
    (Steps::MAX, "33+"),
];

/// Every bucket of step counts.
pub(super) fn step_buckets() -> impl Iterator<Item = &'static str> {
    STEPS.iter().map(|(_, name)| *name)
}

/// The bucket of a step count.
pub(super) fn step_bucket(steps: Steps) -> &'static str {
    let bucket = STEPS.iter().find(|(most, _)| steps <= *most);
    bucket.map_or("33+", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_belongs_to_the_class_that_it_does_not_exceed() {
        for (limit, class) in [
            (Some(20.0), "0.05s"),
            (Some(50.0), "0.05s"),
            (Some(50.1), "0.1s"),
            (Some(1000.0), "1s"),
            (Some(15_000.0), "15s"),
            (Some(60_000.0), "longer"),
            (None, "none"),
        ] {
            assert_eq!(LatencyClass::of(limit.map(Millis)).label(), class);
        }
    }

    #[test]
    fn only_requests_without_a_latency_budget_have_no_class() {
        let names = |kind| LatencyClass::all(kind).map(LatencyClass::label);
        assert!(names(BudgetKind::Latency).all(|name| name != UNLIMITED));
        assert_eq!(names(BudgetKind::Tflops).last(), Some(UNLIMITED));
    }

    #[test]
    fn every_step_count_has_a_bucket() {
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 8, 9, 32, 33, 1000].map(step_bucket),
            [
                "1", "1", "2", "3-4", "3-4", "5-8", "5-8", "9-16", "17-32", "33+", "33+"
            ]
        );
        assert_eq!(step_buckets().last(), Some("33+"));
    }
}
