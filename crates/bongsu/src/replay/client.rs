//! As much of an AMQP 0-9-1 client as a replay needs: one connection, blocking, on the
//! broker's own codec.
//!
//! What is sent is gathered and goes out before the client waits for the broker, so that
//! a hundred publishes are one write. Heartbeats are declined: a replay with a low rate
//! has nothing to say for a while, and a broker that is gone ends the connection.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use bongsu_amqp091::codec::content::BASIC;
use bongsu_amqp091::codec::frame::{self, BODY, HEADER, METHOD, OVERHEAD_BYTES};
use bongsu_amqp091::codec::method::Method;
use bongsu_amqp091::codec::wire::{Field as _, Long, Reader, Table};
use bongsu_record::{Arguments, Value, table};

use super::url::Url;
use crate::cli::failure::Failure;

/// Why a conversation ended.
#[derive(Debug)]
pub enum ClientError {
    /// Nobody answers at the address.
    Unreachable(String, io::Error),
    /// The network.
    Io(io::Error),
    /// The broker closed connection or channel: code and text.
    Refused(u16, String),
    /// What the broker sent is no AMQP, or not what it owes.
    Unexpected(String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Unreachable(address, error) => {
                write!(f, "cannot reach the broker at {address}: {error}")
            }
            ClientError::Io(error) => write!(f, "the connection to the broker: {error}"),
            ClientError::Refused(code, text) => write!(f, "the broker refused: {code} {text}"),
            ClientError::Unexpected(what) => write!(f, "the broker answered with {what}"),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        let text = error.to_string();
        match error {
            ClientError::Refused(403, _) => Failure::Refused(text),
            ClientError::Refused(404, _) => Failure::NotFound(text),
            ClientError::Unreachable(..) => Failure::Connect(text),
            _ => Failure::Failed(text),
        }
    }
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> ClientError {
        ClientError::Io(error)
    }
}

/// What the broker sends on its own.
#[derive(Debug)]
pub enum Event {
    /// A message of the consumer.
    Deliver(Delivered),
    /// The consumer was handed all there is.
    Finished,
    /// The broker has these publishes, up to and with the number if `multiple`.
    Confirmed { number: u64, multiple: bool },
    /// The broker refused a publish.
    Unconfirmed,
    /// No queue took a publish: code and text.
    Returned(u16, String),
}

/// A message as it arrived.
#[derive(Debug, Default)]
pub struct Delivered {
    pub tag: u64,
    pub exchange: String,
    pub routing_key: String,
    pub redelivered: bool,
    /// Its properties: what stands behind the body size of a content header.
    pub block: Vec<u8>,
    pub body: Vec<u8>,
}

/// One connection with two channels: [`READ`] and [`WRITE`].
pub struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    /// Bytes at the front of the input that were used.
    used: usize,
    output: Vec<u8>,
    frame_bytes_max: usize,
    /// A message of which not all has arrived, and the bytes its body will have.
    partial: Option<(Delivered, u64)>,
    /// Part of a message that was returned, not looked at.
    skipping: bool,
}

impl Client {
    /// Connects, logs in, opens both channels.
    pub fn connect(url: &Url) -> Result<Client, ClientError> {
        let unreachable = |error| ClientError::Unreachable(url.address.clone(), error);
        let stream = TcpStream::connect(&url.address).map_err(unreachable)?;
        stream.set_nodelay(true)?;
        let mut client = Client {
            stream,
            input: Vec::new(),
            used: 0,
            output: b"AMQP\x00\x00\x09\x01".to_vec(),
            frame_bytes_max: FRAME_BYTES_MAX,
            partial: None,
            skipping: false,
        };
        client.shake_hands(url)?;
        for channel in [READ, WRITE] {
            client.send(channel, &Method::ChannelOpen { reserved: "" });
            client.expect("channel.open-ok", |method| {
                matches!(method, Method::ChannelOpenOk { .. }).then_some(())
            })?;
        }
        Ok(client)
    }

