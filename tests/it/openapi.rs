//! Is the committed OpenAPI document the one that the code makes?

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

fn committed() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/openapi.json");
    fs::read_to_string(path).unwrap()
}

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    let (committed, served) = (committed(), goldilocks::api::document());
    let differs = committed
        .lines()
        .zip(served.lines())
        .position(|(a, b)| a != b);
    assert!(
        committed == served,
        "openapi/openapi.json is out of date (line {:?}); rewrite it with \
         `cargo run --release -- openapi > openapi/openapi.json`",
        differs.map(|line| line + 1)
    );
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    let document: Value = serde_json::from_str(&committed()).unwrap();
    let mut references = BTreeSet::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 10, "{references:?}");
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn every_operation_and_field_is_described() {
    let document: Value = serde_json::from_str(&committed()).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path}");
            assert!(operation["tags"].is_array(), "{method} {path}");
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let Some(fields) = schema["properties"].as_object() else {
            continue;
        };
        for (field, schema) in fields {
            // A field that may be null is described beside its type.
            let described = [&schema["description"], &schema["oneOf"][0]["description"]];
            assert!(
                described.iter().any(|text| text.is_string()),
                "{name}.{field} has no description"
            );
        }
    }
}

fn collect_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                match field {
                    Value::String(reference) if key == "$ref" => {
                        found.insert(reference.clone());
                    }
                    _ => collect_references(field, found),
                }
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_references(item, found)),
        _ => {}
    }
}
