//! Which records somebody wants to see or to move.

use bongsu_record::blocks::text_of;
use bongsu_record::message::Message;
use bongsu_record::{Arguments, Value};

use super::peek::{DeathSeen, deaths_of};

/// All of it must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// It is in the body, the key, the routing key, or a header's name or value; capitals
    /// of ASCII do not matter.
    pub search: Option<String>,
    /// These headers have these values, as text.
    pub headers: Vec<(String, String)>,
    /// It has died.
    pub died: bool,
    /// The last time for this reason.
    pub reason: Option<String>,
    /// The last time in this queue.
    pub queue: Option<String>,
    /// It died at this time or later, the last time: Unix milliseconds.
    pub since_ms: Option<i64>,
}

impl Wanted {
    /// Whether every record is wanted.
    pub fn takes_all(&self) -> bool {
        *self == Wanted::default()
    }

    /// Whether this one is.
    pub(crate) fn takes(&self, message: &Message<'_>) -> bool {
        if self.takes_all() {
            return true;
        }
        // What cannot be read has no headers.
        let headers = message.headers().unwrap_or_default();
        let named = self.headers.iter();
        let has_all = named
            .clone()
            .all(|(name, value)| has(&headers, name, value));
        if !has_all || !self.takes_death(&headers) {
            return false;
        }
        match self.search.as_deref().map(str::as_bytes) {
            None => true,
            Some(text) => {
                contains(message.body(), text)
                    || contains(message.key().unwrap_or_default(), text)
                    || contains(message.routing_key(), text)
                    || headers.iter().any(|(name, value)| {
                        contains(name.as_bytes(), text)
                            || text_of(value).is_some_and(|value| contains(&value, text))
                    })
            }
        }
    }

    fn takes_death(&self, headers: &Arguments) -> bool {
        let asks =
            self.died || self.reason.is_some() || self.queue.is_some() || self.since_ms.is_some();
        if !asks {
            return true;
        }
        let deaths = deaths_of(headers);
        let Some(last) = deaths.first() else {
            return false;
        };
        let is = |wanted: &Option<String>, of: &str| wanted.as_deref().is_none_or(|w| w == of);
        let at_ms = i64::try_from(last.time_s.saturating_mul(1000)).unwrap_or(i64::MAX);
        is(&self.reason, &last.reason)
            && is(&self.queue, &last.queue)
            // Deaths are told in whole seconds.
            && self.since_ms.is_none_or(|since| at_ms + 999 >= since)
    }
}

/// The death that a message died first, as `x-first-death-…` says, or the oldest.
pub(crate) fn first_death(headers: &Arguments) -> Option<DeathSeen> {
    let deaths = deaths_of(headers);
    let text = |name: &str| headers.get(name).and_then(Value::as_text);
    let (queue, reason) = (text("x-first-death-queue"), text("x-first-death-reason"));
    let is_first = |death: &&DeathSeen| {
        Some(death.queue.as_str()) == queue && Some(death.reason.as_str()) == reason
    };
    let found = deaths.iter().find(is_first).or(deaths.last());
    found.cloned()
}

fn has(headers: &Arguments, name: &str, wanted: &str) -> bool {
    match headers.get(name) {
        Some(Value::List(_) | Value::Map(_) | Value::Nothing) | None => false,
        Some(value) => text_of(value).is_some_and(|text| *text == *wanted.as_bytes()),
    }
}

fn contains(hay: &[u8], text: &[u8]) -> bool {
    let Some(first) = text.first() else {
        return true;
    };
    let (low, high) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    hay.windows(text.len())
        .any(|window| (window[0] == low || window[0] == high) && window.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_whatever_their_capitals() {
        assert!(contains(b"an Order 7", b"order"));
        assert!(contains(b"x", b"") && contains(b"", b""));
        assert!(!contains(b"ord", b"order") && !contains(b"", b"o"));
        assert!(contains(&[0xff, 0x00, b'A'], &[0x00, b'a']));
        assert!(contains("Größe".as_bytes(), "größe".as_bytes()));
    }

    #[test]
    fn headers_are_compared_as_text() {
        let headers = Arguments::from([
            ("kind".to_owned(), Value::Text("a".to_owned())),
            ("n".to_owned(), Value::Int(-3)),
            ("on".to_owned(), Value::Bool(true)),
            ("list".to_owned(), Value::List(Vec::new())),
        ]);
        assert!(
            has(&headers, "kind", "a") && has(&headers, "n", "-3") && has(&headers, "on", "true")
        );
        assert!(
            !has(&headers, "n", "3") && !has(&headers, "list", "[]") && !has(&headers, "m", "")
        );
    }
}
