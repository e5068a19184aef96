//! `goldilocks openapi`: what does the HTTP interface promise? The document that `/openapi.json` serves.

use super::{examples, out};
use crate::api;

mod markdown;

/// Prints the OpenAPI document of the HTTP interface
#[derive(Debug, clap::Args)]
#[command(after_help = examples::OPENAPI)]
pub struct Args {
    /// Print it as pages for people: docs/api-reference.md
    #[arg(long)]
    markdown: bool,
}

/// Prints the document to standard output.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let document = api::document();
    if args.markdown {
        return out::print(&markdown::page(&serde_json::from_str(&document)?));
    }
    out::print(&document)
}
