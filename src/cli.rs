//! Stub.

pub mod flops;
pub mod models;
pub mod serve;
