//! Names of topics: which there may be, and which Kafka takes for each other.

/// Why a name is not a topic's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameInvalid {
    /// It has no characters.
    Empty,
    /// `.` and `..`, which are directories.
    Dots,
    /// More than [`NAME_BYTES_MAX`].
    TooLong,
    /// Something else than letters and digits of ASCII, `.`, `_` and `-`.
    Character,
}

/// Whether a topic may be called that.
///
/// # Errors
/// [`NameInvalid`], as Kafka looks at it: in this order.
pub fn check(name: &str) -> Result<(), NameInvalid> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() {
        Err(NameInvalid::Empty)
    } else if matches!(name, "." | "..") {
        Err(NameInvalid::Dots)
    } else if name.len() > NAME_BYTES_MAX {
        Err(NameInvalid::TooLong)
    } else if !name.bytes().all(is_legal) {
        Err(NameInvalid::Character)
    } else {
        Ok(())
    }
}

/// What other names with dots for underscores have too; none if it has neither. Kafka's
/// metrics cannot tell such topics apart, so it has only one of them.
pub fn alike(name: &str) -> Option<Box<str>> {
    name.contains(['.', '_'])
        .then(|| name.replace('.', "_").into_boxed_str())
}

/// The queue of a partition beyond the first. No topic has such a name.
pub fn of_partition(topic: &str, index: u32) -> String {
    format!("{topic}/{index}")
}

/// Whether Kafka keeps a topic of that name for itself. Here are no such topics: what they
/// hold there has another form.
pub fn is_kafkas_own(name: &str) -> bool {
    matches!(
        name,
        "__consumer_offsets" | "__transaction_state" | "__share_group_state" | "__cluster_metadata"
    )
}

/// With `/` and five digits of a partition it is still a queue's name.
pub const NAME_BYTES_MAX: usize = 249;
