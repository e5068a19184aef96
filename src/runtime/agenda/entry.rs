//! One admitted job: what it was granted, how far it is, and what it has taken so far.

use std::{sync::Arc, time::Duration};

use super::{
    claims::Claim,
    picture::{Picture, Stage},
};
use crate::{
    planner::{Decision, Forecast, Rush, StepLap, StepTime},
    runtime::{
        binding::Binding,
        executor::RowKey,
        job::{Job, JobId, OnLate, Phases},
        policy::{Piece, PieceKind, StepKey},
    },
    units::{Flops, Millis, Moment, Nfe, Steps},
};

/// How many of its budgets a late job gives way for.
const GIVES_WAY: u32 = 10;

/// An admitted job.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) job: Arc<Job>,
    /// The family's models as places among the device's.
    models: Arc<[usize]>,
    pub(super) admitted: Moment,
    /// The end of its budget, or of everybody's patience where it has none.
    pub(super) deadline: Moment,
    pub(super) turn: u64,
    /// What it is to run, as far as that is known.
    pub(super) binding: Binding,
    pub(super) progress: Progress,
    pub(super) tally: Tally,
}

/// How far a job is.
#[derive(Debug, Clone)]
pub(super) enum Progress {
    /// Nothing of it ran.
    Waiting,
    /// Its prompt is being encoded or is encoded; its pictures are on their way.
    Begun {
        has_text: bool,
        pictures: Vec<Picture>,
    },
}

/// What a job has taken so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) phases: Phases,
    pub(crate) steps: Vec<StepLap>,
    pub(crate) nfe: Nfe,
    pub(crate) flops: Flops,
    pub(crate) texts_encoded: u32,
    pub(crate) n_ranked: u32,
    pub(crate) tokens_cut: usize,
}

/// A job whose pictures are all decoded.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    pub(crate) decision: Decision,
    pub(crate) tally: Tally,
}

/// What became of one picture's trajectory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) steps: Steps,
    pub(crate) rush: Option<Rush>,
}

impl Entry {
    pub(super) fn new(
        job: Arc<Job>,
        models: Arc<[usize]>,
        (admitted, deadline): (Moment, Moment),
        turn: u64,
        binding: Binding,
    ) -> Self {
        Self {
            job,
            models,
            admitted,
            deadline,
            turn,
            binding,
            progress: Progress::Waiting,
            tally: Tally::default(),
        }
    }

