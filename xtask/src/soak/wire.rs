//! AMQP 0-9-1 on a blocking socket, as little as hostile clients need: what the real clients are
//! too polite to do. Frames are `type u8 | channel u16 | size u32 | payload | 0xCE`.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(super) type Method = (u16, u16);

pub(super) const START_OK: Method = (10, 11);
pub(super) const TUNE_OK: Method = (10, 31);
pub(super) const OPEN: Method = (10, 40);
pub(super) const CLOSE: Method = (10, 50);
pub(super) const CHANNEL_OPEN: Method = (20, 10);
pub(super) const DECLARE: Method = (50, 10);
pub(super) const DELETE: Method = (50, 40);
pub(super) const QOS: Method = (60, 10);
pub(super) const CONSUME: Method = (60, 20);
pub(super) const PUBLISH: Method = (60, 40);
pub(super) const GET: Method = (60, 70);
pub(super) const GET_OK: Method = (60, 71);
pub(super) const ACK: Method = (60, 80);
pub(super) const CONFIRM_SELECT: Method = (85, 10);
pub(super) const PROTOCOL_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
pub(super) const HEARTBEAT: &[u8] = &[8, 0, 0, 0, 0, 0, 0, 0xCE];

/// Arguments of a method, in the specification's order.
#[derive(Default)]
pub(super) struct Arguments(Vec<u8>);

