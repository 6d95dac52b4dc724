//! Bodies of requests, as RabbitMQ's management reads them: an object, or nothing at all;
//! truth may be spelt as text.

use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::route::Context;

/// An object's fields.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub Map<String, Value>);

impl Context {
    /// The body's fields; an empty body has none.
    ///
    /// # Errors
    /// 400: it is no object.
    pub fn fields(&self) -> Result<Fields, Failure> {
        if self.body.is_empty() {
            return Ok(Fields::default());
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(fields)) => Ok(Fields(fields)),
            _ => Err(Failure::bad_request("not_json")),
        }
    }
}

impl Fields {
    /// A field, if it is there and says something.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Refuses a body in which one of these is missing; names all of them.
    ///
    /// # Errors
    /// 400, in RabbitMQ's words.
    pub fn require(&self, names: &[&str]) -> Result<(), Failure> {
        let missing = names.iter().filter(|name| !self.0.contains_key(**name));
        let missing: Vec<String> = missing
            .map(|name| format!("{{key_missing,{name}}}"))
            .collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(Failure::bad_request(format!("[{}]", missing.join(",")))),
        }
    }

    /// A truth; `usual` if it is not there.
    ///
    /// # Errors
    /// 400.
    pub fn boolean(&self, name: &str, usual: bool) -> Result<bool, Failure> {
        match self.get(name) {
            None => Ok(usual),
            Some(Value::Bool(on)) => Ok(*on),
            Some(Value::String(text)) if text == "true" => Ok(true),
            Some(Value::String(text)) if text == "false" => Ok(false),
            Some(other) => Err(wrong("not_boolean", name, other)),
        }
    }

    /// A text, if it is there.
    ///
    /// # Errors
    /// 400: it is something else.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong("not_string", name, other)),
        }
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// 400.
    pub fn required_text(&self, name: &str) -> Result<&str, Failure> {
        self.require(&[name])?;
        let text = self.text(name)?;
        text.ok_or_else(|| wrong("not_string", name, &Value::Null))
    }

    /// An integer, if it is there; also one spelt as text.
    ///
    /// # Errors
    /// 400: it is something else.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, Failure> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => {
                let spelt = value.as_str().and_then(|text| text.parse().ok());
                let number = value.as_i64().or(spelt);
                number
                    .map(Some)
                    .ok_or_else(|| wrong("not_integer", name, value))
            }
        }
    }

    /// An object, empty if it is not there. RabbitMQ's older tools say `[]` for an empty one.
    ///
    /// # Errors
    /// 400: it is something else.
    pub fn object(&self, name: &str) -> Result<Map<String, Value>, Failure> {
        match self.get(name) {
            None => Ok(Map::new()),
            Some(Value::Object(object)) => Ok(object.clone()),
            Some(Value::Array(list)) if list.is_empty() => Ok(Map::new()),
            Some(other) => Err(wrong("not_object", name, other)),
        }
    }
}

/// 400: a field is not what it should be.
pub fn wrong(what: &str, name: &str, value: &Value) -> Failure {
    let mut value = value.to_string();
    if value.len() > VALUE_BYTES_SHOWN_MAX {
        value.truncate(value.floor_char_boundary(VALUE_BYTES_SHOWN_MAX));
        value.push('…');
    }
    Failure::bad_request(format!("{what}: {name} is {value}"))
}

const VALUE_BYTES_SHOWN_MAX: usize = 200;
