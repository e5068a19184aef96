//! Do the files behind `models.toml` make a catalog? Reads what it names and checks it against itself.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{
    Catalog, Family, ModelCard, ModelId, NamedBudgets, Vocabulary,
    architecture::{
        NoiseScheduleConfig, PerLevel, TextEncoderConfig, UnetConfig, VaeConfig, VisionConfig,
        read_json,
    },
    digest,
    raw::{RawBudgets, RawFamily, RawModel},
    table::{Fault, Faults},
};
use crate::units::{Flops, ImageSize};

/// Latents along one side that a U-Net is taken to be trained on if its configuration does not say.
const SAMPLE_SIZE: usize = 64;

/// Turns what was written into a catalog, or says everything that is wrong. Relative paths start at `folder`.
pub(super) fn assemble(
    folder: &Path,
    raw: Vec<RawFamily>,
    mut faults: Faults,
) -> Result<Catalog, Vec<Fault>> {
    check_ids(&raw, &mut faults);
    let mut families = Vec::with_capacity(raw.len());
    for (idx, family) in raw.into_iter().enumerate() {
        let key = format!("family[{idx}]");
        families.extend(assemble_family(folder, &key, family, &mut faults));
    }
    let mut catalog = faults.none_or(Catalog { families })?;
    // Last, since it reads every byte of the weights: not worth it for a catalog that is refused.
    for (idx, family) in catalog.families.iter_mut().enumerate() {
        let fault = |error: digest::DigestError| {
            vec![Fault {
                key: format!("family[{idx}].path"),
                reason: error.to_string(),
            }]
        };
        family.digest = digest::of_family(family).map_err(fault)?;
        family.image_encoder_digest = digest::of_image_encoder(family).map_err(fault)?;
    }
    Ok(catalog)
}

/// Ids are what a request's `model` names, so families and models share one name space.
fn check_ids(families: &[RawFamily], faults: &mut Faults) {
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    if families.is_empty() {
        faults.add("family", "there must be at least one");
    }
    for (idx, family) in families.iter().enumerate() {
        let key = format!("family[{idx}]");
        check_id(&family.id, format!("{key}.id"), &mut seen, faults);
        if family.models.is_empty() {
            faults.add(format!("{key}.model"), "there must be at least one");
        }
        for (idx, model) in family.models.iter().enumerate() {
            check_id(
                &model.id,
                format!("{key}.model[{idx}].id"),
                &mut seen,
                faults,
            );
        }
    }
}

fn check_id<'a>(
    id: &'a str,
    key: String,
    seen: &mut BTreeMap<&'a str, String>,
    faults: &mut Faults,
) {
    if id.is_empty() {
        // Reported where it was read.
        return;
    }
    if id == "auto" {
        faults.add(
            key,
            "\"auto\" means the planner's choice in requests; take another name",
        );
        return;
    }
    if !id
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    {
        faults.add(
            &*key,
            format!("{id:?} may only have letters, digits, '.', '_' and '-'"),
        );
    }
    match seen.get(id) {
        Some(first) => faults.add(key, format!("{id:?} is already the name of {first}")),
        None => drop(seen.insert(id, key)),
    }
}

/// The parts that all models of a family share.
struct Shared {
    vae: VaeConfig,
    text_encoder: TextEncoderConfig,
    image_encoder: Option<VisionConfig>,
    noise_schedule: NoiseScheduleConfig,
}

