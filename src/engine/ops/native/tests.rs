//! Every operation against its definition in f64, at every level of instructions, on shapes that leave
//! every kind of rest; and the promise that company and threads change nothing.

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, RngSeed},
};

use super::{
    memory::guarded::{Edge, guard},
    *,
};
use crate::engine::noise::{NoiseKey, gaussian};

mod bf16;
mod functions;
mod operations;
mod reference;
mod sameness;

use reference::Reference;

/// Largest error over largest value of an operation.
const TOLERANCE: f64 = 3e-6;

/// The same for sums of many thousand products.
const DEEP_TOLERANCE: f64 = 1e-5;

/// The same for Winograd's convolution.
const WINOGRAD_TOLERANCE: f64 = 2e-5;

fn random(draw: u32, n: usize) -> Vec<f32> {
    let key = NoiseKey {
        seed: 1,
        candidate: 0,
        draw,
    };
    gaussian(key, n)
}

/// Every level with one thread and with more threads than most operations have parts, and with buffers
/// that touch the unreadable at either edge: those made before the next one is asked for.
fn natives() -> impl Iterator<Item = Native> {
    let levels = Level::available().into_iter();
    let kinds =
        |level| [(1, Edge::Last), (3, Edge::Last), (1, Edge::First)].map(|kind| (level, kind));
    levels.flat_map(kinds).map(|(level, (n_threads, edge))| {
        guard(edge);
        Native::new(level, n_threads)
    })
}

/// Makes a backend of so many threads.
type Kind = (String, Box<dyn Fn(usize) -> Native>);

/// Every level of instructions, and bf16 where there is.
fn kinds() -> Vec<Kind> {
    let level = |level: Level| -> Kind {
        let make = move |n_threads| Native::new(level, n_threads);
        (level.to_string(), Box::new(make))
    };
    let in_bf16 = |bf16| -> Kind {
        let make = move |n_threads| Native::new(Level::best(), n_threads).in_bf16(bf16);
        ("bf16".to_owned(), Box::new(make))
    };
    let levels = Level::available().into_iter().map(level);
    levels.chain(Bf16::detect().map(in_bf16)).collect()
}

fn config(cases: u32) -> Config {
    Config {
        cases,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(20_240_401),
        ..Config::default()
    }
}

fn upload(native: &Native, shape: Shape, values: &[f32]) -> Tensor {
    native
        .upload_tokens(shape, |output| output.copy_from_slice(values))
        .unwrap()
}

fn assert_near(what: &str, found: &Tensor, expected: &Reference, tolerance: f64) {
    assert_eq!(found.shape, expected.shape, "{what}");
    let largest = expected
        .values
        .iter()
        .fold(0.0f64, |largest, x| largest.max(x.abs()));
    let mut index = 0;
    for row in 0..found.shape.rows {
        for y in 0..found.shape.height {
            for value in found.line(row, y) {
                let apart = (f64::from(*value) - expected.values[index]).abs() / largest;
                assert!(apart < tolerance, "{what}: {apart:.1e} at {index}");
                index += 1;
            }
        }
    }
}
