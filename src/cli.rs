//! Stub.

pub mod calibrate;
pub mod flops;
