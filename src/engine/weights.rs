//! What are the numbers of a network? Reads safetensors, upcast to `f32`.
//!
//! A file is checked as a whole when it is opened and every tensor when it is asked for, so that a
//! damaged or foreign file is refused with its name, the tensor's name and both shapes.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    fmt::Display,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use half::{bf16, f16};
use safetensors::{
    Dtype, SafeTensorError, SafeTensors,
    tensor::{Metadata, TensorInfo},
};
use serde_json::Value;

/// Bytes of the length that a safetensors file opens with.
const HEADER_LENGTH_BYTES: usize = 8;

/// A weights file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// No file of a known name lies in the folder.
    #[error("no weights in {folder}: expected {expected}")]
    Missing {
        /// The folder of the network.
        folder: PathBuf,
        /// The file names that were looked for.
        expected: String,
    },
    /// Only pickled weights lie in the folder, which can run code when they are read.
    #[error(
        "{file} is a pickled checkpoint, which is never read; convert to safetensors, for example \
         with diffusers' save_pretrained(.., safe_serialization=True)"
    )]
    Pickled {
        /// The file that was found.
        file: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read {file}: {source}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why it cannot be read.
        source: std::io::Error,
    },
    /// The file is not intact safetensors.
    #[error("{file} is not a valid safetensors file: {source}")]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: SafeTensorError,
    },
    /// The file lacks a tensor that the configuration calls for.
    #[error("{file} has no tensor {tensor:?}, which config.json calls for")]
    TensorMissing {
        /// The file.
        file: PathBuf,
        /// The tensor's full name.
        tensor: String,
    },
    /// A tensor has another shape than the configuration calls for.
    #[error("{file}: tensor {tensor:?} has shape {found:?}, but config.json calls for {expected}")]
    TensorShape {
        /// The file.
        file: PathBuf,
        /// The tensor's full name.
        tensor: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// The shapes that would do.
        expected: String,
    },
    /// A tensor's numbers are stored in a way that the engine does not read.
    #[error("{file}: tensor {tensor:?} is stored as {dtype:?}; supported are F16, BF16 and F32")]
    TensorDtype {
        /// The file.
        file: PathBuf,
        /// The tensor's full name.
        tensor: String,
        /// Its type in the file.
        dtype: Dtype,
    },
    /// The file has tensors that the network of the configuration has no place for.
    #[error(
        "{file} has {count} tensors that config.json has no place for, the first one {tensor:?}; \
         the configuration belongs to another network"
    )]
    TensorUnknown {
        /// The file.
        file: PathBuf,
        /// The first such name in order.
        tensor: String,
        /// How many there are.
        count: usize,
    },
}

/// Checks that a file is as long as its header says, and reads no more of it than that: a download that broke off is seen
/// before anything is loaded.
pub fn expect_whole(file: &Path) -> Result<(), WeightsError> {
    let unreadable = |source| WeightsError::Unreadable {
        file: file.to_owned(),
        source,
    };
    let corrupt = |source| WeightsError::Corrupt {
        file: file.to_owned(),
        source,
    };
    let mut opened = File::open(file).map_err(unreadable)?;
    let length = opened.metadata().map_err(unreadable)?.len();
    let mut header = [0; HEADER_LENGTH_BYTES];
    opened
        .read_exact(&mut header)
        .map_err(|_short| corrupt(SafeTensorError::HeaderTooSmall))?;
    let header = u64::from_le_bytes(header);
    let data_start = header.saturating_add(HEADER_LENGTH_BYTES as u64);
    if data_start > length {
        return Err(corrupt(SafeTensorError::InvalidHeaderLength));
    }
    let mut text = vec![0; header as usize];
    opened.read_exact(&mut text).map_err(unreadable)?;
    let tensors: HashMap<String, Value> = serde_json::from_slice(&text)
        .map_err(|error| corrupt(SafeTensorError::InvalidHeaderDeserialization(error)))?;
    let ends = tensors
        .values()
        .filter_map(|tensor| tensor["data_offsets"][1].as_u64());
    let data = ends.max().unwrap_or_default();
    if data_start.saturating_add(data) == length {
        Ok(())
    } else {
        Err(corrupt(SafeTensorError::MetadataIncompleteBuffer))
    }
}

/// An opened and checked weights file.
#[derive(Debug)]
pub struct Weights {
    file: PathBuf,
    bytes: Vec<u8>,
    data_start: usize,
    metadata: Metadata,
    used: RefCell<HashSet<String>>,
}

impl Weights {
    /// Opens `<stem>.safetensors` of a folder, or its `fp16` variant where only that exists.
    pub fn open_folder(folder: &Path, stem: &str) -> Result<Self, WeightsError> {
        let names = [
            format!("{stem}.safetensors"),
            format!("{stem}.fp16.safetensors"),
        ];
        if let Some(name) = names.iter().find(|name| folder.join(name).is_file()) {
            return Self::open(&folder.join(name));
        }
        match pickled(folder) {
            Some(file) => Err(WeightsError::Pickled { file }),
            None => Err(WeightsError::Missing {
                folder: folder.to_owned(),
                expected: names.join(" or "),
            }),
        }
    }

