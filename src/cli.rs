//! Stub.

pub mod flops;
pub mod plan;
