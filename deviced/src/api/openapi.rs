//! The API's description (OpenAPI 3.1), made of the table of routes and the schemas of the types.

use std::collections::BTreeMap;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::problem;
use super::route::{Answer, Body, Kind, Method, Parameter, Place, Route};
use super::table;

/// The description, as it is served and committed.
pub fn openapi_document() -> Value {
    let mut schemas = Schemas::new();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in table::routes() {
        let operation = operation(route, &mut schemas);
        paths.entry(route.path).or_default().insert(route.method.name().to_ascii_lowercase(), operation);
    }
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "deviced",
            "description": "Brings the local container engine to a declared state. Every error is a problem (RFC 9457) whose type leads to its page.",
            "version": "v1",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{ "url": "/", "description": "The Unix socket /run/deviced/deviced.sock, or the loopback" }],
        "security": [{ "token": [] }, {}],
        "paths": paths,
        "components": {
            "schemas": schemas.all(),
            "responses": { "Problem": problem_response() },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Over TCP. The Unix socket takes none: its file says who may use it.",
                },
            },
        },
    })
}

/// What types refer to. Answers are described as they are written, bodies as they are read.
struct Schemas {
    written: SchemaGenerator,
    read: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12()
                .with(|settings| settings.definitions_path = "/components/schemas".into())
        };
        Self { written: settings().for_serialize().into_generator(), read: settings().into_generator() }
    }

    fn all(mut self) -> Map<String, Value> {
        let mut all = Map::from_iter([("Problem".to_owned(), problem_schema())]);
        all.extend(self.read.take_definitions(true));
        all.extend(self.written.take_definitions(true));
        all
    }
}

fn operation(route: &Route, schemas: &mut Schemas) -> Value {
    let mut operation = Map::from_iter([
        ("operationId".to_owned(), json!(route.name)),
        ("summary".to_owned(), json!(route.summary)),
    ]);
    let parameters: Vec<Value> =
        path_parameters(route.path).chain(route.parameters.iter().map(parameter)).collect();
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), Value::Array(parameters));
    }
    if let Some(body) = &route.body {
        operation.insert("requestBody".to_owned(), request_body(body, schemas));
    }
    let mut responses: BTreeMap<String, Value> = BTreeMap::new();
    for status in problems(route) {
        responses.insert(status.to_string(), json!({ "$ref": "#/components/responses/Problem" }));
    }
    for answer in route.answers {
        responses.insert(answer.status.to_string(), response(answer, schemas));
    }
    operation.insert("responses".to_owned(), json!(responses));
    if route.open {
        operation.insert("security".to_owned(), json!([{}]));
    }
    Value::Object(operation)
}

/// Statuses of problems that a route may answer with.
fn problems(route: &Route) -> impl Iterator<Item = u16> {
    let everywhere: &[u16] = if route.open { &[400, 421, 500] } else { &[400, 401, 421, 500] };
    let of_changes: &[u16] = if route.method == Method::Get { &[] } else { &[408, 409, 422, 503] };
    everywhere.iter().chain(of_changes).chain(route.problems).copied()
}

fn path_parameters(path: &'static str) -> impl Iterator<Item = Value> {
    path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        let text = match name {
            "id" => "The id: of a container, that of the document.",
            "revision" => "The revision's number.",
            "digest" => "The digest of a manifest: sha256:...",
            _ => "The name.",
        };
        Some(json!({ "name": name, "in": "path", "required": true, "description": text, "schema": { "type": "string" } }))
    })
}

fn parameter(parameter: &Parameter) -> Value {
    let place = match parameter.place {
        Place::Query => "query",
        Place::Header => "header",
    };
    let schema = match parameter.kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Flag => json!({ "type": "boolean", "default": false }),
        Kind::Number(most) => json!({ "type": "integer", "minimum": 0, "maximum": most }),
    };
    json!({ "name": parameter.name, "in": place, "description": parameter.text, "schema": schema })
}