fn assemble_family(
    folder: &Path,
    key: &str,
    raw: RawFamily,
    faults: &mut Faults,
) -> Option<Family> {
    let budgets = raw.budgets;
    let budgets = budgets.map(|raw| check_budgets(&format!("{key}.budgets"), raw, faults));
    let profile = raw.profile.map(|name| folder.join(name));
    let vocabulary = raw.vocabulary.map(|name| folder.join(name));
    let vocabulary = vocabulary
        .and_then(|file| faults.check(&format!("{key}.vocabulary"), Vocabulary::read(&file)));
    let path = folder.join(&raw.path);
    let shared = assemble_shared(&format!("{key}.path"), &path, faults);
    let mut models = assemble_models(&path, key, raw.models, faults);
    let shared = shared?;
    check_shapes(&models, &shared, faults);
    let sizes = match raw.sizes {
        sizes if sizes.is_empty() => trained_size(&models, &shared.vae).into_iter().collect(),
        sizes => sizes,
    };
    check_sizes(
        &format!("{key}.sizes"),
        &sizes,
        &models,
        &shared.vae,
        faults,
    );
    models.sort_by_key(|(_, card)| weights_bytes(card));
    Some(Family {
        id: raw.id,
        path,
        models: models.into_iter().map(|(_, card)| card).collect(),
        sizes,
        profile,
        budgets,
        vocabulary,
        vae: shared.vae,
        text_encoder: shared.text_encoder,
        image_encoder: shared.image_encoder,
        noise_schedule: shared.noise_schedule,
        digest: String::new(),
        image_encoder_digest: None,
    })
}

fn assemble_shared(key: &str, family: &Path, faults: &mut Faults) -> Option<Shared> {
    if !family.is_dir() {
        faults.add(key, format!("there is no folder {}", family.display()));
        return None;
    }
    for part in ["vae", "text_encoder"] {
        faults.check(key, digest::weights_file(&family.join(part)));
    }
    let vae = faults.check(key, read_vae(family));
    let text_encoder = faults.check(key, read_json(&family.join("text_encoder/config.json")));
    let schedule = family.join("scheduler/scheduler_config.json");
    let noise_schedule = faults.check(key, read_json(&schedule));
    let vae = vae?;
    Some(Shared {
        image_encoder: assemble_image_encoder(key, family, &vae, faults)?,
        vae,
        text_encoder: text_encoder?,
        noise_schedule: noise_schedule?,
    })
}

/// Returns the family's image encoder, if it has one; the outer `None` is a fault.
#[expect(
    clippy::option_option,
    reason = "having none is not a fault, and both are told apart"
)]
fn assemble_image_encoder(
    key: &str,
    family: &Path,
    vae: &VaeConfig,
    faults: &mut Faults,
) -> Option<Option<VisionConfig>> {
    let folder = family.join("image_encoder");
    let config = VisionConfig::read(&folder.join("config.json"), vae.latent_channels);
    let config = faults.check(key, config)?;
    if config.is_some() {
        faults.check(key, digest::weights_file(&folder))?;
    }
    Some(config)
}

/// Returns the models that can be read, each with its key in the file.
fn assemble_models(
    family: &Path,
    key: &str,
    raw: Vec<RawModel>,
    faults: &mut Faults,
) -> Vec<(String, ModelCard)> {
    if !family.is_dir() {
        // Reported once for the family, not again for each of its models.
        return Vec::new();
    }
    let mut models = Vec::with_capacity(raw.len());
    for (idx, model) in raw.into_iter().enumerate() {
        let key = format!("{key}.model[{idx}]");
        let card = assemble_model(family, &key, model, faults);
        models.extend(card.map(|card| (key, card)));
    }
    models
}

fn assemble_model(
    family: &Path,
    key: &str,
    raw: RawModel,
    faults: &mut Faults,
) -> Option<ModelCard> {
    let unet_path = family.join(&raw.unet);
    let unet_key = format!("{key}.unet");
    if !unet_path.is_dir() {
        let reason = format!("there is no folder {}", unet_path.display());
        faults.add(unet_key, reason);
        return None;
    }
    faults.check(&unet_key, digest::weights_file(&unet_path));
    let unet = faults.check(&unet_key, UnetConfig::read(&unet_path.join("config.json")))?;
    Some(ModelCard {
        id: ModelId(raw.id),
        unet_path,
        unet,
        dtype: raw.dtype,
        device: raw.device,
        distilled: raw.distilled,
    })
}

