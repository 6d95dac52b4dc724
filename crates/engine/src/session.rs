//! What any protocol's session may ask of the broker, and what it is told.
//!
//! A session is a pure machine over one client connection. It never waits: it returns
//! from [`Session::handle`] with bytes to send and **at most one** [`Call`]; whoever
//! drives it executes the call, answers with [`Input::Reply`], and only then hands over
//! more [`Input::Bytes`]. So a client's requests take effect in their order, whatever
//! each of them waits for, and no protocol has a scheme of its own for that.
//!
//! The hot calls are per batch: all publishes to one place that arrived in one read are
//! one [`Call::Publish`]; all acknowledgements on one link are one [`Call::Settle`].

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bongsu_record::{Arguments, Batch, Lsn, Offset};
use bytes::Bytes;

use crate::access;
use crate::group;
use crate::refused::Refused;
use crate::share;
use crate::topic;
use crate::transaction;

pub mod describe;
pub mod records;

use describe::{Client, Description, Tally};

/// The time, handed to every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub instant: Instant,
    /// For time stamps: Unix milliseconds.
    pub unix_ms: i64,
}

/// One consumer of a session, or its place to `get` from one queue. The session chooses
/// the number; it may be used again once closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u32);

/// A credit limit shared by several links of a session (AMQP: the channel's).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(pub u32);

/// A protocol's state over one connection.
pub trait Session: Send {
    /// Takes one input. Returns how many bytes of an [`Input::Bytes`] were used (0 for
    /// the other inputs); the rest is handed over again: at once if a call was made or
    /// more than nothing was used, else with more behind it.
    fn handle(&mut self, input: Input<'_>, now: Now, effects: &mut Effects) -> usize;

    /// When to come back with [`Input::Timeout`] (heartbeats, handshake limits).
    fn deadline(&self) -> Option<Instant>;

    /// How it stands, for whoever watches.
    fn describe(&self) -> Description;
}

/// What happens to a session.
#[derive(Debug)]
pub enum Input<'a> {
    /// Bytes from the client, not handed over before except for the unused rest.
    Bytes(&'a [u8]),
    /// The answer to the last call.
    Reply(Reply),
    /// Records leased to links of this session.
    Deliver(&'a [Delivery]),
    /// Everything at or below is durable: confirm what waits for it.
    Durable(Lsn),
    /// The broker closed a link: its queue was deleted, or cannot be read.
    LinkClosed(LinkId),
    /// Publishers are being held back, with the reason; or, `None`, no longer.
    Blocked(Option<&'a str>),
    /// The deadline passed.
    Timeout,
    /// The broker stops: say goodbye as the protocol does.
    Stop,
    /// Somebody who runs the broker closes this session, with the reason: say goodbye as the
    /// protocol does.
    Evict(&'a str),
}

/// What a session wants done. Reused between calls; whoever drives the session takes
/// out what it acts upon.
#[derive(Debug, Default)]
pub struct Effects {
    /// Bytes for the client, in order, before anything the reply to `call` may add.
    pub out: Vec<u8>,
    /// Bytes that are sent in between without being copied to `out`, ascending.
    pub attached: Vec<Attached>,
    /// Execute, then reply.
    pub call: Option<Call>,
    /// Close the connection: `Flushed` once `out` is sent, `Now` without.
    pub close: Option<Close>,
    /// Who the client is, when it has said so.
    pub client: Option<Box<Client>>,
    /// What happened since it was last taken.
    pub tally: Tally,
}

/// Bytes that belong in between the others.
#[derive(Clone, Debug)]
pub struct Attached {
    /// How many of [`Effects::out`] go before them.
    pub at: usize,
    /// The bytes; not empty.
    pub bytes: Bytes,
}

impl Effects {
    /// Sends `bytes` behind what is in `out`, without a copy.
    pub fn attach(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            let at = self.out.len();
            self.attached.push(Attached { at, bytes });
        }
    }
}

/// How to end a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// After what is in `out` has been sent.
    Flushed,
    /// At once: the peer is gone or broke the framing.
    Now,
}

/// Consecutive records of one batch for one link.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Whose.
    pub link: LinkId,
    /// The batch they are in.
    pub batch: Batch,
    /// Offset of the batch's first record in the queue's log.
    pub base: Offset,
    /// First record delivered, and the end (not included).
    pub records: Range<Offset>,
    /// These records were handed to somebody before.
    pub redelivered: bool,
    /// How often before, where the queue's consumers are to be told.
    pub tries: Option<Tries>,
    /// The reader of a stream is to be told each record's offset.
    pub tell_offsets: bool,
}

/// How often a record was tried, this time not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tries {
    /// Times it was handed out.
    pub acquired: u32,
    /// Times that failed: rejected, or its holder vanished. What a delivery limit counts;
    /// giving a record back or running out of time is no failure.
    pub failed: u32,
}

