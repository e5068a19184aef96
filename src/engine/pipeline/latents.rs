//! What does a U-Net work on? A picture in a smaller space, which the decoder leads out of.

/// A picture in the space that the U-Net works in.
#[derive(Debug, Clone, PartialEq)]
pub struct Latents {
    channels: usize,
    height: usize,
    width: usize,
    values: Vec<f32>,
}

impl Latents {
    /// All zero.
    pub(super) fn blank((channels, height, width): (usize, usize, usize)) -> Self {
        Self {
            channels,
            height,
            width,
            values: vec![0.0; channels * height * width],
        }
    }

    /// Wraps numbers in channel, line, column order; `None` if their count is not that of the shape.
    pub fn new((channels, height, width): (usize, usize, usize), values: Vec<f32>) -> Option<Self> {
        (values.len() == channels * height * width).then_some(Self {
            channels,
            height,
            width,
            values,
        })
    }

    /// Channels, height and width.
    pub fn shape(&self) -> (usize, usize, usize) {
        (self.channels, self.height, self.width)
    }

    /// The numbers in channel, line, column order.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The same, to be written.
    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}