    fn shake_hands(&mut self, url: &Url) -> Result<(), ClientError> {
        self.expect("connection.start", |method| {
            matches!(method, Method::ConnectionStart { .. }).then_some(())
        })?;
        let mut properties = Vec::new();
        let on = || Value::Bool(true);
        let capabilities = [
            "authentication_failure_close",
            "basic.nack",
            "consumer_cancel_notify",
            "publisher_confirms",
        ];
        let capabilities = capabilities.map(|name| (name.to_owned(), on()));
        let own = Arguments::from([
            (
                "product".to_owned(),
                Value::Text("bongsu replay".to_owned()),
            ),
            ("capabilities".to_owned(), Value::Map(capabilities.into())),
        ]);
        table::encode(&own, &mut properties);
        let login = format!("\0{}\0{}", url.user, url.password);
        self.send(
            0,
            &Method::ConnectionStartOk {
                properties: Table(&properties),
                mechanism: "PLAIN",
                response: Long(login.as_bytes()),
                locale: "en_US",
            },
        );
        let (channel_max, frame_max) = self.expect("connection.tune", |method| match method {
            Method::ConnectionTune {
                channel_max,
                frame_max,
                ..
            } => Some((channel_max, frame_max)),
            _ => None,
        })?;
        let frame_max = match frame_max {
            0 => FRAME_BYTES_MAX as u32,
            theirs => theirs.min(FRAME_BYTES_MAX as u32),
        };
        self.frame_bytes_max = frame_max as usize;
        self.send(
            0,
            &Method::ConnectionTuneOk {
                channel_max,
                frame_max,
                heartbeat: 0,
            },
        );
        self.send(
            0,
            &Method::ConnectionOpen {
                virtual_host: &url.virtual_host,
                reserved: "",
                bits: 0,
            },
        );
        self.expect("connection.open-ok", |method| {
            matches!(method, Method::ConnectionOpenOk { .. }).then_some(())
        })
    }

    /// Refused unless there is such a queue.
    pub fn find_queue(&mut self, queue: &str) -> Result<(), ClientError> {
        let declare = Method::QueueDeclare {
            ticket: 0,
            queue,
            bits: bongsu_amqp091::codec::method::bit::PASSIVE,
            arguments: Table(&NO_ARGUMENTS),
        };
        self.send(WRITE, &declare);
        self.expect("queue.declare-ok", |method| {
            matches!(method, Method::QueueDeclareOk { .. }).then_some(())
        })
    }

    /// Asks for confirms of what is published.
    pub fn confirm(&mut self) -> Result<(), ClientError> {
        self.send(WRITE, &Method::ConfirmSelect { bits: 0 });
        self.expect("confirm.select-ok", |method| {
            matches!(method, Method::ConfirmSelectOk {}).then_some(())
        })
    }

    /// Begins to read a queue, `credit` messages ahead of what is acknowledged.
    pub fn consume(
        &mut self,
        queue: &str,
        credit: u16,
        arguments: &Arguments,
    ) -> Result<(), ClientError> {
        let qos = Method::BasicQos {
            prefetch_size: 0,
            prefetch_count: credit,
            bits: 0,
        };
        self.send(READ, &qos);
        self.expect("basic.qos-ok", |method| {
            matches!(method, Method::BasicQosOk {}).then_some(())
        })?;
        let mut encoded = Vec::new();
        table::encode(arguments, &mut encoded);
        let consume = Method::BasicConsume {
            ticket: 0,
            queue,
            consumer_tag: "replay",
            bits: 0,
            arguments: Table(&encoded),
        };
        self.send(READ, &consume);
        self.expect("basic.consume-ok", |method| {
            matches!(method, Method::BasicConsumeOk { .. }).then_some(())
        })
    }

    /// Acknowledges all deliveries up to the tag.
    pub fn acknowledge(&mut self, delivery_tag: u64) {
        let bits = bongsu_amqp091::codec::method::bit::MULTIPLE;
        self.send(READ, &Method::BasicAck { delivery_tag, bits });
    }

