//! Is `models.toml` read strictly, and does it say everything that is wrong at once?

use std::{fs, os::unix::fs::symlink, path::Path};

use goldilocks::{
    catalog::{self, CatalogError, DeviceSpec, Fault},
    planner::Profile,
};
use tempfile::TempDir;

const FAMILY: &str = r#"
[[family]]
id = "toy"
path = "weights"
sizes = ["64x64", "128x64"]
[family.budgets]
low = 0.001
medium = 0.01
high = 1
xhigh = 2.5
[[family.model]]
id = "toy-large"
unet = "unet-large"
[[family.model]]
id = "toy-small"
unet = "unet-small"
"#;

/// A folder with `models.toml` and a family of two U-Nets, one of them with more bytes.
struct Hosted {
    folder: TempDir,
}

impl Hosted {
    fn new(models_toml: &str) -> Self {
        let hosted = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sd1");
        let weights = hosted.folder.path().join("weights");
        fs::create_dir(&weights).unwrap();
        for part in ["vae", "text_encoder", "tokenizer", "scheduler"] {
            symlink(golden.join(part), weights.join(part)).unwrap();
        }
        let file = "diffusion_pytorch_model.safetensors";
        for (unet, extra) in [("unet-small", 0), ("unet-large", 8)] {
            let (from, to) = (golden.join("unet"), weights.join(unet));
            fs::create_dir(&to).unwrap();
            let mut bytes = fs::read(from.join(file)).unwrap();
            bytes.resize(bytes.len() + extra, 0);
            fs::write(to.join(file), bytes).unwrap();
            fs::copy(from.join("config.json"), to.join("config.json")).unwrap();
        }
        fs::write(hosted.folder.path().join("models.toml"), models_toml).unwrap();
        hosted
    }

    fn load(&self) -> Result<catalog::Catalog, CatalogError> {
        catalog::load(&self.folder.path().join("models.toml"))
    }

    /// The faults, as a person reads them.
    fn faults(&self) -> Vec<String> {
        match self.load().unwrap_err() {
            CatalogError::Faults { faults, .. } => faults.iter().map(Fault::to_string).collect(),
            other => panic!("{other}"),
        }
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.folder.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} is not in {file}");
        fs::write(path, text.replace(from, to)).unwrap();
    }
}

#[test]
fn a_family_is_read_with_its_models_smallest_first() {
    let catalog = Hosted::new(FAMILY).load().unwrap();
    let family = catalog.family("toy").unwrap();
    let ids: Vec<&str> = family
        .models
        .iter()
        .map(|model| model.id.0.as_str())
        .collect();
    assert_eq!(ids, ["toy-small", "toy-large"]);
    assert_eq!(family.default_size().to_string(), "64x64");
    assert_eq!(family.models[0].device, DeviceSpec::Cpu);
    assert_eq!(family.budgets.unwrap().high.tflops(), 1.0);
    assert!(family.digest.starts_with("sha256:") && family.digest.len() == 7 + 64);
    assert!(catalog.model("toy-large").is_some() && catalog.model("toy").is_none());
}

#[test]
fn a_folder_alone_says_which_of_its_models_are_distilled() {
    let hosted = Hosted::new(FAMILY);
    let weights = hosted.folder.path().join("weights");
    let distilled = || -> Vec<(String, bool)> {
        let family = catalog::family_from_folder(&weights, DeviceSpec::Cpu).unwrap();
        let models = family.models.into_iter();
        models.map(|card| (card.id.0, card.distilled)).collect()
    };
    fs::rename(weights.join("unet-large"), weights.join("unet-large-lcm")).unwrap();
    let named = |small, large| {
        [("weights-small", small), ("weights-large-lcm", large)]
            .map(|(id, distilled)| (id.to_owned(), distilled))
    };
    assert_eq!(distilled(), named(false, true));
    let scheduler = weights.join("scheduler");
    let text = fs::read_to_string(scheduler.join("scheduler_config.json")).unwrap();
    fs::remove_file(&scheduler).unwrap();
    fs::create_dir(&scheduler).unwrap();
    let text = text.replace("DDIMScheduler", "LCMScheduler");
    fs::write(scheduler.join("scheduler_config.json"), text).unwrap();
    assert_eq!(distilled(), named(true, true));
}

