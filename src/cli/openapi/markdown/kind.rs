//! What is a field made of, in a few words? Types of a JSON schema, with links to the shapes that have a name.

use serde_json::Value;

/// The type of a value; shapes that have a name are linked.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return link(name_of(reference));
    }
    if let Some(either) = schema["oneOf"].as_array() {
        let kinds: Vec<String> = either.iter().map(kind).collect();
        return kinds.join(" or ");
    }
    match &schema["type"] {
        Value::String(name) if name == "array" => format!("array of {}", kind(&schema["items"])),
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            let names: Vec<String> = names
                .iter()
                .map(|name| kind(&with_type(schema, name)))
                .collect();
            names.join(" or ")
        }
        _ => "any".to_owned(),
    }
}

/// The same schema, were it of one type alone.
fn with_type(schema: &Value, name: &Value) -> Value {
    let mut alone = schema.clone();
    alone["type"] = name.clone();
    alone
}

/// The last part of a reference.
pub(super) fn name_of(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or(reference)
}

/// A link to a shape on the same page.
pub(super) fn link(name: &str) -> String {
    format!("[{name}](#{})", name.to_lowercase())
}

/// Text of a comment in the code: links between items of the code lead nowhere here.
pub(super) fn linked(text: &str) -> String {
    text.replace("[`", "`").replace("`]", "`")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_are_named_as_in_json_and_shapes_are_linked() {
        for (schema, expected) in [
            (json!({ "type": "string" }), "string"),
            (json!({ "type": ["number", "null"] }), "number or null"),
            (
                json!({ "type": ["array", "null"], "items": { "$ref": "#/a/Stage" } }),
                "array of [Stage](#stage) or null",
            ),
            (
                json!({ "oneOf": [{ "$ref": "#/a/Plan" }, { "type": "null" }] }),
                "[Plan](#plan) or null",
            ),
            (json!({}), "any"),
        ] {
            assert_eq!(kind(&schema), expected);
        }
    }
}
