//! `goldilocks openapi`: which promises does the HTTP interface make? Prints the document that `/openapi.json` serves.

use std::io::{self, Write};

use clap::Args;

use crate::api;

/// Print the OpenAPI document of the HTTP interface
#[derive(Debug, Args)]
pub struct OpenapiArgs {}

/// Prints the document to standard output.
pub fn run(_args: &OpenapiArgs) -> io::Result<()> {
    io::stdout().write_all(api::document().as_bytes())
}