    /// Publishes to a queue by its name.
    pub fn publish(&mut self, queue: &str, block: &[u8], body: &[u8]) {
        let publish = Method::BasicPublish {
            ticket: 0,
            exchange: "",
            routing_key: queue,
            bits: bongsu_amqp091::codec::method::bit::MANDATORY,
        };
        self.send(WRITE, &publish);
        frame::write(HEADER, WRITE, &mut self.output, |out| {
            BASIC.write(out);
            0_u16.write(out);
            (body.len() as u64).write(out);
            out.extend_from_slice(block);
        });
        for part in body.chunks(self.frame_bytes_max - OVERHEAD_BYTES) {
            frame::write(BODY, WRITE, &mut self.output, |out| {
                out.extend_from_slice(part);
            });
        }
    }

    /// What the broker sends next. Sends what was gathered before it waits.
    pub fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            let Some((kind, range)) = self.whole_frame()? else {
                self.fill()?;
                continue;
            };
            if let Some(event) = self.take(kind, range)? {
                return Ok(event);
            }
        }
    }

    /// Says goodbye and waits until the broker has heard all.
    pub fn close(mut self) -> Result<(), ClientError> {
        let close = Method::ConnectionClose {
            code: 200,
            text: "done",
            class: 0,
            method: 0,
        };
        self.send(0, &close);
        loop {
            match self.expect_method()? {
                Some(payload) if payload.starts_with(&CLOSE_OK) => return Ok(()),
                _ => {}
            }
        }
    }

    fn send(&mut self, channel: u16, method: &Method<'_>) {
        method.write(channel, &mut self.output);
    }

    /// Sends what was gathered.
    pub fn flush(&mut self) -> Result<(), ClientError> {
        self.stream.write_all(&self.output)?;
        self.output.clear();
        Ok(())
    }

    /// Whether enough was gathered to be sent before more is.
    pub fn is_full(&self) -> bool {
        self.output.len() >= OUTPUT_BYTES
    }

    fn fill(&mut self) -> Result<(), ClientError> {
        self.flush()?;
        self.input.drain(..self.used);
        self.used = 0;
        let before = self.input.len();
        self.input.resize(before + READ_BYTES, 0);
        let read = self.stream.read(&mut self.input[before..]);
        let count = *read.as_ref().unwrap_or(&0);
        self.input.truncate(before + count);
        match read? {
            0 => Err(ClientError::Io(io::ErrorKind::UnexpectedEof.into())),
            _ => Ok(()),
        }
    }

    /// The frame at the front of the input: its kind, and where its payload stands.
    fn whole_frame(&mut self) -> Result<Option<(u8, std::ops::Range<usize>)>, ClientError> {
        let rest = &self.input[self.used..];
        // What is agreed on is the whole frame; the codec counts its payload.
        let scanned = frame::scan(rest, FRAME_BYTES_MAX)
            .map_err(|malformed| ClientError::Unexpected(format!("no frame: {malformed:?}")))?;
        let Some((frame, bytes)) = scanned else {
            return Ok(None);
        };
        let start = self.used + bytes - 1 - frame.payload.len();
        let place = start..start + frame.payload.len();
        let kind = frame.kind;
        self.used += bytes;
        Ok(Some((kind, place)))
    }

    fn take(
        &mut self,
        kind: u8,
        place: std::ops::Range<usize>,
    ) -> Result<Option<Event>, ClientError> {
        let payload = &self.input[place];
        match kind {
            METHOD => {
                let method = decode(payload)?;
                match event(&method)? {
                    Taken::Event(event) => return Ok(Some(event)),
                    Taken::Delivery(delivered) => self.partial = Some((delivered, 0)),
                    Taken::Returned(event) => {
                        self.skipping = true;
                        return Ok(Some(event));
                    }
                    Taken::Nothing => {}
                }
            }
            HEADER if self.skipping => {}
            HEADER => {
                let Some((delivered, body_bytes)) = &mut self.partial else {
                    return Err(unexpected("content of nothing"));
                };
                let mut reader = Reader::new(payload);
                let front = reader
                    .take(4)
                    .and_then(|_| u64::read(&mut reader))
                    .map_err(|_| unexpected("a short content header"))?;
                *body_bytes = front;
                delivered.block = reader.rest().to_vec();
            }
            BODY if self.skipping => {}
            BODY => {
                let Some((delivered, _)) = &mut self.partial else {
                    return Err(unexpected("a body of nothing"));
                };
                delivered.body.extend_from_slice(payload);
            }
            _ => {}
        }
        let is_whole = |partial: &(Delivered, u64)| {
            !partial.0.block.is_empty() && partial.0.body.len() as u64 >= partial.1
        };
        if self.partial.as_ref().is_some_and(is_whole) {
            let whole = self.partial.take().map(|(delivered, _)| delivered);
            return Ok(whole.map(Event::Deliver));
        }
        Ok(None)
    }

    /// Waits for one answer; what else comes meanwhile is not for us yet.
    fn expect<T>(
        &mut self,
        name: &str,
        answer: impl Fn(Method<'_>) -> Option<T>,
    ) -> Result<T, ClientError> {
        loop {
            let Some(payload) = self.expect_method()? else {
                continue;
            };
            let method = decode(&payload)?;
            if let Taken::Nothing = event(&method)? {
                let found = method.name();
                if let Some(answer) = answer(method) {
                    return Ok(answer);
                }
                return Err(unexpected(&format!("{found} in place of {name}")));
            }
        }
    }

    fn expect_method(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            match self.whole_frame()? {
                Some((METHOD, place)) => return Ok(Some(self.input[place].to_vec())),
                Some(_) => return Ok(None),
                None => self.fill()?,
            }
        }
    }
}

