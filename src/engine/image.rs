//! How does a picture become a file? PNG, JPEG or WebP, with its parameters where other tools look for them.

use super::EngineError;
use crate::units::{FileFormat, ImageSize};

mod exif;
mod file;

/// A finished picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Width and height.
    pub size: ImageSize,
    /// Red, green and blue of every pixel, line by line from the top left.
    pub rgb: Vec<u8>,
}

impl Pixels {
    /// Converts a decoded picture in [-1, 1], channel by channel; what lies outside is clipped.
    ///
    /// Three channels are taken; a single one is gray. Rounds as diffusers does, halves to even.
    pub(super) fn from_chw(size: ImageSize, values: &[f32]) -> Self {
        let n_pixels = size.pixels() as usize;
        let channel = |index: usize| {
            let start = if values.len() < 3 * n_pixels {
                0
            } else {
                index * n_pixels
            };
            &values[start..start + n_pixels]
        };
        let channels = [channel(0), channel(1), channel(2)];
        let level = |value: f32| {
            let unit = (value / 2.0 + 0.5).clamp(0.0, 1.0);
            (unit * 255.0).round_ties_even() as u8
        };
        let rgb = (0..n_pixels)
            .flat_map(|pixel| channels.map(|channel| level(channel[pixel])))
            .collect();
        Self { size, rgb }
    }

    /// Writes a file of this format, with `parameters` as text where other tools look for it.
    pub fn to_file(
        &self,
        format: FileFormat,
        parameters: Option<&str>,
    ) -> Result<Vec<u8>, EngineError> {
        match format {
            FileFormat::Png => file::png(self, parameters),
            FileFormat::Jpeg { quality } => file::jpeg(self, quality, parameters),
            FileFormat::Webp => file::webp(self, parameters),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_clipped_and_rounded_and_channels_interleaved() {
        let size = "2x1".parse().unwrap();
        let values = [-1.0, 1.0, 0.0, 9.0, -9.0, 0.5];
        let pixels = Pixels::from_chw(size, &values);
        assert_eq!(pixels.rgb, [0, 128, 0, 255, 255, 191]);
    }
}
