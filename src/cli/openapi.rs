//! `goldilocks openapi`: what does the HTTP interface promise? The document that `/openapi.json` serves.

use std::io::{self, Write};

use crate::api;

/// Prints the OpenAPI document of the HTTP interface
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Prints the document to standard output.
pub fn run(_args: &Args) -> anyhow::Result<()> {
    io::stdout().write_all(api::document().as_bytes())?;
    Ok(())
}
