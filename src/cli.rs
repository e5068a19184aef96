//! Stub.

pub mod flops;
pub mod generate;
