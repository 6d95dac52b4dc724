//! One blocking AMQP connection with one channel: the handshake, and the calls that set a case up.
//! Publishing and consuming drive `socket` and `input` themselves.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::{self, AddressFamily, SocketType};

use crate::Result;
use crate::wire::{self, Input, Method, MethodId, Table};

/// An open connection with channel 1 open on it.
pub struct Client {
    /// Blocking, with a read and a write timeout of `TICK`.
    pub socket: TcpStream,
    /// What was read and not yet looked at.
    pub input: Input,
}

impl Client {
    /// Connects, logs in as guest to vhost "/" and opens channel 1. No heartbeats.
    pub fn connect(broker: SocketAddr) -> Result<Self> {
        Self::connect_buffered(broker, wire::INPUT_BYTES)
    }

    /// Same, with a read buffer of `input_bytes`.
    pub fn connect_buffered(broker: SocketAddr, input_bytes: usize) -> Result<Self> {
        let socket = TcpStream::connect_timeout(&broker, ANSWER_TIMEOUT)
            .map_err(|error| format!("connect to {broker}: {error}"))?;
        Self::open(socket, input_bytes)
    }

    /// Same, from one of this machine's addresses.
    pub fn connect_from(broker: SocketAddr, source: Ipv4Addr) -> Result<Self> {
        let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        net::bind(&socket, &SocketAddr::from((source, 0)))?;
        net::connect(&socket, &broker)
            .map_err(|error| format!("connect from {source}: {error}"))?;
        Self::open(socket.into(), 0)
    }

