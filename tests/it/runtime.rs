//! Who runs the work, and when? On a scripted device for what may go wrong, on the engine for the rest.

mod faults;
mod pipeline;
mod probe;
mod script;
mod shutdown;
mod work;