/// A request to the broker. Names are in the session's space.
#[derive(Clone, Debug)]
pub enum Call {
    /// Who the client is. Answer: [`Reply::Done`].
    Login {
        /// Name.
        user: String,
        /// Secret.
        password: String,
    },
    /// The client does not say who it is: as the guest from loopback, if at all. Answer:
    /// [`Reply::Done`].
    LoginAnonymous,
    /// The client is who its certificate says, as was verified when it connected. Answer:
    /// [`Reply::Entered`].
    LoginExternal,
    /// The client is who a signed token says, for as long as that says so. Answer:
    /// [`Reply::Entered`].
    LoginToken {
        /// Signed by somebody who is trusted (OAuth 2.0).
        token: String,
    },
    /// Who came in by a token brings a new one before that ends; nobody else has to. Answer:
    /// [`Reply::Done`], or [`Reply::Entered`] with the new end.
    RenewLogin {
        /// Of the same user.
        secret: String,
    },
    /// Which space the session works in. Answer: [`Reply::Done`].
    OpenSpace {
        /// Name; AMQP's virtual host.
        space: String,
    },
    /// As [`Call::OpenSpace`], for clients who do not choose theirs: nobody is refused entry,
    /// but everything that is done there is asked about. Answer: [`Reply::Done`].
    EnterSpace {
        /// Name.
        space: String,
    },
    /// Answer: [`Reply::Done`].
    DeclareExchange(DeclareExchange),
    /// Answer: [`Reply::Done`].
    DeleteExchange {
        /// Name.
        name: String,
        /// Refuse if it has bindings.
        if_unused: bool,
    },
    /// Answer: [`Reply::Done`].
    Bind(Binding),
    /// Answer: [`Reply::Done`], also if there was none.
    Unbind(Binding),
    /// Answer: [`Reply::Queue`].
    DeclareQueue(DeclareQueue),
    /// Answer: [`Reply::Count`] of records dropped.
    DeleteQueue {
        /// Name.
        name: String,
        /// Refuse if it has links.
        if_unused: bool,
        /// Refuse if it has records.
        if_empty: bool,
    },
    /// Drops what is ready. Answer: [`Reply::Count`].
    PurgeQueue {
        /// Name.
        name: String,
    },
    /// Makes a queue for answers to this session: exclusive, in memory, with a name nobody
    /// guesses, to which any session of the space may publish. Answer: [`Reply::Queue`].
    OpenReplyQueue,
    /// Answer: [`Reply::Published`].
    Publish(Publish),
    /// Publishes and settles that happen together or not at all. Answer:
    /// [`Reply::Committed`].
    Commit {
        /// In order.
        publishes: Vec<Publish>,
        /// In order, after the publishes.
        settles: Vec<Settle>,
    },
    /// A channel is opened: counted, and refused at its user's bound. Answer:
    /// [`Reply::Done`].
    OpenChannel {
        /// Its number within the session.
        channel: u32,
    },
    /// A channel is closed; its links are closed before. Answer: [`Reply::Done`].
    CloseChannel {
        /// Its number within the session.
        channel: u32,
    },
    /// Opens a link. Answer: [`Reply::Done`]; deliveries follow it.
    Consume(Consume),
    /// Answer: [`Reply::Done`], also if there was none. Leases stay with the session
    /// until settled, unless `release` gives them back.
    CloseLink {
        /// Which.
        link: LinkId,
        /// Give its leases back to the queue.
        release: bool,
    },
    /// Sets the limit of a pool (0 = none) for what its links may hold together. Answer:
    /// [`Reply::Done`].
    SetPool {
        /// Which.
        pool: PoolId,
        /// Records leased at once.
        credit: u32,
    },
    /// One record, if there is one. Answer: [`Reply::Got`].
    Get {
        /// The link that will hold the lease; made by the first get, one for each queue
        /// a channel gets from.
        link: LinkId,
        /// Which queue.
        queue: String,
        /// Settle at once.
        auto_settle: bool,
    },
    /// Ends leases of one link. Answer: [`Reply::Done`].
    Settle(Settle),
    /// Appends batches to partitions, each on its own. Answer: [`Reply::Appended`].
    Append(Box<records::AppendRequest>),
    /// Reads from partitions, waiting for records if there are none. Answer:
    /// [`Reply::Fetched`].
    Fetch(Box<records::FetchRequest>),
    /// Looks offsets up. Answer: [`Reply::Offsets`].
    Offsets(Box<records::OffsetsRequest>),
    /// About users and what they may do. Answer: [`Reply::Access`].
    Access(Box<access::Request>),
    /// About topics. Answer: [`Reply::Topic`].
    Topic(Box<topic::Request>),
    /// About groups. Answer: [`Reply::Group`].
    Group(Box<group::Call>),
    /// About transactions. Answer: [`Reply::Transaction`].
    Transaction(Box<transaction::Request>),
    /// About share groups. Answer: [`Reply::Share`].
    Share(Box<share::Request>),
    /// Nothing but waiting until a position is durable. Answer: [`Reply::Done`].
    AwaitDurable(Lsn),
}

