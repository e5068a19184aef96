//! What does each plan cost here, and what is it worth?

pub mod bootstrap;
pub mod captions;
pub mod figure;
pub mod file;
pub mod grid;
pub mod reference;
pub mod score;
pub mod store;
pub mod sweep;
