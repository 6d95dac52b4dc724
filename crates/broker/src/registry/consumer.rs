//! What is known of a consumer beside its queue's machine: told to whoever watches.

use std::sync::Arc;

use bongsu_engine::catalog::QueueId;
use bongsu_engine::queue::LinkKey;
use bongsu_engine::router::SpaceId;
use bongsu_engine::session::LinkId;
use bongsu_record::Arguments;

use super::ConnectionId;

/// A consumer of a queue, or a reader of a stream.
#[derive(Debug)]
pub struct Consumer {
    /// Whose.
    pub connection: ConnectionId,
    /// Its session's name of it.
    pub link: LinkId,
    /// Its queue's.
    pub(crate) key: LinkKey,
    /// The channel it is of; 0 where there are none.
    pub channel: u32,
    /// What it is called within its channel.
    pub tag: String,
    /// Where its queue is.
    pub space: SpaceId,
    /// As that is called.
    pub space_name: Arc<str>,
    /// The queue's number.
    pub queue_id: QueueId,
    /// The queue.
    pub queue: Arc<str>,
    /// What it is lent has to be settled.
    pub ack_required: bool,
    /// No other consumer beside it.
    pub exclusive: bool,
    /// Records it may hold at once; 0 = no limit.
    pub prefetch: u32,
    /// Higher is served first.
    pub priority: i64,
    /// It reads a stream, or along a queue: what it was handed is nobody else's loss.
    pub reads: bool,
    /// As given.
    pub arguments: Arguments,
}
