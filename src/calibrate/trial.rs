//! What is measured? A plan, as it is or shortened on its way.

use std::fmt;

use crate::planner::{
    Plan,
    profile::{Cell, Rush},
};

/// One thing that is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// The plan as it is begun.
    pub plan: Plan,
    /// Where it is shortened, if it is.
    pub rush: Option<Rush>,
}

impl From<Plan> for Trial {
    fn from(plan: Plan) -> Self {
        Self { plan, rush: None }
    }
}

impl From<&Cell> for Trial {
    fn from(cell: &Cell) -> Self {
        cell.plan.clone().into()
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.plan)?;
        match self.rush {
            Some(Rush { after, then }) => write!(f, ", after {after} steps only {then} more"),
            None => Ok(()),
        }
    }
}
