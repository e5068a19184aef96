//! Who runs the work, and when? On a scripted device for what may go wrong, on the engine for the rest.

use goldilocks::runtime::{Readiness, Runtime};

mod batches;
mod deadlines;
mod doubts;
mod events;
mod faults;
mod pipeline;
mod probe;
mod script;
mod shutdown;
mod work;

/// Waits until a runtime has loaded its models.
pub(crate) async fn ready(runtime: &Runtime) {
    let mut readiness = runtime.watch_readiness();
    readiness.wait_for(Readiness::is_ready).await.unwrap();
}