fn request_body(body: &Body, schemas: &mut Schemas) -> Value {
    let content: Map<String, Value> = body
        .media
        .iter()
        .map(|media| {
            let is_json = media.ends_with("json");
            let schema =
                if is_json { json!((body.schema)(&mut schemas.read)) } else { json!({ "type": "string" }) };
            ((*media).to_owned(), json!({ "schema": schema }))
        })
        .collect();
    json!({ "required": body.required, "content": content })
}

fn response(answer: &Answer, schemas: &mut Schemas) -> Value {
    let mut response = Map::from_iter([("description".to_owned(), json!(answer.text))]);
    let headers: Map<String, Value> = answer
        .headers
        .iter()
        .map(|(name, text)| {
            ((*name).to_owned(), json!({ "description": text, "schema": { "type": "string" } }))
        })
        .collect();
    if !headers.is_empty() {
        response.insert("headers".to_owned(), Value::Object(headers));
    }
    let content: Map<String, Value> = answer
        .content
        .iter()
        .map(|content| {
            let schema = match content.schema {
                Some(schema) => json!(schema(&mut schemas.written)),
                None => json!({ "type": "string" }),
            };
            (content.media.to_owned(), json!({ "schema": schema }))
        })
        .collect();
    if !content.is_empty() {
        response.insert("content".to_owned(), Value::Object(content));
    }
    Value::Object(response)
}

fn problem_response() -> Value {
    json!({
        "description": "Why it is not answered with what it asks for",
        "content": { (problem::MEDIA_TYPE): { "schema": { "$ref": "#/components/schemas/Problem" } } },
    })
}

/// Members that only some kinds have are named here too.
fn problem_schema() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "description": "A problem (RFC 9457).",
        "required": ["type", "title", "status", "detail", "instance"],
        "properties": {
            "type": text("Its kind: the address of a page about it."),
            "title": text("The kind in a sentence."),
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": text("What is wrong, which, and what to do."),
            "instance": text("The request's id, which the log has as well."),
            "errors": {
                "type": "array",
                "description": "What is wrong with a document.",
                "items": {
                    "type": "object",
                    "required": ["pointer", "detail"],
                    "properties": {
                        "pointer": text("Which value (RFC 6901)."),
                        "line": { "type": "integer", "minimum": 1 },
                        "column": { "type": "integer", "minimum": 1 },
                        "detail": text("What is wrong."),
                        "advice": text("What to do about it."),
                    },
                },
            },
            "container": text("The container."),
            "near": text("One that is called nearly so."),
            "operation": text("The operation that is under way."),
            "etag": text("The entity tag of what is in force."),
            "retry_after_seconds": { "type": "integer", "minimum": 0 },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients are generated from the committed description.
    #[test]
    fn the_committed_description_is_that_of_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/deviced-v1.json");
        let generated = serde_json::to_string_pretty(&openapi_document()).unwrap() + "\n";
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            #[expect(
                clippy::disallowed_methods,
                reason = "a test writes what is committed, when it is told to"
            )]
            std::fs::write(path, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == generated,
            "{path} is not that of the table: run the test with UPDATE_OPENAPI=1 and commit it"
        );
    }

    #[test]
    fn what_it_refers_to_is_there_and_every_operation_has_a_name_of_its_own() {
        let document = openapi_document();
        let mut names: Vec<_> = table::routes().map(|route| route.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        let mut left = vec![&document];
        let mut references = 0;
        while let Some(value) = left.pop() {
            match value {
                Value::Object(members) => {
                    if let Some(reference) = members.get("$ref") {
                        references += 1;
                        let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
                        assert!(document.pointer(pointer).is_some(), "{reference}");
                    }
                    left.extend(members.values());
                }
                Value::Array(items) => left.extend(items),
                _ => {}
            }
        }
        assert!(references > 50, "{references}");
    }

    /// A type that is written otherwise than it is read would need two names.
    #[test]
    fn no_type_is_both_read_and_written_in_different_ways() {
        let mut schemas = Schemas::new();
        for route in table::routes() {
            operation(route, &mut schemas);
        }
        let (read, written) = (schemas.read.take_definitions(true), schemas.written.take_definitions(true));
        for (name, schema) in &read {
            assert!(written.get(name).is_none_or(|other| other == schema), "{name}");
        }
    }
}
