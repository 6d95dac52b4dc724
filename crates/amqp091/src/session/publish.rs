//! basic.publish: messages to one place become one batch.
//!
//! A run is gathered in its channel's builder, and published when something else comes,
//! when the bytes are used up, or when it is large. Contents of several channels may
//! interleave, but of one channel at a time complete messages wait: a message completed on
//! another cuts the run, so the order of all is that of their ends.

use bongsu_engine::session::describe::ChannelCounts;
use bongsu_engine::session::{Call, Effects, Now, Publish};
use bongsu_record::Batch;
use bongsu_record::native::{Builder, Origin, PERSISTENT, Terms};

use super::calls::Then;
use super::deliver::write_content;
use super::open::Open;
use crate::codec::content::{self, ContentHeader};
use crate::codec::method::bit;
use crate::codec::wire::{Field, short};
use crate::codec::{frame, wire};
use crate::errors::{Exception, MethodId};

/// What is being published on a channel.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    builder: Builder,
    /// Of the records in the builder, the open one included.
    exchange: String,
    routing_key: String,
    /// See [`Publish::more_keys`].
    more_keys: Vec<String>,
    mandatory: bool,
    pub content: Content,
}

/// Where the content of a publish stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Content {
    /// No publish is under way.
    #[default]
    None,
    /// Between method and content header.
    Header,
    /// So many body bytes are missing.
    Body(u64),
}

impl Publishing {
    /// Body bytes of the record under way that have arrived, about.
    pub fn arriving_bytes(&self) -> u64 {
        match self.content {
            Content::Body(_) => self.builder.len() as u64,
            _ => 0,
        }
    }

    #[inline]
    fn begin(&mut self, header: &ContentHeader<'_>, block: &[u8], terms: Option<&Terms>) {
        let flags = if header.persistent() { PERSISTENT } else { 0 };
        let (exchange, key) = (self.exchange.as_bytes(), self.routing_key.as_bytes());
        let (origin, bytes) = (Origin::Amqp091, header.body_bytes);
        let builder = &mut self.builder;
        match terms {
            None => builder.begin(origin, flags, exchange, key, block, bytes),
            Some(terms) => builder.begin_with(origin, flags, exchange, key, terms, block, bytes),
        }
        self.content = Content::Body(bytes);
    }

    fn end(&mut self) {
        self.builder.end();
        self.content = Content::None;
    }
}

impl Open {
    pub(super) fn publish(
        &mut self,
        number: u16,
        exchange: &str,
        routing_key: &str,
        bits: u8,
        now: Now,
    ) -> Result<(), Exception> {
        if bits & bit::IMMEDIATE != 0 {
            return Err(Exception::new(540, PUBLISH, "immediate=true"));
        }
        let mandatory = bits & bit::MANDATORY != 0;
        let other_channel = self.dirty.is_some_and(|dirty| dirty != number);
        let Some(channel) = self.channel(number) else {
            return Ok(());
        };
        let publishing = &mut channel.publishing;
        // A message that may come back stands alone in its batch: behind a headers exchange
        // one of a run may have a queue and the next none, and the answer is about the batch.
        let goes_on = !mandatory
            && !publishing.mandatory
            && publishing.routing_key == routing_key
            && publishing.exchange == exchange
            && publishing.builder.len() < BATCH_BYTES_MAX;
        if goes_on && !other_channel {
            publishing.content = Content::Header;
            return Ok(());
        }
        self.flush(now);
        if let Some(channel) = self.channel(number) {
            let publishing = &mut channel.publishing;
            exchange.clone_into(&mut publishing.exchange);
            routing_key.clone_into(&mut publishing.routing_key);
            publishing.mandatory = mandatory;
            publishing.content = Content::Header;
        }
        Ok(())
    }

    pub(super) fn content_header(
        &mut self,
        number: u16,
        payload: &[u8],
        now: Now,
    ) -> Result<(), Exception> {
        let header = content::decode(payload).map_err(|malformed| {
            let code = match malformed {
                wire::Malformed::Short => 501,
                _ => 502,
            };
            Exception::new(code, PUBLISH, format_args!("content header: {malformed:?}"))
        })?;
        self.check_header(&header)?;
        if header.body_bytes >= LARGE_BODY_BYTES {
            // A large message stands at the front of a batch: behind others it would outgrow
            // their buffer, and be copied with them.
            let channel = self.channel(number);
            let others = channel.is_some_and(|channel| {
                channel.tx.is_none() && channel.publishing.builder.record_count() > 0
            });
            if others {
                self.flush(now);
            }
        }
        let Some(channel) = self.channel(number) else {
            return Ok(());
        };
        let publishing = &mut channel.publishing;
        if header.is_plain() && publishing.more_keys.is_empty() && channel.tx.is_none() {
            publishing.begin(&header, header.block, None);
        } else {
            self.begin_asked(number, &header, now)?;
        }
        if header.body_bytes == 0 {
            self.content_end(number, now);
        }
        Ok(())
    }

    /// Begins a message that asks for something, or stands beside one that did, or waits for
    /// its transaction.
    #[cold]
    fn begin_asked(
        &mut self,
        number: u16,
        header: &ContentHeader<'_>,
        now: Now,
    ) -> Result<(), Exception> {
        let asked = self.asked(number, header)?;
        let bytes = header.body_bytes.saturating_add(header.block.len() as u64);
        self.publish_later(number, bytes)?;
        let publishing = self.channel(number).map(|channel| &channel.publishing);
        if publishing.is_some_and(|publishing| publishing.more_keys != asked.more_keys) {
            // What is complete was published with other keys.
            self.flush(now);
        }
        if let Some(channel) = self.channel(number) {
            channel.publishing.more_keys = asked.more_keys;
            let terms = Some(&asked.terms).filter(|terms| !terms.is_empty());
            channel.publishing.begin(header, &asked.block, terms);
        }
        Ok(())
    }

