//! Spans of publishes, and of the commits they wait for.
//!
//! A publish is one span for each traced record, whatever the number of queues. It begins
//! before the call is executed, as what is delivered at once must know it: while a call is
//! executed, its thread has the spans that are open, and what is appended meanwhile finds its
//! own among them. What is appended otherwise was sent on by the broker itself (dead letters).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use bongsu_engine::session::records::AppendRequest;
use bongsu_engine::session::{Call, Now, Publish, Reply};
use bongsu_record::message::{Message, Messages};
use bongsu_record::{Batch, LogId, Lsn, Offset};

use super::context::{Context, Decision, decision};
use super::memory::Remembered;
use super::span::{Kind, Span};
use super::{Traces, unix_ns};
use crate::cell::QueueCell;
use crate::handle::{Executed, SessionHandle};

thread_local! {
    /// Of the call that this thread executes; `None`: it executes none.
    static OPEN: RefCell<Option<Vec<Open>>> = const { RefCell::new(None) };
}

/// One record that is being published.
struct Open {
    span: Span,
    /// Which batch of the call, and which record of it.
    batch: usize,
    index: u32,
    /// Where that batch's bytes are: a queue that wants them otherwise gets a copy.
    at: usize,
    /// By which it is found in a copy.
    identity: Identity,
    /// Logs that have it.
    logs: Vec<LogId>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Identity {
    Parent([u8; 16], [u8; 8]),
    /// Of a record that says nothing: its body.
    Body(u64),
}

/// Commits that are waited for, by their position and a number.
#[derive(Debug, Default)]
pub(super) struct Commits {
    waiting: BTreeMap<(Lsn, u64), Span>,
    next: u64,
}

impl SessionHandle {
    /// Executes a call that may publish, with its spans around it.
    pub(crate) fn execute_traced(&mut self, traces: &Traces, call: Call, now: Now) -> Executed {
        let open = match &call {
            Call::Publish(publish) => self.open(traces, std::slice::from_ref(publish)),
            Call::Commit { publishes, .. } => self.open(traces, publishes),
            Call::Append(request) => self.open_appends(traces, request),
            _ => return self.execute_call(call, now),
        };
        OPEN.set(Some(open));
        // Also if it panics: another call must not find them.
        let closing = Closing;
        let executed = self.execute_call(call, now);
        let open = OPEN.take().unwrap_or_default();
        drop(closing);
        if !open.is_empty() {
            traces.published(open, &executed);
            // It may have become durable before anybody waited for it.
            traces.committed(self.broker.durable_lsn());
        }
        executed
    }

    fn open(&self, traces: &Traces, publishes: &[Publish]) -> Vec<Open> {
        let mut open = Vec::new();
        for (number, publish) in publishes.iter().enumerate() {
            let (exchange, key) = (&publish.exchange, &publish.routing_key);
            traces.open(&publish.batch, number, &mut open, |span| {
                match exchange.is_empty() {
                    true => span.does("publish", key),
                    false => span.does("publish", exchange),
                }
                if !key.is_empty() {
                    span.text("messaging.rabbitmq.destination.routing_key", key);
                }
                span.asked_by(&self.connection);
            });
        }
        open
    }

    fn open_appends(&self, traces: &Traces, request: &AppendRequest) -> Vec<Open> {
        let mut open = Vec::new();
        for (number, append) in request.appends.iter().enumerate() {
            if append.seen.headered_count == 0 && traces.below == 0 {
                continue;
            }
            traces.open(&append.batch, number, &mut open, |span| {
                let partition = append.partition.to_string();
                span.text("messaging.destination.partition.id", partition);
                span.asked_by(&self.connection);
            });
        }
        open
    }
}

struct Closing;

impl Drop for Closing {
    fn drop(&mut self) {
        OPEN.set(None);
    }
}

impl Traces {
    fn open(
        &self,
        batch: &Batch,
        number: usize,
        open: &mut Vec<Open>,
        describe: impl Fn(&mut Span),
    ) {
        // Of a batch that cannot be read nothing can be said; whoever takes it finds out.
        let Ok(messages) = Messages::open(batch, Offset(0), UNFOLDED_BYTES_MAX) else {
            return;
        };
        for (index, message) in (0..).zip(messages.iter()) {
            let (context, identity) = match decision(&message) {
                Decision::Untraced => continue,
                Decision::Undecided if !self.begins() => continue,
                Decision::Undecided => {
                    let trace = self.trace_id();
                    let (parent, state) = (None, None);
                    let began = Context {
                        trace,
                        parent,
                        state,
                    };
                    (began, Identity::Body(body_of(&message)))
                }
                Decision::Traced(context) => {
                    let parent = context.parent.unwrap_or_default();
                    let identity = Identity::Parent(context.trace, parent);
                    (context, identity)
                }
            };
            if open.len() >= OPEN_MAX {
                self.refused();
                continue;
            }
            let mut span = self.begin(context, Kind::Server);
            describe(&mut span);
            describe_message(&mut span, &message);
            open.push(Open {
                span,
                batch: number,
                index,
                at: batch.bytes().as_ptr() as usize,
                identity,
                logs: Vec::new(),
            });
        }
    }