impl Arguments {
    pub(super) fn octet(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(super) fn short(mut self, value: u16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(super) fn long(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(super) fn longlong(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(super) fn short_text(mut self, text: &str) -> Self {
        self.0
            .push(u8::try_from(text.len()).expect("names made here are short"));
        self.0.extend(text.as_bytes());
        self
    }

    /// Also a table that is made already.
    pub(super) fn long_text(self, text: &[u8]) -> Self {
        let mut longer = self.long(u32::try_from(text.len()).expect("texts made here are short"));
        longer.0.extend(text);
        longer
    }

    pub(super) fn frame(self, method: Method) -> Vec<u8> {
        let mut payload = [method.0.to_be_bytes(), method.1.to_be_bytes()].concat();
        payload.extend(self.0);
        frame(1, u16::from(method.0 != 10), &payload)
    }
}

/// An entry of a table with a 64-bit number.
pub(super) fn numbered(name: &str, value: u64) -> Vec<u8> {
    let entry = Arguments::default().short_text(name).octet(b'l');
    entry.longlong(value).0
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend(channel.to_be_bytes());
    frame.extend(
        u32::try_from(payload.len())
            .expect("frames made here are small")
            .to_be_bytes(),
    );
    frame.extend(payload);
    frame.push(0xCE);
    frame
}

/// A publish to the default exchange, with its header and body.
pub(super) fn publish(queue: &str, body: &[u8]) -> Vec<u8> {
    let arguments = Arguments::default()
        .short(0)
        .short_text("")
        .short_text(queue);
    let mut frames = arguments.octet(0).frame(PUBLISH);
    let mut header = [60u16.to_be_bytes(), 0u16.to_be_bytes()].concat();
    header.extend((body.len() as u64).to_be_bytes());
    // Delivery mode 2, and nothing else.
    header.extend([0x10, 0x00, 2]);
    frames.extend(frame(2, 1, &header));
    frames.extend(frame(3, 1, body));
    frames
}

/// A connection with one channel.
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connected, and nothing said yet.
    pub(super) fn reach(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            buffer: Vec::new(),
        })
    }

    /// Logged in, with a channel. `heartbeat_s` as the client wants it; 0: none.
    pub(super) fn open(address: SocketAddr, user: &str, heartbeat_s: u16) -> io::Result<Self> {
        let mut one = Self::reach(address)?;
        one.socket.write_all(PROTOCOL_HEADER)?;
        one.wait_any()?;
        one.socket.write_all(&start_ok(user))?;
        one.wait_any()?;
        let mut rest = Arguments::default()
            .short(0)
            .long(131_072)
            .short(heartbeat_s)
            .frame(TUNE_OK);
        rest.extend(
            Arguments::default()
                .short_text("/")
                .short_text("")
                .octet(0)
                .frame(OPEN),
        );
        one.socket.write_all(&rest)?;
        one.wait_any()?;
        one.call(Arguments::default().short_text(""), CHANNEL_OPEN)?;
        Ok(one)
    }

    /// Sends a method and takes what comes next for its answer.
    pub(super) fn call(&mut self, arguments: Arguments, method: Method) -> io::Result<Vec<u8>> {
        self.socket.write_all(&arguments.frame(method))?;
        let (answered, rest) = self.wait_any()?;
        match answered {
            CLOSE | (20, 40) => Err(io::Error::other(format!(
                "{method:?} was answered {:?}",
                String::from_utf8_lossy(&rest)
            ))),
            _ => Ok(rest),
        }
    }

    /// Declares a durable queue; how many records it has.
    pub(super) fn declare(&mut self, queue: &str, table: &[u8]) -> io::Result<u32> {
        self.declare_as(queue, 2, table)
    }

    /// How many records are ready.
    pub(super) fn depth(&mut self, queue: &str) -> io::Result<u32> {
        self.declare_as(queue, 1, &[])
    }

    fn declare_as(&mut self, queue: &str, bits: u8, table: &[u8]) -> io::Result<u32> {
        let arguments = Arguments::default().short(0).short_text(queue).octet(bits);
        let answer = self.call(arguments.long_text(table), DECLARE)?;
        let at = 1 + usize::from(*answer.first().unwrap_or(&0));
        let count = answer.get(at..at + 4).ok_or(io::ErrorKind::InvalidData)?;
        Ok(u32::from_be_bytes(count.try_into().expect("four bytes")))
    }

    pub(super) fn delete(&mut self, queue: &str) -> io::Result<()> {
        let arguments = Arguments::default().short(0).short_text(queue).octet(0);
        self.call(arguments, DELETE).map(drop)
    }

    /// Asks for deliveries to be acked, `prefetch` at once; 0: all there are.
    pub(super) fn consume(&mut self, queue: &str, prefetch: u16) -> io::Result<()> {
        self.call(Arguments::default().long(0).short(prefetch).octet(0), QOS)?;
        let arguments = Arguments::default()
            .short(0)
            .short_text(queue)
            .short_text("");
        self.call(arguments.octet(0).long_text(&[]), CONSUME)
            .map(drop)
    }

    /// Waits for one of these methods and passes over others; what follows its number.
    pub(super) fn wait(&mut self, wanted: &[Method]) -> io::Result<(Method, Vec<u8>)> {
        loop {
            match self.wait_any()? {
                (CLOSE | (20, 40), rest) => {
                    return Err(io::Error::other(
                        String::from_utf8_lossy(&rest).into_owned(),
                    ));
                }
                (method, rest) if wanted.contains(&method) => return Ok((method, rest)),
                _ => {}
            }
        }
    }

    /// The next method, headers, bodies and heartbeats passed over.
    fn wait_any(&mut self) -> io::Result<(Method, Vec<u8>)> {
        loop {
            let (kind, payload) = self.read_frame()?;
            if kind == 1 && payload.len() >= 4 {
                let number = |at: usize| u16::from_be_bytes([payload[at], payload[at + 1]]);
                return Ok(((number(0), number(2)), payload[4..].to_vec()));
            }
        }
    }

    fn read_frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut piece = [0; 16 * 1024];
        loop {
            if let Some(head) = self.buffer.get(3..7) {
                let size = u32::from_be_bytes(head.try_into().expect("four bytes")) as usize;
                if self.buffer.len() >= size + 8 {
                    let rest = self.buffer.split_off(size + 8);
                    let whole = std::mem::replace(&mut self.buffer, rest);
                    return Ok((whole[0], whole[7..size + 7].to_vec()));
                }
            }
            match self.socket.read(&mut piece)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.buffer.extend(&piece[..read]),
            }
        }
    }

    /// As a client that means it: close, and wait for the answer.
    pub(super) fn close(mut self) -> io::Result<()> {
        let goodbye = Arguments::default()
            .short(200)
            .short_text("")
            .short(0)
            .short(0);
        self.socket.write_all(&goodbye.frame(CLOSE))?;
        self.wait(&[(10, 51)]).map(drop)
    }
}

pub(super) fn start_ok(user: &str) -> Vec<u8> {
    let response = format!("\0{user}\0{user}");
    let arguments = Arguments::default().long_text(&[]).short_text("PLAIN");
    arguments
        .long_text(response.as_bytes())
        .short_text("en_US")
        .frame(START_OK)
}

/// So long a client waits for an answer before it calls the broker hung.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
