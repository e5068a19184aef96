//! What do the numbers mean? One newtype per quantity, so that no bare `f64` crosses a module.

use std::{fmt, iter::Sum, ops::Add, ops::Mul, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

mod file_format;

pub use file_format::FileFormat;

/// Floating-point operations, two per multiply-accumulate, attention products included.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Flops(pub f64);

impl Flops {
    /// No work at all.
    pub const ZERO: Self = Self(0.0);

    /// From 10^12 operations, the unit of budgets.
    pub fn from_tflops(tflops: f64) -> Self {
        Self(tflops * 1e12)
    }

    /// In 10^12 operations, the unit of budgets.
    pub fn tflops(self) -> f64 {
        self.0 / 1e12
    }
}

impl Add for Flops {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Mul<f64> for Flops {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        Self(self.0 * factor)
    }
}

impl Sum for Flops {
    fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
        terms.fold(Self::ZERO, Add::add)
    }
}

/// A span of time in milliseconds, the unit of latency budgets and estimates.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub f64);

impl Millis {
    /// No time at all.
    pub const ZERO: Self = Self(0.0);
}

impl From<Duration> for Millis {
    fn from(duration: Duration) -> Self {
        Self(duration.as_secs_f64() * 1e3)
    }
}

impl Add for Millis {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Mul<f64> for Millis {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        Self(self.0 * factor)
    }
}

impl Sum for Millis {
    fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
        terms.fold(Self::ZERO, Add::add)
    }
}

/// A point in time, as the span since the process started. Always handed in, never asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Duration);

impl Moment {
    /// Returns the time from `earlier` to this moment, zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// What networks hold in memory, in bytes. Zero where a backend keeps no count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Weights, as the backend wants them.
    pub packed: usize,
    /// Convolutions' weights once more, transformed for Winograd's algorithm.
    pub winograd: usize,
    /// What the tensors of the next step will lie in.
    pub arena: usize,
    /// Encoded prompts, and what they say to each network.
    pub texts: usize,
}

impl Memory {
    /// Every part with its name.
    pub fn parts(self) -> [(&'static str, usize); 4] {
        [
            ("packed", self.packed),
            ("winograd", self.winograd),
            ("arena", self.arena),
            ("texts", self.texts),
        ]
    }
}

impl Add for Memory {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            packed: self.packed + other.packed,
            winograd: self.winograd + other.winograd,
            arena: self.arena + other.arena,
            texts: self.texts + other.texts,
        }
    }
}

impl Sum for Memory {
    fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
        terms.fold(Self::default(), Add::add)
    }
}

/// Sampling steps, as a client counts them.
pub type Steps = u32;

/// Network evaluations: forward passes of a U-Net over one picture. A guided step costs two.
pub type Nfe = u32;

/// The width and height of a picture in pixels, written `WIDTHxHEIGHT`.
///
/// ```
/// use goldilocks::units::ImageSize;
///
/// let size: ImageSize = "128x64".parse()?;
/// assert_eq!((size.width, size.height, size.pixels()), (128, 64, 8192));
/// assert_eq!(size.to_string(), "128x64");
/// # Ok::<(), goldilocks::units::ImageSizeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageSize {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl ImageSize {
    /// Pixels in the whole picture.
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// The text is not a picture size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size; write it as WIDTHxHEIGHT in pixels, for example 128x128")]
pub struct ImageSizeError(String);

impl FromStr for ImageSize {
    type Err = ImageSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = || ImageSizeError(text.to_owned());
        let (width, height) = text.split_once('x').ok_or_else(fault)?;
        let side = |digits: &str| digits.parse::<u32>().ok().filter(|n| *n > 0);
        match (side(width), side(height)) {
            (Some(width), Some(height)) => Ok(Self { width, height }),
            _ => Err(fault()),
        }
    }
}

impl Serialize for ImageSize {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ImageSize {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_and_written_the_same_way() {
        let size: ImageSize = "128x64".parse().unwrap();
        assert_eq!((size.width, size.height), (128, 64));
        assert_eq!(size.to_string(), "128x64");
    }

    #[test]
    fn refuses_what_is_not_a_size() {
        for text in [
            "", "128", "128x", "x64", "0x64", "-1x64", "128X64", "1e2x64",
        ] {
            let message = text.parse::<ImageSize>().unwrap_err().to_string();
            assert!(message.contains("WIDTHxHEIGHT"), "{message}");
        }
    }

    #[test]
    fn time_never_runs_backwards() {
        let early = Moment(Duration::from_secs(1));
        let late = Moment(Duration::from_secs(3));
        assert_eq!(late.since(early), Duration::from_secs(2));
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
