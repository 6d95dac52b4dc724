//! `/bongsu/v1/openapi.json`: all paths as an OpenAPI document, derived from the table.

use std::sync::OnceLock;

use http::Method;
use serde_json::{Map, Value, json};

use crate::login::COOKIE;
use crate::route::{self, Answer, Context, Need, Route, boxed};

/// See the module's comment.
pub const ROUTES: &[Route] = &[Route {
    method: Method::GET,
    path: "/bongsu/v1/openapi.json",
    need: Need::Nobody,
    summary: "This document.",
    query: &[],
    body: None,
    handler: |_context: Context| boxed(async { Ok(Answer::json(document())) }),
}];

/// The document; made once.
pub fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut paths: Map<String, Value> = Map::new();
        for route in route::all() {
            let path = paths.entry(route.path).or_insert_with(|| json!({}));
            let method = route.method.as_str().to_ascii_lowercase();
            path[method] = operation(route);
        }
        json!({
            "openapi": "3.0.3",
            "info": {
                "title": "Bongsu",
                "version": env!("CARGO_PKG_VERSION"),
                "description": "RabbitMQ's management API under /api, Bongsu's own under \
                    /bongsu/v1.",
            },
            "paths": paths,
            "components": {
                "securitySchemes": {
                    "basic": { "type": "http", "scheme": "basic" },
                    "bearer": { "type": "http", "scheme": "bearer" },
                    "cookie": { "type": "apiKey", "in": "cookie", "name": COOKIE },
                },
                "schemas": { "Failure": {
                    "type": "object",
                    "description": "Why a request is not answered as asked.",
                    "required": ["reason"],
                    "properties": {
                        "error": { "type": "string" },
                        "reason": { "type": "string" },
                    },
                } },
            },
        })
    })
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    for part in route.path.split('/') {
        let name = part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'));
        if let Some(name) = name {
            parameters.push(json!({
                "name": name, "in": "path", "required": true, "schema": { "type": "string" },
            }));
        }
    }
    for parameter in route.query {
        parameters.push(json!({
            "name": parameter.name, "in": "query", "required": false,
            "description": parameter.summary, "schema": { "type": "string" },
        }));
    }
    let tags = route.path.split('/').filter(|part| !part.is_empty());
    let tag = match route.path.starts_with("/bongsu/v1/") {
        true => tags.clone().nth(2),
        false => tags.clone().nth(1),
    };
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [tag.or(tags.clone().next()).unwrap_or("console")],
        "parameters": parameters,
        "responses": responses(route),
    });
    operation["security"] = match route.need {
        Need::Nobody => json!([]),
        _ => json!([{ "basic": [] }, { "bearer": [] }, { "cookie": [] }]),
    };
    if route.need != Need::Nobody {
        operation["x-bongsu-tag"] = json!(format!("{:?}", route.need).to_ascii_lowercase());
    }
    if let Some(body) = route.body {
        let schema: Value = serde_json::from_str(body).expect("a test reads each of them");
        let is_required = schema.get("required").is_some();
        operation["requestBody"] = json!({
            "required": is_required,
            "content": { "application/json": { "schema": schema } },
        });
    }
    operation
}

fn operation_id(route: &Route) -> String {
    let mut id = route.method.as_str().to_ascii_lowercase();
    for part in route.path.split('/').filter(|part| !part.is_empty()) {
        id.push('_');
        let letters = part
            .chars()
            .filter(|letter| *letter != '{' && *letter != '}');
        id.extend(letters.map(|letter| match letter.is_ascii_alphanumeric() {
            true => letter,
            false => '_',
        }));
    }
    id
}

fn responses(route: &Route) -> Value {
    let is_json = ["/api/", "/bongsu/", "/health/"]
        .iter()
        .any(|prefix| route.path.starts_with(prefix));
    let content = match is_json {
        true => json!({ "application/json": { "schema": {} } }),
        false => json!({ "*/*": { "schema": {} } }),
    };
    let failure = json!({ "$ref": "#/components/schemas/Failure" });
    let mut responses = json!({
        "200": { "description": "As asked.", "content": content },
        "default": {
            "description": "Not as asked, and why.",
            "content": { "application/json": { "schema": failure } },
        },
    });
    if route.method != Method::GET {
        responses["201"] = json!({ "description": "Made." });
        responses["204"] = json!({ "description": "Done." });
    }
    if route.path.contains("/health") || route.path.contains("aliveness") {
        let content = json!({ "application/json": { "schema": { "type": "object" } } });
        responses["503"] = json!({ "description": "It is not well, and why.", "content": content });
    }
    responses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_its_operations() {
        let document = document();
        for route in route::all() {
            let method = route.method.as_str().to_ascii_lowercase();
            let operation = &document["paths"][route.path][&method];
            assert!(operation.is_object(), "{method} {}", route.path);
        }
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let mut seen = std::collections::BTreeSet::new();
        for route in route::all() {
            assert!(seen.insert(operation_id(route)), "{}", route.path);
        }
    }
}
