//! Does the page say what the findings say, and nothing else?

use super::*;
use crate::{
    calibrate::findings::{
        fixture::{cell, material, profile},
        requests,
    },
    planner::{
        profile::{Rush, RushCell},
        test_family::family,
    },
};

const REQUEST: &str = r#"{"predicted":{"p50":10.0,"p95":20.0,"p99":30.0},"actual_ms":12.0,"plan":"<p>","static_ms":{"p50":9.0,"p95":13.0},"at_s":1.5}"#;

fn full_page() -> String {
    let mut profile = profile(&[
        cell("small", 1, 0.3),
        cell("small", 4, 0.5),
        cell("small", 16, 0.6),
        cell("large", 1, 0.1),
        cell("large", 4, 0.4),
        cell("large", 16, 0.8),
    ]);
    let mut unguided = cell("small", 4, 0.2);
    unguided.plan.guidance_scale = 1.0;
    profile.cells.push(unguided);
    profile.held_out = profile.cells.clone();
    profile.rush = vec![RushCell {
        rush: Rush { after: 3, then: 1 },
        cell: cell("small", 16, 0.45),
    }];
    let (family, requests) = (family(), requests::parse(REQUEST).unwrap());
    let mut material = material(&family, &profile);
    material.requests = &requests;
    page(&Findings::of(&material))
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    let page = full_page();
    let linked = page.replace("http://www.w3.org/2000/svg", "");
    for forbidden in [
        "<script",
        "http:",
        "https:",
        "@import",
        "url(",
        "NaN",
        "<p>\"",
        "inf TFLOP",
    ] {
        assert!(!linked.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("prefers-color-scheme: dark") && page.contains("@media print"));
}

#[test]
fn every_drawing_has_words_for_those_who_cannot_see_it_and_names_are_unique() {
    let page = full_page();
    let drawings = page.matches("<svg").count();
    assert!(drawings >= 8, "{drawings}");
    assert_eq!(page.matches("<desc").count(), drawings);
    let ids: Vec<&str> = page
        .split(" id=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    let unique: std::collections::HashSet<&&str> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "{ids:?}");
}

#[test]
fn sections_with_data_are_there_and_those_without_are_not() {
    let page = full_page();
    for id in [
        "cost",
        "budgets",
        "guidance",
        "rush",
        "prediction",
        "latency",
        "everything",
    ] {
        assert!(page.contains(&format!("<section id=\"{id}\"")), "{id}");
    }
    for id in [
        "samplers",
        "variants",
        "students",
        "precision",
        "literature",
    ] {
        assert!(!page.contains(&format!("\"{id}\"")), "{id}");
    }
    assert!(
        page.contains("finding holds here"),
        "small wins first, large last"
    );
    let (family, plain) = (family(), profile(&[cell("small", 4, 0.5)]));
    let poor = super::page(&Findings::of(&material(&family, &plain)));
    assert!(poor.contains("nothing can be said of sizes"));
    assert_eq!(
        poor.matches("<section").count(),
        2,
        "what it costs, and everything measured"
    );
}
