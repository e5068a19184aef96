//! Stub.

pub mod calibrate;
