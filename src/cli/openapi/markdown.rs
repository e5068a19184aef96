//! How does the OpenAPI document read as a page? Routes by tag, then what they take and answer with, linked.

use std::fmt::Write as _;

use serde_json::{Map, Value};

mod kind;

use kind::{kind, linked};

/// What stands above the page.
const HEAD: &str = "\
<!-- Made by `goldilocks openapi --markdown > docs/api-reference.md`; a test compares. Do not edit. -->
# API reference

Every route and every field, made from the document that `GET /openapi.json` serves. [The API guide](api.md) says
what to do with them.
";

/// Returns the page for a document.
pub(super) fn page(document: &Value) -> String {
    let mut text = HEAD.to_owned();
    for tag in entries(&document["tags"]) {
        let (name, told) = (string(&tag["name"]), string(&tag["description"]));
        let _ = write!(text, "\n## {}\n\n{told}.\n", capitalized(name));
        for (path, methods) in object(&document["paths"]) {
            for (method, operation) in object(methods) {
                if entries(&operation["tags"]).iter().any(|tag| tag == name) {
                    text.push_str(&route(method, path, operation));
                }
            }
        }
    }
    text.push_str("\n## Shapes\n\nFields without \"required\" may be left out, or be `null`.\n");
    for (name, schema) in object(&document["components"]["schemas"]) {
        text.push_str(&shape(name, schema));
    }
    text
}

fn route(method: &str, path: &str, operation: &Value) -> String {
    let mut text = format!("\n### {} {path}\n\n", method.to_uppercase());
    let _ = writeln!(text, "{}\n", string(&operation["summary"]));
    if let Some(description) = operation["description"].as_str() {
        let _ = writeln!(text, "{}\n", linked(description));
    }
    let parameters = entries(&operation["parameters"]);
    if !parameters.is_empty() {
        text.push_str("| parameter | in | type | |\n| --- | --- | --- | --- |\n");
        for parameter in parameters {
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} |",
                string(&parameter["name"]),
                string(&parameter["in"]),
                kind(&parameter["schema"]),
                cell(string(&parameter["description"])),
            );
        }
        text.push('\n');
    }
    if let Some((media, body)) = content(&operation["requestBody"]) {
        let _ = writeln!(text, "Takes {} ({media}).\n", kind(&body["schema"]));
    }
    text.push_str("| status | answer | |\n| --: | --- | --- |\n");
    for (status, response) in object(&operation["responses"]) {
        let answer = content(response).map_or_else(String::new, |(media, body)| {
            if body["schema"].is_null() {
                media.to_owned()
            } else {
                kind(&body["schema"])
            }
        });
        let told = cell(string(&response["description"]));
        let _ = writeln!(text, "| {status} | {answer} | {told} |");
    }
    text
}

fn shape(name: &str, schema: &Value) -> String {
    let mut text = format!("\n### {name}\n\n");
    if let Some(description) = schema["description"].as_str() {
        let _ = writeln!(text, "{}\n", linked(description));
    }
    if let Some(choices) = schema["enum"].as_array() {
        let choices: Vec<String> = choices.iter().map(|choice| format!("`{choice}`")).collect();
        let _ = writeln!(text, "One of {}.", choices.join(", "));
    }
    for variant in entries(&schema["oneOf"]) {
        let code = &variant["properties"]["code"]["enum"][0];
        let told = string(&variant["description"]);
        let _ = writeln!(text, "`{}`: {told}\n", string(code));
        text.push_str(&fields(variant));
        text.push('\n');
    }
    text.push_str(&fields(schema));
    text.trim_end().to_owned() + "\n"
}

/// The table of an object's fields; nothing for other shapes.
fn fields(schema: &Value) -> String {
    let properties = object(&schema["properties"]);
    if properties.is_empty() {
        return String::new();
    }
    let required = entries(&schema["required"]);
    let mut text = "| field | type | |\n| --- | --- | --- |\n".to_owned();
    for (name, field) in properties {
        let must = if required.iter().any(|known| known == name) {
            ", required"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "| `{name}` | {}{must} | {} |",
            kind(field),
            cell(&told(field))
        );
    }
    text
}

/// What a field is about, with its limits and default.
fn told(field: &Value) -> String {
    let beside = field["description"].as_str();
    let inside = field["oneOf"][0]["description"].as_str();
    let mut text = beside.or(inside).unwrap_or_default().to_owned();
    let bounds = [
        ("minimum", "at least"),
        ("exclusiveMinimum", "above"),
        ("maximum", "at most"),
        ("minLength", "characters: at least"),
        ("maxLength", "characters: at most"),
        ("default", "default"),
    ];
    let bounds: Vec<String> = bounds
        .iter()
        .filter(|(key, _)| !field[*key].is_null())
        .map(|(key, says)| format!("{says} `{}`", field[*key].to_string().trim_matches('"')))
        .collect();
    if !bounds.is_empty() {
        let _ = write!(text, " ({})", bounds.join(", "));
    }
    text
}

/// Text fit for a cell of a table.
fn cell(text: &str) -> String {
    linked(text).replace('\n', " ").replace('|', "\\|")
}

fn content(part: &Value) -> Option<(&str, &Value)> {
    let (media, body) = part["content"].as_object()?.iter().next()?;
    Some((media, body))
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

fn entries(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn object(value: &Value) -> Vec<(&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).collect()
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn routes_come_with_their_answers_and_shapes_with_their_fields() {
        let document = json!({
            "tags": [{ "name": "images", "description": "Pictures" }],
            "paths": { "/v1/draw": { "post": {
                "tags": ["images"], "summary": "Draw.",
                "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/x/Ask" } } } },
                "responses": { "200": { "description": "a|b", "content": { "image/png": {} } } },
            } } },
            "components": { "schemas": { "Ask": {
                "description": "What to draw.", "required": ["prompt"],
                "properties": { "prompt": { "type": "string", "description": "Words.", "minLength": 1 } },
            } } },
        });
        let text = page(&document);
        for part in [
            "## Images\n\nPictures.\n",
            "### POST /v1/draw\n\nDraw.\n\nTakes [Ask](#ask) (application/json).\n",
            "| 200 | image/png | a\\|b |\n",
            "### Ask\n\nWhat to draw.\n\n| field | type | |\n| --- | --- | --- |\n",
            "| `prompt` | string, required | Words. (characters: at least `1`) |\n",
        ] {
            assert!(text.contains(part), "{part}\n---\n{text}");
        }
    }
}
