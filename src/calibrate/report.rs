//! What do the measurements say to a person? One page without scripts and without anything to load.
//!
//! Everything on it comes from [`Findings`]: sentences are made of numbers, and a section without data is
//! left out.

mod budgets;
mod cost;
mod forest;
mod guidance;
mod heat;
mod latency;
mod literature;
mod parts;
pub mod plot;
mod precision;
mod prediction;
mod rush;
mod samplers;
pub mod scale;
mod students;
mod style;
mod variants;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::{parts::Section, plot::Plot};
use super::findings::Findings;
use crate::planner::{Cost, profile::ProfileKind};

/// The main figure alone: score against operations.
pub fn figure(findings: &Findings) -> Plot {
    cost::figure(findings, Cost::Tflops)
}

/// The whole page.
pub fn page(findings: &Findings) -> String {
    let sections = [
        Some(cost::section(findings)),
        budgets::section(findings),
        guidance::section(findings),
        samplers::section(findings),
        variants::section(findings),
        students::section(findings),
        precision::section(findings),
        rush::section(findings),
        prediction::section(findings),
        latency::section(findings),
        literature::section(findings),
        Some(literature::everything(findings)),
    ];
    let sections: Vec<Section> = sections.into_iter().flatten().collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (findings.family) ": what each plan is worth" }
                style { (PreEscaped(style::PLOT)) (PreEscaped(style::PAGE)) }
            }
            body {
                header { (head(findings)) }
                nav aria-label="Sections" { @for section in &sections { a href=(format!("#{}", section.id)) { (section.title) } } }
                main {
                    @for section in &sections {
                        section id=(section.id) { h2 { (section.title) } (section.body) }
                    }
                }
                (foot(findings))
            }
        }
    };
    page.into_string()
}

fn head(findings: &Findings) -> Markup {
    let provenance = &findings.provenance;
    let best = findings
        .plans
        .iter()
        .max_by(|a, b| a.score.mean.total_cmp(&b.score.mean));
    let digest = findings.weights_digest.trim_start_matches("sha256:");
    let n_offered = findings.plans.iter().filter(|row| row.on_frontier).count();
    let fact = |name: &str, value: String| html! { div { dt { (name) } dd { (value) } } };
    html! {
        h1 { "What a budget buys from " em { (findings.family) } }
        p { "Measured on " (provenance.date) ", " (findings.score_name()) ", " (findings.size) " pixels." }
        (budgets::verdict(findings))
        dl class="facts" {
            (fact("measured plans", findings.plans.len().to_string()))
            (fact("worth offering", n_offered.to_string()))
            (fact("captions for each", provenance.n_captions.to_string()))
            @if let Some(best) = best { (fact("best score", parts::score(best.score))) }
            (fact("weights", digest.chars().take(8).collect()))
            (fact("commit", provenance.commit.clone()))
        }
        p class="source" { "Measured with " code { (provenance.command) } " on weights " code { (findings.weights_digest) } "." }
    }
}

fn foot(findings: &Findings) -> Markup {
    let anchor = &findings.anchor;
    html! {
        footer {
            p {
                "Scores lie between 0 and 1, higher is better. "
                @if findings.kind == ProfileKind::SelfReference {
                    "They say how close a plan\u{2019}s latents come to those of the family\u{2019}s own dearest plan, relative to "
                } @else {
                    "Alignment is the share of pictures that show everything the caption says, judged by a network that has no part in drawing them; balanced is the mean of alignment and fidelity. Fidelity is 1 \u{2212} CMMD / CMMD of "
                }
                (anchor.model.0) ", " (anchor.sampler) ", " (parts::count(anchor.steps as usize, "unguided step", "unguided steps")) ". "
                "Standard errors come from " (findings.provenance.n_replicates) " bootstrap replicates that draw the same captions for every plan, so that differences are paired. "
                "Costs are counted exactly, text and decoder included."
            }
        }
    }
}

#[cfg(test)]
mod tests;
