//! What a session says of itself to whoever watches the broker.
//!
//! Two ways, so that nothing is paid while nobody looks: what is agreed once is told once
//! ([`Client`], in [`super::Effects::client`]) and kept beside the session; what changes with
//! each message is described when somebody asks ([`Description`]).

use bongsu_record::Arguments;

use super::LinkId;

/// Who the client is, as far as it says so, and what was agreed with it. Told once, and
/// again if it changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Client {
    /// What it calls itself; empty if it does not.
    pub name: String,
    /// How it said who its user is: `PLAIN`, `SCRAM-SHA-256`, …; empty: it did not.
    pub mechanism: &'static str,
    /// Everything it says of itself; bounded by whoever keeps it.
    pub properties: Arguments,
    /// Largest frame or request; 0 = no such bound.
    pub frame_bytes_max: u64,
    /// Most channels; 0 = there are none in this protocol.
    pub channel_max: u32,
    /// Seconds between heartbeats; 0 = none.
    pub heartbeat_s: u32,
}

/// What a session counts for its driver, which takes it in turn and sets it to zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records whose publisher was told that they are safe.
    pub confirmed: u64,
    /// Records given back because no queue took them.
    pub returned: u64,
    /// Records dropped because no queue took them, and nobody wanted them back.
    pub dropped: u64,
}

/// How a session stands at the moment it is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// Its channels, ascending by number; empty where the protocol has none.
    pub channels: Vec<Channel>,
    /// Answers that wait, for the disk or for their turn.
    pub waiting_answers: u64,
}

/// One channel: a conversation of its own within a session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Channel {
    /// Its number within the session.
    pub number: u32,
    /// Records each consumer to come may hold at once; 0 = no limit.
    pub prefetch: u32,
    /// Records all its consumers may hold together; 0 = no limit.
    pub prefetch_of_all: u32,
    /// Deliveries that were not settled.
    pub unsettled: u64,
    /// Records published whose publisher was not told yet.
    pub unconfirmed: u64,
    /// Records published in a transaction that is not committed.
    pub uncommitted: u64,
    /// Deliveries settled in a transaction that is not committed.
    pub uncommitted_settles: u64,
    /// Publishes are confirmed.
    pub confirms: bool,
    /// In transactions.
    pub transactional: bool,
    /// What happened since it was opened.
    pub counts: ChannelCounts,
    /// Its consumers and what each holds, ascending by link.
    pub consumers: Vec<Holds>,
}

/// A consumer of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holds {
    /// Its link.
    pub link: LinkId,
    /// Deliveries to it that were not settled.
    pub unsettled: u64,
}

/// What happened on one channel: records, since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelCounts {
    /// Published.
    pub publish: u64,
    /// Published, and told to be safe.
    pub confirm: u64,
    /// Given back because no queue took them.
    pub return_unroutable: u64,
    /// Dropped because no queue took them.
    pub drop_unroutable: u64,
    /// Delivered to consumers that settle.
    pub deliver: u64,
    /// Delivered to consumers that need not.
    pub deliver_no_ack: u64,
    /// Got, to be settled.
    pub get: u64,
    /// Got, settled at once.
    pub get_no_ack: u64,
    /// Asked for where there was none.
    pub get_empty: u64,
    /// Accepted.
    pub ack: u64,
    /// Delivered or got though handed out before.
    pub redeliver: u64,
}
