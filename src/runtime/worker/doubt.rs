//! Is the machine as slow as somebody was told? It is timed again, as long as nobody wants it for anything else.

use super::bench::{Bench, Fault};
use crate::{
    catalog::Family,
    runtime::{
        DrawError,
        agenda::NOBODY,
        probe::{Doubt, Ended, Probe},
    },
    telemetry::TimedAgain,
    units::Millis,
};

impl Bench<'_> {
    /// Times again what a doubt is about. Whoever comes in the meantime waits for the piece of work at hand, as for
    /// any other, and ends it.
    pub(super) fn settle(&mut self, doubt: &Doubt) {
        let worker = self.worker;
        let (lane, settings) = (worker.lane(), &worker.shared.settings);
        let began = worker.now();
        let of_family = |family: &&Family| family.id == doubt.family;
        let Some(family) = worker.families.iter().find(of_family) else {
            return lane.desk().doubts.settle(began, began);
        };
        let probe = Probe::of(settings);
        let mut may_go_on = |takes: Millis| {
            let now = worker.now();
            lane.pulse.beat(now);
            let mut desk = lane.desk();
            let is_wanted = !desk.agenda.is_empty() || desk.is_closed;
            let goes_on = !is_wanted && !desk.doubts.is_in_the_way();
            if goes_on {
                desk.agenda.occupy(now, takes);
            }
            goes_on
        };
        let ended = self.attempt(|executor| {
            let ended = probe.again(executor, family, doubt, &mut may_go_on);
            ended.map_err(DrawError)
        });
        self.last = worker.now();
        let mut desk = lane.desk();
        desk.agenda.idle();
        desk.doubts.settle(began, self.last);
        drop(desk);
        settings.metrics.timed_again(match ended {
            Ok(Ended::Done) => {
                worker.shared.timed();
                TimedAgain::Done
            }
            Ok(Ended::Interrupted) => TimedAgain::Interrupted,
            Err(_) => TimedAgain::Failed,
        });
        if let Err(fault) = ended {
            if let Fault::Failed(error) = &fault {
                tracing::warn!(reason = error.0, "the models could not be timed again");
            }
            self.fail(NOBODY, fault);
        }
    }
}
