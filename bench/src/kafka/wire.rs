//! Kafka, as little as is needed: one version of each request, encoded before the run.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bongsu_record::Batch;
use bongsu_record::compression::Codec;
use bongsu_record::kafka::{Writer, recompress};

use crate::Result;

/// The next offset of each partition of one topic.
pub type Positions = Vec<u64>;

/// A blocking connection.
pub struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

/// A version of each request that both brokers and old and new clients know.
const PRODUCE: (i16, i16) = (0, 7);
const FETCH: (i16, i16) = (1, 11);
const CREATE_TOPICS: (i16, i16) = (19, 2);
const METADATA: (i16, i16) = (3, 4);

impl Connection {
    /// Connects, with patience for what is slow.
    pub fn open(broker: SocketAddr) -> Result<Connection> {
        let stream = TcpStream::connect(broker)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let answer = Vec::new();
        Ok(Connection { stream, answer })
    }

    /// Another handle on the same connection, to receive while this one sends.
    pub fn other_end(&self) -> Result<Connection> {
        Ok(Connection {
            stream: self.stream.try_clone()?,
            answer: Vec::new(),
        })
    }

    /// Writes one request.
    pub fn send(&mut self, request: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(request)?)
    }

    /// Reads one answer: what is behind its correlation id.
    pub fn receive(&mut self) -> Result<&[u8]> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if !(4..=ANSWER_BYTES_MAX).contains(&length) {
            return Err(format!("an answer of {length} bytes").into());
        }
        self.answer.resize(length, 0);
        self.stream.read_exact(&mut self.answer)?;
        Ok(&self.answer[4..])
    }

    /// Creates a topic, and waits until it is there for sure.
    pub fn create_topic(&mut self, topic: &str, partitions: i32) -> Result<()> {
        self.ask_for_topic(topic, partitions)?;
        // Kafka tells of a partition a little before it has it.
        let milliseconds = 1_000 + 2 * partitions.unsigned_abs();
        std::thread::sleep(Duration::from_millis(u64::from(milliseconds)));
        Ok(())
    }

    /// Creates a topic, and waits until it is told of.
    pub fn ask_for_topic(&mut self, topic: &str, partitions: i32) -> Result<()> {
        let mut request = begin(CREATE_TOPICS);
        request.extend_from_slice(&1_i32.to_be_bytes());
        put_text(topic, &mut request);
        request.extend_from_slice(&partitions.to_be_bytes());
        request.extend_from_slice(&1_i16.to_be_bytes());
        request.extend_from_slice(&[0; 8]);
        request.extend_from_slice(&60_000_i32.to_be_bytes());
        request.push(0);
        self.send(&end(request))?;
        let mut answer = Fields(self.receive()?);
        answer.skip(8)?;
        let name_bytes = answer.i16()? as usize;
        answer.skip(name_bytes)?;
        match answer.i16()? {
            0 => {}
            code => return Err(format!("creating {topic}: error {code}").into()),
        }
        for _ in 0..200 {
            if self.has_leaders(topic, partitions)? {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("{topic} has no leaders").into())
    }

    fn has_leaders(&mut self, topic: &str, partitions: i32) -> Result<bool> {
        let mut request = begin(METADATA);
        request.extend_from_slice(&1_i32.to_be_bytes());
        put_text(topic, &mut request);
        request.push(0);
        self.send(&end(request))?;
        let mut answer = Fields(self.receive()?);
        answer.skip(4)?;
        for _ in 0..answer.i32()? {
            answer.skip(4)?;
            answer.text()?;
            answer.skip(4)?;
            answer.text()?;
        }
        answer.text()?;
        answer.skip(4)?;
        let mut led = 0;
        for _ in 0..answer.i32()? {
            let code = answer.i16()?;
            answer.text()?;
            answer.skip(1)?;
            if code != 0 {
                return Ok(false);
            }
            for _ in 0..answer.i32()? {
                let code = answer.i16()?;
                answer.skip(4)?;
                led += i32::from(code == 0 && answer.i32()? >= 0);
                for _ in 0..2 {
                    let count = answer.i32()? as usize;
                    answer.skip(count * 4)?;
                }
            }
        }
        Ok(led == partitions)
    }
}

/// A batch of `count` records of `value_bytes`, compressed by `codec`.
pub fn batch(count: usize, value_bytes: usize, codec: Codec, unix_ms: i64) -> Result<Batch> {
    let mut writer = Writer::new();
    for number in 0..count {
        writer.push(unix_ms, None, Some(&value(number, value_bytes)), &[]);
    }
    let batch = writer.finish().ok_or("a batch has records")?;
    Ok(match codec {
        Codec::None => batch,
        codec => recompress(&batch, codec, usize::MAX).map_err(|error| format!("{error:?}"))?,
    })
}

/// Something like what people send: text that compresses to about a third.
fn value(number: usize, bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 64);
    let mut seed = number as u64 + 1;
    while text.len() < bytes {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (user, amount) = (seed >> 40, (seed >> 20) & 0xfffff);
        let _ = write!(
            text,
            "{{\"user\":{user},\"amount\":{amount},\"state\":\"paid\"}},"
        );
    }
    text.truncate(bytes);
    text
}

