//! How is a table of `models.toml` read so that every fault in it is reported, not only the first?
//!
//! serde stops at the first fault. A [`Table`] takes keys out one by one, notes what is missing, of the
//! wrong kind or left over, each with its full key, and goes on.

use std::{fmt, str::FromStr};

use toml::Value;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key in the file, for instance `family[0].model[2].device`.
    pub key: String,
    /// What is wrong with it and what would work.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.reason)
    }
}

/// Every fault found so far.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    /// Notes a fault.
    pub(super) fn add(&mut self, key: impl Into<String>, reason: impl fmt::Display) {
        self.0.push(Fault {
            key: key.into(),
            reason: reason.to_string(),
        });
    }

    /// Notes the fault of a result, if it has one.
    pub(super) fn check<T, E: fmt::Display>(
        &mut self,
        key: &str,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|reason| self.add(key, reason)).ok()
    }

    /// Returns `value` if nothing was ever wrong.
    pub(super) fn none_or<T>(self, value: T) -> Result<T, Vec<Fault>> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self.0)
        }
    }
}

/// A table whose keys are taken out one by one.
pub(super) struct Table<'a> {
    /// The full key of the table itself; empty for the whole file.
    key: String,
    values: toml::Table,
    known: Vec<&'static str>,
    faults: &'a mut Faults,
}

impl<'a> Table<'a> {
    pub(super) fn new(key: String, values: toml::Table, faults: &'a mut Faults) -> Self {
        Self {
            key,
            values,
            known: Vec::new(),
            faults,
        }
    }

    /// Returns the full key of an entry.
    pub(super) fn key(&self, name: &str) -> String {
        if self.key.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.key)
        }
    }

    /// Takes out a string that must be there; an empty one stands for one that is not.
    pub(super) fn string(&mut self, name: &'static str) -> String {
        let text = self.optional_string(name);
        if text.is_none() && !self.values.contains_key(name) {
            self.missing(name);
        }
        text.unwrap_or_default()
    }

    /// Takes out a string that may be left out.
    pub(super) fn optional_string(&mut self, name: &'static str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            other => {
                self.wrong_kind(name, "a string", &other);
                None
            }
        }
    }

    /// Takes out a string that is read as `T`, which has a default.
    pub(super) fn parsed<T: Default + FromStr<Err: fmt::Display>>(
        &mut self,
        name: &'static str,
    ) -> T {
        let key = self.key(name);
        let text = self.optional_string(name);
        text.and_then(|text| self.faults.check(&key, text.parse()))
            .unwrap_or_default()
    }

    /// Takes out a number above zero that must be there.
    pub(super) fn positive(&mut self, name: &'static str) -> f64 {
        let number = match self.take(name) {
            None => {
                self.missing(name);
                return f64::NAN;
            }
            Some(Value::Float(number)) => number,
            Some(Value::Integer(number)) => number as f64,
            Some(other) => {
                self.wrong_kind(name, "a number", &other);
                return f64::NAN;
            }
        };
        if !(number > 0.0 && number.is_finite()) {
            self.faults.add(
                self.key(name),
                format!("{number} is not a number above zero"),
            );
        }
        number
    }

    /// Takes out a boolean that is false if it is left out.
    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        match self.take(name) {
            None => false,
            Some(Value::Boolean(set)) => set,
            Some(other) => {
                self.wrong_kind(name, "true or false", &other);
                false
            }
        }
    }

    /// Takes out a list of strings that are read as `T`; there must be at least one.
    pub(super) fn list<T: FromStr<Err: fmt::Display>>(&mut self, name: &'static str) -> Vec<T> {
        let entries = match self.take(name) {
            Some(Value::Array(entries)) if !entries.is_empty() => entries,
            Some(Value::Array(_)) => {
                self.faults
                    .add(self.key(name), "must have at least one entry");
                return Vec::new();
            }
            Some(other) => {
                self.wrong_kind(name, "a list of strings", &other);
                return Vec::new();
            }
            None => {
                self.missing(name);
                return Vec::new();
            }
        };
        let mut values = Vec::with_capacity(entries.len());
        for (idx, entry) in entries.iter().enumerate() {
            let key = format!("{}[{idx}]", self.key(name));
            match entry {
                Value::String(text) => values.extend(self.faults.check(&key, text.parse())),
                other => self.faults.add(key, kind_fault("a string", other)),
            }
        }
        values
    }

    /// Reads a table inside this one that may be left out.
    pub(super) fn optional_table<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Table<'_>) -> T,
    ) -> Option<T> {
        match self.take(name) {
            Some(Value::Table(values)) => Some(self.nested(self.key(name), values, read)),
            Some(other) => {
                self.wrong_kind(name, "a table", &other);
                None
            }
            None => None,
        }
    }

    /// Reads each table of a list, of which there must be at least one.
    pub(super) fn tables<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&mut Table<'_>) -> T,
    ) -> Vec<T> {
        let entries = match self.take(name) {
            Some(Value::Array(entries)) => entries,
            Some(other) => {
                self.wrong_kind(name, "a list of tables", &other);
                return Vec::new();
            }
            None => {
                self.missing(name);
                return Vec::new();
            }
        };
        let mut values = Vec::with_capacity(entries.len());
        for (idx, entry) in entries.into_iter().enumerate() {
            let key = format!("{}[{idx}]", self.key(name));
            match entry {
                Value::Table(table) => values.push(self.nested(key, table, &read)),
                other => self.faults.add(key, kind_fault("a table", &other)),
            }
        }
        values
    }

    /// Notes every key that nobody took out.
    fn finish(self) {
        for name in self.values.keys() {
            let reason = format!("is not known here; known: {}", self.known.join(", "));
            self.faults.add(self.key(name), reason);
        }
    }

    fn nested<T>(
        &mut self,
        key: String,
        values: toml::Table,
        read: impl FnOnce(&mut Table<'_>) -> T,
    ) -> T {
        read_table(key, values, self.faults, read)
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.values.remove(name)
    }

    fn missing(&mut self, name: &str) {
        self.faults.add(self.key(name), "is missing");
    }

    fn wrong_kind(&mut self, name: &str, wanted: &str, found: &Value) {
        self.faults.add(self.key(name), kind_fault(wanted, found));
    }
}

/// Reads a table and notes what is left over in it.
pub(super) fn read_table<T>(
    key: String,
    values: toml::Table,
    faults: &mut Faults,
    read: impl FnOnce(&mut Table<'_>) -> T,
) -> T {
    let mut table = Table::new(key, values, faults);
    let value = read(&mut table);
    table.finish();
    value
}

fn kind_fault(wanted: &str, found: &Value) -> String {
    format!("must be {wanted}, not {} {found}", found.type_str())
}
