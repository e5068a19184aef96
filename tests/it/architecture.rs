//! Does every module use only what ARCHITECTURE.md lets it use?

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Which modules of this crate a module may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("files", &[]),
    ("progress", &[]),
    ("config", &["units", "catalog"]),
    ("catalog", &["units"]),
    ("telemetry", &["units"]),
    ("diffusion", &["units", "catalog"]),
    ("planner", &["units", "catalog", "diffusion"]),
    ("engine", &["units", "catalog", "diffusion"]),
    ("evaluator", &["units", "catalog", "engine"]),
    (
        "runtime",
        &[
            "units",
            "catalog",
            "diffusion",
            "files",
            "planner",
            "engine",
            "telemetry",
        ],
    ),
    ("load", &["units", "telemetry"]),
    (
        "simulate",
        &["units", "catalog", "load", "planner", "runtime"],
    ),
    (
        "calibrate",
        &[
            "units",
            "catalog",
            "diffusion",
            "files",
            "planner",
            "engine",
            "evaluator",
            "progress",
            "telemetry",
        ],
    ),
    (
        "api",
        &[
            "units",
            "catalog",
            "config",
            "planner",
            "runtime",
            "telemetry",
        ],
    ),
    (
        "cli",
        &[
            "api",
            "calibrate",
            "catalog",
            "config",
            "diffusion",
            "engine",
            "evaluator",
            "files",
            "load",
            "planner",
            "progress",
            "runtime",
            "simulate",
            "telemetry",
            "units",
        ],
    ),
];

/// Where a crate may be named.
const HOMES: &[(&str, &[&str])] = &[
    ("candle_core", &["engine", "evaluator"]),
    ("candle_nn", &["engine", "evaluator"]),
    ("jpeg_encoder", &["engine"]),
    ("image_webp", &["engine"]),
    ("axum", &["api"]),
    ("tower", &["api"]),
    ("tower_http", &["api"]),
    ("utoipa", &["api", "diffusion", "planner"]),
    ("prometheus", &["telemetry"]),
    ("clap", &["cli", "config"]),
    ("clap_complete", &["cli"]),
    ("tokio", &["runtime", "load", "api", "cli"]),
    ("hyper", &["load", "api"]),
    ("hyper_util", &["load", "api"]),
    ("csv", &["load"]),
    ("rand", &["load", "simulate"]),
    ("rand_distr", &["load", "simulate"]),
    ("rand_pcg", &["load", "simulate"]),
    ("tokio_stream", &["api"]),
    ("anyhow", &["cli", "calibrate"]),
    ("indicatif", &["progress"]),
    ("maud", &["calibrate"]),
];

#[test]
fn modules_use_only_what_is_below_them() {
    let mut faults = BTreeSet::new();
    for file in sources() {
        let module = module_of(&file);
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            continue;
        };
        for used in used_modules(&read(&file)) {
            if used != module && !allowed.contains(&used.as_str()) {
                faults.insert(format!("{} uses crate::{used}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_runtime_meets_the_engine_in_one_place() {
    let strangers: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|file| module_of(file) == "runtime")
        .filter(|file| used_modules(&read(file)).contains("engine"))
        .filter(|file| !file.to_string_lossy().contains("executor/pipeline"))
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

#[test]
fn crates_stay_where_they_belong() {
    let mut faults = BTreeSet::new();
    for file in sources() {
        let (module, text) = (module_of(&file), read(&file));
        for (name, homes) in HOMES {
            let named =
                text.contains(&format!("{name}::")) || text.contains(&format!("use {name}"));
            if named && !homes.contains(&module.as_str()) && module != "main" {
                faults.insert(format!("{} names {name}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn files_are_written_in_one_place() {
    let writes = ["fs::write(", "fs::rename(", "File::create", "OpenOptions"];
    let strangers: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|file| !file.ends_with("src/files.rs") && !file.ends_with("tests.rs"))
        .filter(|file| {
            let text = read(file);
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            writes.iter().any(|name| code.contains(name))
        })
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

#[test]
fn only_the_device_file_knows_of_cuda_features() {
    let strangers: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|file| read(file).contains("feature = \"cuda\""))
        .filter(|file| !file.ends_with("engine/device.rs"))
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

#[test]
fn unsafe_code_is_the_native_backends() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine/ops/native");
    let (inside, outside): (Vec<PathBuf>, Vec<PathBuf>) = sources()
        .into_iter()
        .filter(|file| read(file).contains("unsafe_code"))
        .partition(|file| file.starts_with(&home));
    assert!(outside.is_empty(), "{outside:?}");
    assert!(
        !inside.is_empty(),
        "the lint must be what unsafe code asks to be excepted from"
    );
}

#[test]
fn every_file_says_what_it_answers() {
    let silent: Vec<PathBuf> = sources()
        .into_iter()
        .filter(|file| !read(file).starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "{silent:?}");
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "rs") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 20, "the sources were not found");
    found
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap()
}

/// The first part of the path below `src`, without its suffix.
fn module_of(file: &Path) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let below = file.strip_prefix(source).unwrap();
    let first = below.components().next().unwrap().as_os_str();
    first.to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The names behind `crate::`, those inside one pair of braces too. Tests at the foot count as well.
fn used_modules(text: &str) -> BTreeSet<String> {
    let word = |rest: &str| -> String {
        let letters = rest.trim_start().chars();
        letters
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut found = BTreeSet::new();
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code = code.collect::<Vec<_>>().join("\n");
    for (position, mark) in code.match_indices("crate::") {
        let rest = &code[position + mark.len()..];
        match rest.strip_prefix('{') {
            None => drop(found.insert(word(rest))),
            Some(group) => found.extend(top_level_names(group, word)),
        }
    }
    found
}

fn top_level_names(group: &str, word: impl Fn(&str) -> String) -> Vec<String> {
    let (mut depth, mut names) = (0, vec![word(group)]);
    for (position, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(word(&group[position + 1..])),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}
