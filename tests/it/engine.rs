//! The engine against diffusers, and against itself.

mod batches;
mod golden;
mod parity;
