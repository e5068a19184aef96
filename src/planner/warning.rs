//! What should a client know about a plan?

use std::fmt;

/// What a client should know about a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanWarning {
    /// The family has no profile for this size.
    Unmeasured,
    /// A pin has a value that was never measured.
    UnmeasuredPin,
    /// The request names its whole plan, which was never measured.
    UnmeasuredPlan,
    /// A latency was asked for before enough requests were seen on this machine.
    LatencyUnlearned,
}

impl PlanWarning {
    /// A stable name for replies.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unmeasured => "unmeasured",
            Self::UnmeasuredPin | Self::UnmeasuredPlan => "unmeasured_pin",
            Self::LatencyUnlearned => "latency_unlearned",
        }
    }
}

impl fmt::Display for PlanWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unmeasured => {
                "no scores were measured for this family at this size, so the plan follows \
                 documented defaults and has no predicted score"
            }
            Self::UnmeasuredPin => {
                "no measured plan has these fixed values, so the rest was planned as for the \
                 nearest measured ones and there is no predicted score"
            }
            Self::UnmeasuredPlan => "this plan was never measured, so it has no predicted score",
            Self::LatencyUnlearned => {
                "few requests were seen on this machine yet, so the predicted latency is cautious"
            }
        })
    }
}
