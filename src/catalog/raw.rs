//! What does `models.toml` say? The file as it was written, read strictly: every fault at once.

use std::{
    fmt, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{
    Catalog, DeviceSpec, Dtype, Family,
    assemble::assemble,
    table::{Fault, Faults, Table, read_table},
};
use crate::units::ImageSize;

/// How the folder of a distilled U-Net is called, beside others that are not.
const DISTILLED_SUFFIX: &str = "-lcm";

/// The hosted models cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// There is no such file.
    #[error(
        "there is no {}; run from a checkout of goldilocks, or name the file that lists the models with --config",
        path.display()
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The file is there and cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{} is not valid TOML: {source}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: Box<toml::de::Error>,
    },
    /// The file is TOML and does not describe models that can be hosted.
    #[error("{} cannot be used:{}", path.display(), Lines(faults))]
    Faults {
        /// The file or folder.
        path: PathBuf,
        /// Everything that is wrong, in the file's order.
        faults: Vec<Fault>,
    },
}

struct Lines<'a>(&'a [Fault]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

/// One `[[family]]`, paths as written.
#[derive(Debug, Default)]
pub(super) struct RawFamily {
    pub(super) id: String,
    pub(super) path: String,
    pub(super) profile: Option<String>,
    pub(super) vocabulary: Option<String>,
    pub(super) sizes: Vec<ImageSize>,
    pub(super) budgets: Option<RawBudgets>,
    pub(super) models: Vec<RawModel>,
}

/// `[family.budgets]`, in 10^12 operations for one picture.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct RawBudgets {
    pub(super) low: f64,
    pub(super) medium: f64,
    pub(super) high: f64,
    pub(super) xhigh: f64,
}

/// One `[[family.model]]`.
#[derive(Debug, Default)]
pub(super) struct RawModel {
    pub(super) id: String,
    pub(super) unet: String,
    pub(super) dtype: Dtype,
    pub(super) device: DeviceSpec,
    pub(super) distilled: bool,
}

/// Reads `models.toml` and everything it names but the weights themselves, which are only hashed.
pub fn load(path: &Path) -> Result<Catalog, CatalogError> {
    let text = fs::read_to_string(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => CatalogError::Missing {
            path: path.to_owned(),
        },
        _ => CatalogError::Unreadable {
            path: path.to_owned(),
            source,
        },
    })?;
    let values: toml::Table = text.parse().map_err(|source| CatalogError::Syntax {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    let mut faults = Faults::default();
    let families = read_table(String::new(), values, &mut faults, |table| {
        table.tables("family", RawFamily::read)
    });
    let folder = path.parent().unwrap_or(Path::new(""));
    assemble(folder, families, faults).map_err(|faults| CatalogError::Faults {
        path: path.to_owned(),
        faults,
    })
}

/// Makes a family of a folder alone: a plain Stable Diffusion folder with `unet/`, or one with several
/// `unet-<size>/`, whose models are then called `<folder>-<size>`. It knows the words of its
/// `vocabulary.json`, if it has one. Distilled are those of a folder that is sampled by diffusers'
/// `LCMScheduler`, and those whose own folder's name ends in `-lcm`.
pub fn family_from_folder(path: &Path, device: DeviceSpec) -> Result<Family, CatalogError> {
    let refused = |faults| CatalogError::Faults {
        path: path.to_owned(),
        faults,
    };
    let name = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = name.file_name().unwrap_or_default().to_string_lossy();
    let mut models = unets_of(path).map_err(|reason| {
        refused(vec![Fault {
            key: "unet".into(),
            reason,
        }])
    })?;
    let is_alone = models.len() == 1;
    for model in &mut models {
        model.device = device;
        model.id = match model.unet.strip_prefix("unet") {
            Some(size) if !is_alone => format!("{name}{size}"),
            _ => name.to_string(),
        };
    }
    let family = RawFamily {
        // Families and models share one name space, and the only model may have the folder's name.
        id: format!("{name}-family"),
        models,
        vocabulary: Some("vocabulary.json".to_owned()).filter(|file| path.join(file).is_file()),
        ..RawFamily::default()
    };
    let mut catalog = assemble(path, vec![family], Faults::default()).map_err(refused)?;
    let mut family = catalog.families.remove(0);
    let all_are_distilled = family.noise_schedule.is_for_consistency();
    for model in &mut family.models {
        model.distilled |= all_are_distilled;
    }
    Ok(family)
}

/// Returns the U-Nets in a folder, by name.
fn unets_of(path: &Path) -> Result<Vec<RawModel>, String> {
    let entries = fs::read_dir(path).map_err(|source| format!("cannot be looked for: {source}"))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_unet = |name: &String| {
        let is_named_so = name == "unet" || name.starts_with("unet-");
        is_named_so && path.join(name).join("config.json").is_file()
    };
    let mut unets: Vec<String> = names.filter(is_unet).collect();
    unets.sort();
    if unets.is_empty() {
        let reason = "is missing; a model folder has unet/config.json or unet-<size>/config.json";
        return Err(reason.into());
    }
    let model = |unet: String| RawModel {
        distilled: unet.ends_with(DISTILLED_SUFFIX),
        unet,
        ..RawModel::default()
    };
    Ok(unets.into_iter().map(model).collect())
}

impl RawFamily {
    fn read(table: &mut Table<'_>) -> Self {
        Self {
            id: table.string("id"),
            path: table.string("path"),
            profile: table.optional_string("profile"),
            vocabulary: table.optional_string("vocabulary"),
            sizes: table.list("sizes"),
            budgets: table.optional_table("budgets", RawBudgets::read),
            models: table.tables("model", RawModel::read),
        }
    }
}

impl RawBudgets {
    fn read(table: &mut Table<'_>) -> Self {
        Self {
            low: table.positive("low"),
            medium: table.positive("medium"),
            high: table.positive("high"),
            xhigh: table.positive("xhigh"),
        }
    }
}

impl RawModel {
    fn read(table: &mut Table<'_>) -> Self {
        Self {
            id: table.string("id"),
            unet: table
                .optional_string("unet")
                .unwrap_or_else(|| "unet".into()),
            dtype: table.parsed("dtype"),
            device: table.parsed("device"),
            distilled: table.flag("distilled"),
        }
    }
}