    fn open(socket: TcpStream, input_bytes: usize) -> Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(TICK))?;
        socket.set_write_timeout(Some(TICK))?;
        let mut client = Self {
            socket,
            input: Input::new(input_bytes),
        };

        client.send(wire::PROTOCOL_HEADER)?;
        client.answer(wire::CONNECTION_START)?;
        client.send(
            &Method::new(0, wire::CONNECTION_START_OK)
                .empty_table()
                .shortstr("PLAIN")
                .longstr(b"\0guest\0guest")
                .shortstr("en_US")
                .finish(),
        )?;
        let tune = client.answer(wire::CONNECTION_TUNE)?;
        if tune.len() < 8 {
            return Err(wire::Malformed::Truncated.into());
        }
        let frame_bytes_max = match wire::u32_at(&tune, 2) {
            0 => wire::FRAME_BYTES_MAX,
            offered => offered.min(wire::FRAME_BYTES_MAX),
        };
        client.send(
            &Method::new(0, wire::CONNECTION_TUNE_OK)
                .short(wire::u16_at(&tune, 0))
                .long(frame_bytes_max)
                .short(0)
                .finish(),
        )?;
        client.call(
            wire::CONNECTION_OPEN,
            Method::new(0, wire::CONNECTION_OPEN)
                .shortstr("/")
                .shortstr("")
                .octet(0),
        )?;
        client.call(
            wire::CHANNEL_OPEN,
            Method::new(CHANNEL, wire::CHANNEL_OPEN).shortstr(""),
        )?;
        Ok(client)
    }

    /// Declares a queue.
    pub fn declare_queue(
        &mut self,
        name: &str,
        durable: bool,
        arguments: &Table<'_>,
    ) -> Result<()> {
        let request = declaration(name, durable, false, arguments);
        self.call(wire::QUEUE_DECLARE, request)
    }

    /// Declares many queues, `ROUND_TRIP_COUNT` a round trip.
    pub fn declare_queues(&mut self, names: &[String], durable: bool) -> Result<()> {
        for names in names.chunks(ROUND_TRIP_COUNT) {
            let (last, others) = names.split_last().expect("chunks are never empty");
            let requests: Vec<u8> = others
                .iter()
                .flat_map(|name| declaration(name, durable, true, &[]).finish())
                .collect();
            self.send(&requests)?;
            self.declare_queue(last, durable, &[])?;
        }
        Ok(())
    }

    /// Fails unless the queue exists.
    pub fn check_queue(&mut self, name: &str) -> Result<()> {
        let request = Method::new(CHANNEL, wire::QUEUE_DECLARE)
            .short(0)
            .shortstr(name)
            .octet(PASSIVE)
            .empty_table();
        self.call(wire::QUEUE_DECLARE, request)
    }

    /// Declares a durable exchange.
    pub fn declare_exchange(
        &mut self,
        name: &str,
        kind: &str,
        arguments: &Table<'_>,
    ) -> Result<()> {
        let request = Method::new(CHANNEL, wire::EXCHANGE_DECLARE)
            .short(0)
            .shortstr(name)
            .shortstr(kind)
            .octet(DURABLE)
            .table(arguments);
        self.call(wire::EXCHANGE_DECLARE, request)
    }

    /// Binds a queue to an exchange.
    pub fn bind(&mut self, queue: &str, exchange: &str, routing_key: &str) -> Result<()> {
        let request = Method::new(CHANNEL, wire::QUEUE_BIND)
            .short(0)
            .shortstr(queue)
            .shortstr(exchange)
            .shortstr(routing_key)
            .octet(0)
            .empty_table();
        self.call(wire::QUEUE_BIND, request)
    }

    /// Deletes a queue and what is in it.
    pub fn delete_queue(&mut self, name: &str) -> Result<()> {
        let request = Method::new(CHANNEL, wire::QUEUE_DELETE)
            .short(0)
            .shortstr(name)
            .octet(0);
        self.call(wire::QUEUE_DELETE, request)
    }

    /// Deletes an exchange.
    pub fn delete_exchange(&mut self, name: &str) -> Result<()> {
        let request = Method::new(CHANNEL, wire::EXCHANGE_DELETE)
            .short(0)
            .shortstr(name)
            .octet(0);
        self.call(wire::EXCHANGE_DELETE, request)
    }

    /// Turns publisher confirms on.
    pub fn select_confirms(&mut self) -> Result<()> {
        self.call(
            wire::CONFIRM_SELECT,
            Method::new(CHANNEL, wire::CONFIRM_SELECT).octet(0),
        )
    }

    /// Turns transactions on.
    pub fn select_transactions(&mut self) -> Result<()> {
        self.call(wire::TX_SELECT, Method::new(CHANNEL, wire::TX_SELECT))
    }

    /// Starts a consumer on each of `queues`, without waiting for answers: deliveries may come
    /// next. `prefetch` is each consumer's; 0 means that deliveries need no acknowledgement.
    pub fn consume(
        &mut self,
        queues: &[String],
        prefetch: u16,
        arguments: &Table<'_>,
    ) -> Result<()> {
        if prefetch > 0 {
            let request = Method::new(CHANNEL, wire::BASIC_QOS)
                .long(0)
                .short(prefetch)
                .octet(0);
            self.call(wire::BASIC_QOS, request)?;
        }
        let no_acknowledgement = u8::from(prefetch == 0) << 1;
        let mut requests = Vec::new();
        for (number, queue) in queues.iter().enumerate() {
            let request = Method::new(CHANNEL, wire::BASIC_CONSUME)
                .short(0)
                .shortstr(queue)
                .shortstr(&format!("bench{number}"))
                .octet(no_acknowledgement | CONSUME_NO_WAIT)
                .table(arguments);
            requests.extend(request.finish());
        }
        self.send(&requests)
    }

    /// Says goodbye. Deliveries still on their way are dropped.
    pub fn close(mut self) -> Result<()> {
        let request = Method::new(0, wire::CONNECTION_CLOSE)
            .short(200)
            .shortstr("done")
            .short(0)
            .short(0);
        self.call(wire::CONNECTION_CLOSE, request)
    }

    /// Sends a request and waits for its `-ok`, whose method number is the next one.
    fn call(&mut self, id: MethodId, request: Method) -> Result<()> {
        self.send(&request.finish())?;
        self.answer((id.0, id.1 + 1)).map(drop)
    }

    /// Writes all of `bytes`, in at most `ANSWER_TIMEOUT`.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        send(&mut self.socket, bytes)
    }

    /// Reads until the method `id` comes and returns its arguments. Other frames are dropped: only
    /// a closing consumer still gets some.
    pub fn answer(&mut self, id: MethodId) -> Result<Vec<u8>> {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        loop {
            while let Some(frame) = self.input.next_frame()? {
                let method = frame.method();
                if method == Some(id) {
                    return Ok(frame.payload[4..].to_vec());
                }
                if id != CONNECTION_CLOSE_OK {
                    refuse_close(method, frame.payload)?;
                }
            }
            self.receive()?;
            if Instant::now() > deadline {
                return Err(format!("no answer {id:?} in {ANSWER_TIMEOUT:?}").into());
            }
        }
    }

    /// Reads once, for at most `TICK`; says whether anything came.
    pub fn receive(&mut self) -> Result<bool> {
        match self.socket.read(self.input.space()) {
            Ok(0) => Err("broker closed the connection without a word".into()),
            Ok(count) => {
                self.input.filled(count);
                Ok(true)
            }
            Err(error) if is_timeout(error.kind()) => Ok(false),
            Err(error) => Err(format!("read: {error}").into()),
        }
    }
}

