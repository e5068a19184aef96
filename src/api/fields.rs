//! How is a JSON object read strictly? Every field is taken by name, checked, and what nobody took is refused.
//!
//! Serde's derived reader would stop at "expected u32". Here each refusal names the field by its
//! path, shows what was found and says what would work. `null` is the same as leaving a field out.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::error::ApiError;

/// What fields are called by diffusers, AUTOMATIC1111's web interface and those who look for a budget at the top.
const FAMILIAR: [(&str, &str); 13] = [
    ("steps", "num_inference_steps"),
    ("cfg_scale", "guidance_scale"),
    ("guidance", "guidance_scale"),
    ("sampler_name", "sampler"),
    ("sampler_index", "sampler"),
    ("scheduler", "sampler"),
    ("batch_size", "n"),
    ("num_images", "n"),
    ("num_images_per_prompt", "n"),
    ("width", "size"),
    ("height", "size"),
    ("latency_ms", "budget.latency_ms"),
    ("tflops", "budget.tflops"),
];

/// The greatest integer that every JSON reader keeps exact.
pub(super) const MAX_EXACT_INTEGER: u64 = (1 << 53) - 1;

/// An object whose fields are taken one by one.
#[derive(Debug)]
pub(super) struct Fields {
    /// Where the object lies in the request, with a trailing dot; empty at the top.
    prefix: &'static str,
    values: Map<String, Value>,
    asked: Vec<&'static str>,
}

impl Fields {
    /// Reads the body of a request.
    pub(super) fn of_body(values: Map<String, Value>) -> Self {
        Self {
            prefix: "",
            values,
            asked: Vec::new(),
        }
    }

    /// Takes an object; `prefix` is its name with a trailing dot.
    pub(super) fn object(
        &mut self,
        name: &'static str,
        prefix: &'static str,
    ) -> Result<Option<Self>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(values)) => Ok(Some(Self {
                prefix,
                values,
                asked: Vec::new(),
            })),
            Some(other) => Err(self.refused(name, "an object", &other)),
        }
    }

    /// Takes a string.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.refused(name, "a string", &other)),
        }
    }

    /// Takes a boolean.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.refused(name, "true or false", &other)),
        }
    }

    /// Takes an integer within `range`. `4.0` is one, as in JSON Schema.
    pub(super) fn integer(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let whole = |number: f64| {
            (number.fract() == 0.0 && (0.0..=MAX_EXACT_INTEGER as f64).contains(&number))
                .then_some(number as u64)
        };
        value
            .as_u64()
            .or_else(|| value.as_f64().and_then(whole))
            .filter(|number| range.contains(number))
            .map(Some)
            .ok_or_else(|| {
                let expected = format!("an integer from {} to {}", range.start(), range.end());
                self.refused(name, &expected, &value)
            })
    }

    /// Takes a number that `accepts` likes; `expected` says which ones those are.
    pub(super) fn number(
        &mut self,
        name: &'static str,
        expected: &str,
        accepts: impl Fn(f64) -> bool,
    ) -> Result<Option<f64>, ApiError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        value
            .as_f64()
            .filter(|number| number.is_finite() && accepts(*number))
            .map(Some)
            .ok_or_else(|| self.refused(name, expected, &value))
    }

    /// Takes one of the named values.
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&'static str, T)],
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let found = value
            .as_str()
            .and_then(|text| choices.iter().find(|(choice, _)| *choice == text));
        found.map(|(_, chosen)| Some(*chosen)).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
            self.refused(name, &one_of(&names), &value)
        })
    }

    /// Takes a field that is known only to be refused, and so is not suggested to anybody.
    pub(super) fn unlisted(&mut self, name: &str) -> Option<Value> {
        self.values
            .shift_remove(name)
            .filter(|value| !value.is_null())
    }

    /// Refuses the first field that nobody took.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        let Some(param) = self
            .values
            .keys()
            .find(|key| !self.asked.contains(&key.as_str()))
        else {
            return Ok(());
        };
        let nearest = self.familiar(param).or_else(|| self.nearest(param));
        Err(ApiError::UnknownField {
            param: format!("{}{}", self.prefix, shortened(param)),
            nearest,
            known: self.asked,
        })
    }

    /// The field that goes by another name elsewhere.
    fn familiar(&self, param: &str) -> Option<&'static str> {
        let (_, ours) = FAMILIAR.iter().find(|(theirs, _)| *theirs == param)?;
        let is_here = |known: &&str| ours.split('.').next() == Some(*known);
        self.asked.iter().any(is_here).then_some(*ours)
    }

    /// The field that is spelled nearly so.
    fn nearest(&self, param: &str) -> Option<&'static str> {
        self.asked
            .iter()
            .map(|known| (strsim::damerau_levenshtein(param, known), *known))
            .filter(|(distance, known)| *distance <= known.len().max(3) / 3)
            .min()
            .map(|(_, known)| known)
    }

    /// The fields that nobody took.
    pub(super) fn rest(self) -> Map<String, Value> {
        let mut rest = self.values;
        rest.retain(|name, value| !value.is_null() && !self.asked.contains(&name.as_str()));
        rest
    }

    /// The names that were taken so far.
    #[cfg(test)]
    pub(super) fn asked(&self) -> &[&'static str] {
        &self.asked
    }

    /// The field's name from the top of the request.
    pub(super) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.asked.push(name);
        self.unlisted(name)
    }

    fn refused(&self, name: &str, expected: &str, found: &Value) -> ApiError {
        let param = self.path(name);
        ApiError::InvalidValue {
            message: format!("{param} must be {expected}; got {}", described(found)),
            param,
        }
    }
}