    pub(super) fn begin(&self, context: Context, kind: Kind) -> Span {
        let now_ns = unix_ns();
        Span {
            trace: context.trace,
            id: self.span_id(),
            parent: context.parent,
            state: context.state,
            kind,
            name: String::new(),
            start_ns: now_ns,
            end_ns: now_ns,
            attributes: Vec::with_capacity(12),
            failed: None,
        }
    }

    /// A batch was appended to a queue's log. To be called before any of it is lent.
    pub(crate) fn appended(&self, cell: &QueueCell, base: Offset, batch: &Batch) {
        OPEN.with_borrow_mut(|open| match open {
            Some(open) if open.is_empty() => {}
            Some(open) => self.entered(open, cell, base, batch),
            None if batch.is_native() => self.sent_on(cell, base, batch),
            None => {}
        });
    }

    fn entered(&self, open: &mut [Open], cell: &QueueCell, base: Offset, batch: &Batch) {
        let log = cell.log.id();
        let at = batch.bytes().as_ptr() as usize;
        if open.iter().any(|open| open.at == at) {
            for open in open.iter_mut().filter(|open| open.at == at) {
                self.remember_open(open, cell, base.plus(u64::from(open.index)));
            }
            return;
        }
        let Ok(messages) = Messages::open(batch, base, UNFOLDED_BYTES_MAX) else {
            return;
        };
        for message in messages.iter() {
            let identity = match decision(&message) {
                Decision::Untraced => continue,
                Decision::Undecided if self.below == 0 => continue,
                Decision::Undecided => Identity::Body(body_of(&message)),
                Decision::Traced(context) => {
                    Identity::Parent(context.trace, context.parent.unwrap_or_default())
                }
            };
            let of_record =
                |open: &&mut Open| open.identity == identity && !open.logs.contains(&log);
            if let Some(open) = open.iter_mut().find(of_record) {
                self.remember_open(open, cell, message.offset());
            }
        }
    }

    fn remember_open(&self, open: &mut Open, cell: &QueueCell, offset: Offset) {
        open.logs.push(cell.log.id());
        if open.span.name.is_empty() {
            open.span.does("publish", topic_of(cell));
        }
        self.remember(cell, offset, &open.span);
    }

    /// By the broker itself, whose span follows that of the publisher.
    fn sent_on(&self, cell: &QueueCell, base: Offset, batch: &Batch) {
        let Ok(messages) = Messages::open(batch, base, UNFOLDED_BYTES_MAX) else {
            return;
        };
        for message in messages.iter() {
            if let Decision::Traced(context) = decision(&message) {
                let mut span = self.begin(context, Kind::Internal);
                span.does("forward", &cell.name);
                describe_message(&mut span, &message);
                self.remember(cell, message.offset(), &span);
                self.send(span);
            }
        }
    }

    fn remember(&self, cell: &QueueCell, offset: Offset, span: &Span) {
        let record = Remembered {
            trace: span.trace,
            state: span.state.clone(),
            published: span.id,
            lent_ns: None,
            delivered: Vec::new(),
        };
        let mut memory = self.memory.lock();
        let forgotten = memory.put(cell.log.id(), offset, record);
        self.counted(&memory, forgotten);
    }

