//! One publish, encoded once and laid out many times over, so that a write is as long as it may be.

use crate::client::CHANNEL;
use crate::publisher::Plan;
use crate::wire::{self, Method};

/// As many copies of one encoded publish as fit `CHUNK_BYTES`, at least one.
pub struct Chunk {
    bytes: Vec<u8>,
    /// How many copies there are.
    pub messages: usize,
    message_bytes: usize,
    body_at: usize,
}

impl Chunk {
    /// Encodes the plan's message.
    pub fn encode(plan: &Plan) -> Self {
        let body: Vec<u8> = (0..plan.body_bytes).map(|at| at as u8).collect();
        let mut message = Method::new(CHANNEL, wire::BASIC_PUBLISH)
            .short(0)
            .shortstr(&plan.exchange)
            .shortstr(&plan.routing_key)
            .octet(0)
            .finish();
        wire::push_content(&mut message, CHANNEL, plan.persistent, &body);
        let messages = (CHUNK_BYTES / message.len()).max(1);
        Self {
            message_bytes: message.len(),
            // A stamped body is one frame: all of it, and then the end octet.
            body_at: message.len() - 1 - body.len().min(message.len() - 1),
            bytes: message.repeat(messages),
            messages,
        }
    }

    /// Puts the time into the body of one copy.
    pub fn stamp(&mut self, index: usize, at: u64) {
        let start = index * self.message_bytes + self.body_at;
        self.bytes[start..start + 8].copy_from_slice(&at.to_be_bytes());
    }

    /// The bytes of so many copies.
    pub fn first(&self, count: usize) -> &[u8] {
        &self.bytes[..count * self.message_bytes]
    }
}

const CHUNK_BYTES: usize = 128 * 1024;

#[cfg(test)]
mod tests;
