//! How do pictures take a step together? One evaluation of their network, then the sampler's update of
//! each, both where the networks are: of the numbers only whether they are finite comes back.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{Hosted, On};
use crate::engine::{
    EngineError,
    ops::{
        Shape,
        sampling::{Advanced, Move, Row, Sampling},
    },
    pipeline::{Moved, Trajectory, canvas::Canvas},
    text_encoder::TextStates,
};

/// What goes into one evaluation beside latents. Kept for its memory, so that a step of a few rows allocates
/// nothing.
///
/// Every picture has a row with its prompt, in order; behind them, every guided one has another with its
/// negative prompt.
#[derive(Debug, Default)]
pub(super) struct Batch {
    timesteps: Vec<f64>,
    texts: Vec<Arc<TextStates>>,
    /// Of those whose update adds some, one after the other.
    noise: Vec<f32>,
}

impl Batch {
    fn fill(&mut self, rows: &[&mut Trajectory]) {
        self.clear();
        for row in rows {
            self.timesteps.push(row.step().timestep);
            self.texts.push(Arc::clone(&row.conditioning().conditional));
        }
        for row in guided(rows) {
            let text = &row.conditioning().unconditional;
            self.timesteps.push(row.step().timestep);
            self.texts.push(Arc::clone(text));
        }
    }

    /// So that no text is held longer than it is in use.
    fn clear(&mut self) {
        self.timesteps.clear();
        self.texts.clear();
        self.noise.clear();
    }
}

fn guided<'r>(rows: &'r [&mut Trajectory]) -> impl Iterator<Item = &'r Trajectory> {
    let rows = rows.iter().map(|row| &**row);
    rows.filter(|row| row.guidance().is_some())
}

impl<B: Sampling> On<B> {
    /// Moves rows of one model and size one step on, at most `at_once` in one evaluation. The outer error means
    /// that none moved.
    pub(super) fn advance(
        &self,
        hosted: &Hosted<B>,
        rows: &mut [&mut Trajectory],
        at_once: usize,
    ) -> Result<Moved, EngineError> {
        let mut made: SmallVec<[Advanced<B::Tensor>; 1]> = SmallVec::new();
        for rows in rows.chunks(at_once) {
            let mut batch = self.batches.take();
            batch.fill(rows);
            made.push(self.evaluate(hosted, rows, &mut batch)?);
            batch.clear();
            self.batches.give_back(batch);
        }
        let mut moved = Moved::new();
        for (rows, made) in rows.chunks_mut(at_once).zip(&made) {
            for (index, row) in rows.iter_mut().enumerate() {
                Canvas::<B>::of_mut(row.numbers_mut())?.take(made, index);
                moved.push(row.pass(made.finite[index]));
            }
        }
        Ok(moved)
    }

    fn evaluate(
        &self,
        hosted: &Hosted<B>,
        rows: &[&mut Trajectory],
        batch: &mut Batch,
    ) -> Result<Advanced<B::Tensor>, EngineError> {
        let canvases = rows.iter().map(|row| Canvas::<B>::of(row.numbers()));
        let canvases = canvases.collect::<Result<SmallVec<[_; 8]>, _>>()?;
        let all = canvases.iter().map(|canvas| canvas.x());
        let guided = rows.iter().zip(&canvases);
        let guided = guided.filter(|(row, _)| row.guidance().is_some());
        let latents = all.chain(guided.map(|(_, canvas)| canvas.x()));
        let latents: SmallVec<[&Row<B::Tensor>; 16]> = latents.collect();
        let xs = hosted.ops.stack(&latents)?;
        let outputs = hosted.forward(&xs, &batch.timesteps, &batch.texts)?;

        // A device is busy with the evaluation meanwhile.
        let mut noise = self.noise_of(rows, &mut batch.noise)?;
        let mut negatives = rows.len()..;
        let moves = rows.iter().zip(canvases).enumerate();
        let moves = moves.map(|(index, (row, canvas))| {
            let step = row.step();
            Move {
                x: canvas.x(),
                earlier: canvas.earlier(),
                conditional: index,
                unconditional: row
                    .guidance()
                    .and_then(|scale| Some((negatives.next()?, scale))),
                noise: if step.update.is_stochastic() {
                    noise.next()
                } else {
                    None
                },
                denoise: step.denoise,
                update: step.update,
            }
        });
        let moves: SmallVec<[Move<'_, B::Tensor>; 8]> = moves.collect();
        self.ops.advance(&outputs, &moves)
    }

    /// The noise of the rows that need some, in order.
    fn noise_of(
        &self,
        rows: &[&mut Trajectory],
        noise: &mut Vec<f32>,
    ) -> Result<impl Iterator<Item = Row<B::Tensor>>, EngineError> {
        for row in rows {
            row.add_noise(noise);
        }
        let (channels, height, width) = rows[0].shape();
        let n = noise.len() / (channels * height * width);
        let shape = Shape::grid(n, height, width, channels);
        let held = (n > 0).then(|| self.ops.hold(shape, noise));
        let held = held.transpose()?;
        let row = move |index| held.clone().map(|batch| Row { batch, index });
        Ok((0..n).filter_map(row))
    }
}
