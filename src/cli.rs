//! Stub.

pub mod flops;
pub mod models;
pub mod openapi;
pub mod serve;