    /// Opens one safetensors file and checks that its header describes all of its bytes.
    pub fn open(file: &Path) -> Result<Self, WeightsError> {
        let bytes = fs::read(file).map_err(|source| WeightsError::Unreadable {
            file: file.to_owned(),
            source,
        })?;
        let (header, metadata) =
            SafeTensors::read_metadata(&bytes).map_err(|source| WeightsError::Corrupt {
                file: file.to_owned(),
                source,
            })?;
        Ok(Self {
            file: file.to_owned(),
            data_start: HEADER_LENGTH_BYTES + header,
            bytes,
            metadata,
            used: RefCell::default(),
        })
    }

    /// Returns the view at the root of the names.
    pub fn root(&self) -> Scope<'_> {
        Scope {
            weights: self,
            prefix: String::new(),
        }
    }

    /// Returns the shape of a tensor, if the file has it.
    pub fn shape(&self, tensor: &str) -> Option<&[usize]> {
        self.metadata.info(tensor).map(|info| info.shape.as_slice())
    }

    /// Refuses the file if tensors that start with one of `prefixes` were never asked for.
    ///
    /// A network that leaves tensors unread is not the network that was trained; it would run and
    /// draw rubbish.
    pub fn expect_all_used(&self, prefixes: &[&str]) -> Result<(), WeightsError> {
        let used = self.used.borrow();
        let mut unknown: Vec<String> = self
            .metadata
            .offset_keys()
            .into_iter()
            .filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
            .filter(|name| !used.contains(name))
            .collect();
        unknown.sort();
        match unknown.first() {
            None => Ok(()),
            Some(tensor) => Err(WeightsError::TensorUnknown {
                file: self.file.clone(),
                tensor: tensor.clone(),
                count: unknown.len(),
            }),
        }
    }

    /// Reads a whole tensor whatever its shape, with its shape.
    pub fn read(&self, tensor: &str) -> Result<(Vec<usize>, Vec<f32>), WeightsError> {
        let shape = self.info(tensor)?.shape.clone();
        Ok((shape, self.values(tensor)?))
    }

    /// Returns the bytes of a whole tensor, whatever they mean.
    pub fn read_bytes(&self, tensor: &str) -> Result<&[u8], WeightsError> {
        let (start, end) = self.info(tensor)?.data_offsets;
        Ok(&self.bytes[self.data_start + start..self.data_start + end])
    }

    fn values(&self, tensor: &str) -> Result<Vec<f32>, WeightsError> {
        let bytes = self.read_bytes(tensor)?;
        self.used.borrow_mut().insert(tensor.to_owned());
        match self.info(tensor)?.dtype {
            Dtype::F32 => Ok(decode(bytes, f32::from_le_bytes)),
            Dtype::F16 => Ok(decode(bytes, |b| f16::from_le_bytes(b).to_f32())),
            Dtype::BF16 => Ok(decode(bytes, |b| bf16::from_le_bytes(b).to_f32())),
            dtype => Err(WeightsError::TensorDtype {
                file: self.file.clone(),
                tensor: tensor.to_owned(),
                dtype,
            }),
        }
    }

    fn info(&self, tensor: &str) -> Result<&TensorInfo, WeightsError> {
        let missing = || WeightsError::TensorMissing {
            file: self.file.clone(),
            tensor: tensor.to_owned(),
        };
        self.metadata.info(tensor).ok_or_else(missing)
    }
}

/// The tensors below one name, as in `down_blocks.0.resnets.1`.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    weights: &'a Weights,
    prefix: String,
}

impl Scope<'_> {
    /// Returns the scope of `name` below this one.
    #[must_use]
    pub fn pp(&self, name: impl Display) -> Self {
        Self {
            weights: self.weights,
            prefix: self.full(name),
        }
    }

    /// The name of this scope.
    pub fn name(&self) -> &str {
        &self.prefix
    }

    /// Whether the file has this tensor.
    pub fn contains(&self, name: &str) -> bool {
        self.weights.shape(&self.full(name)).is_some()
    }

    /// Reads a tensor that must have exactly this shape.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, WeightsError> {
        self.get_any(name, &[shape])
    }

    /// Reads a tensor that must have one of these shapes.
    pub fn get_any(&self, name: &str, shapes: &[&[usize]]) -> Result<Vec<f32>, WeightsError> {
        let tensor = self.full(name);
        if let Some(found) = self.weights.shape(&tensor)
            && !shapes.contains(&found)
        {
            let expected: Vec<_> = shapes.iter().map(|shape| format!("{shape:?}")).collect();
            return Err(WeightsError::TensorShape {
                file: self.weights.file.clone(),
                found: found.to_vec(),
                expected: expected.join(" or "),
                tensor,
            });
        }
        self.weights.values(&tensor)
    }

    fn full(&self, name: impl Display) -> String {
        if self.prefix.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.prefix)
        }
    }
}

fn decode<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|chunk| number(*chunk))
        .collect()
}

fn pickled(folder: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let pickles = ["bin", "pt", "ckpt", "pth"];
    files.map(|file| file.path()).find(|path| {
        path.extension()
            .is_some_and(|end| pickles.iter().any(|pickle| end == *pickle))
    })
}

#[cfg(test)]
mod tests;
