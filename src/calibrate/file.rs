//! How does a profile lie on disk? JSON that people can read and git can compare.

use std::{io, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use crate::{files, planner::profile::Profile};

/// Checks the profile and writes it.
pub fn write(profile: &Profile, path: &Path) -> Result<()> {
    profile.check()?;
    files::replace(path, to_json(profile)?.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

fn to_json(profile: &Profile) -> Result<String> {
    let mut bytes = Vec::new();
    profile.serialize(&mut Serializer::with_formatter(
        &mut bytes,
        Layout::default(),
    ))?;
    bytes.push(b'\n');
    Ok(String::from_utf8(bytes)?)
}

/// Indented as usual, but a list inside a list stands on one line: replicates are read by programs.
#[derive(Default)]
struct Layout {
    pretty: PrettyFormatter<'static>,
    lists: usize,
}

impl Layout {
    fn on_one_line(&self) -> bool {
        self.lists > 1
    }
}

impl Formatter for Layout {
    fn begin_array<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.lists += 1;
        if self.on_one_line() {
            writer.write_all(b"[")
        } else {
            self.pretty.begin_array(writer)
        }
    }

    fn end_array<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        let on_one_line = self.on_one_line();
        self.lists -= 1;
        if on_one_line {
            writer.write_all(b"]")
        } else {
            self.pretty.end_array(writer)
        }
    }

    fn begin_array_value<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        match (self.on_one_line(), first) {
            (true, true) => Ok(()),
            (true, false) => writer.write_all(b", "),
            (false, _) => self.pretty.begin_array_value(writer, first),
        }
    }

    fn end_array_value<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_array_value(writer)
    }

    fn begin_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.begin_object(writer)
    }

    fn end_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_object(writer)
    }

    fn begin_object_key<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.pretty.begin_object_key(writer, first)
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.begin_object_value(writer)
    }

    fn end_object_value<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_things_are_indented_and_lists_of_numbers_are_not() {
        let value = serde_json::json!({"cells": [{"replicates": [0.5, 0.25]}, {"replicates": []}]});
        let mut bytes = Vec::new();
        value
            .serialize(&mut Serializer::with_formatter(
                &mut bytes,
                Layout::default(),
            ))
            .unwrap();
        let expected = "{\n  \"cells\": [\n    {\n      \"replicates\": [0.5, 0.25]\n    },\n    {\n      \"replicates\": []\n    }\n  ]\n}";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }
}
