//! The one integration binary; what goes where follows the tree of `src`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod architecture;
mod calibrate;
mod cli;
mod compose;
mod dashboards;
mod docs;
mod engine;
mod evaluator;
mod folders;
mod load;
mod models_toml;
mod openapi;
mod planner;
mod prompts;
mod runtime;
mod server;
mod simulate;
