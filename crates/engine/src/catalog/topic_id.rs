//! The number of a topic.

/// The number of a topic, which no other topic ever has, of this broker or of another: what
/// Kafka calls its UUID. Zero is nobody's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub u128);
