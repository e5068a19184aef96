//! The one integration binary; what goes where follows the tree of `src`.

mod architecture;
mod calibrate;
mod dashboards;
mod engine;
