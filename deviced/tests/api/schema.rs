//! Whether a value is as a schema says: the part of JSON Schema that our types use. A keyword that is not known here fails.

use serde_json::Value;

/// Panics with the place of the first thing that is otherwise.
pub(crate) fn check(document: &Value, schema: &Value, value: &Value) {
    if let Err(problem) = look(document, schema, value, "") {
        panic!("{problem}\n{value:#}\nis not as its schema says:\n{schema:#}");
    }
}

/// Members of the value that the schema does not name are refused: they would be missing in what is made of it.
fn look(document: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let Some(schema) = schema.as_object() else {
        return if schema == &Value::Bool(true) {
            Ok(())
        } else {
            Err(format!("{place}: nothing may be here"))
        };
    };
    if let Some(reference) = schema.get("$ref") {
        let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
        return look(document, document.pointer(pointer).unwrap(), value, place);
    }
    for (keyword, says) in schema {
        let holds = match keyword.as_str() {
            "type" => match says {
                Value::String(kind) => is_of(value, kind),
                kinds => kinds.as_array().unwrap().iter().any(|kind| is_of(value, kind.as_str().unwrap())),
            },
            "enum" => says.as_array().unwrap().contains(value),
            "const" => says == value,
            "required" => {
                let missing = |name: &&Value| value.get(name.as_str().unwrap()).is_none();
                match says.as_array().unwrap().iter().find(missing) {
                    Some(name) if value.is_object() => return Err(format!("{place}: {name} is missing")),
                    _ => true,
                }
            }
            "properties" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    match (says.get(name), schema.get("additionalProperties")) {
                        (Some(schema), _) | (None, Some(schema)) => {
                            look(document, schema, value, &format!("{place}/{name}"))?;
                        }
                        (None, None) => return Err(format!("{place}: {name} is not in the schema")),
                    }
                }
                true
            }
            "additionalProperties" if schema.contains_key("properties") => true,
            "additionalProperties" => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    look(document, says, value, &format!("{place}/{name}"))?;
                }
                true
            }
            "items" => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    look(document, says, value, &format!("{place}/{index}"))?;
                }
                true
            }
            "prefixItems" => {
                let (schemas, values) = (says.as_array().unwrap(), value.as_array());
                for (schema, value) in schemas.iter().zip(values.into_iter().flatten()) {
                    look(document, schema, value, place)?;
                }
                true
            }
            "anyOf" | "oneOf" => {
                let results: Vec<_> = says
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|schema| look(document, schema, value, place))
                    .collect();
                if !results.iter().any(Result::is_ok) {
                    return Err(format!("{place}: none of {results:?}"));
                }
                true
            }
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= says.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= says.as_u64().unwrap()),
            "minimum" => value.as_f64().is_none_or(|number| number >= says.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= says.as_f64().unwrap()),
            "description" | "title" | "default" | "format" | "pattern" | "examples" => true,
            unknown => return Err(format!("{place}: {unknown:?} is not known here")),
        };
        if !holds {
            return Err(format!("{place}: {keyword} {says}"));
        }
    }
    Ok(())
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => panic!("{kind}"),
    }
}
