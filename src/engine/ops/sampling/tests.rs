//! Do both backends move pictures on alike, whatever the pictures need?

use std::iter;

use candle_core::Device;

use super::*;
use crate::engine::{
    noise::{NoiseKey, gaussian},
    ops::{
        candle::Candle,
        native::{Level, Native},
    },
};

/// Rows of odd sides, so that no line is taken for a column.
const SHAPE: Shape = Shape {
    rows: 1,
    height: 3,
    width: 5,
    channels: 4,
};

/// Numbers of as many rows, others for every name.
fn numbers(name: u64, rows: usize) -> Vec<f32> {
    let key = NoiseKey {
        seed: name,
        candidate: 0,
        draw: 0,
    };
    gaussian(key, rows * SHAPE.len())
}

fn held<B: Sampling>(ops: &B, name: u64, rows: usize) -> B::Tensor {
    let shape = Shape { rows, ..SHAPE };
    ops.hold(shape, &numbers(name, rows)).unwrap()
}

fn row<T: Clone>(batch: &T, index: usize) -> Row<T> {
    Row {
        batch: batch.clone(),
        index,
    }
}

fn read<B: Sampling>(ops: &B, batch: &B::Tensor, index: usize) -> Vec<f32> {
    let mut values = vec![0.0; SHAPE.len()];
    ops.read(&row(batch, index), &mut values).unwrap();
    values
}

/// The latents and estimates of four pictures after a step: plain, guided, looking back and guided, and one
/// that noise is added to.
fn moved<B: Sampling>(ops: &B) -> Vec<Vec<f32>> {
    let (latents, outputs) = (held(ops, 1, 4), held(ops, 2, 6));
    let (older, noise) = (held(ops, 3, 4), held(ops, 4, 1));
    let denoise = DenoiseCoefficients {
        from_x: 1.25,
        from_output: -0.75,
    };
    let update = |b, c| Update { a: 0.5, b, c };
    let plain = update([0.4, 0.0, 0.0], 0.0);
    let none = VecDeque::new();
    let earlier = VecDeque::from([row(&older, 0), row(&older, 3), row(&older, 1)]);
    let at = [0, 1, 2, 3].map(|index| row(&latents, index));
    let one = |index, earlier, unconditional, noise, update| Move {
        x: &at[index],
        earlier,
        conditional: index,
        unconditional,
        noise,
        denoise,
        update,
    };
    let moves = [
        one(0, &none, None, None, plain),
        one(1, &none, Some((4, 3.0)), None, plain),
        one(
            2,
            &earlier,
            Some((5, 7.5)),
            None,
            update([0.8, -0.3, 0.1], 0.0),
        ),
        one(
            3,
            &earlier,
            None,
            Some(row(&noise, 0)),
            update([0.4, 0.0, 0.0], 0.6),
        ),
    ];
    let made = ops.advance(&outputs, &moves).unwrap();
    assert_eq!(made.finite.as_slice(), [true; 4]);
    let all = [&made.latents, &made.denoised];
    let rows = all.into_iter().flat_map(|batch| iter::repeat_n(batch, 4));
    let rows = rows.enumerate();
    rows.map(|(index, batch)| read(ops, batch, index % 4))
        .collect()
}

fn largest_difference(one: &[f32], other: &[f32]) -> f32 {
    let pairs = one.iter().zip(other);
    pairs
        .map(|(one, other)| (one - other).abs())
        .fold(0.0, f32::max)
}

/// A weighted sum of rows, in f64.
fn sum(terms: &[(f64, &[f32])]) -> Vec<f32> {
    let at = |index: usize| {
        let terms = terms.iter();
        let terms = terms.map(|(weight, row)| weight * f64::from(row[index]));
        terms.sum::<f64>() as f32
    };
    (0..SHAPE.len()).map(at).collect()
}

#[test]
fn a_step_is_what_its_coefficients_say() {
    let moved = moved(&Native::new(Level::best(), 1));
    let all = [numbers(1, 4), numbers(2, 6), numbers(3, 4), numbers(4, 1)];
    let row = |name: usize, index: usize| -> &[f32] {
        let length = SHAPE.len();
        &all[name - 1][index * length..(index + 1) * length]
    };
    let [x, output, older, noise] = [1, 2, 3, 4].map(|name| move |index| row(name, index));

    // -0.75 (negative + 7.5 (output - negative)), then the two newest of the earlier estimates.
    let (in_output, in_negative) = (-0.75 * 7.5, 0.75 * 6.5);
    let estimate = sum(&[
        (1.25, x(2)),
        (in_output, output(2)),
        (in_negative, output(5)),
    ]);
    let next = sum(&[
        (0.5, x(2)),
        (0.8, &estimate),
        (-0.3, older(0)),
        (0.1, older(3)),
    ]);
    assert!(largest_difference(&moved[6], &estimate) < 1e-5);
    assert!(largest_difference(&moved[2], &next) < 1e-5);

    let estimate = sum(&[(1.25, x(3)), (-0.75, output(3))]);
    let next = sum(&[(0.5, x(3)), (0.4, &estimate), (0.6, noise(0))]);
    assert!(largest_difference(&moved[7], &estimate) < 1e-6);
    assert!(largest_difference(&moved[3], &next) < 1e-6);
}

#[test]
fn backends_agree() {
    let expected = moved(&Native::new(Level::best(), 1));
    let found = moved(&Candle::new(Device::Cpu));
    for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let apart = largest_difference(found, expected);
        assert!(apart < 2e-5, "{place}: {apart:.1e}");
    }
}

#[test]
fn rows_are_stacked_in_any_order_and_as_often_as_they_are_asked_for() {
    expect_stacks(&Native::new(Level::best(), 1));
    expect_stacks(&Candle::new(Device::Cpu));
}

fn expect_stacks<B: Sampling>(ops: &B) {
    let (one, other) = (held(ops, 1, 3), held(ops, 2, 2));
    let places = [(1, 0), (1, 1), (1, 2), (2, 1), (1, 1), (1, 2), (2, 0)];
    let rows = places.map(|(name, index)| row(if name == 1 { &one } else { &other }, index));
    let stacked = ops.stack(&rows.each_ref()).unwrap();
    assert_eq!(ops.shape(&stacked), Shape { rows: 7, ..SHAPE });
    for (place, (name, index)) in places.into_iter().enumerate() {
        let expected = numbers(name, 3);
        let expected = &expected[index * SHAPE.len()..(index + 1) * SHAPE.len()];
        assert_eq!(read(ops, &stacked, place), expected, "{ops:?} {place}");
    }
}

#[test]
fn on_candle_a_batch_that_stays_together_is_not_copied() {
    let ops = Candle::new(Device::Cpu);
    let batch = held(&ops, 1, 3);
    let rows = [0, 1, 2].map(|index| row(&batch, index));
    let stacked = ops.stack(&rows.each_ref()).unwrap();
    assert_eq!(stacked.id(), batch.id());
}
