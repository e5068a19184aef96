//! The engine against diffusers, and against itself.

mod batches;
mod bf16;
mod counting;
mod family;
mod golden;
mod memory;
mod parity;
mod ranker;
mod reference;
mod sameness;
