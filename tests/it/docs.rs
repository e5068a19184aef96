//! Is what the guides say true? Links lead somewhere, the reference is the code's, and commands that are marked
//! `runnable` do what stands below them, on the real program and a real server.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::server::Server;

mod blocks;
mod links;

use blocks::Block;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page that people read, from the root of the repository.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ]
    .map(PathBuf::from)
    .into();
    for folder in [
        "docs",
        "scripts",
        "dashboards",
        "benches",
        "bench/peers",
        "training",
        "weights/emoji",
    ] {
        let Ok(entries) = fs::read_dir(root().join(folder)) else {
            continue;
        };
        let files = entries.map(|entry| Path::new(folder).join(entry.unwrap().file_name()));
        pages.extend(files.filter(|file| file.extension().is_some_and(|end| end == "md")));
    }
    pages.sort();
    pages
}

fn read(page: &Path) -> String {
    fs::read_to_string(root().join(page)).unwrap()
}

#[test]
fn links_lead_somewhere() {
    let mut faults = BTreeSet::new();
    let mut n_links = 0;
    for page in pages() {
        for link in links::of(&read(&page)) {
            n_links += 1;
            if let Some(fault) = links::fault(root(), &page, &link) {
                faults.insert(format!("{}: {link}: {fault}", page.display()));
            }
        }
    }
    assert!(n_links > 60, "{n_links}");
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_readme_leads_to_every_guide_and_guides_lead_back() {
    let readme = read(Path::new("README.md"));
    let guides = pages().into_iter().filter(|page| page.starts_with("docs"));
    let guides: Vec<PathBuf> = guides.collect();
    assert!(guides.len() >= 5, "{guides:?}");
    for guide in guides {
        let link = format!("]({}", guide.display());
        assert!(
            readme.contains(&link),
            "the README has no link to {}",
            guide.display()
        );
        let text = read(&guide);
        let others = links::of(&text)
            .into_iter()
            .filter(|link| link.contains(".md"));
        assert!(others.count() > 0, "{} leads nowhere", guide.display());
    }
}

#[test]
fn the_reference_is_made_from_the_code() {
    let out = Command::new(env!("CARGO_BIN_EXE_goldilocks"))
        .args(["openapi", "--markdown"])
        .output()
        .unwrap();
    let made = String::from_utf8(out.stdout).unwrap();
    assert!(
        made == read(Path::new("docs/api-reference.md")),
        "docs/api-reference.md is out of date; rewrite it with \
         `cargo run --release -- openapi --markdown > docs/api-reference.md`"
    );
}

#[test]
fn commands_do_what_the_guides_say() {
    let place = tempfile::tempdir().unwrap();
    // Commands find the repository around them, and write beside it.
    for name in [
        "models.toml",
        "weights",
        "calibration",
        "openapi",
        "dashboards",
    ] {
        std::os::unix::fs::symlink(root().join(name), place.path().join(name)).unwrap();
    }
    let state = place.path().join("state/goldilocks");
    let server = Server::start(&place.path().join("models.toml"), &state);
    let (mut n_blocks, mut faults) = (0, Vec::new());
    for page in pages() {
        for block in Block::all(&read(&page)) {
            n_blocks += 1;
            let script = block.script.replace("127.0.0.1:8080", server.address());
            let out = sh(&script, place.path());
            let told = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
            let (page, line, begins) = (page.display(), block.line, shortened(&told));
            if !out.status.success() {
                faults.push(format!("{page} line {line}: {}\n{begins}", out.status));
            } else if let Err(part) = block.is_told_by(&told) {
                faults.push(format!("{page} line {line}: no {part}\n{begins}"));
            }
        }
    }
    assert!(n_blocks > 25, "{n_blocks}");
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

/// Pictures as text are too long to be shown.
fn shortened(text: &str) -> String {
    let words = text.split('"');
    let words = words.map(|word| if word.len() > 500 { "..." } else { word });
    words
        .collect::<Vec<_>>()
        .join("\"")
        .chars()
        .take(3000)
        .collect()
}

/// Runs a script as a reader would, with the program on the path.
fn sh(script: &str, folder: &Path) -> std::process::Output {
    let program = Path::new(env!("CARGO_BIN_EXE_goldilocks"))
        .parent()
        .unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "the program goes before all others"
    )]
    let path = std::env::var("PATH").unwrap();
    Command::new("sh")
        .args(["-e", "-c", script])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", program.display()))
        .env("XDG_STATE_HOME", folder.join("state"))
        .output()
        .unwrap()
}
