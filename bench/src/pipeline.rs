//! Publishing where answers come in the order of requests, one each: NATS' and Redis' way.

use std::collections::VecDeque;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::Result;
use crate::client::{self, TICK, is_timeout};
use crate::histogram::Histogram;
use crate::run::Run;
use crate::wire::INPUT_BYTES;
use crate::workload::Flow;

/// A blocking socket with a read buffer: bytes in at the back, whole answers out at the front.
pub struct Line {
    /// With a read and a write timeout of `TICK`.
    pub socket: TcpStream,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Line {
    /// Connects.
    pub fn open(broker: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(broker)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(TICK))?;
        socket.set_write_timeout(Some(TICK))?;
        Ok(Self {
            socket,
            buffer: vec![0; INPUT_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
        })
    }

    /// Writes all of `bytes`.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        client::send(&mut self.socket, bytes)
    }

    /// Reads once, for at most a tick; says whether anything came.
    pub fn receive(&mut self) -> Result<bool> {
        self.make_room();
        match self.socket.read(&mut self.buffer[self.end..]) {
            Ok(0) => Err("broker closed the connection without a word".into()),
            Ok(count) => {
                self.end += count;
                Ok(true)
            }
            Err(error) if is_timeout(error.kind()) => Ok(false),
            Err(error) => Err(format!("read: {error}").into()),
        }
    }

    /// Reads what is there already.
    fn receive_ready(&mut self) -> Result<bool> {
        self.make_room();
        match recv(
            &self.socket,
            &mut self.buffer[self.end..],
            RecvFlags::DONTWAIT,
        ) {
            Ok((0, _)) => Err("broker closed the connection without a word".into()),
            Ok((count, _)) => {
                self.end += count;
                Ok(true)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(error) => Err(format!("read: {error}").into()),
        }
    }

    /// What was read and not yet used.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Says how much of it was used.
    pub fn used(&mut self, count: usize) {
        self.start += count;
    }

    fn make_room(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
    }

    /// Waits until `look` finds what it wants in the bytes read so far; it says how many it used.
    pub fn wait_for<T>(
        &mut self,
        mut look: impl FnMut(&[u8]) -> Result<Option<(usize, T)>>,
    ) -> Result<T> {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        loop {
            if let Some((used, found)) = look(self.bytes())? {
                self.used(used);
                return Ok(found);
            }
            if Instant::now() > deadline {
                return Err(format!("no answer in {ANSWER_TIMEOUT:?}").into());
            }
            self.receive()?;
        }
    }
}

/// Publishes copies of `message`. `answers` reads the answers at the front of some bytes: how many
/// there are, and how many bytes they take.
pub fn publish(
    line: &mut Line,
    message: &[u8],
    flow: &Flow,
    run: &Run,
    mut answers: impl FnMut(&[u8]) -> Result<(usize, u64)>,
) -> Result<Histogram> {
    let copies = (CHUNK_BYTES / message.len()).clamp(1, flow.window);
    let chunk = message.repeat(copies);
    let mut times = Histogram::new();
    // When writes were made, and how many messages of each wait.
    let mut on_way: VecDeque<(u64, u64)> = VecDeque::new();
    let (mut sent, mut waiting) = (0_u64, 0_u64);
    let mut last_moved = Instant::now();
    loop {
        let left = match run.publishing() {
            true => flow.count.map_or(u64::MAX, |count| count - sent),
            false => 0,
        };
        let free = (flow.window as u64 - waiting).min(left).min(copies as u64);
        if free > 0 {
            on_way.push_back((run.now(), free));
            run.add_sent(free as usize);
            line.send(&chunk[..free as usize * message.len()])?;
            sent += free;
            waiting += free;
        } else if waiting == 0 {
            return Ok(times);
        }
        let more = waiting < flow.window as u64 && left > free;
        let came = match more {
            true => line.receive_ready()?,
            false => line.receive()?,
        };
        if !came {
            if last_moved.elapsed() > ANSWER_TIMEOUT {
                return Err(format!("{waiting} publishes unanswered in {ANSWER_TIMEOUT:?}").into());
            }
            continue;
        }
        last_moved = Instant::now();
        let (used, answered) = answers(line.bytes())?;
        line.used(used);
        run.add_confirmed(answered);
        waiting = waiting
            .checked_sub(answered)
            .ok_or("more answers than publishes")?;
        let (now, measuring) = (run.now(), run.measuring());
        let mut rest = answered;
        while let Some((at, count)) = on_way.front_mut().filter(|_| rest > 0) {
            let taken = rest.min(*count);
            if measuring {
                (0..taken).for_each(|_| times.record(now - *at));
            }
            rest -= taken;
            *count -= taken;
            if *count == 0 {
                on_way.pop_front();
            }
        }
    }
}

const CHUNK_BYTES: usize = 128 * 1024;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
