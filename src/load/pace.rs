//! When is it time? A thread that waits for one moment after another and tells the others.
//!
//! tokio's timers go by milliseconds, which is as long as the fastest budgets' overheads; a thread that waits on a
//! channel wakes within the operating system's timer slack, some 50 microseconds, and needs no spinning.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{telemetry::Clock, units::Moment};

/// Tells when to begin with each piece of work, by its number.
#[derive(Debug)]
pub struct Pacer {
    /// The numbers whose moment has come, in order; closed after the last one.
    pub due: UnboundedReceiver<usize>,
    /// Ends the thread when it is dropped: whoever takes `due` out keeps this too.
    pub stop: Sender<()>,
}

impl Pacer {
    /// Tells number i at `start` + `offsets[i]`; offsets never fall.
    pub fn start(clock: Arc<dyn Clock>, start: Moment, offsets: Vec<Duration>) -> io::Result<Self> {
        let (tell, due) = unbounded_channel();
        let (stop, stopped) = channel();
        thread::Builder::new()
            .name("pacer".into())
            .spawn(move || pace(&*clock, start, &offsets, &tell, &stopped))?;
        Ok(Self { due, stop })
    }
}

fn pace(
    clock: &dyn Clock,
    start: Moment,
    offsets: &[Duration],
    tell: &UnboundedSender<usize>,
    stopped: &Receiver<()>,
) {
    for (number, offset) in offsets.iter().enumerate() {
        let moment = Moment(start.0.saturating_add(*offset));
        // A wait may end early; the clock decides.
        loop {
            let wait = moment.since(clock.now());
            if wait.is_zero() {
                break;
            }
            if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
        if tell.send(number).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::SystemClock;

    fn milliseconds(offsets: &[u64]) -> Vec<Duration> {
        offsets
            .iter()
            .map(|ms| Duration::from_millis(*ms))
            .collect()
    }

    #[test]
    fn nothing_is_told_before_its_time_and_everything_in_order() {
        let clock = Arc::new(SystemClock::start());
        let offsets = milliseconds(&[0, 3, 3, 9]);
        let start = clock.now();
        let mut pacer = Pacer::start(clock.clone(), start, offsets.clone()).unwrap();
        for (number, offset) in offsets.iter().enumerate() {
            assert_eq!(pacer.due.blocking_recv(), Some(number));
            assert!(clock.now().since(start) >= *offset, "number {number}");
        }
        assert_eq!(pacer.due.blocking_recv(), None);
    }

    #[test]
    fn a_pacer_that_is_dropped_waits_no_longer() {
        let clock = Arc::new(SystemClock::start());
        let start = clock.now();
        let mut pacer = Pacer::start(clock, start, milliseconds(&[0, 3_600_000])).unwrap();
        assert_eq!(pacer.due.blocking_recv(), Some(0));
        let Pacer { mut due, stop } = pacer;
        drop(stop);
        // The thread's end closes the channel, an hour early.
        assert_eq!(due.blocking_recv(), None);
    }
}