/// See [`Call::Settle`].
#[derive(Clone, Debug, PartialEq)]
pub struct Settle {
    /// Who holds them.
    pub link: LinkId,
    /// Which records; need not be sorted.
    pub ranges: Vec<Range<Offset>>,
    /// What became of them.
    pub outcome: Outcome,
}

/// See [`Call::DeclareExchange`].
#[derive(Clone, Debug, PartialEq)]
pub struct DeclareExchange {
    /// Name.
    pub name: String,
    /// `direct`, `fanout`, …: as asked for; not looked at if passive.
    pub exchange_type: String,
    /// Only ask whether it exists.
    pub passive: bool,
    /// Survives a restart.
    pub durable: bool,
    /// Deleted when its last binding as a source goes.
    pub auto_delete: bool,
    /// Only other exchanges may publish to it.
    pub internal: bool,
    /// `alternate-exchange` and the like.
    pub arguments: Arguments,
}

/// See [`Call::DeclareQueue`].
#[derive(Clone, Debug, PartialEq)]
pub struct DeclareQueue {
    /// Name. Empty: the broker makes one up (`amq.gen-…`).
    pub name: String,
    /// Only ask whether it exists.
    pub passive: bool,
    /// Survives a restart.
    pub durable: bool,
    /// For this session only, and deleted with it.
    pub exclusive: bool,
    /// Deleted when its last link closes.
    pub auto_delete: bool,
    /// `x-…`.
    pub arguments: Arguments,
}

/// See [`Call::Bind`].
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// The exchange.
    pub source: String,
    /// Where it leads to.
    pub destination: Destination,
    /// Key or pattern.
    pub routing_key: String,
    /// `x-match` and headers.
    pub arguments: Arguments,
}

/// What a binding leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// A queue by name.
    Queue(String),
    /// An exchange by name.
    Exchange(String),
}

