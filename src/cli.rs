//! Stub.

pub mod flops;
