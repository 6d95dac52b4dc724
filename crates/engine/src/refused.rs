//! Why a request is declined: facts, never words. Each protocol crate has one table that
//! turns them into its own codes and texts.

/// What kind of thing a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Space,
    Exchange,
    Queue,
    Link,
}

/// What a user may be allowed to do to a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Permission {
    Configure,
    Write,
    Read,
}

/// What a queue does, and a stream does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamOperation {
    /// Lending one record to whoever asks.
    Get,
    /// Dropping what is ready.
    Purge,
    /// Settling records as they are delivered.
    AutoSettle,
}

/// A bound on what is open at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Connections in a space.
    SpaceConnections,
    /// Connections of a user.
    UserConnections,
    /// Channels of a user, on all its connections.
    UserChannels,
}

/// A request declined. Nothing has changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Refused {
    /// Unknown user, wrong secret, or not from this address.
    Login {
        /// The user as given.
        user: String,
    },
    /// The user may not use that routing key, whatever it may do to the exchange.
    TopicDenied {
        /// To write or to read.
        permission: Permission,
        /// A topic exchange.
        exchange: String,
        /// The key, or the pattern of a binding.
        routing_key: String,
        /// Whose.
        user: String,
    },
    /// The user lacks a permission.
    Denied {
        /// Which one.
        permission: Permission,
        /// On what.
        kind: Kind,
        /// Its name.
        name: String,
        /// Whose.
        user: String,
    },
    /// No such thing.
    NotFound {
        /// Kind of thing.
        kind: Kind,
        /// The name asked for.
        name: String,
    },
    /// It exists with another value of `argument`; values worded as RabbitMQ words them
    /// (`true`, `'fanout'`, `the value '5' of type 'signedint'`, `none`).
    Inequivalent {
        /// Kind of thing.
        kind: Kind,
        /// Its name.
        name: String,
        /// `durable`, `auto_delete`, `type`, `x-message-ttl`, …
        argument: String,
        /// What this request asked for.
        requested: String,
        /// What is.
        current: String,
    },
    /// An exclusive queue of another session.
    Locked {
        /// The queue.
        queue: String,
    },
    /// A name that belongs to the broker (`amq.…`, the default exchange).
    Reserved {
        /// Kind of thing.
        kind: Kind,
        /// The name.
        name: String,
    },
    /// `if-unused` and it is used.
    InUse {
        /// Kind of thing.
        kind: Kind,
        /// The name.
        name: String,
    },
    /// A partition of a topic goes with the topic.
    PartOfTopic {
        /// The partition's queue.
        queue: String,
        /// The topic's queue.
        topic: String,
    },
    /// The space has as many queues as it may.
    QueueLimit {
        /// The queue that is one too many.
        queue: String,
        /// How many there may be.
        max: u32,
    },
    /// `if-empty` and it is not.
    NotEmpty {
        /// The queue.
        queue: String,
    },
    /// A queue is full and refuses records; where they are part of a whole, all of it.
    Full {
        /// The queue.
        queue: String,
    },
    /// The queue has an exclusive consumer, or one asked to be and there are others.
    ExclusiveConsumer {
        /// The queue.
        queue: String,
    },
    /// An argument out of range or of the wrong type.
    InvalidArgument {
        /// Its name.
        argument: String,
        /// Its value, for people.
        value: String,
        /// What is accepted, for people.
        accepted: &'static str,
    },
    /// An argument of a type it does not take.
    ArgumentType {
        /// Its name.
        argument: String,
        /// The value's type as RabbitMQ calls it: `longstr`, `signedint`, …
        found: &'static str,
        /// What is accepted, for people.
        accepted: &'static str,
    },
    /// An argument that says something only beside another, which is missing.
    ArgumentAlone {
        /// Its name.
        argument: String,
        /// The other's.
        needs: &'static str,
    },
    /// Two arguments of which only one may be given.
    ArgumentsExclude {
        /// Name of one.
        one: &'static str,
        /// Name of the other.
        other: &'static str,
    },
    /// An argument that means nothing to a stream.
    NotForStreams {
        /// Its name.
        argument: String,
    },
    /// An argument of readers, to a queue that has nothing to be read: it is no stream and
    /// keeps no settled records.
    OnlyForReaders {
        /// Its name.
        argument: String,
    },
    /// A reader of a stream says how much it takes at once.
    NoCredit {
        /// The stream.
        queue: String,
    },
    /// Not what is done with streams.
    NotWithStreams {
        /// The stream.
        queue: String,
        /// What was asked for.
        operation: StreamOperation,
    },
    /// A stream is durable and everybody's.
    StreamProperty {
        /// Its name.
        queue: String,
        /// `auto-delete`, `exclusive-owner` or `non-durable`.
        property: &'static str,
    },
    /// A queue that consumes another's records takes none of its own.
    TakesNone {
        /// Its name.
        queue: String,
    },
    /// An exchange type nobody knows.
    UnknownExchangeType {
        /// As asked for.
        name: String,
    },
    /// A publish to an exchange that only other exchanges may feed.
    Internal {
        /// The exchange.
        exchange: String,
    },
    /// Known to the protocol, not built here.
    Unsupported {
        /// What: an argument's or feature's name.
        what: String,
    },
    /// As much is open as may be.
    LimitReached {
        /// Of what.
        limit: Limit,
        /// How much that is.
        count: u32,
        /// Whose connection this is.
        user: String,
        /// Where it works; empty where that does not matter.
        space: String,
    },
    /// Storage cannot take it: disk full, sync failed. The text is for people.
    Storage {
        /// Operation, path, position, cause.
        cause: String,
    },
}