/// A produce request with one batch for one partition, acks=all.
pub fn produce(topic: &str, partition: i32, batch: &[u8]) -> Vec<u8> {
    let mut request = begin(PRODUCE);
    request.extend_from_slice(&(-1_i16).to_be_bytes());
    request.extend_from_slice(&(-1_i16).to_be_bytes());
    request.extend_from_slice(&30_000_i32.to_be_bytes());
    request.extend_from_slice(&1_i32.to_be_bytes());
    put_text(topic, &mut request);
    request.extend_from_slice(&1_i32.to_be_bytes());
    request.extend_from_slice(&partition.to_be_bytes());
    request.extend_from_slice(&(batch.len() as u32).to_be_bytes());
    request.extend_from_slice(batch);
    end(request)
}

/// Checks the answer to [`produce`].
pub fn produced(answer: &[u8]) -> Result<()> {
    let mut answer = Fields(answer);
    answer.skip(4)?;
    answer.text()?;
    answer.skip(8)?;
    match answer.i16()? {
        0 => Ok(()),
        code => Err(format!("a batch was refused with error {code}").into()),
    }
}

/// A fetch of all partitions, without a session, beginning with partition `first`.
pub fn fetch(topic: &str, positions: &Positions, first: usize) -> Vec<u8> {
    let mut request = begin(FETCH);
    request.extend_from_slice(&(-1_i32).to_be_bytes());
    request.extend_from_slice(&500_i32.to_be_bytes());
    request.extend_from_slice(&1_i32.to_be_bytes());
    request.extend_from_slice(&(50_i32 << 20).to_be_bytes());
    request.push(0);
    request.extend_from_slice(&0_i32.to_be_bytes());
    request.extend_from_slice(&(-1_i32).to_be_bytes());
    request.extend_from_slice(&1_i32.to_be_bytes());
    put_text(topic, &mut request);
    request.extend_from_slice(&(positions.len() as u32).to_be_bytes());
    for partition in (first..positions.len()).chain(0..first) {
        let offset = positions[partition];
        let partition = partition as i32;
        request.extend_from_slice(&partition.to_be_bytes());
        request.extend_from_slice(&(-1_i32).to_be_bytes());
        request.extend_from_slice(&offset.to_be_bytes());
        request.extend_from_slice(&(-1_i64).to_be_bytes());
        request.extend_from_slice(&(1_i32 << 20).to_be_bytes());
    }
    request.extend_from_slice(&0_i32.to_be_bytes());
    put_text("", &mut request);
    end(request)
}

/// Reads the answer to [`fetch`]: moves `positions` on, shows every new batch to `look`,
/// returns how many records there were.
pub fn fetched(
    answer: &[u8],
    positions: &mut Positions,
    mut look: impl FnMut(&[u8]),
) -> Result<u64> {
    let mut answer = Fields(answer);
    answer.skip(4)?;
    match answer.i16()? {
        0 => answer.skip(4)?,
        code => return Err(format!("a fetch was refused with error {code}").into()),
    }
    let mut count = 0;
    for _ in 0..answer.i32()? {
        answer.text()?;
        for _ in 0..answer.i32()? {
            let partition = answer.i32()?;
            match answer.i16()? {
                0 => {}
                code => return Err(format!("partition {partition}: error {code}").into()),
            }
            answer.skip(24)?;
            let aborted = answer.i32()?.max(0) as usize;
            answer.skip(aborted * 16 + 4)?;
            let bytes = answer.i32()?.max(0) as usize;
            let records = answer.take(bytes)?;
            let position = positions
                .get_mut(partition as usize)
                .ok_or("a partition that was not asked for")?;
            count += batches(records, position, &mut look);
        }
    }
    Ok(count)
}

/// Whole batches beyond `position`; a broker may cut the last and begin before what was
/// asked for.
fn batches(records: &[u8], position: &mut u64, look: &mut impl FnMut(&[u8])) -> u64 {
    let mut count = 0;
    let mut rest = records;
    while let Some(header) = rest.get(..61) {
        let base = u64::from_be_bytes(header[..8].try_into().expect("eight bytes"));
        let field = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().expect("four"));
        let length = field(8) as usize + 12;
        let Some(batch) = rest.get(..length) else {
            break;
        };
        rest = &rest[length..];
        if base < *position {
            continue;
        }
        *position = base + u64::from(field(23)) + 1;
        count += u64::from(field(57));
        look(batch);
    }
    count
}

fn begin((key, version): (i16, i16)) -> Vec<u8> {
    let mut request = vec![0; 4];
    request.extend_from_slice(&key.to_be_bytes());
    request.extend_from_slice(&version.to_be_bytes());
    request.extend_from_slice(&0_i32.to_be_bytes());
    put_text("bench", &mut request);
    request
}

fn end(mut request: Vec<u8>) -> Vec<u8> {
    let length = (request.len() - 4) as u32;
    request[..4].copy_from_slice(&length.to_be_bytes());
    request
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as i16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or("an answer is short")?;
        self.0 = rest;
        Ok(taken)
    }

    fn skip(&mut self, bytes: usize) -> Result<()> {
        self.take(bytes).map(|_| ())
    }

    fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.take(2)?.try_into()?))
    }

    fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into()?))
    }

    /// Passes over a text that may be null.
    fn text(&mut self) -> Result<()> {
        let bytes = self.i16()?.max(0) as usize;
        self.skip(bytes)
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: usize = 256 << 20;