#[test]
fn every_fault_is_reported_at_once_with_its_key() {
    let hosted = Hosted::new(
        r#"
        colour = "red"
        [[family]]
        id = "auto"
        path = "weights"
        sizes = ["64x64", "65x64", "big"]
        [family.budgets]
        low = 0.5
        medium = 0.1
        high = "much"
        [[family.model]]
        id = "toy"
        unet = "unet-small"
        device = "gpu"
        [[family.model]]
        id = "toy"
        unet = "unet-huge"
        dtype = "f64"
        steps = 3
        "#,
    );
    let faults = hosted.faults();
    for (key, part) in [
        ("colour", "known: family"),
        ("family[0].id", "planner's choice"),
        ("family[0].sizes[1]", "multiples of 64"),
        ("family[0].sizes[2]", "WIDTHxHEIGHT"),
        ("family[0].budgets.medium", "more than low"),
        ("family[0].budgets.high", "must be a number"),
        ("family[0].budgets.xhigh", "is missing"),
        ("family[0].model[0].device", "cuda:0"),
        (
            "family[0].model[1].id",
            "already the name of family[0].model[0].id",
        ),
        ("family[0].model[1].unet", "no folder"),
        ("family[0].model[1].dtype", "f32, bf16 or auto"),
        (
            "family[0].model[1].steps",
            "known: id, unet, dtype, device, distilled",
        ),
    ] {
        // The picture sizes keep their place in the file although the one between them is none.
        let key = format!("{key}: ");
        assert!(
            faults
                .iter()
                .any(|fault| fault.starts_with(&key) && fault.contains(part)),
            "{key}{part} is not in {faults:#?}"
        );
    }
    assert_eq!(faults.len(), 12, "{faults:#?}");
}

#[test]
fn parts_that_do_not_fit_together_are_refused() {
    let hosted = Hosted::new(FAMILY);
    let small = "weights/unet-small/config.json";
    hosted.edit(
        small,
        "\"cross_attention_dim\": 24",
        "\"cross_attention_dim\": 32",
    );
    hosted.edit(
        "weights/unet-large/config.json",
        "\"in_channels\": 4",
        "\"in_channels\": 9",
    );
    let faults = hosted.faults().join("\n");
    assert!(
        faults.contains("family[0].model[1].unet: cross_attention_dim"),
        "{faults}"
    );
    assert!(faults.contains("hidden_size is 24"), "{faults}");
    assert!(
        faults.contains("family[0].model[0].unet: in_channels is 9"),
        "{faults}"
    );
}

#[test]
fn what_the_engine_cannot_run_is_named() {
    let hosted = Hosted::new(FAMILY);
    let small = "weights/unet-small/config.json";
    hosted.edit(small, "\"act_fn\": \"silu\"", "\"act_fn\": \"mish\"");
    let faults = hosted.faults();
    assert_eq!(faults.len(), 1);
    assert!(faults[0].contains("act_fn = mish"), "{faults:?}");
}

#[test]
fn models_of_a_family_share_a_device() {
    let faults = Hosted::new(&format!("{FAMILY}device = \"cuda\"")).faults();
    assert!(
        faults[0].starts_with("family[0].model[1].device: cuda:0"),
        "{faults:?}"
    );
}

#[test]
fn missing_weights_are_named_with_what_was_expected() {
    let hosted = Hosted::new(FAMILY);
    let file = "weights/unet-large/diffusion_pytorch_model.safetensors";
    fs::remove_file(hosted.folder.path().join(file)).unwrap();
    let faults = hosted.faults();
    assert!(
        faults[0].contains("no weights in") && faults[0].contains("fp16"),
        "{faults:?}"
    );
}

#[test]
fn no_file_says_where_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let message = catalog::load(&folder.path().join("models.toml"))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("--config") && message.contains("checkout"),
        "{message}"
    );
}

#[test]
fn what_is_not_toml_is_shown_with_its_line() {
    let message = Hosted::new("[[family]]\nid = \n")
        .load()
        .unwrap_err()
        .to_string();
    assert!(message.contains("line 2"), "{message}");
}

#[test]
fn a_file_without_families_is_refused() {
    assert_eq!(
        Hosted::new("").faults(),
        ["family: is missing", "family: there must be at least one"]
    );
}

