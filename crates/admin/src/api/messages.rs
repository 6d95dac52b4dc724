//! Publishing one message and getting a few, as RabbitMQ's management lets people try things
//! out.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bongsu_broker::operator::now;
use bongsu_engine::refused::Kind;
use bongsu_engine::session::{Call, Delivery, LinkId, Outcome, Publish, Reply, Settle};
use bongsu_record::blocks::{Properties, amqp091};
use bongsu_record::native::{Builder, Origin, PERSISTENT, Terms};
use bongsu_record::{Arguments, Batch, Message, Messages, Value as Field};
use http::Method;
use serde_json::{Map, Value, json};

use crate::api::{exchanges, queues};
use crate::failure::Failure;
use crate::fields::{Fields, wrong};
use crate::route::{Answer, Context, Need, Route, boxed};
use crate::value;

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    Route {
        method: Method::POST,
        path: "/api/exchanges/{vhost}/{name}/publish",
        need: Need::Management,
        summary: "Publishes one message, and tells whether a queue took it.",
        query: &[],
        body: Some(
            r#"{"type":"object","required":["properties","routing_key","payload",
            "payload_encoding"],"properties":{"properties":{"type":"object"},
            "routing_key":{"type":"string"},"payload":{"type":"string"},
            "payload_encoding":{"enum":["string","base64"]}}}"#,
        ),
        handler: |context| boxed(publish(context)),
    },
    Route {
        method: Method::POST,
        path: "/api/queues/{vhost}/{name}/get",
        need: Need::Management,
        summary: "Takes messages out of a queue, and puts them back if asked to.",
        query: &[],
        body: Some(
            r#"{"type":"object","required":["count","ackmode","encoding"],"properties":{
            "count":{"type":"integer","minimum":0},"ackmode":{"enum":["ack_requeue_true",
            "reject_requeue_true","ack_requeue_false","reject_requeue_false"]},
            "encoding":{"enum":["auto","base64"]},
            "truncate":{"type":"integer","minimum":0}}}"#,
        ),
        handler: |context| boxed(get(context)),
    },
];

async fn publish(context: Context) -> Result<Answer, Failure> {
    let fields = context.fields()?;
    fields.require(&["properties", "routing_key", "payload", "payload_encoding"])?;
    let exchange = exchanges::name(context.part("name")).to_owned();
    let routing_key = fields.required_text("routing_key")?.to_owned();
    if routing_key.len() > SHORT_BYTES_MAX {
        return Err(Failure::bad_request(format!(
            "routing_key has {} bytes, at most {SHORT_BYTES_MAX} are taken",
            routing_key.len()
        )));
    }
    let payload = fields.required_text("payload")?;
    let payload = match fields.required_text("payload_encoding")? {
        "string" => payload.as_bytes().to_vec(),
        "base64" => STANDARD
            .decode(payload)
            .map_err(|_| wrong("not_base64", "payload", &json!(payload)))?,
        other => {
            return Err(Failure::bad_request(format!(
                "unsupported_encoding: {other}"
            )));
        }
    };
    let asked = Asked::of(&Fields(fields.object("properties")?), &context)?;
    let batch = asked.batch(&exchange, &routing_key, &payload)?;
    let call = Call::Publish(Publish {
        exchange: exchange.clone(),
        routing_key,
        more_keys: asked.more_keys,
        batch,
    });
    let published = context.call(call, (Kind::Exchange, &exchange)).await;
    match published.map_err(unpublished)? {
        Reply::Published {
            routed, refused, ..
        } if refused.is_empty() => Ok(Answer::json(&json!({ "routed": routed }))),
        _ => Err(Failure::bad_request("a full queue refused the message")),
    }
}

/// RabbitMQ publishes over AMQP inside, and says what came of that, as a bad request.
fn unpublished(failure: Failure) -> Failure {
    match failure.error {
        "not_found" => Failure::bad_request(format!("404 NOT_FOUND - {}", failure.reason)),
        _ => failure,
    }
}

/// What a message's properties say.
struct Asked {
    properties: Map<String, Value>,
    headers: Arguments,
    more_keys: Vec<String>,
    terms: Terms,
    persistent: bool,
}

