//! Where is a large reply written? On a thread that may block, so that other requests go on meanwhile.

use std::panic::resume_unwind;

use tokio::task::spawn_blocking;

use crate::api::error::ApiError;

/// Files up to this size are turned into base64 and JSON at once, in a third of a millisecond.
const AT_ONCE: usize = 256 << 10;

/// Runs `work` on so many bytes of files.
pub(super) async fn run<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    if bytes <= AT_ONCE {
        return Ok(work());
    }
    match spawn_blocking(work).await {
        Ok(done) => Ok(done),
        // A layer answers it, as it does where the work is done at once.
        Err(fault) if fault.is_panic() => resume_unwind(fault.into_panic()),
        Err(_) => Err(ApiError::ShuttingDown),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn what_is_large_is_done_on_another_thread_and_what_is_small_on_this_one() {
        let here = thread::current().id();
        for (bytes, is_here) in [(0, true), (AT_ONCE, true), (AT_ONCE + 1, false)] {
            let done_by = run(bytes, || thread::current().id()).await.unwrap();
            assert_eq!(done_by == here, is_here, "{bytes} bytes");
        }
    }
}
