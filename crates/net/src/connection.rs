//! One client connection: reads, lets the session decide, executes its calls, writes.
//!
//! One task does it all, so a session needs no lock. Each turn it waits for whatever comes
//! first: bytes, room to write, deliveries, durability, a deadline, the broker's stop.
//!
//! Bounds. *In*: a read takes at most [`READ_BYTES`] into a buffer the thread owns, so that
//! an idle connection holds none; only an incomplete frame is kept, and the session bounds
//! frames. *Out*: while more than [`OUT_BYTES_MAX`] wait for the client, nothing is read
//! from it, nothing that was read is looked at, and no delivery is taken; a client that does
//! not read harms only itself. One read may hold ten thousand requests, each worth megabytes:
//! so the bound is looked at after each.

use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bongsu_broker::registry::{Connection as Shared, ConnectionState, Question};
use bongsu_broker::{Broker, Executed, Prepared, SessionHandle};
use bongsu_engine::session::describe::Tally;
use bongsu_engine::session::{Close, Delivery, Effects, Input, Now, Reply, Session};
use bongsu_record::Lsn;
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use crate::stream::{Seen, Stream};

/// Most bytes of one read. A pipelined read of publishes is one batch.
const READ_BYTES: usize = 256 * 1024;
/// Bytes waiting for the client beyond which it is not served.
const OUT_BYTES_MAX: usize = 1024 * 1024;
/// Bytes encoded before they are written: one socket write, many deliveries.
const OUT_BYTES_FULL: usize = 256 * 1024;
/// How long a client has to take leave, whoever ends the connection.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);
/// Capacity an idle connection may keep.
const IDLE_CAPACITY_BYTES: usize = 1024;

