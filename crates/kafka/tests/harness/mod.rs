//! A session between a client's bytes and a broker that answers as it likes: what tests and
//! fuzz targets share. No socket, no clock, and the same bytes give the same answers.
//!
//! The broker appends what it is given to one log, which every partition reads; each third
//! batch it refuses. Families of calls that it does not know it refuses, or answers as if it
//! had misunderstood: a session survives that too, or ends.

#![allow(dead_code, reason = "each test and fuzz target uses what it needs")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bongsu_engine::Refused;
use bongsu_engine::access;
use bongsu_engine::session::records::{
    AppendRefused, Appended, FetchRefused, FetchedPart, FoundOffset, PartitionRefused,
};
use bongsu_engine::session::{Call, Effects, Input, Now, Reply, Session as _};
use bongsu_kafka::{Session, Settings};
use bongsu_record::{Batch, Lsn, Offset};

/// What a conversation came to.
#[derive(Debug, Default, PartialEq)]
pub struct Transcript {
    /// Calls, by what they are.
    pub calls: Vec<String>,
    pub out: Vec<u8>,
    pub closed: bool,
}

/// No panic, answers bounded, and the same however the bytes are cut: what any input whatever
/// must pass. The first byte says where to cut.
pub fn check(bytes: &[u8]) {
    let whole = run(bytes, []);
    assert!(whole.out.len() <= (1 << 20) + 1024 * bytes.len());
    let at = bytes
        .first()
        .map_or(0, |first| usize::from(*first) * bytes.len() / 256);
    assert_eq!(run(bytes, [at]), whole, "cut at {at}");
}

/// Runs a whole conversation, its bytes cut at `cuts`.
pub fn run(bytes: &[u8], cuts: impl IntoIterator<Item = usize>) -> Transcript {
    let mut world = World::new();
    let mut from = 0;
    for cut in cuts {
        let cut = cut.clamp(from, bytes.len());
        world.bytes(&bytes[from..cut]);
        from = cut;
    }
    world.bytes(&bytes[from..]);
    world.transcript
}

/// A session and all around it.
pub struct World {
    pub session: Session,
    pub now: Now,
    pub effects: Effects,
    pub transcript: Transcript,
    log: Vec<(Offset, Batch)>,
    end: u64,
    lsn: u64,
}

impl World {
    pub fn new() -> World {
        // Only differences from it matter.
        #[allow(clippy::disallowed_methods, reason = "there is no other instant")]
        let instant = Instant::now();
        World {
            session: Session::new(settings(), 7, instant),
            now: Now {
                instant,
                unix_ms: 1_700_000_000_000,
            },
            effects: Effects::default(),
            transcript: Transcript::default(),
            log: Vec::new(),
            end: 0,
            lsn: 0,
        }
    }

