//! test: the part of JSON Schema that `doc/schema` is written in; a keyword it does not know is an error.

use serde_json::Value;

/// What of `value` is not as `schema` says; empty if all is.
pub(crate) fn violations(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, value, "", &mut found);
    found
}

fn check(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    for (keyword, rule) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "$schema" | "title" | "description" => true,
            "type" => match rule {
                Value::Array(kinds) => kinds.iter().any(|kind| is_a(value, kind.as_str().unwrap())),
                kind => is_a(value, kind.as_str().unwrap()),
            },
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "format" => value.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(),
            "minimum" => value.as_i64() >= rule.as_i64(),
            "minItems" => value.as_array().unwrap().len() as u64 >= rule.as_u64().unwrap(),
            "maxItems" => value.as_array().unwrap().len() as u64 <= rule.as_u64().unwrap(),
            "required" => rule
                .as_array()
                .unwrap()
                .iter()
                .all(|key| value.get(key.as_str().unwrap()).is_some()),
            "additionalProperties" => {
                let known = schema["properties"].as_object().unwrap();
                value.as_object().unwrap().keys().all(|key| known.contains_key(key))
            }
            "properties" => {
                for (key, schema) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        check(schema, value, &format!("{at}/{key}"), found);
                    }
                }
                true
            }
            "items" => {
                for (index, value) in value.as_array().unwrap().iter().enumerate() {
                    check(rule, value, &format!("{at}/{index}"), found);
                }
                true
            }
            unknown => panic!("{unknown} is not known here"),
        };
        if !holds {
            found.push(format!("{at}: {keyword} {rule}: {value}"));
        }
    }
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        unknown => panic!("{unknown} is not known here"),
    }
}
