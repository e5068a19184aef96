//! One worker, as others see it: what it has to do, who waits for that, and whether it moves.

use std::{
    collections::HashMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{mpsc, oneshot};

use super::{
    agenda::{Agenda, Rules},
    doubts::Doubts,
    encoder::Files,
    job::{Event, JobError, JobId, Outcome},
    pulse::Pulse,
};
use crate::catalog::ModelId;

/// What one worker and everybody else share.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) models: Vec<ModelId>,
    desk: Mutex<Desk>,
    /// Told when there is something new on the desk.
    pub(super) changed: Condvar,
    pub(super) pulse: Pulse,
}

/// The books of a worker, and who waits for what is in them.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) agenda: Agenda,
    pub(super) replies: HashMap<JobId, Reply>,
    pub(super) doubts: Doubts,
    /// No more jobs come in; the admitted ones still run.
    pub(super) is_closed: bool,
}

/// The way back to a ticket.
#[derive(Debug)]
pub(super) struct Reply {
    to: oneshot::Sender<Result<Outcome, JobError>>,
    pub(super) events: mpsc::UnboundedSender<Event>,
    /// The files of the pictures that are finished.
    pub(super) files: Arc<Files>,
    pub(super) is_cancelled: bool,
}

impl Lane {
    pub(super) fn new(models: Vec<ModelId>, rules: Rules) -> Self {
        Self {
            desk: Mutex::new(Desk {
                agenda: Agenda::new(rules, models.clone()),
                replies: HashMap::new(),
                doubts: Doubts::default(),
                is_closed: false,
            }),
            models,
            changed: Condvar::new(),
            pulse: Pulse::default(),
        }
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        // The books are changed by calls that do not panic, and a worker that does is told of by its pulse.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes no more jobs.
    pub(super) fn close(&self) {
        self.desk().is_closed = true;
        self.changed.notify_all();
    }

    /// Refuses what has not begun, since the server stops; returns how many jobs that are.
    pub(super) fn refuse_waiting(&self) -> usize {
        let mut desk = self.desk();
        let waiting = desk.agenda.remove_waiting();
        for id in &waiting {
            if let Some(reply) = desk.replies.remove(id) {
                reply.send(Err(JobError::ShuttingDown));
            }
        }
        drop(desk);
        self.changed.notify_all();
        waiting.len()
    }

    /// Has a job stopped at its next step; false if it is not here.
    pub(super) fn cancel(&self, id: JobId) -> bool {
        let mut desk = self.desk();
        let reply = desk.replies.get_mut(&id);
        let is_here = reply.map(|reply| reply.is_cancelled = true).is_some();
        drop(desk);
        self.changed.notify_all();
        is_here
    }
}

impl Desk {
    /// Jobs that nobody wants any more.
    pub(super) fn unwanted(&self) -> Vec<JobId> {
        let replies = self.replies.iter();
        let unwanted = replies.filter(|(_, reply)| reply.is_unwanted());
        unwanted.map(|(id, _)| *id).collect()
    }

    /// Tells whoever listens; that nobody does is no fault.
    pub(super) fn tell(&self, id: JobId, event: Event) {
        if let Some(reply) = self.replies.get(&id) {
            reply.events.send(event).ok();
        }
    }

    /// Refuses everything that is left.
    pub(super) fn refuse_all(&mut self, error: &JobError) -> Vec<JobId> {
        let ids: Vec<JobId> = self.agenda.ids().collect();
        for id in &ids {
            self.agenda.remove(*id);
            if let Some(reply) = self.replies.remove(id) {
                reply.send(Err(error.clone()));
            }
        }
        ids
    }
}

impl Reply {
    pub(super) fn new(
        to: oneshot::Sender<Result<Outcome, JobError>>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        Self {
            to,
            events,
            files: Arc::default(),
            is_cancelled: false,
        }
    }

    /// Whether nobody waits for the outcome any more.
    pub(super) fn is_unwanted(&self) -> bool {
        self.is_cancelled || self.to.is_closed()
    }

    /// Answers whoever still waits.
    pub(super) fn send(self, outcome: Result<Outcome, JobError>) {
        self.to.send(outcome).ok();
    }
}
