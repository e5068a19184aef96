//! What does a client see? The HTTP interface: requests in, plans and pictures out.
//!
//! In reading order: `router` has every route; `generate` walks one request from its body to its
//! reply (`request` what may be said, `deadline` how long it may take, `spec` what it means here,
//! `reply` what comes back); `plan` is the same walk without the work; `error` is every way of
//! saying no; `sdapi` speaks to AUTOMATIC1111's clients; `layers` is what happens to every request, [`serve`](serve()) to every connection.
//! Tensors never come this far: the engine is not used here.

mod body;
pub mod error;
mod fields;
mod frontier;
mod generate;
mod health;
mod jobs;
mod layers;
mod menus;
mod metrics;
mod models;
mod openapi;
mod plan;
mod playground;
mod router;
mod sdapi;
mod serve;
mod state;
mod texts;

pub(crate) use generate::MAX_GUIDANCE_SCALE;
pub use generate::{BudgetRequest, GenerateRequest};
pub use openapi::document;
pub use router::app;
pub use serve::serve;
pub use state::{AppState, FamilyParts, Parts};