/// What a method means to us.
enum Taken {
    Event(Event),
    /// Content follows.
    Delivery(Delivered),
    /// Content follows that nobody wants.
    Returned(Event),
    Nothing,
}

fn event(method: &Method<'_>) -> Result<Taken, ClientError> {
    let multiple = |bits: u8| bits & bongsu_amqp091::codec::method::bit::MULTIPLE != 0;
    Ok(match *method {
        Method::BasicDeliver {
            delivery_tag,
            bits,
            exchange,
            routing_key,
            ..
        } => Taken::Delivery(Delivered {
            tag: delivery_tag,
            exchange: exchange.to_owned(),
            routing_key: routing_key.to_owned(),
            redelivered: bits & REDELIVERED != 0,
            ..Delivered::default()
        }),
        Method::BasicAck { delivery_tag, bits } => Taken::Event(Event::Confirmed {
            number: delivery_tag,
            multiple: multiple(bits),
        }),
        Method::BasicNack { .. } => Taken::Event(Event::Unconfirmed),
        Method::BasicCancel { .. } => Taken::Event(Event::Finished),
        Method::BasicReturn { code, text, .. } => {
            Taken::Returned(Event::Returned(code, text.to_owned()))
        }
        Method::ChannelClose { code, text, .. } | Method::ConnectionClose { code, text, .. } => {
            return Err(ClientError::Refused(code, text.to_owned()));
        }
        _ => Taken::Nothing,
    })
}

fn decode(payload: &[u8]) -> Result<Method<'_>, ClientError> {
    Method::decode(payload)
        .map_err(|malformed| unexpected(&format!("a malformed method: {malformed:?}")))
}

fn unexpected(what: &str) -> ClientError {
    ClientError::Unexpected(what.to_owned())
}

/// The channel that reads.
pub const READ: u16 = 1;
/// The channel that publishes, so that its refusals and confirms stand apart.
pub const WRITE: u16 = 2;

/// Bit of a delivery.
const REDELIVERED: u8 = 1;
const FRAME_BYTES_MAX: usize = 131_072;
const READ_BYTES: usize = 256 << 10;
const OUTPUT_BYTES: usize = 256 << 10;
const NO_ARGUMENTS: [u8; 4] = [0; 4];
/// connection.close-ok
const CLOSE_OK: [u8; 4] = [0, 10, 0, 51];
