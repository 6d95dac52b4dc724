//! What goes into the catalog and comes out.

use std::sync::Arc;

use bongsu_record::{Arguments, Offset};

use crate::catalog::change::Change;
use crate::catalog::definition::{Configs, Owner, QueueDefinition};
use crate::catalog::policy::Policy;
use crate::catalog::space::SpaceDefinition;
use crate::queue::properties::{Deduplication, Properties};
use crate::router::{QueueId, SpaceId, WindowId};
use crate::session::{Binding, DeclareExchange, DeclareQueue};

/// A request, or news that may delete something. Permissions have been checked before.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Makes a space, or makes another of it. Answer: [`Answer::Space`].
    DeclareSpace {
        /// What.
        space: SpaceDefinition,
    },
    /// Answer: [`Answer::Space`].
    DeleteSpace {
        /// Which.
        name: String,
    },
    /// Answer: [`Answer::Done`].
    DeclareExchange {
        /// Where.
        space: SpaceId,
        /// What.
        declare: DeclareExchange,
    },
    /// Answer: [`Answer::Done`], also if there was none.
    DeleteExchange {
        /// Where.
        space: SpaceId,
        /// Which.
        name: String,
        /// Refuse if it has bindings as a source.
        if_unused: bool,
    },
    /// Answer: [`Answer::Queue`] or [`Answer::ReplyQueue`].
    DeclareQueue {
        /// Where.
        space: SpaceId,
        /// Who asks.
        owner: Owner,
        /// What.
        declare: DeclareQueue,
        /// Random; an empty name becomes `amq.gen-` and this.
        token: u128,
    },
    /// As [`Input::DeclareQueue`], of a queue that consumes another's records: its argument
    /// `x-subscribe` says whose. Answer: [`Answer::Queue`].
    Subscribe {
        /// Where.
        space: SpaceId,
        /// Who asks.
        owner: Owner,
        /// What.
        declare: DeclareQueue,
        /// Random; an empty name becomes `amq.gen-` and this.
        token: u128,
        /// Of the first record of interest, if it is made now.
        start: Offset,
    },
    /// Makes the subscription of a share group to a stream or partition, or gives it other
    /// arguments. Answer: [`Answer::Queue`].
    Share {
        /// The group.
        group: String,
        /// Whose records; a stream.
        source: QueueId,
        /// Of the first record of interest, if it is made now.
        start: Offset,
        /// What the group's configuration comes to.
        arguments: Arguments,
    },
    /// A share group is configured to this, in place of what it was: checked by
    /// [`config::check`](crate::share::config::check). Answer: [`Answer::Done`].
    ConfigureGroup {
        /// Where.
        space: SpaceId,
        /// The group; may not exist.
        group: String,
        /// All that is set.
        configs: Configs,
    },
    /// The share group is not interested in that stream any more. Answer:
    /// [`Answer::Deleted`] or, if it was not, [`Answer::Done`].
    Unshare {
        /// The group.
        group: String,
        /// Whose records.
        source: QueueId,
    },
    /// Makes a queue for answers to one session: exclusive, in memory, reached through the
    /// default exchange by whoever was told its name. Answer: [`Answer::Queue`].
    OpenReplyQueue {
        /// Where.
        space: SpaceId,
        /// Whose.
        owner: Owner,
        /// Random and secret: nobody guesses the name.
        token: u128,
    },
    /// Answer: [`Answer::Deleted`] or, if there was none, [`Answer::Done`].
    DeleteQueue {
        /// Where.
        space: SpaceId,
        /// Who asks.
        owner: Owner,
        /// Which.
        name: String,
        /// Refuse if `links` are open.
        if_unused: bool,
        /// Refuse if records are `ready`.
        if_empty: bool,
        /// As the queue says, under its lock.
        links: u32,
        /// As the queue says, under its lock.
        ready: u64,
    },
    /// Answer: [`Answer::Done`].
    Bind {
        /// Where.
        space: SpaceId,
        /// Who asks.
        owner: Owner,
        /// What.
        binding: Binding,
    },
    /// Answer: [`Answer::Done`], also if there was none.
    Unbind {
        /// Where.
        space: SpaceId,
        /// Who asks.
        owner: Owner,
        /// What.
        binding: Binding,
    },
    /// Answer: [`Answer::Done`].
    SetPolicy {
        /// Where.
        space: SpaceId,
        /// What; in place of one of its name.
        policy: Policy,
    },
    /// Answer: [`Answer::Done`], also if there was none.
    ClearPolicy {
        /// Where.
        space: SpaceId,
        /// Which.
        name: String,
    },
    /// A consumer's link closed and `links` consumers are left. Without this a queue never
    /// had one, so an auto-delete queue waits for its first. A place to `get` is no link.
    /// Answer: [`Answer::Done`].
    LinkClosed {
        /// The queue; may be gone.
        queue: QueueId,
        /// As the queue says, under its lock.
        links: u32,
    },
    /// A session ended; its links are closed before. Answer: [`Answer::Done`].
    SessionClosed {
        /// Which.
        owner: Owner,
    },
}

/// What became of an [`Input`].
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It is so.
    Done,
    /// The space is there, or was.
    Space {
        /// Its number.
        id: SpaceId,
        /// It was not there before.
        created: bool,
    },
    /// The queue is there.
    Queue {
        /// Its number.
        id: QueueId,
        /// Its name, made up if none was given.
        name: String,
        /// It was not there before.
        created: bool,
    },
    /// A place for answers is there, or answers can be had at all: RabbitMQ says of it that
    /// it has no messages and one consumer.
    ReplyQueue {
        /// As asked for.
        name: String,
    },
    /// The queue was there.
    Deleted {
        /// Its number.
        id: QueueId,
    },
}

/// What has to be done, in order. The catalog itself has changed already, so whatever
/// follows in the WAL may build on it; nobody is told before the durable changes are
/// durable, **all [`Effect::Durable`] of one call in one group**: a restart between them
/// would find an auto-delete exchange that outlived its last queue.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Record this.
    Durable(Change),
    /// This happened too, and a restart shall not know.
    Transient(Change),
    /// Make the queue's machine and log. A log of [`QueueDefinition::durable`] queues is
    /// created in the same group.
    CreateQueue {
        /// Its number.
        id: QueueId,
        /// Where.
        space: SpaceId,
        /// What.
        queue: Arc<QueueDefinition>,
        /// What its arguments and policy come to.
        properties: Arc<Properties>,
    },
    /// A policy makes another of a queue that is there, at once.
    Reconfigure {
        /// Its number.
        id: QueueId,
        /// What it is from now on.
        properties: Arc<Properties>,
    },
    /// Make a window of what an exchange has seen; see [`Part::window`].
    ///
    /// [`Part::window`]: crate::router::Part::window
    CreateWindow {
        /// Its number.
        id: WindowId,
        /// How much it remembers.
        settings: Deduplication,
        /// It survives a restart.
        durable: bool,
    },
    /// Forget what it has seen.
    DropWindow {
        /// Its number.
        id: WindowId,
    },
    /// Close its links and drop its log; if it was durable, in the same group.
    DropQueue {
        /// Its number.
        id: QueueId,
    },
}
