//! The one integration binary; what goes where follows the tree of `src`.

mod api;
mod architecture;
mod dashboards;
mod engine;
mod openapi;
