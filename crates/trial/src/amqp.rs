//! A client of AMQP 0-9-1, as little as a ledger needs: it writes what it is told, reads what
//! comes, keeps its heart beating and gives up a connection that says nothing.

use std::time::Duration;

use bongsu_amqp091::codec::frame::{self, Frame};
use bongsu_amqp091::codec::method::Method;
use bongsu_amqp091::codec::wire::{Field, Long, Table};
use bongsu_net::pipe::End;
use bongsu_record::blocks::amqp091;
use tokio::time::{Instant, sleep_until};

/// An empty table: as much as is mostly said.
pub const NO_ARGUMENTS: Table<'static> = Table(&[0; 4]);

/// The connection is gone, or as good as gone.
#[derive(Clone, Copy, Debug)]
pub struct Gone;

/// A frame that came, but for heartbeats.
#[derive(Clone, Debug)]
pub struct Came {
    /// Method, header or body.
    pub kind: u8,
    /// Its channel.
    pub channel: u16,
    /// Without what is around it.
    pub payload: Vec<u8>,
}

/// A message that was delivered or returned.
#[derive(Clone, Debug)]
pub struct Message {
    /// Of this channel.
    pub tag: u64,
    /// As the broker says.
    pub redelivered: bool,
    /// Where it is in its stream, if it is told.
    pub stream_offset: Option<i64>,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// What a client is told that it did not ask for in this moment.
#[derive(Clone, Debug)]
pub enum Told {
    /// A message for a consumer.
    Delivered(Message),
    /// Up to here, or just this.
    Acked {
        /// Number of the publish.
        tag: u64,
        /// All before it too.
        multiple: bool,
        /// It was refused.
        nack: bool,
    },
    /// Any other method, by name.
    Other(&'static str),
}

/// See the module's comment.
pub struct Amqp {
    end: End,
    out: Vec<u8>,
    carry: Vec<u8>,
    heard: Instant,
    spoke: Instant,
}

impl Came {
    /// What it says, if it is a method.
    pub fn method(&self) -> Option<Method<'_>> {
        let is_method = self.kind == frame::METHOD;
        is_method
            .then(|| Method::decode(&self.payload).expect("the broker writes what can be read"))
    }
}

impl Amqp {
    /// Shakes hands and opens the space `/`.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn open(end: End) -> Result<Amqp, Gone> {
        let now = Instant::now();
        let mut client = Amqp {
            end,
            out: b"AMQP\x00\x00\x09\x01".to_vec(),
            carry: Vec::new(),
            heard: now,
            spoke: now,
        };
        client.expect("connection.start").await?;
        client.write(
            0,
            &Method::ConnectionStartOk {
                properties: NO_ARGUMENTS,
                mechanism: "PLAIN",
                response: Long(b"\0guest\0guest"),
                locale: "en_US",
            },
        );
        client.expect("connection.tune").await?;
        client.write(
            0,
            &Method::ConnectionTuneOk {
                channel_max: 10,
                frame_max: 131_072,
                heartbeat: HEARTBEAT_S,
            },
        );
        let open = Method::ConnectionOpen {
            virtual_host: "/",
            reserved: "",
            bits: 0,
        };
        client.write(0, &open);
        client.expect("connection.open-ok").await?;
        client.write(1, &Method::ChannelOpen { reserved: "" });
        client.expect("channel.open-ok").await?;
        Ok(client)
    }

    /// Asks and waits for the answer of that name; what comes before is passed over, so
    /// nothing else may be under way.
    ///
    /// # Errors
    /// [`Gone`], also if the broker closes the channel or the connection.
    pub async fn ask(&mut self, method: &Method<'_>, answer: &str) -> Result<Came, Gone> {
        self.write(1, method);
        self.expect(answer).await
    }

    /// To be sent with the next [`Amqp::next`].
    pub fn write(&mut self, channel: u16, method: &Method<'_>) {
        method.write(channel, &mut self.out);
    }

    /// A message, persistent, in frames of the usual size.
    pub fn publish(&mut self, exchange: &str, routing_key: &str, body: &[u8]) {
        let publish = Method::BasicPublish {
            ticket: 0,
            exchange,
            routing_key,
            bits: 0,
        };
        publish.write(1, &mut self.out);
        frame::write(frame::HEADER, 1, &mut self.out, |out| {
            60_u16.write(out);
            0_u16.write(out);
            (body.len() as u64).write(out);
            DELIVERY_MODE.write(out);
            2_u8.write(out);
        });
        for part in body.chunks(100_000) {
            frame::write(frame::BODY, 1, &mut self.out, |out| {
                out.extend_from_slice(part)
            });
        }
    }