    /// As the connection's driver does it.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() && !self.transcript.closed {
            let used = self.input(Input::Bytes(rest));
            assert!(used > 0 && used <= rest.len(), "it takes what it is given");
            rest = &rest[used..];
        }
    }

    pub fn input(&mut self, input: Input<'_>) -> usize {
        let used = self.session.handle(input, self.now, &mut self.effects);
        self.take();
        while let Some(call) = self.effects.call.take() {
            let reply = self.answer(call);
            let reply = Input::Reply(reply);
            self.session.handle(reply, self.now, &mut self.effects);
            self.take();
        }
        if self.lsn > 0 {
            let durable = Input::Durable(Lsn(self.lsn));
            self.session.handle(durable, self.now, &mut self.effects);
            self.take();
        }
        used
    }

    fn take(&mut self) {
        let mut from = 0;
        for attached in self.effects.attached.drain(..) {
            let out = &self.effects.out;
            self.transcript.out.extend(&out[from..attached.at]);
            self.transcript.out.extend(&attached.bytes);
            from = attached.at;
        }
        self.transcript.out.extend(&self.effects.out[from..]);
        self.effects.out.clear();
        self.transcript.closed |= self.effects.close.take().is_some();
    }

    fn answer(&mut self, call: Call) -> Reply {
        let name = format!("{call:?}");
        let name = name.split(['(', ' ']).next().unwrap_or_default().to_owned();
        self.transcript.calls.push(name);
        match call {
            Call::LoginAnonymous | Call::EnterSpace { .. } | Call::AwaitDurable(_) => Reply::Done,
            Call::Login { user, .. } if user != "wrong" => Reply::Done,
            Call::Access(request) => match *request {
                access::Request::ScramBegin { .. } => {
                    Reply::Access(Box::new(access::Answer::ScramBegun {
                        salt: b"salt".to_vec(),
                        iterations: 4096,
                        nonce: "nonce".to_owned(),
                    }))
                }
                access::Request::ScramEnd { proof, .. } if proof.len() % 2 == 0 => {
                    Reply::Access(Box::new(access::Answer::ScramEnded {
                        server_signature: proof,
                    }))
                }
                access::Request::AlterCredentials { changes } => {
                    let done = changes.into_iter().map(|change| (change.user, Ok(())));
                    Reply::Access(Box::new(access::Answer::Altered(done.collect())))
                }
                access::Request::AddAcls(acls) => {
                    let done = acls.iter().map(|_| Ok(()));
                    Reply::Access(Box::new(access::Answer::AclsAdded(done.collect())))
                }
                _ => Reply::Access(Box::new(access::Answer::Acls(Ok(Vec::new())))),
            },
            Call::Append(request) => {
                let results = request.appends.iter().map(|append| {
                    self.end += u64::from(append.batch.offset_count());
                    if self.end.is_multiple_of(3) {
                        return Err(AppendRefused::Malformed);
                    }
                    let base = Offset(self.end);
                    if self.log.len() < LOG_BATCHES_MAX {
                        self.log.push((base, append.batch.clone()));
                    }
                    Ok(Appended {
                        base: Some(base),
                        stamped_ms: None,
                        start: Offset(0),
                    })
                });
                let results = results.collect();
                self.lsn += 1;
                Reply::Appended {
                    throttle_ms: 0,
                    wait: Some(Lsn(self.lsn)),
                    results,
                }
            }
            Call::Fetch(request) => {
                // Records once, whatever is asked: answers stay in proportion.
                let mut batches = std::mem::take(&mut self.log);
                let parts = request.parts.iter().map(|part| FetchedPart {
                    refused: (part.partition > 9)
                        .then_some(FetchRefused::Partition(PartitionRefused::Unknown)),
                    start: Offset(0),
                    durable_end: Offset(self.end),
                    stable: Offset(self.end),
                    aborted: vec![(1, Offset(2))],
                    batches: std::mem::take(&mut batches),
                });
                Reply::Fetched(parts.collect())
            }
            Call::Offsets(request) => {
                let found = request.parts.iter().map(|part| match part.partition {
                    0 => Ok(FoundOffset {
                        offset: Some(Offset(self.end)),
                        timestamp_ms: None,
                    }),
                    _ => Err(FetchRefused::OutOfRange),
                });
                Reply::Offsets(found.collect())
            }
            _ if self.transcript.calls.len().is_multiple_of(2) => Reply::Done,
            _ => Reply::Refused(Refused::Login {
                user: String::new(),
            }),
        }
    }
}

/// What a session is told in tests.
pub fn settings() -> Arc<Settings> {
    Arc::new(Settings {
        node_id: 1,
        advertised_host: "localhost".to_owned(),
        advertised_port: 9092,
        request_bytes_max: REQUEST_BYTES_MAX,
        decompressed_bytes_max: 1 << 20,
        idle: Duration::from_secs(60),
        space: "/".to_owned(),
        configs: Arc::new([]),
    })
}

/// Largest request in tests.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;
const LOG_BATCHES_MAX: usize = 100;
