//! What of a delivered message is published again.
//!
//! Everything, byte for byte, but for three things: the offset, which the broker had put
//! in for this reader; CC and BCC, which would lead the message to other queues as well;
//! and the user id, which the broker accepts from nobody but that user.

use bongsu_amqp091::codec::block::without_header;
use bongsu_record::table;
use bongsu_record::{Arguments, Value};

/// The offset of a delivered message: the last header of that name, the broker's.
pub fn offset(headers: &Arguments) -> Option<u64> {
    u64::try_from(headers.get(OFFSET)?.as_int()?).ok()
}

/// The headers of a content header's block; empty if it has none, or they cannot be read.
pub fn headers(block: &[u8]) -> Arguments {
    let place = places(block).and_then(|places| places[HEADERS].clone());
    let decoded = place.and_then(|place| table::decode(&block[place]).ok());
    decoded.map(|(headers, _)| headers).unwrap_or_default()
}

/// The block to publish.
pub fn fresh(block: &[u8], headers: &Arguments) -> Vec<u8> {
    let mut fresh = block.to_vec();
    for name in [OFFSET, "CC", "BCC"] {
        if headers.contains_key(name) {
            fresh = without_header(&fresh, name);
        }
    }
    if let Some(place) = places(&fresh).and_then(|places| places[USER_ID].clone()) {
        fresh.drain(place);
        fresh[USER_ID / 8] &= !(0x80 >> (USER_ID % 8));
    }
    fresh
}

/// Whether every header named has its value, as text.
pub fn matches(headers: &Arguments, filters: &[(String, String)]) -> bool {
    filters
        .iter()
        .all(|(name, wanted)| match headers.get(name) {
            Some(Value::Text(text)) => text == wanted,
            Some(Value::Int(int)) => int.to_string() == *wanted,
            Some(Value::Bool(on)) => on.to_string() == *wanted,
            Some(Value::Float(float)) => float.to_string() == *wanted,
            Some(Value::Bytes(bytes)) => bytes == wanted.as_bytes(),
            _ => false,
        })
}

/// Where each property stands, by its place among the flags, its length included.
fn places(block: &[u8]) -> Option<[Option<std::ops::Range<usize>>; 14]> {
    let flags = u16::from_be_bytes(*block.first_chunk()?);
    let mut places = [const { None }; 14];
    let mut at = 2;
    for (index, place) in places.iter_mut().enumerate() {
        if flags & (0x8000 >> index) == 0 {
            continue;
        }
        let bytes = match index {
            HEADERS => 4 + u32::from_be_bytes(*block.get(at..)?.first_chunk()?) as usize,
            DELIVERY_MODE | PRIORITY => 1,
            TIMESTAMP => 8,
            _ => 1 + usize::from(*block.get(at)?),
        };
        *place = Some(at..at + bytes);
        at += bytes;
    }
    (at == block.len()).then_some(places)
}

const OFFSET: &str = "x-stream-offset";
const HEADERS: usize = 2;
const DELIVERY_MODE: usize = 3;
const PRIORITY: usize = 4;
const TIMESTAMP: usize = 9;
const USER_ID: usize = 11;

#[cfg(test)]
mod tests {
    use super::*;

    fn table(pairs: &[(&str, Value)]) -> Arguments {
        let owned = |(name, value): &(&str, Value)| ((*name).to_owned(), value.clone());
        pairs.iter().map(owned).collect()
    }

    /// Content type, headers, delivery mode, priority, message id, timestamp, user id, app id.
    fn block(headers: &Arguments, user: Option<&str>) -> Vec<u8> {
        let user_flag = if user.is_some() { 0x0010 } else { 0 };
        let mut block = (0xb800_u16 | 0x00c8 | user_flag).to_be_bytes().to_vec();
        block.extend_from_slice(b"\x04text");
        table::encode(headers, &mut block);
        block.extend_from_slice(&[2, 7]);
        block.extend_from_slice(b"\x02id");
        block.extend_from_slice(&1_700_000_000_u64.to_be_bytes());
        if let Some(user) = user {
            block.push(user.len() as u8);
            block.extend_from_slice(user.as_bytes());
        }
        block.extend_from_slice(b"\x03app");
        block
    }

    #[test]
    fn only_what_would_lead_astray_is_taken_out() {
        let cc = Value::List(vec![Value::Text("other".to_owned())]);
        let kept = table(&[("kind", Value::Text("a".to_owned())), ("n", Value::Int(3))]);
        let mut given = kept.clone();
        given.insert("x-stream-offset".to_owned(), Value::Int(17));
        given.insert("CC".to_owned(), cc.clone());
        given.insert("BCC".to_owned(), cc);
        let delivered = block(&given, Some("somebody"));
        assert_eq!(headers(&delivered), given);
        assert_eq!(offset(&given), Some(17));
        assert_eq!(fresh(&delivered, &given), block(&kept, None));
    }

    #[test]
    fn a_plain_message_stays_as_it_is() {
        let bare = [0, 0];
        assert_eq!(headers(&bare), Arguments::new());
        assert_eq!(fresh(&bare, &Arguments::new()), bare);
        let kept = table(&[("n", Value::Int(3))]);
        let plain = block(&kept, None);
        assert_eq!(fresh(&plain, &kept), plain);
        assert_eq!(offset(&kept), None);
        assert_eq!(headers(&[0xff]), Arguments::new());
    }

    #[test]
    fn all_filters_must_match() {
        let headers = table(&[
            ("kind", Value::Text("a".to_owned())),
            ("n", Value::Int(-3)),
            ("on", Value::Bool(true)),
            ("raw", Value::Bytes(b"x".to_vec())),
            ("list", Value::List(Vec::new())),
        ]);
        let matches = |filters: &[(&str, &str)]| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            matches(&headers, &filters.iter().map(owned).collect::<Vec<_>>())
        };
        assert!(matches(&[]));
        assert!(matches(&[
            ("kind", "a"),
            ("n", "-3"),
            ("on", "true"),
            ("raw", "x")
        ]));
        assert!(!matches(&[("kind", "a"), ("n", "3")]));
        assert!(!matches(&[("missing", "")]) && !matches(&[("list", "")]));
    }
}