thread_local! {
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// Why a connection ended.
#[derive(Debug)]
pub enum Ended {
    /// The session closed it.
    BySession,
    /// The client went without a goodbye.
    ByClient,
    /// The socket failed.
    Failed(io::Error),
    /// The client did not take leave in time.
    Late,
}

struct Connection<S> {
    stream: Stream,
    session: S,
    handle: SessionHandle,
    effects: Effects,
    /// Bytes of `effects.out` already written.
    written: usize,
    /// Of `effects.attached`: how many are written, and how much of the next; and bytes of
    /// those that are not.
    attached_written: usize,
    attached_at: usize,
    /// Nothing was read yet.
    new: bool,
    /// Bytes read that the session has not used.
    carry: Vec<u8>,
    /// Some of it was not even looked at: too much waits for the client.
    stalled: bool,
    deliveries: Vec<Delivery>,
    /// A reply that waits until its position is durable; nothing is read before.
    held_reply: Option<(Lsn, Reply)>,
    /// Works out the answer to the last call; nothing is read before.
    job: Option<JoinHandle<Reply>>,
    /// The answer to the last call comes from the broker; nothing is read before.
    waits: bool,
    /// While it waits, the client has sent more: whether it is still there cannot be seen.
    sent_ahead: bool,
    /// Deliveries wait until this is durable.
    held_delivery: Option<Lsn>,
    /// The last position the session waits for, and the last it was told.
    awaited: Lsn,
    told: Lsn,
    leave_by: Option<Instant>,
    /// What let the client in ends then.
    login_until: Option<Instant>,
    told_alarm: bool,
    /// What whoever watches sees of it.
    shared: Arc<Shared>,
    state: ConnectionState,
}

enum Event {
    Readable,
    Writable,
    Woken,
    Durable,
    Deadline,
    Alarm,
    /// The client, while it is owed an answer; `None`: it is to be looked at.
    Stirred(Option<Seen>),
    Answered(Reply),
    JobFailed,
    Asked,
    Stop,
}

/// Serves one client until either side ends it.
pub async fn drive<S: Session>(stream: Stream, session: S, handle: SessionHandle) -> Ended {
    let mut connection = Connection {
        stream,
        session,
        shared: handle.connection().clone(),
        state: ConnectionState::Starting,
        handle,
        effects: Effects::default(),
        written: 0,
        attached_written: 0,
        attached_at: 0,
        new: true,
        carry: Vec::new(),
        stalled: false,
        deliveries: Vec::new(),
        held_reply: None,
        job: None,
        waits: false,
        sent_ahead: false,
        held_delivery: None,
        awaited: Lsn(0),
        told: Lsn(0),
        leave_by: None,
        login_until: None,
        told_alarm: false,
    };
    let ended = connection.run().await;
    connection.stream.take_leave();
    ended.unwrap_or_else(Ended::Failed)
}

impl<S: Session> Connection<S> {
    async fn run(&mut self) -> io::Result<Ended> {
        let broker = self.handle.broker().clone();
        let mut durable = broker.durable();
        let mut stop = broker.stopping();
        let mut alarm = broker.alarm();
        loop {
            if self.effects.close.is_some() {
                self.handle.end();
                // A client that does not read its goodbye is not waited for.
                self.leave_by.get_or_insert(instant() + LEAVE_TIMEOUT);
            }
            self.tell();
            self.write()?;
            match self.effects.close {
                Some(Close::Now) => return Ok(Ended::BySession),
                Some(Close::Flushed) if !self.has_unwritten() => return Ok(Ended::BySession),
                _ => {}
            }
            self.tell_alarm(&mut alarm);
            if self.stalled && self.unwritten() < OUT_BYTES_MAX && !self.is_held() {
                self.carried();
                // As after a large read: what it asked for may be for others to do.
                tokio::task::yield_now().await;
                continue;
            }
            let event = self
                .wait(&broker, &mut durable, &mut stop, &mut alarm)
                .await?;
            match event {
                Event::Readable => match self.read()? {
                    None => return Ok(Ended::ByClient),
                    Some(bytes) if bytes >= LARGE_READ_BYTES => {
                        // Whoever was woken by what was just published waits behind this task
                        // on its thread, where no other thread may take it.
                        self.write()?;
                        tokio::task::yield_now().await;
                    }
                    Some(_) => {}
                },
                Event::Writable => {}
                Event::Woken => self.deliver().await,
                Event::Durable => {
                    let lsn = *durable.borrow_and_update();
                    self.on_durable(lsn);
                    if self.held_delivery.is_some_and(|held| held <= lsn) {
                        self.held_delivery = None;
                        self.deliver().await;
                    }
                }
                Event::Stirred(seen) => match seen.map_or_else(|| self.stream.look(), Ok)? {
                    Seen::More => self.sent_ahead = true,
                    Seen::Gone => return Ok(Ended::ByClient),
                    Seen::Nothing => {}
                },
                Event::Answered(reply) => self.answered(reply),
                Event::JobFailed => self.effects.close = Some(Close::Now),
                Event::Deadline => {
                    if self.leave_by.is_some_and(|until| until <= instant()) {
                        return Ok(Ended::Late);
                    }
                    if self.waits
                        && let Some(executed) = self.handle.expire(now(&self.handle))
                    {
                        self.waits = false;
                        if let Some(reply) = self.executed(executed) {
                            self.answered(reply);
                        }
                        continue;
                    }
                    if self.leave_by.is_none()
                        && self.login_until.is_some_and(|until| until <= instant())
                    {
                        self.leave_by = Some(instant() + LEAVE_TIMEOUT);
                        self.input(Input::Evict("the token it came in by has expired"));
                        continue;
                    }
                    self.input(Input::Timeout);
                    self.shrink();
                }
                Event::Alarm => {}
                Event::Asked => self.asked(),
                Event::Stop => {
                    self.leave_by = Some(instant() + LEAVE_TIMEOUT);
                    self.input(Input::Stop);
                }
            }
        }
    }

    /// Passes on what the session said of itself and of what it did.
    fn tell(&mut self) {
        if let Some(client) = self.effects.client.take() {
            self.shared.set_client(*client);
        }
        if self.effects.tally != Tally::default() {
            self.handle.tally(&std::mem::take(&mut self.effects.tally));
        }
    }

    /// Answers those who watch, and does what they say.
    fn asked(&mut self) {
        for question in self.shared.take_questions() {
            match question {
                // Who asked may have given up.
                Question::Describe(answer) => drop(answer.send(self.session.describe())),
                Question::Leave(reason) if self.leave_by.is_none() => {
                    self.leave_by = Some(instant() + LEAVE_TIMEOUT);
                    self.input(Input::Evict(&reason));
                }
                Question::Leave(_) => {}
            }
        }
    }

    /// Tells whoever watches what the client waits for.
    fn show_state(&mut self, slowed: bool) {
        let state = match (self.told_alarm, slowed) {
            (true, _) => ConnectionState::Blocked,
            (false, true) => ConnectionState::Flow,
            (false, false) => ConnectionState::Running,
        };
        if self.state != state && self.shared.state() != ConnectionState::Starting {
            self.state = state;
            self.shared.set_state(state);
        }
    }

    /// Only who publishes is held back, so only who publishes is told; also one who began
    /// to while the alarm was on.
    fn tell_alarm(&mut self, alarm: &mut bongsu_broker::Alarm) {
        if !self.handle.publishes() {
            return;
        }
        let reason = alarm.borrow_and_update().clone();
        if reason.is_some() != self.told_alarm {
            self.told_alarm = reason.is_some();
            self.input(Input::Blocked(reason.as_deref()));
        }
    }

    fn unwritten(&self) -> usize {
        let attached = self.effects.attached[self.attached_written..].iter();
        let attached: usize = attached.map(|attached| attached.bytes.len()).sum();
        self.effects.out.len() - self.written + attached - self.attached_at
    }

    fn has_unwritten(&self) -> bool {
        self.unwritten() > 0 || self.stream.has_unsent()
    }

    /// Whether the last call is not answered yet.
    fn is_held(&self) -> bool {
        self.held_reply.is_some() || self.job.is_some() || self.waits
    }

    async fn wait(
        &mut self,
        broker: &Broker,
        durable: &mut bongsu_broker::Durable,
        stop: &mut bongsu_broker::Stopping,
        alarm: &mut bongsu_broker::Alarm,
    ) -> io::Result<Event> {
        let waiting_bytes = self.unwritten();
        let room = waiting_bytes < OUT_BYTES_MAX && self.effects.close.is_none();
        let unwritten = self.has_unwritten();
        // Who is woken and then takes nothing, for enough waits to be written, has forgotten
        // that it was woken.
        let encodes = room && waiting_bytes < OUT_BYTES_FULL;
        let more = room && self.held_delivery.is_none() && self.handle.has_pending();
        if more && !unwritten {
            // Not waiting at all would let one busy client keep its thread.
            tokio::task::yield_now().await;
            return Ok(Event::Woken);
        }
        let held = self.is_held();
        let slowed = self.handle.publishes() && broker.holds_publishers();
        let quiet = self
            .handle
            .quiet_until()
            .filter(|_| self.leave_by.is_none());
        self.show_state(slowed || quiet.is_some());
        let readable = room && !held && quiet.is_none() && (!slowed || self.leave_by.is_some());
        let awaits =
            self.held_reply.is_some() || self.held_delivery.is_some() || self.awaited > self.told;
        let deadline = match (self.session.deadline(), self.leave_by) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let login_until = self.login_until.filter(|_| self.leave_by.is_none());
        let deadline = match (deadline, login_until) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let deadline = match (deadline, self.handle.deadline()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let tick = slowed.then(|| instant() + SLOWED_TICK);
        tokio::select! {
            biased;
            () = stopped(stop), if self.leave_by.is_none() => Ok(Event::Stop),
            _ = durable.changed(), if awaits => Ok(Event::Durable),
            ready = self.stream.writable(), if unwritten => ready.map(|()| Event::Writable),
            () = self.handle.woken(), if encodes && self.held_delivery.is_none() => Ok(Event::Woken),
            ready = self.stream.readable(), if readable => ready.map(|()| Event::Readable),
            // Others may wait for this client: it is missed at once.
            seen = self.stream.stirred(), if self.waits && !self.sent_ahead => seen.map(Event::Stirred),
            _ = alarm.changed(), if self.handle.publishes() => Ok(Event::Alarm),
            () = at(tick) => Ok(Event::Writable),
            () = at(quiet) => Ok(Event::Writable),
            reply = done(&mut self.job) => Ok(reply.map_or(Event::JobFailed, Event::Answered)),
            () = at(deadline) => Ok(Event::Deadline),
            () = self.shared.asked() => Ok(Event::Asked),
        }
    }

    /// One read and all it leads to: how many bytes; `None` at the end of the stream.
    fn read(&mut self) -> io::Result<Option<usize>> {
        READ_BUFFER.with_borrow_mut(|buffer| {
            let count = match self.stream.try_read(buffer) {
                Ok(0) => return Ok(None),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Some(0)),
                Err(error) => return Err(error),
            };
            if std::mem::take(&mut self.new) && is_hello(&buffer[..count]) {
                // The session answers it as its protocol answers any greeting it does not know.
                tracing::warn!(peer = ?self.shared.peer().map(|one| one.peer), "it speaks TLS, which this listener does not");
            }
            self.shared.traffic.read(count);
            if self.carry.is_empty() {
                let used = self.bytes(&buffer[..count]);
                self.carry.extend_from_slice(&buffer[used..count]);
            } else {
                self.carry.extend_from_slice(&buffer[..count]);
                self.carried();
            }
            Ok(Some(count))
        })
    }

    /// Hands what was carried to the session again.
    fn carried(&mut self) {
        let mut carry = std::mem::take(&mut self.carry);
        let used = self.bytes(&carry);
        carry.drain(..used);
        if !carry.is_empty() || carry.capacity() <= READ_BYTES {
            self.carry = carry;
        }
    }

    /// Lets the session take `bytes`, executing its calls; returns how many it used.
    fn bytes(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        self.stalled = false;
        while used < bytes.len() && !self.is_held() && self.effects.close.is_none() {
            if self.unwritten() >= OUT_BYTES_MAX {
                self.stalled = true;
                break;
            }
            let step = self.session.handle(
                Input::Bytes(&bytes[used..]),
                now(&self.handle),
                &mut self.effects,
            );
            used += step;
            let called = self.effects.call.is_some();
            self.calls();
            if step == 0 && !called {
                break;
            }
        }
        if self.effects.close.is_some() {
            return bytes.len();
        }
        used
    }

    fn input(&mut self, input: Input<'_>) {
        self.session
            .handle(input, now(&self.handle), &mut self.effects);
        self.calls();
    }

    /// Executes the session's call, and those its answer leads to.
    fn calls(&mut self) {
        while let Some(call) = self.effects.call.take() {
            let executed = self.handle.execute(call, now(&self.handle));
            match self.executed(executed) {
                Some(reply) => self.reply(reply),
                None => return,
            }
        }
    }

    /// The answer, if it is there.
    fn executed(&mut self, executed: Executed) -> Option<Reply> {
        match executed {
            Executed::Now(reply) => {
                if let Reply::Published {
                    wait: Some(lsn), ..
                }
                | Reply::Committed {
                    wait: Some(lsn), ..
                }
                | Reply::Appended {
                    wait: Some(lsn), ..
                } = &reply
                {
                    self.awaited = self.awaited.max(*lsn);
                }
                return Some(reply);
            }
            Executed::Durable(lsn, reply) => {
                if self.handle.broker().durable_lsn() >= lsn {
                    return Some(reply);
                }
                self.held_reply = Some((lsn, reply));
            }
            Executed::Job(job) => {
                self.job = Some(job.start());
            }
            Executed::Later => {
                self.waits = true;
                self.sent_ahead = false;
            }
        }
        None
    }

    /// The answer to the last call is there, and what waited behind it goes on.
    fn answered(&mut self, reply: Reply) {
        self.reply(reply);
        self.calls();
        if !self.carry.is_empty() && !self.is_held() {
            self.carried();
        }
    }

    fn reply(&mut self, reply: Reply) {
        if let Reply::Entered { until_ms, .. } = &reply {
            self.login_until = until_ms.map(|until_ms| {
                let left_ms = u64::try_from(until_ms - now(&self.handle).unix_ms).unwrap_or(0);
                instant() + Duration::from_millis(left_ms.min(LOGIN_MS_MAX))
            });
        }
        self.session
            .handle(Input::Reply(reply), now(&self.handle), &mut self.effects);
    }

    fn on_durable(&mut self, durable: Lsn) {
        self.told = durable;
        self.session.handle(
            Input::Durable(durable),
            now(&self.handle),
            &mut self.effects,
        );
        self.calls();
        if let Some((lsn, reply)) = self.held_reply.take() {
            if lsn > durable {
                self.held_reply = Some((lsn, reply));
                return;
            }
            self.answered(reply);
        }
    }

    /// Encodes waiting deliveries until the write buffer is full.
    async fn deliver(&mut self) {
        while self.unwritten() < OUT_BYTES_FULL && self.effects.close.is_none() {
            self.deliveries.clear();
            match self.handle.prepare(&mut self.deliveries, OUT_BYTES_FULL) {
                Prepared::Nothing => return,
                Prepared::Wait(lsn) => {
                    self.held_delivery = Some(lsn);
                    return;
                }
                Prepared::Closed(link) => self.input(Input::LinkClosed(link)),
                Prepared::Reply(reply) => {
                    self.waits = false;
                    self.answered(reply);
                }
                Prepared::Job(job) => {
                    self.waits = false;
                    self.job = Some(job.start());
                }
                Prepared::Deliver => {
                    let deliveries = std::mem::take(&mut self.deliveries);
                    self.input(Input::Deliver(&deliveries));
                    self.handle.delivered(&deliveries);
                    self.deliveries = deliveries;
                    self.deliveries.clear();
                }
                Prepared::Read(job) => {
                    let read = bongsu_broker::aside(move || job.run()).await;
                    match read {
                        Ok(read) => self.handle.have_read(read),
                        Err(_) => self.effects.close = Some(Close::Now),
                    }
                }
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        if self.effects.attached.is_empty() {
            while self.written < self.effects.out.len() {
                match self.stream.try_write(&self.effects.out[self.written..]) {
                    Ok(count) => {
                        self.written += count;
                        self.shared.traffic.wrote(count);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        } else {
            while self.unwritten() > 0 {
                let at = (self.written, self.attached_written, self.attached_at);
                let slices = slices(&self.effects, at);
                match self.stream.try_write_vectored(&slices) {
                    Ok(count) => {
                        self.advance(count);
                        self.shared.traffic.wrote(count);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        }
        self.stream.try_flush()?;
        self.effects.out.clear();
        self.effects.attached.clear();
        self.written = 0;
        self.attached_written = 0;
        self.attached_at = 0;
        Ok(())
    }

    /// So many bytes of [`slices`] were written.
    fn advance(&mut self, count: usize) {
        let mut left = count;
        while left > 0 {
            let next = self.effects.attached.get(self.attached_written);
            let until = next.map_or(self.effects.out.len(), |attached| attached.at);
            let own = left.min(until - self.written);
            self.written += own;
            left -= own;
            let Some(attached) = next.filter(|_| left > 0) else {
                continue;
            };
            let rest = attached.bytes.len() - self.attached_at;
            let step = left.min(rest);
            left -= step;
            self.attached_at += step;
            if step == rest {
                self.attached_written += 1;
                self.attached_at = 0;
            }
        }
    }

    /// An idle connection keeps no buffers to speak of.
    fn shrink(&mut self) {
        if self.unwritten() == 0 {
            self.effects.out.shrink_to(IDLE_CAPACITY_BYTES);
            self.effects.attached.shrink_to(0);
        }
        self.carry.shrink_to(IDLE_CAPACITY_BYTES);
        self.deliveries.shrink_to(0);
    }
}

/// What is to be written next, in order: behind so many bytes of `out`, so many attached
/// ones, and so many bytes of the next.
fn slices(effects: &Effects, (written, attached, skip): (usize, usize, usize)) -> Vec<IoSlice<'_>> {
    let out = &effects.out;
    let mut slices = Vec::with_capacity(SLICES_MAX);
    let (mut at, mut skip) = (written, skip);
    for attached in &effects.attached[attached..] {
        if slices.len() + 2 > SLICES_MAX {
            return slices;
        }
        if attached.at > at {
            slices.push(IoSlice::new(&out[at..attached.at]));
            at = attached.at;
        }
        slices.push(IoSlice::new(&attached.bytes[skip..]));
        skip = 0;
    }
    if at < out.len() {
        slices.push(IoSlice::new(&out[at..]));
    }
    slices
}

/// Whether these begin a TLS handshake: a record of that kind, of any version. No protocol
/// of ours begins so.
fn is_hello(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x16, 0x03])
}

/// Also at once, if the broker stopped before this connection began to listen.
async fn stopped(stop: &mut bongsu_broker::Stopping) {
    if stop.wait_for(|on| *on).await.is_err() {
        pending::<()>().await;
    }
}

/// The answer that a job has worked out; `None` if it panicked.
async fn done(job: &mut Option<JoinHandle<Reply>>) -> Option<Reply> {
    match job {
        Some(running) => {
            let reply = running.await;
            *job = None;
            reply.ok()
        }
        None => pending().await,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => pending().await,
    }
}

/// The runtime's, which a simulation makes go as it likes.
fn instant() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn now(handle: &SessionHandle) -> Now {
    Now {
        instant: instant(),
        unix_ms: i64::try_from(handle.broker().now_ms()).unwrap_or(i64::MAX),
    }
}

/// After a read of at least so much, others get their turn.
const LARGE_READ_BYTES: usize = 32 * 1024;
/// Longest that is waited for the end of a login: a year.
const LOGIN_MS_MAX: u64 = 365 * 24 * 60 * 60 * 1000;
/// How soon a slowed publisher looks whether it may go on.
const SLOWED_TICK: Duration = Duration::from_millis(5);
/// Parts of one write.
const SLICES_MAX: usize = 64;
