//! Where do the links of a page lead, and is there anything?

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The targets of all links and pictures outside code.
pub(super) fn of(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(page) {
        let parts = line.split('`').step_by(2);
        let line = parts.collect::<Vec<_>>().join("``");
        for (at, mark) in line.match_indices("](") {
            let target = line[at + mark.len()..].split(')').next().unwrap();
            found.push(target.to_owned());
        }
    }
    found
}

/// What is wrong with a link of a page, if it leads to a file of the repository.
pub(super) fn fault(root: &Path, page: &Path, link: &str) -> Option<String> {
    if link.contains("://") {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target: PathBuf = if file.is_empty() {
        root.join(page)
    } else {
        root.join(page.parent().unwrap()).join(file)
    };
    if !target.exists() {
        return Some("there is no such file".to_owned());
    }
    if anchor.is_empty() {
        return None;
    }
    let text = fs::read_to_string(&target).unwrap_or_default();
    let anchors = anchors(&text);
    (!anchors.contains(&anchor.to_owned())).then(|| "there is no such heading".to_owned())
}

/// The names of a page's headings, as the usual renderers make them.
fn anchors(page: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut found = Vec::new();
    for line in prose(page) {
        let text = line.trim_start_matches('#');
        if text.len() == line.len() || !text.starts_with(' ') {
            continue;
        }
        let name: String = text
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let n_before = names.iter().filter(|known| **known == name).count();
        names.push(name.clone());
        found.push(if n_before == 0 {
            name
        } else {
            format!("{name}-{n_before}")
        });
    }
    found
}

/// The lines that are not inside a fence.
fn prose(page: &str) -> Vec<&str> {
    let mut is_code = false;
    let outside = |line: &&str| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    };
    page.lines().filter(outside).collect()
}

#[test]
fn links_are_found_outside_code_and_headings_by_their_names() {
    let page = "# A `b` c!\n[x](y.md#z) and `[no](no.md)`, ![p](q.png)\n```\n[no](no)\n# no\n```\n## A b c\n## A b c\n";
    assert_eq!(of(page), ["y.md#z", "q.png"]);
    assert_eq!(anchors(page), ["a-b-c", "a-b-c-1", "a-b-c-2"]);
}
