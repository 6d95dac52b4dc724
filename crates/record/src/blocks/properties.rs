//! The properties that more than one protocol has a notion of.
//!
//! Protocols whose messages have only name and value pairs (Kafka, STOMP, SQS) carry
//! them under these names, RabbitMQ's STOMP names, so that a content type is one
//! everywhere:
//!
//! ```text
//! content-type  content-encoding  correlation-id  reply-to
//! message-id    type              user-id         app-id     text
//! priority                                                   0 to 255
//! expiration                                                 milliseconds
//! timestamp                                                  Unix seconds
//! ```
//!
//! The first pair of a name is the property; a second one, and a value that does not
//! fit, stay headers, so that nothing is lost on the way.

use std::borrow::Cow;
use std::time::Duration;

/// Properties of one message, borrowed from its record. Texts are UTF-8 unless the
/// producer sent something else, which is passed on: a reply must find its correlation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    /// MIME type of the body.
    pub content_type: Option<&'a [u8]>,
    /// MIME encoding of the body.
    pub content_encoding: Option<&'a [u8]>,
    /// More is sooner.
    pub priority: Option<u8>,
    /// What a reply shall quote.
    pub correlation_id: Option<&'a [u8]>,
    /// Where a reply shall go.
    pub reply_to: Option<&'a [u8]>,
    /// Lifetime that the producer asked for.
    pub expiration: Option<Duration>,
    /// The producer's name for the message.
    pub message_id: Option<&'a [u8]>,
    /// The producer's time, Unix seconds; the broker's is the message's own.
    pub timestamp_s: Option<u64>,
    /// The producer's name for the kind of message.
    pub message_type: Option<&'a [u8]>,
    /// Who sent it.
    pub user_id: Option<&'a [u8]>,
    /// What sent it.
    pub app_id: Option<&'a [u8]>,
}

/// A name, and a value that may be null.
pub(crate) type Pair<'a> = (&'a [u8], Option<&'a [u8]>);

impl<'a> Properties<'a> {
    /// Sorts pairs into properties and, handed to `header`, the rest.
    pub(crate) fn lift(
        pairs: impl Iterator<Item = Pair<'a>>,
        mut header: impl FnMut(&'a [u8], Option<&'a [u8]>),
    ) -> Properties<'a> {
        let mut properties = Properties::default();
        for (name, value) in pairs {
            if !value.is_some_and(|value| properties.take(name, value)) {
                header(name, value);
            }
        }
        properties
    }

    /// Whether the pair is a property that was not there; if so, it is now.
    fn take(&mut self, name: &[u8], value: &'a [u8]) -> bool {
        match name {
            b"priority" => fill(&mut self.priority, number(value)),
            b"expiration" => fill(&mut self.expiration, milliseconds(value)),
            b"timestamp" => fill(&mut self.timestamp_s, number(value)),
            _ => self
                .texts()
                .into_iter()
                .find(|(known, _)| known.as_bytes() == name)
                .is_some_and(|(_, slot)| fill(slot, Some(value))),
        }
    }

    /// The properties that are there, as pairs.
    pub(crate) fn pairs(mut self) -> impl Iterator<Item = (&'static str, Cow<'a, [u8]>)> {
        let numbers = [
            ("priority", self.priority.map(u128::from)),
            ("expiration", self.expiration.map(|time| time.as_millis())),
            ("timestamp", self.timestamp_s.map(u128::from)),
        ];
        let texts = self
            .texts()
            .map(|(name, text)| (name, text.map(Cow::Borrowed)));
        let numbers = numbers.map(|(name, number)| {
            let decimal = number.map(|number| number.to_string().into_bytes());
            (name, decimal.map(Cow::Owned))
        });
        let all = texts.into_iter().chain(numbers);
        all.filter_map(|(name, value)| Some((name, value?)))
    }

    /// The texts by their names.
    pub(crate) fn texts(&mut self) -> [(&'static str, &mut Option<&'a [u8]>); 8] {
        [
            ("content-type", &mut self.content_type),
            ("content-encoding", &mut self.content_encoding),
            ("correlation-id", &mut self.correlation_id),
            ("reply-to", &mut self.reply_to),
            ("message-id", &mut self.message_id),
            ("type", &mut self.message_type),
            ("user-id", &mut self.user_id),
            ("app-id", &mut self.app_id),
        ]
    }
}

/// A lifetime as text: whole milliseconds, as AMQP writes it.
pub(crate) fn milliseconds(text: &[u8]) -> Option<Duration> {
    number(text).map(Duration::from_millis)
}

/// Digits only, so that what is lifted is written back as it was, save leading zeros.
fn number<N: std::str::FromStr>(text: &[u8]) -> Option<N> {
    let digits = text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text)
        .ok()
        .filter(|_| digits)?
        .parse()
        .ok()
}

fn fill<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    let taken = slot.is_none() && value.is_some();
    if taken {
        *slot = value;
    }
    taken
}