impl Asked {
    fn of(properties: &Fields, context: &Context) -> Result<Asked, Failure> {
        let mut headers = value::arguments(&properties.object("headers")?)?;
        if headers.values().any(|value| *value == Field::Nothing) {
            return Err(Failure::bad_request("null_not_allowed"));
        }
        let mut more_keys = Vec::new();
        for name in ["CC", "BCC"] {
            match headers.get(name) {
                None => {}
                Some(Field::List(keys)) => {
                    let texts = keys.iter().filter_map(Field::as_text);
                    more_keys.extend(texts.map(str::to_owned));
                }
                Some(_) => {
                    let reason = format!("invalid message: the header {name} is no array");
                    return Err(Failure::bad_request(reason));
                }
            }
        }
        headers.remove("BCC");
        let user = &context.operator()?.user().name;
        if let Some(user_id) = properties.text("user_id")?
            && user_id != &**user
        {
            return Err(Failure::bad_request(format!(
                "406 PRECONDITION_FAILED - user_id property set to '{user_id}' but authenticated \
                 user was '{user}'"
            )));
        }
        let byte = |name: &str| match properties.get(name) {
            None => Ok(None),
            Some(value) => match value.as_u64().and_then(|number| u8::try_from(number).ok()) {
                Some(number) => Ok(Some(number)),
                None => Err(wrong("not_int", name, value)),
            },
        };
        let priority = byte("priority")?;
        let persistent = match byte("delivery_mode")? {
            None | Some(1) => false,
            Some(2) => true,
            Some(mode) => {
                let reason = format!("invalid message: delivery_mode_unknown, {mode}");
                return Err(Failure::bad_request(reason));
            }
        };
        if let Some(timestamp) = properties.get("timestamp")
            && timestamp.as_u64().is_none()
        {
            return Err(wrong("not_int", "timestamp", timestamp));
        }
        let ttl_ms = match properties.text("expiration")? {
            None => None,
            Some(text) => {
                let ms = text.parse().ok().filter(|ms| *ms <= EXPIRATION_MS_MAX);
                Some(
                    ms.ok_or_else(|| Failure::bad_request(format!("invalid expiration '{text}'")))?,
                )
            }
        };
        let deliver_at_ms = headers.get(DELIVER_AT).and_then(|value| match value {
            Field::Int(ms) => Some(u64::try_from(*ms).unwrap_or(0)),
            Field::Time(seconds) => Some(seconds.saturating_mul(1000)),
            _ => None,
        });
        for name in TEXTS {
            if let Some(text) = properties.text(name)?
                && text.len() > SHORT_BYTES_MAX
            {
                return Err(Failure::bad_request(format!(
                    "{name} has {} bytes, at most {SHORT_BYTES_MAX} are taken",
                    text.len()
                )));
            }
        }
        Ok(Asked {
            properties: properties.0.clone(),
            headers,
            more_keys,
            terms: Terms {
                ttl_ms,
                deliver_at_ms,
                priority: priority.filter(|priority| *priority > 0),
            },
            persistent,
        })
    }

    fn batch(&self, exchange: &str, routing_key: &str, payload: &[u8]) -> Result<Batch, Failure> {
        let text = |name: &str| {
            let text = self.properties.get(name).and_then(Value::as_str);
            text.map(str::as_bytes)
        };
        let number = |name: &str| self.properties.get(name).and_then(Value::as_u64);
        let properties = Properties {
            content_type: text("content_type"),
            content_encoding: text("content_encoding"),
            priority: number("priority").and_then(|priority| u8::try_from(priority).ok()),
            correlation_id: text("correlation_id"),
            reply_to: text("reply_to"),
            expiration: self.terms.ttl_ms.map(Duration::from_millis),
            message_id: text("message_id"),
            timestamp_s: number("timestamp"),
            message_type: text("type"),
            user_id: text("user_id"),
            app_id: text("app_id"),
        };
        let mut block = Vec::new();
        amqp091::encode(
            properties,
            self.headers.clone(),
            self.persistent,
            &mut block,
        );
        let flags = if self.persistent { PERSISTENT } else { 0 };
        let mut builder = Builder::new();
        builder.begin_with(
            Origin::Amqp091,
            flags,
            exchange.as_bytes(),
            routing_key.as_bytes(),
            &self.terms,
            &block,
            payload.len() as u64,
        );
        builder.body(payload);
        builder.end();
        let batch = builder.finish(now().unix_ms);
        batch.ok_or_else(|| Failure::bad_request("the message is too large"))
    }
}