    fn check_header(&self, header: &ContentHeader<'_>) -> Result<(), Exception> {
        if header.class != content::BASIC {
            let text = format_args!(
                "expected content header for class 60, got one for class {} instead",
                header.class
            );
            return Err(Exception::new(505, PUBLISH, text));
        }
        if header.body_bytes > self.message_bytes_max {
            let configured = match self.message_bytes_max {
                MESSAGE_BYTES_LIMIT => "",
                _ => "configured ",
            };
            let text = format_args!(
                "message size {} is larger than {configured}max size {}",
                header.body_bytes, self.message_bytes_max
            );
            return Err(Exception::new(406, PUBLISH, text));
        }
        Ok(())
    }

    pub(super) fn content_body(
        &mut self,
        number: u16,
        payload: &[u8],
        now: Now,
    ) -> Result<(), Exception> {
        let other_channel = self.dirty.is_some_and(|dirty| dirty != number);
        let Some(channel) = self.channel(number) else {
            return Ok(());
        };
        let publishing = &mut channel.publishing;
        let Content::Body(missing) = publishing.content else {
            return Ok(());
        };
        let Some(missing) = missing.checked_sub(payload.len() as u64) else {
            let text = "content body frame exceeds remaining content size";
            return Err(Exception::new(501, PUBLISH, text));
        };
        publishing.builder.body(payload);
        publishing.content = Content::Body(missing);
        match missing {
            0 if other_channel => self.content_end(number, now),
            0 => {
                publishing.end();
                self.dirty = Some(number);
            }
            _ => self.check_arriving()?,
        }
        Ok(())
    }

    /// Contents that are not complete: each is bounded, and together they are as well.
    fn check_arriving(&self) -> Result<(), Exception> {
        if self.channels.len() == 1 {
            return Ok(());
        }
        let slots = self.channels.values();
        let arriving: u64 = slots
            .map(|slot| slot.publishing().map_or(0, Publishing::arriving_bytes))
            .sum();
        match arriving <= self.message_bytes_max.max(ARRIVING_BYTES_MAX) {
            true => Ok(()),
            false => Err(Exception::new(
                506,
                PUBLISH,
                "too many messages at once that are not complete",
            )),
        }
    }

    fn content_end(&mut self, number: u16, now: Now) {
        if self.dirty.is_some_and(|dirty| dirty != number) {
            self.flush(now);
        }
        if let Some(channel) = self.channel(number) {
            channel.publishing.end();
            self.dirty = Some(number);
        }
    }

    /// Makes a call of the run that was gathered.
    pub(super) fn flush_publishing(&mut self, now: Now) {
        let Some(number) = self.dirty.take() else {
            return;
        };
        let Some(channel) = self.channel(number) else {
            return;
        };
        let publishing = &mut channel.publishing;
        let Some(batch) = publishing.builder.finish(now.unix_ms) else {
            return;
        };
        let mandatory = publishing.mandatory;
        let publish = Publish {
            exchange: publishing.exchange.clone(),
            routing_key: publishing.routing_key.clone(),
            more_keys: publishing.more_keys.clone(),
            batch,
        };
        if let Some(tx) = &mut channel.tx {
            return tx.publish(publish, mandatory);
        }
        channel.counts.publish += u64::from(publish.batch.record_count());
        let then = Then::Published {
            channel: number,
            count: u64::from(publish.batch.record_count()),
            returnable: mandatory.then(|| publish.batch.clone()),
        };
        self.calls.push(Call::Publish(publish), then);
    }

    /// So many messages had no queue, and were given back or dropped.
    pub(super) fn unroutable(
        &mut self,
        number: u16,
        count: u64,
        returned: bool,
        effects: &mut Effects,
    ) {
        let mut unheard = ChannelCounts::default();
        let counts = self.channel(number).map(|channel| &mut channel.counts);
        let counts = counts.unwrap_or(&mut unheard);
        if returned {
            counts.return_unroutable += count;
            effects.tally.returned += count;
        } else {
            counts.drop_unroutable += count;
            effects.tally.dropped += count;
        }
    }

    /// basic.return for every record of a batch that no queue took.
    pub(super) fn give_back(&self, number: u16, batch: &Batch, effects: &mut Effects) {
        for index in 0..batch.record_count() {
            let Some(record) = batch.native_record(index) else {
                continue;
            };
            let out = &mut effects.out;
            frame::write(frame::METHOD, number, out, |out| {
                out.extend_from_slice(&[0, 60, 0, 50]);
                NO_ROUTE.write(out);
                short(b"NO_ROUTE", out);
                short(record.exchange(), out);
                short(record.routing_key(), out);
            });
            let frame_bytes_max = self.agreed.frame_bytes_max;
            write_content(number, record.header, record.body, frame_bytes_max, out);
        }
    }
}

/// RabbitMQ's largest message, whatever is configured.
pub(super) const MESSAGE_BYTES_LIMIT: u64 = 512 << 20;
/// Bytes at which a batch is published though more arrived for it.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// A socket's read holds few bodies as large as this, if any.
const LARGE_BODY_BYTES: u64 = 128 << 10;
/// Bytes of incomplete contents that a connection's channels may hold together.
const ARRIVING_BYTES_MAX: u64 = 64 << 20;
const NO_ROUTE: u16 = 312;
const PUBLISH: MethodId = (60, 40);
