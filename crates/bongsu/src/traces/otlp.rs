//! Spans as OTLP's JSON has them (opentelemetry-proto, `trace/v1`): numbers of traces and spans
//! as hexadecimal digits, numbers of 64 bits as text, enumerations as numbers.

use std::fmt::Write as _;

use bongsu_broker::traces::span::{Attribute, Kind, Span};
use serde_json::{Value, json};

/// One request with these spans.
pub fn encode(spans: &[Span], service: &str) -> Vec<u8> {
    let spans: Vec<Value> = spans.iter().map(span_of).collect();
    let resource = [
        ("service.name", Attribute::Text(service.to_owned())),
        (
            "service.version",
            Attribute::Text(env!("CARGO_PKG_VERSION").to_owned()),
        ),
    ];
    let request = json!({
        "resourceSpans": [{
            "resource": { "attributes": attributes_of(&resource) },
            "scopeSpans": [{
                "scope": { "name": "bongsu", "version": env!("CARGO_PKG_VERSION") },
                "spans": spans,
            }],
        }],
    });
    request.to_string().into_bytes()
}

fn span_of(span: &Span) -> Value {
    let mut value = json!({
        "traceId": hex(&span.trace),
        "spanId": hex(&span.id),
        "name": span.name,
        "kind": match span.kind {
            Kind::Internal => 1,
            Kind::Server => 2,
        },
        "startTimeUnixNano": span.start_ns.to_string(),
        "endTimeUnixNano": span.end_ns.to_string(),
        "attributes": attributes_of(&span.attributes),
    });
    if let Some(parent) = &span.parent {
        value["parentSpanId"] = hex(parent).into();
    }
    if let Some(state) = &span.state {
        value["traceState"] = (**state).into();
    }
    if let Some(cause) = &span.failed {
        value["status"] = json!({ "code": FAILED, "message": cause });
    }
    value
}

fn attributes_of(attributes: &[(&'static str, Attribute)]) -> Vec<Value> {
    let attributes = attributes.iter().map(|(name, value)| {
        let value = match value {
            Attribute::Text(text) => json!({ "stringValue": text }),
            Attribute::Number(number) => json!({ "intValue": number.to_string() }),
            Attribute::Flag(flag) => json!({ "boolValue": flag }),
        };
        json!({ "key": name, "value": value })
    });
    attributes.collect()
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// `STATUS_CODE_ERROR`.
const FAILED: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_as_the_specification_says() {
        let span = Span {
            trace: [0x5b; 16],
            id: [0x0e; 8],
            parent: Some([0xee; 8]),
            state: Some("a=1".into()),
            kind: Kind::Server,
            name: "publish orders".to_owned(),
            start_ns: 1_544_712_660_000_000_000,
            end_ns: u64::MAX,
            attributes: vec![
                ("text", Attribute::Text("\"\n".to_owned())),
                ("number", Attribute::Number(-3)),
                ("flag", Attribute::Flag(true)),
            ],
            failed: Some("full".to_owned()),
        };
        let request: Value = serde_json::from_slice(&encode(&[span], "shop")).expect("JSON");
        let of = &request["resourceSpans"][0];
        let name = &of["resource"]["attributes"][0];
        assert_eq!(
            name,
            &json!({"key": "service.name", "value": {"stringValue": "shop"}})
        );
        let expected = json!({
            "traceId": "5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b",
            "spanId": "0e0e0e0e0e0e0e0e",
            "parentSpanId": "eeeeeeeeeeeeeeee",
            "traceState": "a=1",
            "name": "publish orders",
            "kind": 2,
            "startTimeUnixNano": "1544712660000000000",
            "endTimeUnixNano": "18446744073709551615",
            "attributes": [
                {"key": "text", "value": {"stringValue": "\"\n"}},
                {"key": "number", "value": {"intValue": "-3"}},
                {"key": "flag", "value": {"boolValue": true}},
            ],
            "status": {"code": 2, "message": "full"},
        });
        assert_eq!(of["scopeSpans"][0]["spans"], json!([expected]));
    }
}
