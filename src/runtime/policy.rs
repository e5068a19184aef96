//! What does the device do next, and for whom? A pure function: the time is an argument.
//!
//! The *lead* is the most urgent piece of work. If it is a step, others at a step of the same model and
//! size may share the evaluation, in order of urgency, as long as sharing saves time and makes nobody late
//! who would be in time otherwise: on a processor sharing saves nothing, on a GPU nearly everything, and
//! the measured times decide.

use smallvec::SmallVec;

use crate::units::{ImageSize, Millis, Moment, Nfe};

/// Two evaluations share only if that saves at least this share of the second one.
const WORTHWHILE: f64 = 0.05;

/// The order in which work is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// Earliest deadline first.
    #[default]
    EarliestDeadline,
    /// First come, first served.
    Fifo,
}

impl Policy {
    /// Every policy.
    pub const ALL: [Self; 2] = [Self::EarliestDeadline, Self::Fifo];

    /// What is urgent under this policy: less is more.
    pub fn urgency(self, piece: &Piece) -> (Moment, u64) {
        match self {
            Self::EarliestDeadline => (piece.due, piece.turn),
            Self::Fifo => (Moment::default(), piece.turn),
        }
    }
}

/// A piece of work that could be done now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece {
    /// When the device must be done with all of its picture.
    pub due: Moment,
    /// The order of arrival, and of pictures within a request.
    pub turn: u64,
    /// What it is.
    pub kind: PieceKind,
    /// What is expected of all that its picture still needs the device for, this piece included.
    pub rest: Millis,
    /// What is expected of this piece, done alone.
    pub takes: Millis,
}

/// What could be done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PieceKind {
    /// A prompt to encode, and the step that follows, as far as it is known.
    Text(Option<(StepKey, Nfe)>),
    /// A step to take.
    Step(StepKey, Nfe),
    /// Candidates to compare.
    Rank,
    /// A picture to decode.
    Decode,
}

/// Steps that can share an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepKey {
    /// Index into the models of the device.
    pub model: usize,
    /// Size of the pictures.
    pub size: ImageSize,
}

/// Places of the chosen pieces, the lead first.
pub type Chosen = SmallVec<[usize; 8]>;

/// Chooses what is done next; nothing only where there is nothing to do. `most_rows` bounds the rows of one
/// evaluation, but a piece that has more runs alone; `time_of` says what so many rows take.
pub fn choose(
    policy: Policy,
    now: Moment,
    pieces: &[Piece],
    most_rows: Nfe,
    time_of: impl Fn(StepKey, Nfe) -> Millis,
) -> Chosen {
    let mut order: SmallVec<[usize; 32]> = (0..pieces.len()).collect();
    order.sort_by_key(|&place| policy.urgency(&pieces[place]));
    let Some((&lead, others)) = order.split_first() else {
        return Chosen::new();
    };
    let mut chosen: Chosen = [lead].into_iter().collect();
    let PieceKind::Step(key, mut rows) = pieces[lead].kind else {
        return chosen;
    };
    let mut slack = Slack::of(now, pieces, &order);
    if let Some(text) = joins_soon(pieces, &order, &slack, (key, rows), most_rows, &time_of) {
        return [text].into_iter().collect();
    }
    for (rank, &place) in others.iter().enumerate() {
        let PieceKind::Step(its, more) = pieces[place].kind else {
            continue;
        };
        if its != key || rows + more > most_rows {
            continue;
        }
        // All that is more urgent than this one waits longer, for the sake of those behind.
        let longer = saves(key, rows, more, &time_of);
        if let Some(longer) = longer.filter(|longer| slack.allows(rank + 1, *longer)) {
            slack.spend(rank + 1, longer);
            rows += more;
            chosen.push(place);
        }
    }
    chosen
}

/// A prompt worth encoding before the lead's step, since its pictures would then share the steps that follow.
fn joins_soon(
    pieces: &[Piece],
    order: &[usize],
    slack: &Slack,
    (key, rows): (StepKey, Nfe),
    most_rows: Nfe,
    time_of: &impl Fn(StepKey, Nfe) -> Millis,
) -> Option<usize> {
    let joins = |(rank, place): (usize, &usize)| {
        let PieceKind::Text(Some((its, more))) = pieces[*place].kind else {
            return false;
        };
        its == key
            && rows + more <= most_rows
            && saves(key, rows, more, time_of).is_some()
            && slack.allows(rank, pieces[*place].takes)
    };
    let mut ranked = order.iter().enumerate().skip(1);
    ranked
        .find(|(rank, place)| joins((*rank, place)))
        .map(|(_, place)| *place)
}

/// How much longer an evaluation takes with more rows, if that is less than they would take alone.
fn saves(
    key: StepKey,
    rows: Nfe,
    more: Nfe,
    time_of: &impl Fn(StepKey, Nfe) -> Millis,
) -> Option<Millis> {
    let longer = Millis(time_of(key, rows + more).0 - time_of(key, rows).0);
    (longer <= time_of(key, more) * (1.0 - WORTHWHILE)).then_some(longer)
}

/// How much later everything could be without anybody being late who is in time now, in order of urgency.
struct Slack(SmallVec<[f64; 32]>);

impl Slack {
    fn of(now: Moment, pieces: &[Piece], order: &[usize]) -> Self {
        let mut done = 0.0;
        let slack = order.iter().map(|&place| {
            let piece = &pieces[place];
            done += piece.rest.0;
            Millis::from(piece.due.since(now)).0 - done
        });
        Self(slack.collect())
    }

    /// Whether the first `n` may all be this much later. One that is late as it is does not count.
    fn allows(&self, n: usize, later: Millis) -> bool {
        self.0[..n]
            .iter()
            .all(|slack| *slack < 0.0 || *slack >= later.0)
    }

    fn spend(&mut self, n: usize, later: Millis) {
        for slack in &mut self.0[..n] {
            *slack -= later.0;
        }
    }
}

#[cfg(test)]
mod tests;