/// See [`Call::Publish`]: all records of the batch have this exchange and routing key.
#[derive(Clone, Debug)]
pub struct Publish {
    /// The exchange; empty: the default one.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// More routing keys of the same exchange (AMQP: CC and BCC); a queue that several
    /// lead to gets the records once.
    pub more_keys: Vec<String>,
    /// The records.
    pub batch: Batch,
}

/// See [`Call::Consume`].
#[derive(Clone, Debug, PartialEq)]
pub struct Consume {
    /// The new link.
    pub link: LinkId,
    /// The channel it is of, 0 where there are none: told to whoever watches.
    pub channel: u32,
    /// Which queue.
    pub queue: String,
    /// What the client calls it (AMQP: the consumer tag); where a tracked reader came to is
    /// kept under this name.
    pub name: String,
    /// As it is called where the client called it nothing: told to whoever watches.
    pub tag: String,
    /// Records it may hold at once; 0 = no limit.
    pub credit: u32,
    /// A limit shared with other links.
    pub pool: Option<PoolId>,
    /// Records are settled as they are delivered.
    pub auto_settle: bool,
    /// Refuse if there are other links, and refuse others from now on.
    pub exclusive: bool,
    /// `x-priority` and the like.
    pub arguments: Arguments,
}

/// What became of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done with: never delivered again.
    Accept,
    /// Back to its place in the queue, to be delivered again.
    Release,
    /// As [`Outcome::Release`], and counted as a failed try.
    Fail,
    /// Unwanted: dead-lettered, or dropped where there is no such policy.
    Reject,
}

/// The answer to a [`Call`].
#[derive(Clone, Debug)]
pub enum Reply {
    /// It is so.
    Done,
    /// It is not, and nothing has changed.
    Refused(Refused),
    /// The client is in, under a name that it did not say itself.
    Entered {
        /// The name.
        user: Arc<str>,
        /// When what let it in ends, in Unix milliseconds; the session is closed then.
        until_ms: Option<i64>,
    },
    /// The queue is there.
    Queue {
        /// Its name, made up if none was given.
        name: String,
        /// Records ready.
        ready: u64,
        /// Links open.
        links: u32,
    },
    /// So many records were dropped.
    Count(u64),
    /// The batch has been taken.
    Published {
        /// Confirm once this is durable; `None`: at once.
        wait: Option<Lsn>,
        /// `false`: no queue took it, and it is gone.
        routed: bool,
        /// Records, by index in the batch, that a full queue refused: not to be confirmed
        /// but returned to their publisher as such. In order; mostly none.
        refused: Vec<Range<u32>>,
    },
    /// All of it has happened.
    Committed {
        /// Answer once this is durable; `None`: at once.
        wait: Option<Lsn>,
        /// Publishes, by index, that no queue took.
        unrouted: Vec<usize>,
    },
    /// A record, with how many are still ready; or none.
    Got(Option<(Delivery, u64)>),
    /// What became of each batch, in the order given.
    Appended {
        /// Answer once this is durable; `None`: at once.
        wait: Option<Lsn>,
        /// One for each.
        results: Vec<Result<records::Appended, records::AppendRefused>>,
        /// How long the client has to wait: it is over its quota.
        throttle_ms: u32,
    },
    /// What each partition had, in the order given.
    Fetched(Vec<records::FetchedPart>),
    /// Nothing was read: the client is over its quota, and has to wait for so many
    /// milliseconds.
    Throttled(u32),
    /// See [`Call::Transaction`].
    Transaction(Box<transaction::Answer>),
    /// What was found, in the order given.
    Offsets(Vec<Result<records::FoundOffset, records::FetchRefused>>),
    /// See [`Call::Group`].
    Group(Box<group::Answer>),
    /// See [`Call::Access`].
    Access(Box<access::Answer>),
    /// See [`Call::Topic`].
    Topic(Box<topic::Answer>),
    /// See [`Call::Share`].
    Share {
        /// Answer once this is durable; `None`: at once.
        wait: Option<Lsn>,
        /// What to answer.
        answer: Box<share::Answer>,
    },
}