    pub(super) fn n_images(&self) -> u32 {
        self.job.seeds.len() as u32
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.progress, Progress::Waiting)
    }

    pub(super) fn pictures(&self) -> &[Picture] {
        match &self.progress {
            Progress::Waiting => &[],
            Progress::Begun { pictures, .. } => pictures,
        }
    }

    pub(super) fn picture_mut(&mut self, idx: usize) -> Option<&mut Picture> {
        match &mut self.progress {
            Progress::Waiting => None,
            Progress::Begun { pictures, .. } => pictures.get_mut(idx),
        }
    }

    /// Begins with a plan.
    pub(super) fn begin(&mut self, binding: Binding) {
        let pictures = self.job.seeds.iter();
        self.progress = Progress::Begun {
            has_text: false,
            pictures: pictures.map(|_| Picture::new(&binding.timetable)).collect(),
        };
        self.binding = binding;
    }

    pub(super) fn has_text(&mut self) {
        if let Progress::Begun { has_text, .. } = &mut self.progress {
            *has_text = true;
        }
    }

    /// Time that it still needs the device for, by the table: as it is planned.
    pub(super) fn rest(&self) -> Millis {
        match &self.progress {
            Progress::Waiting => self.binding.timetable.device(self.n_images()),
            Progress::Begun { has_text, pictures } => {
                let text = if *has_text {
                    Millis::ZERO
                } else {
                    self.binding.timetable.text
                };
                text + pictures.iter().map(Picture::rest).sum()
            }
        }
    }

    /// Operations of its plan that have not run. Those of pictures that were shortened count until they are
    /// done, and so do those of texts that were kept from earlier jobs.
    pub(super) fn rest_of_flops(&self) -> Flops {
        let planned = self.binding.decision.estimate.flops();
        Flops((planned.0 - self.tally.flops.0).max(0.0))
    }

    /// What it claims of the device: its floor until it has begun, and then the rest of its plan.
    pub(super) fn claim(&self, due: Moment) -> Claim {
        Claim {
            due,
            turn: self.turn,
            work: self.claimed(),
            is_waiting: self.is_waiting(),
            tail: self.tail(),
        }
    }

    fn claimed(&self) -> Millis {
        match self.progress {
            Progress::Waiting => self.job.floor.timetable.device(self.n_images()),
            Progress::Begun { .. } => self.rest(),
        }
    }

    /// Its files, which are written while the device is with others.
    pub(super) fn tail(&self) -> Millis {
        self.binding.timetable.encode * f64::from(self.n_images())
    }

    /// When it is wanted, for the order of work. One that is late already gives way to those that are not, and so
    /// does one that has not begun and will be late: begun all the same, it would make those behind it late as
    /// well. Not for ever: as one would that had ten times its budget more, or everybody's patience.
    pub(super) fn due(&self, now: Moment, forecast: &Forecast, patience: Duration) -> Moment {
        let left = Millis::from(self.deadline.since(now));
        let is_late = if self.is_waiting() {
            forecast.expected(self.claimed() + self.tail()) > left
        } else {
            now > self.deadline
        };
        if !is_late {
            return self.deadline;
        }
        let granted = self.deadline.since(self.job.arrived);
        let gives_way = granted.saturating_mul(GIVES_WAY).min(patience);
        Moment(self.deadline.0.saturating_add(gives_way))
    }

    /// How long it has waited since it came: all the time that the device was not at work for it.
    pub(super) fn waited(&self, now: Moment) -> Millis {
        let in_house = Millis::from(now.since(self.job.arrived)).0;
        Millis((in_house - self.tally.phases.on_device().0).max(0.0))
    }

    /// Whether nothing of it shall run once it cannot be in time.
    pub(super) fn rejects_lateness(&self) -> bool {
        self.job.limit.is_some() && self.job.on_late == OnLate::Reject
    }

    /// Adds everything that could be done for it now.
    pub(super) fn pieces(&self, id: JobId, due: Moment, pieces: &mut Vec<(Piece, Target)>) {
        let first = pieces.len();
        if let Progress::Begun {
            has_text: true,
            pictures,
        } = &self.progress
        {
            for (idx, picture) in pictures.iter().enumerate() {
                self.pieces_of(picture, idx, id, due, pieces);
            }
        } else {
            let kind = PieceKind::Text(self.first_step());
            let takes = self.binding.timetable.text;
            pieces.push((self.piece(due, 0, kind, takes), Target::Text(id)));
        }
        // Counted once for the job, and its pieces follow one another.
        if let Some((piece, _)) = pieces.get_mut(first) {
            piece.rest = self.rest();
        }
    }

    fn pieces_of(
        &self,
        picture: &Picture,
        idx: usize,
        job: JobId,
        due: Moment,
        pieces: &mut Vec<(Piece, Target)>,
    ) {
        let of_row = |candidate| RowKey {
            job,
            picture: idx,
            candidate,
        };
        let place = |candidate: u32| (idx as u64) << 8 | u64::from(candidate);
        match picture.stage() {
            Stage::Steps => {
                for row in picture.ready_rows() {
                    let step = row.steps[row.done];
                    let kind = PieceKind::Step(self.key_of(step), step.rows);
                    let piece = self.piece(due, place(row.candidate), kind, step.ms);
                    pieces.push((piece, Target::Row(of_row(row.candidate))));
                }
            }
            Stage::Rank => {
                let takes = self.binding.timetable.rank;
                let piece = self.piece(due, place(0), PieceKind::Rank, takes);
                pieces.push((piece, Target::Rank { job, picture: idx }));
            }
            Stage::Decode => {
                let row = picture.candidates().next().map(of_row);
                let takes = self.binding.timetable.decode;
                let piece = self.piece(due, place(0), PieceKind::Decode, takes);
                pieces.extend(row.map(|row| (piece, Target::Decode(row))));
            }
            Stage::Done => {}
        }
    }

    /// The first step of its pictures, as they are planned now.
    fn first_step(&self) -> Option<(StepKey, Nfe)> {
        let step = self.binding.timetable.steps.first()?;
        Some((self.key_of(*step), step.rows))
    }

    fn key_of(&self, step: StepTime) -> StepKey {
        StepKey {
            model: self.models[step.model],
            size: self.binding.plan().size,
        }
    }

    fn piece(&self, due: Moment, place: u64, kind: PieceKind, takes: Millis) -> Piece {
        Piece {
            takes,
            due,
            turn: self.turn << 20 | place,
            kind,
            rest: Millis::ZERO,
        }
    }
}

/// What a piece of work is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Text(JobId),
    Row(RowKey),
    Rank { job: JobId, picture: usize },
    Decode(RowKey),
}
