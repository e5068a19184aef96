//! The one integration binary; what goes where follows the tree of `src`.

mod api;
mod architecture;
mod calibrate;
mod dashboards;
mod engine;
mod models_toml;
mod openapi;
mod planner;
mod runtime;
