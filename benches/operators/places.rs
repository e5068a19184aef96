//! Where do operations take place? On every level of every U-Net of the default family.

use std::{fmt, hint::black_box};

use criterion::{BenchmarkId, Criterion, SamplingMode};
use goldilocks::engine::{
    noise::{NoiseKey, gaussian},
    ops::{
        Backend, Shape,
        native::{Level, Native, Tensor},
    },
};

/// Rows of one evaluation: a picture, a guided one, four guided ones.
const ROWS: [usize; 3] = [1, 2, 8];

/// What an operation returns: it fails only where a device can.
pub(crate) const NATIVE: &str = "the native backend cannot fail";

/// One level of a U-Net.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    width: &'static str,
    pub(crate) side: usize,
    pub(crate) channels: usize,
    pub(crate) heads: usize,
}

/// As `weights/emoji/unet-*/config.json` say.
const PLACES: [Place; 9] = [
    Place::new("c8", 16, 8, 1),
    Place::new("c8", 8, 16, 1),
    Place::new("c8", 4, 16, 1),
    Place::new("c16", 16, 16, 1),
    Place::new("c16", 8, 32, 2),
    Place::new("c16", 4, 32, 2),
    Place::new("c32", 16, 32, 2),
    Place::new("c32", 8, 64, 4),
    Place::new("c32", 4, 64, 4),
];

impl Place {
    const fn new(width: &'static str, side: usize, channels: usize, heads: usize) -> Self {
        Self {
            width,
            side,
            channels,
            heads,
        }
    }

    /// Whether there are transformers here.
    pub(crate) fn attends(self) -> bool {
        self.side <= 8
    }

    /// A batch of this level's grids, of so many channels.
    pub(crate) fn batch(self, native: &Native, rows: usize, channels: usize) -> Tensor {
        let shape = Shape::grid(rows, self.side, self.side, channels);
        let batch = native.upload_chw(shape, &numbers(shape.len()));
        batch.expect(NATIVE)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{side}x{side}", self.width, side = self.side)
    }
}

/// Times an operation wherever it takes place, for all rows and levels. `ready` makes everything that is
/// not timed and returns what is.
pub(crate) fn compare<F: FnMut() -> Tensor>(
    criterion: &mut Criterion,
    operator: &str,
    takes_place: impl Fn(Place) -> bool,
    ready: impl Fn(Native, Place, usize) -> F,
) {
    let mut group = criterion.benchmark_group(operator);
    group.sampling_mode(SamplingMode::Flat);
    for place in PLACES.into_iter().filter(|place| takes_place(*place)) {
        for rows in ROWS {
            for level in Level::available() {
                let id = BenchmarkId::new(format!("{place}-rows{rows}"), level);
                group.bench_function(id, |bencher| {
                    let mut operation = ready(Native::new(level, 1), place, rows);
                    bencher.iter(|| black_box(operation()));
                });
            }
        }
    }
}

/// Gaussian numbers, the same every time.
pub(crate) fn numbers(n: usize) -> Vec<f32> {
    let key = NoiseKey {
        seed: 0,
        candidate: 0,
        draw: 0,
    };
    gaussian(key, n)
}