    /// The call has been executed.
    fn published(&self, open: Vec<Open>, executed: &Executed) {
        let reply = match executed {
            Executed::Now(reply) | Executed::Durable(_, reply) => Some(reply),
            Executed::Job(_) | Executed::Later => None,
        };
        let wait = match reply {
            Some(Reply::Published { wait, .. })
            | Some(Reply::Committed { wait, .. })
            | Some(Reply::Appended { wait, .. }) => *wait,
            _ => None,
        };
        let end_ns = unix_ns();
        let mut commits = Vec::new();
        for Open {
            mut span,
            batch,
            index,
            logs,
            ..
        } in open
        {
            if span.name.is_empty() {
                // No partition took it.
                span.does("publish", "");
            }
            span.end_ns = end_ns;
            span.failed = reply.and_then(|reply| failed(reply, batch, index));
            span.number("bongsu.queues", logs.len() as u64);
            if let (Some(lsn), false) = (wait, logs.is_empty()) {
                commits.push((lsn, self.commit_of(&span)));
            }
            self.send(span);
        }
        self.await_commits(commits);
    }

    /// From here on until it is durable.
    fn commit_of(&self, publish: &Span) -> Span {
        let context = Context {
            trace: publish.trace,
            parent: Some(publish.id),
            state: publish.state.clone(),
        };
        let mut span = self.begin(context, Kind::Internal);
        span.start_ns = publish.end_ns;
        let destination = publish.name.split_once(' ').map_or("", |(_, name)| name);
        span.does("commit", destination);
        span
    }

    fn await_commits(&self, spans: Vec<(Lsn, Span)>) {
        if spans.is_empty() {
            return;
        }
        let mut commits = self.commits.lock();
        for (lsn, span) in spans {
            if commits.waiting.len() >= COMMITS_MAX {
                self.refused();
                continue;
            }
            let number = commits.next;
            commits.next += 1;
            commits.waiting.insert((lsn, number), span);
        }
    }

    /// Everything up to here is durable.
    pub(super) fn committed(&self, durable: Lsn) {
        let done = {
            let mut commits = self.commits.lock();
            if commits.waiting.is_empty() {
                return;
            }
            let later = commits.waiting.split_off(&(Lsn(durable.0 + 1), 0));
            std::mem::replace(&mut commits.waiting, later)
        };
        let end_ns = unix_ns();
        for mut span in done.into_values() {
            span.end_ns = end_ns.max(span.start_ns);
            self.send(span);
        }
    }
}

/// Why this record was not taken, if it was not.
fn failed(reply: &Reply, batch: usize, index: u32) -> Option<String> {
    match reply {
        Reply::Refused(refused) => Some(format!("{refused:?}")),
        Reply::Published { refused, .. } => {
            let is_refused = refused.iter().any(|range| range.contains(&index));
            is_refused.then(|| "a full queue refused it".to_owned())
        }
        Reply::Appended { results, .. } => {
            let refused = results.get(batch)?.as_ref().err()?;
            Some(format!("{refused:?}"))
        }
        _ => None,
    }
}

fn describe_message(span: &mut Span, message: &Message<'_>) {
    span.number("messaging.message.body.size", message.body().len() as u64);
    let Ok(properties) = message.properties() else {
        return;
    };
    let texts = [
        ("messaging.message.id", properties.message_id),
        (
            "messaging.message.conversation_id",
            properties.correlation_id,
        ),
    ];
    for (name, text) in texts {
        if let Some(text) = text.filter(|text| text.len() <= TEXT_BYTES_MAX) {
            span.text(name, String::from_utf8_lossy(text));
        }
    }
}

fn body_of(message: &Message<'_>) -> u64 {
    let body = message.body();
    let mut hasher = DefaultHasher::new();
    hasher.write_usize(body.len());
    hasher.write(&body[..body.len().min(HASHED_BYTES)]);
    hasher.finish()
}

/// The name of the topic that it is a partition of.
fn topic_of(cell: &QueueCell) -> &str {
    let name: &Arc<str> = &cell.name;
    match name.rsplit_once('/') {
        Some((topic, partition)) if partition.parse::<u32>().is_ok() => topic,
        _ => name,
    }
}

/// What a compressed batch may unfold to while its headers are looked at.
const UNFOLDED_BYTES_MAX: usize = 128 << 20;
/// Traced records of one call; more are published without a span.
const OPEN_MAX: usize = 4096;
/// Commits that are waited for; more have no span.
const COMMITS_MAX: usize = 16_384;
/// Longer identifiers are left out.
const TEXT_BYTES_MAX: usize = 1024;
/// Of a body, to tell records apart that say nothing.
const HASHED_BYTES: usize = 1024;
