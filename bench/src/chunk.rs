//! One publish, encoded once and laid out many times over, so that a write is as long as it may be.

use std::ops::Range;

use crate::client::CHANNEL;
use crate::plan::{GROUP_HEADER, Plan, Stamp, Vary, digits, group_of};
use crate::wire::{self, Method, Properties, Value};

/// As many copies of one encoded publish as fit `CHUNK_BYTES`, at least one.
pub struct Chunk {
    bytes: Vec<u8>,
    /// How many copies there are.
    pub messages: usize,
    message_bytes: usize,
    body_at: usize,
    stamp: Stamp,
    vary: Vary,
    /// What differs between the copies.
    varies_at: Range<usize>,
}

impl Chunk {
    /// Encodes the plan's message.
    pub fn encode(plan: &Plan) -> Self {
        let message = encode(plan, 0);
        let messages = (CHUNK_BYTES / message.len()).max(1);
        Self {
            message_bytes: message.len(),
            // A stamped body is one frame: all of it, and then the end octet.
            body_at: message.len() - 1 - plan.body_bytes.min(message.len() - 1),
            stamp: plan.stamp,
            vary: plan.vary,
            varies_at: difference(&message, &encode(plan, ALL_DIFFERENT)),
            bytes: message.repeat(messages),
            messages,
        }
    }

    /// Makes one copy the message with this number. `at` is when it counts as sent, `now` when it
    /// really is, in nanoseconds of the run's clock.
    #[inline]
    pub fn write(&mut self, index: usize, number: u64, at: u64, now: u64) {
        let start = index * self.message_bytes;
        let message = &mut self.bytes[start..start + self.message_bytes];
        let varies = &mut message[self.varies_at.clone()];
        match self.vary {
            Vary::Nothing => {}
            Vary::Priority { levels } => varies[0] = (number % u64::from(levels)) as u8,
            Vary::Queue { count } => write_digits(varies, number % count),
            Vary::Group { count } => write_digits(varies, group_of(number, count)),
            Vary::Delay(schedule) => {
                varies.copy_from_slice(&schedule.delay_ms(number, now).to_be_bytes());
            }
        }
        let stamp = match (self.stamp, self.vary) {
            (Stamp::None, _) => return,
            (Stamp::Time, Vary::Delay(schedule)) => schedule.due(number),
            (Stamp::Time, _) => at,
            (Stamp::Number, _) => number,
        };
        message[self.body_at..self.body_at + 8].copy_from_slice(&stamp.to_be_bytes());
    }

    /// Whether copies differ at all.
    pub fn differs(&self) -> bool {
        self.stamp != Stamp::None || !matches!(self.vary, Vary::Nothing)
    }

    /// The bytes of so many copies.
    pub fn first(&self, count: usize) -> &[u8] {
        &self.bytes[..count * self.message_bytes]
    }
}

/// The plan's message; `value` is what differs, 0 or `ALL_DIFFERENT`.
fn encode(plan: &Plan, value: u64) -> Vec<u8> {
    let body: Vec<u8> = (0..plan.body_bytes).map(|at| at as u8).collect();
    let name = digits(value);
    let mut routing_key = plan.routing_key.clone();
    let mut priority = None;
    let header;
    let mut headers: &[(&str, Value<'_>)] = &[];
    match plan.vary {
        Vary::Nothing => {}
        Vary::Priority { .. } => priority = Some(value.min(1) as u8),
        Vary::Queue { .. } => routing_key += &name,
        Vary::Group { .. } => {
            header = [(GROUP_HEADER, Value::Text(&name))];
            headers = &header;
        }
        Vary::Delay(_) => {
            header = [("x-delay", Value::Short(if value == 0 { 0 } else { -1 }))];
            headers = &header;
        }
    }
    let mut message = Method::new(CHANNEL, wire::BASIC_PUBLISH)
        .short(0)
        .shortstr(&plan.exchange)
        .shortstr(&routing_key)
        .octet(0)
        .finish();
    let properties = Properties {
        persistent: plan.persistent,
        priority,
        headers,
    };
    wire::push_content(&mut message, CHANNEL, &properties, &body);
    message
}

/// Where two encodings of the same length differ, from the first such byte to the last.
fn difference(one: &[u8], other: &[u8]) -> Range<usize> {
    let differs = |at: &usize| one[*at] != other[*at];
    match ((0..one.len()).find(differs), (0..one.len()).rfind(differs)) {
        (Some(first), Some(last)) => first..last + 1,
        _ => 0..0,
    }
}

fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

const CHUNK_BYTES: usize = 128 * 1024;
const ALL_DIFFERENT: u64 = 111_111;

#[cfg(test)]
mod tests;
