//! Which records of a stream a reader wants: the consumer arguments `x-stream-filter` (a
//! text or a list of texts) and `x-stream-match-unfiltered`, against the header
//! `x-stream-filter-value` of each record.
//!
//! RabbitMQ leaves out whole chunks that hold nothing wanted, and asks its readers to look
//! at what remains again. Here each record is looked at, so what arrives is what was
//! asked for, and a reader that looks again finds nothing to drop.

use std::collections::BTreeSet;

use bongsu_record::{Arguments, Value};

/// See the module's comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    values: BTreeSet<Vec<u8>>,
    match_unfiltered: bool,
}

impl Filter {
    /// A consumer's; none if it wants everything. Of a list, what is no text is passed over.
    pub fn of(arguments: &Arguments) -> Option<Filter> {
        let values = match arguments.get(STREAM_FILTER)? {
            Value::List(list) => list.iter().filter_map(bytes).collect(),
            single => BTreeSet::from([bytes(single)?]),
        };
        let match_unfiltered = arguments.get(MATCH_UNFILTERED);
        Some(Filter {
            values,
            match_unfiltered: match_unfiltered == Some(&Value::Bool(true)),
        })
    }

    /// Whether a record is wanted, by its header; `None`: it has none.
    pub fn wants(&self, value: Option<&Value>) -> bool {
        match value.and_then(bytes) {
            Some(value) => self.values.contains(&value),
            None => self.match_unfiltered,
        }
    }
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Text(text) => Some(text.as_bytes().to_vec()),
        Value::Bytes(bytes) => Some(bytes.clone()),
        _ => None,
    }
}

/// The header of a record that filters go by.
pub const FILTER_VALUE: &str = "x-stream-filter-value";
const STREAM_FILTER: &str = "x-stream-filter";
const MATCH_UNFILTERED: &str = "x-stream-match-unfiltered";