async fn get(context: Context) -> Result<Answer, Failure> {
    let fields = context.fields()?;
    fields.require(&["count", "ackmode", "encoding"])?;
    let name = context.part("name").to_owned();
    let count = fields.integer("count")?.unwrap_or(0);
    let count = usize::try_from(count).unwrap_or(0).min(GET_COUNT_MAX);
    let truncate = fields.integer("truncate")?;
    let truncate = truncate.map(|bytes| usize::try_from(bytes).unwrap_or(0));
    let (outcome, auto_settle) = match fields.required_text("ackmode")? {
        "ack_requeue_true" => (Some(Outcome::Release), false),
        "reject_requeue_true" => (Some(Outcome::Fail), false),
        "ack_requeue_false" => (None, true),
        "reject_requeue_false" => (Some(Outcome::Reject), false),
        other => return Err(Failure::bad_request(format!("unknown ackmode: {other}"))),
    };
    let only_base64 = match fields.required_text("encoding")? {
        "auto" => false,
        "base64" => true,
        _ => {
            let reason = "Unsupported encoding. Please use auto or base64.";
            return Err(Failure::bad_request(reason));
        }
    };
    if context
        .broker()
        .queue_row(context.space()?.id, &name)
        .is_none()
    {
        queues::find(&context).map_err(|_| {
            let space = context.space.as_ref().map_or("", |space| &*space.name);
            Failure::with(
                http::StatusCode::NOT_FOUND,
                "not_found",
                format!("NOT_FOUND - no queue '{name}' in vhost '{space}'"),
            )
        })?;
    }
    let mut session = context.session()?;
    let mut messages = Vec::new();
    let mut held = Vec::new();
    let mut bytes = 0;
    while messages.len() < count && bytes < GET_BYTES_MAX {
        let call = Call::Get {
            link: LINK,
            queue: name.clone(),
            auto_settle,
        };
        let reply = context
            .call_in(&mut session, call, (Kind::Queue, &name))
            .await?;
        let Reply::Got(Some((delivery, left))) = reply else {
            break;
        };
        held.push(delivery.records.clone());
        let message = describe(&delivery, left, only_base64, truncate);
        bytes += message["payload"].as_str().map_or(0, str::len);
        messages.push(message);
    }
    if let Some(outcome) = outcome {
        let settle = Call::Settle(Settle {
            link: LINK,
            ranges: held,
            outcome,
        });
        context
            .call_in(&mut session, settle, (Kind::Queue, &name))
            .await?;
    }
    Ok(Answer::json(&messages))
}

fn describe(delivery: &Delivery, left: u64, only_base64: bool, truncate: Option<usize>) -> Value {
    let messages = Messages::open(&delivery.batch, delivery.base, DECOMPRESSED_BYTES_MAX).ok();
    let message = messages.as_ref();
    let Some(message) = message.and_then(|messages| messages.at(delivery.records.start)) else {
        return json!({
            "payload_bytes": 0, "redelivered": delivery.redelivered, "exchange": "",
            "routing_key": "", "message_count": left, "properties": {},
            "payload": "", "payload_encoding": "string",
        });
    };
    let body = message.body();
    let shown = &body[..truncate.map_or(body.len(), |bytes| bytes.min(body.len()))];
    let text = match only_base64 {
        true => None,
        false => std::str::from_utf8(shown).ok(),
    };
    let (payload, encoding) = match text {
        Some(text) => (text.to_owned(), "string"),
        None => (STANDARD.encode(shown), "base64"),
    };
    json!({
        "payload_bytes": body.len(),
        "redelivered": delivery.redelivered,
        "exchange": String::from_utf8_lossy(message.exchange()),
        "routing_key": String::from_utf8_lossy(message.routing_key()),
        "message_count": left,
        "properties": properties(&message),
        "payload": payload,
        "payload_encoding": encoding,
    })
}

/// The properties that are there.
pub fn properties(message: &Message<'_>) -> Value {
    let mut out = Map::new();
    let said = message.properties().unwrap_or_default();
    for (name, text) in [
        ("content_type", said.content_type),
        ("content_encoding", said.content_encoding),
        ("correlation_id", said.correlation_id),
        ("reply_to", said.reply_to),
        ("message_id", said.message_id),
        ("type", said.message_type),
        ("user_id", said.user_id),
        ("app_id", said.app_id),
    ] {
        if let Some(text) = text {
            out.insert(name.to_owned(), json!(String::from_utf8_lossy(text)));
        }
    }
    if let Some(priority) = said.priority {
        out.insert("priority".to_owned(), json!(priority));
    }
    if let Some(expiration) = said.expiration {
        let ms = expiration.as_millis().to_string();
        out.insert("expiration".to_owned(), json!(ms));
    }
    if let Some(seconds) = said.timestamp_s {
        out.insert("timestamp".to_owned(), json!(seconds));
    }
    if message.is_persistent() {
        out.insert("delivery_mode".to_owned(), json!(2));
    }
    let headers = message.headers().unwrap_or_default();
    if !headers.is_empty() {
        out.insert("headers".to_owned(), value::object(&headers));
    }
    Value::Object(out)
}

/// The only link of the session.
const LINK: LinkId = LinkId(0);
/// Messages of one request.
const GET_COUNT_MAX: usize = 10_000;
/// Payloads of one request, about.
const GET_BYTES_MAX: usize = 32 << 20;
const DECOMPRESSED_BYTES_MAX: usize = 32 << 20;
/// Of AMQP's short strings.
const SHORT_BYTES_MAX: usize = 255;
/// Ten years, RabbitMQ's bound.
const EXPIRATION_MS_MAX: u64 = 315_360_000_000;
/// When a message shall be delivered, Unix milliseconds.
const DELIVER_AT: &str = "x-deliver-at";
const TEXTS: [&str; 8] = [
    "content_type",
    "content_encoding",
    "correlation_id",
    "reply_to",
    "message_id",
    "type",
    "user_id",
    "app_id",
];
