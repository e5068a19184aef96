//! How does a step move pictures on here? All that a step does is linear, so it is one matrix product for
//! many pictures. The host makes its weights, in `f64` until the product; the numbers stay on the device.

use std::slice;

use candle_core::{DType, Tensor};

use super::Candle;
use crate::engine::{
    EngineError,
    ops::{
        Backend as _, Shape,
        sampling::{Advanced, Move, Row, Sampling},
    },
};

impl Sampling for Candle {
    fn hold(&self, shape: Shape, values: &[f32]) -> Result<Tensor, EngineError> {
        let dims = (shape.rows, shape.channels, shape.height, shape.width);
        let xs = Tensor::from_slice(values, dims, &self.device)?;
        Ok(xs.permute((0, 2, 3, 1))?.contiguous()?)
    }

    fn read(&self, row: &Row<Tensor>, values: &mut [f32]) -> Result<(), EngineError> {
        self.download_chw(&row.batch.narrow(0, row.index, 1)?, values)
    }

    fn stack(&self, rows: &[&Row<Tensor>]) -> Result<Tensor, EngineError> {
        Ok(gather(rows.iter().copied())?.to_dtype(self.dtype)?)
    }

    fn advance(
        &self,
        outputs: &Tensor,
        moves: &[Move<'_, Tensor>],
    ) -> Result<Advanced<Tensor>, EngineError> {
        let outputs = outputs.to_dtype(DType::F32)?;
        let mut parts = Vec::new();
        for moves in moves.chunks(MAX_TOGETHER) {
            let together = combine(&outputs, moves)?;
            if moves.len() == 1 || together.finite.iter().all(|finite| *finite) {
                parts.push(together);
            } else {
                // Zero times infinity is no number: one row spoils the product for all of them.
                for one in moves {
                    parts.push(combine(&outputs, slice::from_ref(one))?);
                }
            }
        }
        let all = |of: fn(&Advanced<Tensor>) -> &Tensor| {
            Tensor::cat(&parts.iter().map(of).collect::<Vec<_>>(), 0)
        };
        Ok(Advanced {
            latents: all(|part| &part.latents)?,
            denoised: all(|part| &part.denoised)?,
            finite: parts
                .iter()
                .flat_map(|part| part.finite.iter().copied())
                .collect(),
        })
    }
}

/// Pictures in one product, most of whose weights are zero: they grow with the square.
const MAX_TOGETHER: usize = 64;

/// Rows one after the other. Those that lie so already are copied at once, a whole batch not at all.
fn gather<'a>(rows: impl IntoIterator<Item = &'a Row<Tensor>>) -> candle_core::Result<Tensor> {
    // Where a run of rows is, where it starts and how long it is.
    let mut runs: Vec<(&Tensor, usize, usize)> = Vec::new();
    for Row { batch, index } in rows {
        match runs.last_mut() {
            Some((of, start, length)) if of.id() == batch.id() && *start + *length == *index => {
                *length += 1;
            }
            _ => runs.push((batch, *index, 1)),
        }
    }
    let runs = runs.into_iter();
    let runs = runs.map(|(batch, start, length)| batch.narrow(0, start, length));
    let runs = runs.collect::<candle_core::Result<Vec<_>>>()?;
    Tensor::cat(&runs, 0)
}

/// Something that a picture's next step is made of.
struct Term {
    row: Row<Tensor>,
    /// Its weight in the next latents.
    in_latents: f64,
    /// Its weight in the estimate of the clean latents.
    in_denoised: f64,
}

impl Term {
    /// What the estimate is made of, and with it the next latents.
    fn of_estimate(one: &Move<'_, Tensor>, row: Row<Tensor>, in_denoised: f64) -> Self {
        Self {
            row,
            in_latents: one.update.b[0] * in_denoised,
            in_denoised,
        }
    }

    /// What the next latents alone are made of.
    fn of_latents(row: &Row<Tensor>, in_latents: f64) -> Self {
        Self {
            row: row.clone(),
            in_latents,
            in_denoised: 0.0,
        }
    }
}

/// What a step is made of: latents, outputs, earlier estimates and noise, each in a place of its kind.
fn terms(outputs: &Tensor, one: &Move<'_, Tensor>) -> [Option<Term>; 6] {
    let output = |index: usize, share: f64| {
        let row = Row {
            batch: outputs.clone(),
            index,
        };
        Term::of_estimate(one, row, one.denoise.from_output * share)
    };
    let mut x = Term::of_estimate(one, one.x.clone(), one.denoise.from_x);
    x.in_latents += one.update.a;
    let negative = one.unconditional;
    let negative = negative.map(|(index, scale)| (index, f64::from(scale)));
    let conditional = output(one.conditional, negative.map_or(1.0, |(_, scale)| scale));
    let unconditional = negative.map(|(index, scale)| output(index, 1.0 - scale));
    let earlier = one.looks_back_on();
    let mut earlier = earlier.map(|(row, weight)| Term::of_latents(row, weight));
    let noise = one.noise.as_ref();
    [
        Some(x),
        Some(conditional),
        unconditional,
        earlier.next(),
        earlier.next(),
        noise.map(|row| Term::of_latents(row, one.update.c)),
    ]
}

/// One product for all moves: the next latents of each, then the estimates.
fn combine(outputs: &Tensor, moves: &[Move<'_, Tensor>]) -> candle_core::Result<Advanced<Tensor>> {
    let terms: Vec<_> = moves.iter().map(|one| terms(outputs, one)).collect();
    // Kind by kind, since rows of one kind mostly lie one after the other.
    let columns: Vec<(usize, &Term)> = (0..6)
        .flat_map(|kind| {
            terms
                .iter()
                .map(move |terms| terms[kind].as_ref())
                .enumerate()
        })
        .filter_map(|(index, term)| Some((index, term?)))
        .collect();
    let (n, n_columns) = (moves.len(), columns.len());
    let mut weights = vec![0.0; 2 * n * n_columns];
    for (column, (index, term)) in columns.iter().enumerate() {
        weights[index * n_columns + column] = term.in_latents as f32;
        weights[(n + index) * n_columns + column] = term.in_denoised as f32;
    }
    let numbers = gather(columns.iter().map(|(_, term)| &term.row))?;
    let (_, height, width, channels) = numbers.dims4()?;
    let weights = Tensor::from_vec(weights, (2 * n, n_columns), numbers.device())?;
    let product = weights.matmul(&numbers.reshape((n_columns, ()))?)?;
    // Zero times a finite number is zero, and no number otherwise. These few are all that comes back.
    let zeros = product.narrow(0, 0, n)?.affine(0.0, 0.0)?;
    let zeros: Vec<f32> = zeros.sum(1)?.to_vec1()?;
    let half = |start| {
        product
            .narrow(0, start, n)?
            .reshape((n, height, width, channels))
    };
    Ok(Advanced {
        latents: half(0)?,
        denoised: half(n)?,
        finite: zeros.into_iter().map(f32::is_finite).collect(),
    })
}