/// Lists what may be chosen.
pub(super) fn one_of(names: &[&str]) -> String {
    format!("one of {}", names.join(", "))
}

/// Cuts text that a client sent to a length fit for a message.
pub(super) fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("{start}...")
}

fn described(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("the string {:?}", shortened(text)),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        let Value::Object(values) = value else {
            panic!("tests read objects");
        };
        Fields::of_body(values)
    }

    #[test]
    fn null_is_the_same_as_leaving_the_field_out() {
        let mut fields = fields(json!({ "n": null }));
        assert_eq!(fields.integer("n", 1..=10).unwrap(), None);
        fields.finish().unwrap();
    }

    #[test]
    fn a_whole_number_written_as_a_float_is_an_integer() {
        assert_eq!(
            fields(json!({ "n": 4.0 })).integer("n", 1..=10).unwrap(),
            Some(4)
        );
    }

    #[test]
    fn says_what_was_found_and_what_would_work() {
        for (value, found) in [
            (json!(0), "got 0"),
            (json!(-1), "got -1"),
            (json!(2.5), "got 2.5"),
            (json!(1e300), "got 1e+300"),
            (json!("two"), "got the string \"two\""),
            (json!([1]), "got an array"),
        ] {
            let refused = fields(json!({ "n": value })).integer("n", 1..=10);
            let message = refused.unwrap_err().to_string();
            assert!(
                message.starts_with("n must be an integer from 1 to 10; "),
                "{message}"
            );
            assert!(message.ends_with(found), "{message}");
        }
    }

    #[test]
    fn names_a_nested_field_by_its_path() {
        let mut top = fields(json!({ "budget": { "latency_ms": "soon" } }));
        let mut budget = top.object("budget", "budget.").unwrap().unwrap();
        let refused = budget.number("latency_ms", "a number above 0", |ms| ms > 0.0);
        let message = refused.unwrap_err().to_string();
        assert!(
            message.starts_with("budget.latency_ms must be"),
            "{message}"
        );
    }

    #[test]
    fn an_unknown_field_is_refused_with_its_nearest_spelling() {
        let mut fields = fields(json!({ "seeed": 1 }));
        fields.integer("seed", 0..=9).unwrap();
        fields.text("size").unwrap();
        let message = fields.finish().unwrap_err().to_string();
        assert!(message.contains("did you mean \"seed\"?"), "{message}");
    }

    #[test]
    fn a_field_of_another_interface_is_refused_with_its_name_here() {
        let mut fields = fields(json!({ "cfg_scale": 7 }));
        fields.integer("guidance_scale", 0..=9).unwrap();
        let message = fields.finish().unwrap_err().to_string();
        assert!(
            message.contains("did you mean \"guidance_scale\"?"),
            "{message}"
        );
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(shortened(&"é".repeat(50)), format!("{}...", "é".repeat(40)));
    }
}
