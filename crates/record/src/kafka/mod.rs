//! The Kafka payload: records exactly as a client sent them, perhaps compressed.
//!
//! ```text
//! payload   records one after the other, compressed together as the attributes say
//!
//! record    varint  length of what follows
//!           i8      attributes, unused
//!           varlong timestamp, milliseconds after the batch's base timestamp
//!           varint  offset after the batch's base offset
//!           varint  key length, -1 = null      key
//!           varint  value length, -1 = null    value
//!           varint  header count, then each:
//!                     varint name length             name, UTF-8
//!                     varint value length, -1 = null value
//! ```
//! Varints are zigzag, seven bits a byte, lowest first (Protocol Buffers' `sint32`,
//! `sint64`). The layout is Kafka's `DefaultRecord`; `golden.txt` has what two client
//! libraries make of it.

pub mod varint;

mod records;

mod headers;

mod writer;

mod validate;

mod rewrite;

mod control;

pub use control::EndMark;
pub use headers::{Header, Headers};
pub use records::{Field, KafkaMalformed, Record, Records};
pub use rewrite::{recompress, retain};
pub use validate::{Validated, validate};
pub use writer::Writer;

#[cfg(test)]
mod tests;
