//! Are these the weights that were measured? One SHA-256 over everything that decides a picture.
//!
//! Each file is hashed alone; the family's digest is that of the sorted lines `<hash>  <name>`, as
//! `sha256sum` writes them, so it can be checked by hand.

use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::Family;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// A file of a family cannot be hashed.
#[derive(Debug, thiserror::Error)]
pub enum DigestError {
    /// The weights are not there.
    #[error("no weights in {}; expected one of {expected}", folder.display())]
    NoWeights {
        /// Where they should be.
        folder: PathBuf,
        /// The names they may have.
        expected: String,
    },
    /// The tokenizer is not there.
    #[error("no tokenizer in {}; expected tokenizer.json, or vocab.json with merges.txt", folder.display())]
    NoTokenizer {
        /// Where it should be.
        folder: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Returns `sha256:<hex>` over the configurations and weights of all parts of a family that draw.
pub fn of_family(family: &Family) -> Result<String, DigestError> {
    let mut files = vec![family.path.join("scheduler/scheduler_config.json")];
    for folder in networks(family) {
        files.push(folder.join("config.json"));
        files.push(weights_file(&folder)?);
    }
    files.extend(tokenizer_files(&family.path.join("tokenizer"))?);
    of_files(&family.path, files)
}

/// The folders of the networks that draw.
pub fn networks(family: &Family) -> impl Iterator<Item = PathBuf> {
    let shared = ["vae", "text_encoder"].map(|part| family.path.join(part));
    let unets = family.models.iter().map(|model| model.unet_path.clone());
    shared.into_iter().chain(unets)
}

/// The same over configuration and weights of the image encoder, if the family has one.
pub fn of_image_encoder(family: &Family) -> Result<Option<String>, DigestError> {
    if family.image_encoder.is_none() {
        return Ok(None);
    }
    let folder = family.path.join("image_encoder");
    let files = vec![folder.join("config.json"), weights_file(&folder)?];
    of_files(&family.path, files).map(Some)
}

/// Returns the digest of files, named as from `folder`.
fn of_files(folder: &Path, files: Vec<PathBuf>) -> Result<String, DigestError> {
    let mut lines = Vec::with_capacity(files.len());
    for file in files {
        let name = file.strip_prefix(folder).unwrap_or(&file);
        lines.push(format!("{}  {}\n", of_file(&file)?, name.display()));
    }
    lines.sort_by(|a, b| a[66..].cmp(&b[66..]));
    lines.dedup();
    let mut hash = Sha256::new();
    for line in &lines {
        hash.update(line.as_bytes());
    }
    Ok(format!("sha256:{}", hex(&hash.finalize())))
}

/// Returns the weights in a part's folder: f32 or f16, under the name that diffusers or transformers gives them.
pub fn weights_file(folder: &Path) -> Result<PathBuf, DigestError> {
    let names = ["diffusion_pytorch_model", "model"].map(|stem| {
        [
            format!("{stem}.safetensors"),
            format!("{stem}.fp16.safetensors"),
        ]
    });
    let names = names.as_flattened();
    let found = names
        .iter()
        .map(|name| folder.join(name))
        .find(|file| file.is_file());
    found.ok_or_else(|| DigestError::NoWeights {
        folder: folder.to_owned(),
        expected: names.join(", "),
    })
}

fn tokenizer_files(folder: &Path) -> Result<Vec<PathBuf>, DigestError> {
    let whole = folder.join("tokenizer.json");
    let pair = [folder.join("vocab.json"), folder.join("merges.txt")];
    if whole.is_file() {
        Ok(vec![whole])
    } else if pair.iter().all(|file| file.is_file()) {
        Ok(pair.into())
    } else {
        Err(DigestError::NoTokenizer {
            folder: folder.to_owned(),
        })
    }
}

/// Returns the SHA-256 of one file in hexadecimal digits.
pub fn of_file(path: &Path) -> Result<String, DigestError> {
    let unreadable = |source| DigestError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk).map_err(unreadable)? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&chunk[..n]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_hash_that_sha256sum_prints() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        assert_eq!(
            of_file(file.path()).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn missing_weights_are_refused_with_the_names_they_may_have() {
        let folder = tempfile::tempdir().unwrap();
        let message = weights_file(folder.path()).unwrap_err().to_string();
        assert!(
            message.contains("diffusion_pytorch_model.safetensors"),
            "{message}"
        );
    }
}
