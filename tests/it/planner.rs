//! Does the planner keep its laws and its word?

mod asks;
mod explains;
mod keeps;
mod laws;
mod moves_up;
mod refuses;
mod replays;
mod synthetic;
mod toy;
