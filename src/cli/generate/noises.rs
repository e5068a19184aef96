//! Which noise do pictures start from?

use std::path::Path;

use anyhow::bail;

use crate::{catalog::Family, engine::weights::Weights, units::ImageSize};

/// The noise of every picture, `None` where it is the seed's, and their size.
pub(super) struct Noises {
    pub(super) size: ImageSize,
    pub(super) of_pictures: Vec<Option<Vec<f32>>>,
}

impl Noises {
    /// Reads them from a file, if there is one; their size is the one that was asked for, or else the file's
    /// or the family's own.
    pub(super) fn read(
        file: Option<&Path>,
        asked: Option<ImageSize>,
        family: &Family,
    ) -> anyhow::Result<Self> {
        let Some(file) = file else {
            return Ok(Self {
                size: asked.unwrap_or_else(|| family.default_size()),
                of_pictures: vec![None],
            });
        };
        let (shape, values) = Weights::open(file)?.read("latents")?;
        let &[n, channels, height, width] = shape.as_slice() else {
            bail!(
                "{}: `latents` is {shape:?}, not N x C x H x W",
                file.display()
            );
        };
        if values.is_empty() || channels != family.vae.latent_channels {
            let expected = family.vae.latent_channels;
            bail!(
                "{}: `latents` is {shape:?}, but C is {expected}",
                file.display()
            );
        }
        let size = ImageSize {
            width: width as u32 * family.vae.downscale(),
            height: height as u32 * family.vae.downscale(),
        };
        if let Some(asked) = asked.filter(|asked| *asked != size) {
            bail!("--latents are for pictures of {size}, but --size is {asked}");
        }
        let rows = values.chunks_exact(values.len() / n);
        Ok(Self {
            size,
            of_pictures: rows.map(|row| Some(row.to_vec())).collect(),
        })
    }
}