#[test]
fn the_digest_follows_the_weights_and_not_their_names_in_requests() {
    let hosted = Hosted::new(FAMILY);
    let before = hosted.load().unwrap().families[0].digest.clone();
    hosted.edit("models.toml", "id = \"toy-small\"", "id = \"tiny\"");
    assert_eq!(hosted.load().unwrap().families[0].digest, before);
    let path = hosted
        .folder
        .path()
        .join("weights/unet-small/diffusion_pytorch_model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
    assert_ne!(hosted.load().unwrap().families[0].digest, before);
}

#[test]
fn what_is_printed_reads_back_the_same() {
    let hosted = Hosted::new(FAMILY);
    let catalog = hosted.load().unwrap();
    let printed = catalog.to_toml();
    fs::write(hosted.folder.path().join("models.toml"), &printed).unwrap();
    let again = hosted.load().unwrap();
    assert_eq!(again.to_toml(), printed);
    assert_eq!(again.families[0].digest, catalog.families[0].digest);
}

#[test]
fn the_shipped_models_load_and_were_measured_on_these_very_weights() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let catalog = catalog::load(&root.join("models.toml")).unwrap();
    let family = catalog.default_family();
    assert_eq!(family.id, "emoji");
    assert!(family.models.len() >= 3);
    let vocabulary = family.vocabulary.as_ref().unwrap();
    assert_eq!(
        vocabulary.unknown_words("Three pineapples on a beach"),
        [""; 0]
    );
    let profile = fs::read_to_string(family.profile.as_ref().unwrap()).unwrap();
    Profile::from_json(&profile, &family.digest).unwrap();
}

#[test]
fn a_folder_alone_is_a_family() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sd1");
    let family = catalog::family_from_folder(&golden, DeviceSpec::Cpu).unwrap();
    assert_eq!(family.models.len(), 1);
    assert_eq!(family.models[0].id.0, "sd1");
    assert_eq!(family.default_size().to_string(), "64x64");

    let hosted = Hosted::new("");
    let weights = hosted.folder.path().join("weights");
    let family = catalog::family_from_folder(&weights, DeviceSpec::Cpu).unwrap();
    let ids: Vec<&str> = family
        .models
        .iter()
        .map(|model| model.id.0.as_str())
        .collect();
    assert_eq!(ids, ["weights-small", "weights-large"]);

    let message = catalog::family_from_folder(hosted.folder.path(), DeviceSpec::Cpu).unwrap_err();
    assert!(
        message.to_string().contains("unet/config.json"),
        "{message}"
    );
}

const IMAGE_ENCODER: &str = r#"{"num_channels": 4, "image_size": 8, "patch_size": 2, "hidden_size": 16,
    "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "projection_dim": 16}"#;

#[test]
fn an_image_encoder_over_latents_is_read_and_hashed_apart_from_what_draws() {
    let hosted = Hosted::new(FAMILY);
    let folder = hosted.folder.path().join("weights/image_encoder");
    let read = || hosted.load().unwrap().families.remove(0);
    let without = read();
    assert_eq!(
        (&without.image_encoder, &without.image_encoder_digest),
        (&None, &None)
    );

    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("config.json"), IMAGE_ENCODER).unwrap();
    fs::write(folder.join("model.safetensors"), "one").unwrap();
    let with = read();
    assert_eq!(with.image_encoder.unwrap().n_states(), 17);
    assert_eq!(with.digest, without.digest, "drawings do not depend on it");
    let digest = with.image_encoder_digest.unwrap();
    assert!(digest.starts_with("sha256:"), "{digest}");
    fs::write(folder.join("model.safetensors"), "other").unwrap();
    assert_ne!(read().image_encoder_digest.unwrap(), digest);

    fs::remove_file(folder.join("model.safetensors")).unwrap();
    let faults = hosted.faults().join("\n");
    assert!(faults.contains("family[0].path: no weights in"), "{faults}");
    hosted.edit(
        "weights/image_encoder/config.json",
        "\"num_channels\": 4",
        "\"num_channels\": 3",
    );
    assert_eq!(
        read().image_encoder,
        None,
        "a tower over pixels needs no weights"
    );
}