fn read_vae(family: &Path) -> Result<VaeConfig, String> {
    let path = family.join("vae/config.json");
    let config: VaeConfig = read_json(&path).map_err(|error| error.to_string())?;
    match config.block_out_channels.len() {
        1..=8 => Ok(config),
        n => Err(format!(
            "{} has {n} levels; 1 to 8 are possible",
            path.display()
        )),
    }
}

fn check_budgets(key: &str, raw: RawBudgets, faults: &mut Faults) -> NamedBudgets {
    let named = [
        ("low", raw.low),
        ("medium", raw.medium),
        ("high", raw.high),
        ("xhigh", raw.xhigh),
    ];
    for pair in named.windows(2) {
        let ((smaller, least), (name, value)) = (pair[0], pair[1]);
        if value <= least && value > 0.0 {
            let reason = format!("{value} must be more than {smaller}, which is {least}");
            faults.add(format!("{key}.{name}"), reason);
        }
    }
    NamedBudgets {
        low: Flops::from_tflops(raw.low),
        medium: Flops::from_tflops(raw.medium),
        high: Flops::from_tflops(raw.high),
        xhigh: Flops::from_tflops(raw.xhigh),
    }
}

/// The parts of a family must fit together: a U-Net between this encoder's states and this decoder's latents.
fn check_shapes(models: &[(String, ModelCard)], shared: &Shared, faults: &mut Faults) {
    let device = models.first().map(|(_, card)| card.device);
    let latent = shared.vae.latent_channels;
    let hidden = shared.text_encoder.hidden_size;
    for (key, card) in models {
        let unet = &card.unet;
        let unet_key = format!("{key}.unet");
        for (name, channels) in [
            ("in_channels", unet.in_channels),
            ("out_channels", unet.out_channels),
        ] {
            if channels != latent {
                let reason = format!(
                    "{name} is {channels}, but the autoencoder has {latent} latent channels"
                );
                faults.add(&*unet_key, reason);
            }
        }
        if widths(&unet.cross_attention_dim).any(|width| width != hidden) {
            let reason = format!(
                "cross_attention_dim is {:?}, but the text encoder's hidden_size is {hidden}",
                unet.cross_attention_dim
            );
            faults.add(&*unet_key, reason);
        }
        if Some(card.device) != device {
            let reason = format!(
                "{} is not the device of the family's first model; all models of a family share one",
                card.device
            );
            faults.add(format!("{key}.device"), reason);
        }
    }
}

fn widths(per_level: &PerLevel) -> impl Iterator<Item = usize> + '_ {
    let (same, each) = match per_level {
        PerLevel::Same(width) => (Some(*width), [].as_slice()),
        PerLevel::Each(widths) => (None, widths.as_slice()),
    };
    same.into_iter().chain(each.iter().copied())
}

fn check_sizes(
    key: &str,
    sizes: &[ImageSize],
    models: &[(String, ModelCard)],
    vae: &VaeConfig,
    faults: &mut Faults,
) {
    let deepest = models.iter().map(|(_, card)| card.unet.n_levels()).max();
    let multiple = vae.downscale() << (deepest.unwrap_or(1) - 1);
    for (idx, size) in sizes.iter().enumerate() {
        if size.width % multiple != 0 || size.height % multiple != 0 {
            let reason =
                format!("{size} is not possible; both sides must be multiples of {multiple}");
            faults.add(format!("{key}[{idx}]"), reason);
        }
    }
}

/// The size that the first model was trained on.
fn trained_size(models: &[(String, ModelCard)], vae: &VaeConfig) -> Option<ImageSize> {
    let (_, card) = models.first()?;
    let side = card.unet.sample_size.unwrap_or(SAMPLE_SIZE) as u32 * vae.downscale();
    Some(ImageSize {
        width: side,
        height: side,
    })
}

/// Size by bytes: parameters times precision, without opening the file.
fn weights_bytes(card: &ModelCard) -> u64 {
    let file: Option<PathBuf> = digest::weights_file(&card.unet_path).ok();
    file.and_then(|file| Some(fs::metadata(file).ok()?.len()))
        .unwrap_or(0)
}
