//! The HTTP interface over a simulated device, whose work moves a clock that stands still otherwise:
//! every latency in these tests is exact.

mod account;
mod documents;
mod frontier;
mod generations;
mod headers;
mod jobs;
mod load;
mod menus;
mod models;
mod plans;
mod playground;
mod refusals;
mod replays;
mod robustness;
mod sdapi;
mod serving;
mod streams;
mod toy;