fn declaration(name: &str, durable: bool, no_wait: bool, arguments: &Table<'_>) -> Method {
    let durable = if durable { DURABLE } else { 0 };
    let no_wait = if no_wait { DECLARE_NO_WAIT } else { 0 };
    Method::new(CHANNEL, wire::QUEUE_DECLARE)
        .short(0)
        .shortstr(name)
        .octet(durable | no_wait)
        .table(arguments)
}

/// Writes all of `bytes`, resuming when the broker holds the connection back.
/// Bound: `ANSWER_TIMEOUT` without a byte taken.
pub fn send(socket: &mut TcpStream, mut bytes: &[u8]) -> Result<()> {
    let mut deadline = None;
    while !bytes.is_empty() {
        match socket.write(bytes) {
            Ok(count) => {
                bytes = &bytes[count..];
                deadline = None;
            }
            Err(error) if is_timeout(error.kind()) => {
                if Instant::now() > *deadline.get_or_insert(Instant::now() + ANSWER_TIMEOUT) {
                    return Err(format!("broker took no byte in {ANSWER_TIMEOUT:?}").into());
                }
            }
            Err(error) => return Err(format!("write: {error}").into()),
        }
    }
    Ok(())
}

/// An error with the broker's own words, if `method` closes the channel or the connection.
pub fn refuse_close(method: Option<MethodId>, payload: &[u8]) -> Result<()> {
    let Some(id @ (wire::CONNECTION_CLOSE | wire::CHANNEL_CLOSE)) = method else {
        return Ok(());
    };
    let what = if id == wire::CONNECTION_CLOSE {
        "connection"
    } else {
        "channel"
    };
    let code = if payload.len() >= 6 {
        wire::u16_at(payload, 4)
    } else {
        0
    };
    let length = usize::from(payload.get(6).copied().unwrap_or(0));
    let text = payload.get(7..7 + length).unwrap_or_default();
    Err(format!(
        "broker closed the {what}: {code} {}",
        String::from_utf8_lossy(text)
    )
    .into())
}

/// A read or write that only ran out of its tick.
pub fn is_timeout(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// The one channel of each connection.
pub const CHANNEL: u16 = 1;
/// How long a thread may sleep in the kernel before it looks whether to stop.
pub const TICK: Duration = Duration::from_millis(100);

const CONNECTION_CLOSE_OK: MethodId = (10, 51);
const PASSIVE: u8 = 0b1;
const DURABLE: u8 = 0b10;
const DECLARE_NO_WAIT: u8 = 0b1_0000;
const CONSUME_NO_WAIT: u8 = 0b1000;
const ROUND_TRIP_COUNT: usize = 500;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