    /// Waits for what comes next, but not after `until`.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn next(&mut self, until: Instant) -> Result<Option<Told>, Gone> {
        loop {
            let Some(came) = self.frame(until).await? else {
                return Ok(None);
            };
            let Some(method) = came.method() else {
                continue;
            };
            return Ok(Some(match method {
                Method::BasicDeliver {
                    delivery_tag, bits, ..
                } => {
                    let (stream_offset, body) = self.content().await?;
                    Told::Delivered(Message {
                        tag: delivery_tag,
                        redelivered: bits & 1 != 0,
                        stream_offset,
                        body,
                    })
                }
                Method::BasicAck { delivery_tag, bits } => Told::Acked {
                    tag: delivery_tag,
                    multiple: bits & 1 != 0,
                    nack: false,
                },
                Method::BasicNack { delivery_tag, bits } => Told::Acked {
                    tag: delivery_tag,
                    multiple: bits & 1 != 0,
                    nack: true,
                },
                Method::ConnectionClose { .. } | Method::ChannelClose { .. } => return Err(Gone),
                other => Told::Other(other.name()),
            }));
        }
    }

    /// `basic.get`; `None`: the queue is empty.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn get(&mut self, queue: &str) -> Result<Option<Message>, Gone> {
        let get = Method::BasicGet {
            ticket: 0,
            queue,
            bits: 0,
        };
        self.write(1, &get);
        loop {
            let came = self.some_frame().await?;
            match came.method() {
                Some(Method::BasicGetOk {
                    delivery_tag, bits, ..
                }) => {
                    let (stream_offset, body) = self.content().await?;
                    return Ok(Some(Message {
                        tag: delivery_tag,
                        redelivered: bits & 1 != 0,
                        stream_offset,
                        body,
                    }));
                }
                Some(Method::BasicGetEmpty { .. }) => return Ok(None),
                Some(Method::ConnectionClose { .. } | Method::ChannelClose { .. }) => {
                    return Err(Gone);
                }
                _ => {}
            }
        }
    }

    async fn expect(&mut self, name: &str) -> Result<Came, Gone> {
        loop {
            let came = self.some_frame().await?;
            match came.method() {
                Some(method) if method.name() == name => return Ok(came),
                Some(Method::ConnectionClose { .. } | Method::ChannelClose { .. }) => {
                    return Err(Gone);
                }
                _ => {}
            }
        }
    }

    async fn some_frame(&mut self) -> Result<Came, Gone> {
        let until = Instant::now() + PATIENCE;
        self.frame(until).await?.ok_or(Gone)
    }

    /// The header and body frames of a message whose method came.
    async fn content(&mut self) -> Result<(Option<i64>, Vec<u8>), Gone> {
        let header = self.some_frame().await?;
        let size = header.payload.get(4..12).expect("a content header");
        let size = u64::from_be_bytes(size.try_into().expect("eight bytes"));
        let mut body = Vec::new();
        while (body.len() as u64) < size {
            body.extend(self.some_frame().await?.payload);
        }
        let headers = amqp091::read(&header.payload[12..]).and_then(|block| block.headers());
        let headers = headers.expect("the broker writes what can be read");
        let offset = headers
            .get("x-stream-offset")
            .and_then(|value| value.as_int());
        Ok((offset, body))
    }

    async fn frame(&mut self, until: Instant) -> Result<Option<Came>, Gone> {
        loop {
            let scanned = frame::scan(&self.carry, FRAME_BYTES_MAX);
            let scanned = scanned.expect("the broker writes frames");
            if let Some((found, used)) = scanned {
                let came = owned(&found);
                self.carry.drain(..used);
                if came.kind == frame::HEARTBEAT {
                    continue;
                }
                return Ok(Some(came));
            }
            self.send()?;
            let now = Instant::now();
            if now >= until {
                return Ok(None);
            }
            if now >= self.heard + PATIENCE {
                return Err(Gone);
            }
            let beat = self.spoke + Duration::from_millis(700);
            if now >= beat {
                frame::write(frame::HEARTBEAT, 0, &mut self.out, |_| {});
                self.spoke = now;
                continue;
            }
            let wake = until.min(self.heard + PATIENCE).min(beat);
            let unsent = !self.out.is_empty();
            tokio::select! {
                biased;
                () = self.end.readable() => self.receive()?,
                () = self.end.writable(), if unsent => {}
                () = sleep_until(wake) => {}
            }
        }
    }

    fn receive(&mut self) -> Result<(), Gone> {
        let mut bytes = [0; 16 << 10];
        match self.end.try_read(&mut bytes) {
            Ok(0) => Err(Gone),
            Ok(count) => {
                self.carry.extend_from_slice(&bytes[..count]);
                self.heard = Instant::now();
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    fn send(&mut self) -> Result<(), Gone> {
        while !self.out.is_empty() {
            match self.end.try_write(&self.out) {
                Ok(count) => {
                    self.out.drain(..count);
                    self.spoke = Instant::now();
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Gone),
            }
        }
        Ok(())
    }
}

fn owned(frame: &Frame<'_>) -> Came {
    Came {
        kind: frame.kind,
        channel: frame.channel,
        payload: frame.payload.to_vec(),
    }
}

const DELIVERY_MODE: u16 = 0x1000;
const HEARTBEAT_S: u16 = 2;
const FRAME_BYTES_MAX: usize = 1 << 20;
/// A broker that says nothing for so long is gone.
const PATIENCE: Duration = Duration::from_secs(5);
