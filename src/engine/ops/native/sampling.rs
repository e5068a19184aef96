//! How does a step move pictures on here? Number by number: guidance in `f32`, the rest in `f64`, rounded
//! once for each estimate and once for the latents.

use super::{Native, Tensor, layout};
use crate::{
    diffusion::denoiser::guided,
    engine::{
        EngineError,
        ops::{
            Shape,
            sampling::{Advanced, Move, Row, Sampling},
        },
    },
};

impl Sampling for Native {
    fn hold(&self, shape: Shape, values: &[f32]) -> Result<Tensor, EngineError> {
        Ok(layout::from_chw(&self.pictures, shape, values))
    }

    fn read(&self, row: &Row<Tensor>, values: &mut [f32]) -> Result<(), EngineError> {
        layout::transpose(numbers(row), values, row.batch.shape.positions());
        Ok(())
    }

    fn stack(&self, rows: &[&Row<Tensor>]) -> Result<Tensor, EngineError> {
        let shape = Shape {
            rows: rows.len(),
            ..rows[0].batch.shape
        };
        Ok(self.tensor(shape, |output| {
            for (row, output) in rows.iter().zip(output.chunks_exact_mut(len_of_one(shape))) {
                output.copy_from_slice(numbers(row));
            }
        }))
    }

    fn advance(
        &self,
        outputs: &Tensor,
        moves: &[Move<'_, Tensor>],
    ) -> Result<Advanced<Tensor>, EngineError> {
        let outputs = outputs.without_border(self);
        let shape = Shape {
            rows: moves.len(),
            ..outputs.shape
        };
        let length = len_of_one(shape);
        let denoised = Tensor::fill(&self.pictures, shape, 0, |denoised| {
            for (one, denoised) in moves.iter().zip(denoised.chunks_exact_mut(length)) {
                estimate(one, &outputs, denoised);
            }
        });
        let latents = Tensor::fill(&self.pictures, shape, 0, |latents| {
            for (index, latents) in latents.chunks_exact_mut(length).enumerate() {
                update(&moves[index], denoised.row(index), latents);
            }
        });
        let is_finite = |row| latents.row(row).iter().all(|value: &f32| value.is_finite());
        Ok(Advanced {
            finite: (0..moves.len()).map(is_finite).collect(),
            latents,
            denoised,
        })
    }
}

fn len_of_one(shape: Shape) -> usize {
    shape.positions() * shape.channels
}

/// What is held has no border.
fn numbers(row: &Row<Tensor>) -> &[f32] {
    row.batch.row(row.index)
}

/// Writes the clean latents as the outputs say that they are.
fn estimate(one: &Move<'_, Tensor>, outputs: &Tensor, denoised: &mut [f32]) {
    let conditional = outputs.row(one.conditional);
    let negative = one.unconditional;
    let negative = negative.map(|(row, scale)| (outputs.row(row), scale));
    for (index, (denoised, x)) in denoised.iter_mut().zip(numbers(one.x)).enumerate() {
        let output = match negative {
            None => conditional[index],
            Some((negative, scale)) => guided(negative[index], conditional[index], scale),
        };
        *denoised = one.denoise.denoised((*x).into(), output.into()) as f32;
    }
}

/// Writes the next latents.
fn update(one: &Move<'_, Tensor>, denoised: &[f32], latents: &mut [f32]) {
    let mut earlier = one.looks_back_on().map(|(row, _)| numbers(row));
    let estimates = [Some(denoised), earlier.next(), earlier.next()];
    let noise = one.noise.as_ref().map(numbers);
    for (index, (next, x)) in latents.iter_mut().zip(numbers(one.x)).enumerate() {
        let at = |numbers: Option<&[f32]>| numbers.map_or(0.0, |them| f64::from(them[index]));
        *next = one
            .update
            .apply(f64::from(*x), estimates.map(at), at(noise)) as f32;
    }
}
