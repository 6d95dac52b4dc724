//! Header blocks: what a protocol says about a message beside its body.
//!
//! A record keeps the block of the protocol that brought it, raw. A reader of the same
//! protocol gets those bytes back; any other goes through [`Properties`] and
//! [`crate::Arguments`], into which each block is decoded and from which each is encoded.
//! So a new protocol adds one file here, and never looks at the others.

mod properties;

mod text;

pub mod amqp091;

pub mod pairs;

pub mod kafka;

pub use properties::Properties;
pub use text::text_of;

use crate::table::TableMalformed;

/// Why bytes are not a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockMalformed {
    /// A field that reaches past the end.
    Short,
    /// AMQP property flags that no property stands for.
    Flags(u16),
    /// AMQP headers that are no table.
    Table(TableMalformed),
    /// Bytes behind the last field.
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// An origin that this build does not know.
    Origin(u8),
}

#[cfg(test)]
mod tests;
