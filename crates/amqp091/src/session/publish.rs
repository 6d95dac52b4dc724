//! basic.publish: many messages to one place become one batch; and what comes of it.

use bongsu_engine::session::{Effects, Now};
use bongsu_record::native::{Origin, PERSISTENT, Record};
use bongsu_record::{Batch, Lsn};

use super::channel::Content;
use super::open::Open;
use crate::codec::content::{self, ContentHeader};
use crate::codec::frame;
use crate::codec::method::{Method, bit};
use crate::codec::wire::Field;
use crate::errors::{Exception, MethodId};

/// Bytes at which a batch is published though more arrived for it.
const BATCH_BYTES_MAX: usize = 1 << 20;
const PUBLISH: MethodId = (60, 40);
/// Ten years, as in RabbitMQ.
const EXPIRATION_MS_MAX: i64 = 315_360_000_000;

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
        let publishing = &self.channel(number).publishing;
        let same_place = publishing.exchange == exchange
            && publishing.routing_key == routing_key
            && publishing.mandatory == mandatory
            // A message that comes back is told from its neighbours: alone in its batch.
            && !mandatory;
        let full = publishing.builder.len() >= BATCH_BYTES_MAX;
        if other_channel || !same_place || full {
            self.flush(now);
            let publishing = &mut self.channel(number).publishing;
            exchange.clone_into(&mut publishing.exchange);
            routing_key.clone_into(&mut publishing.routing_key);
            publishing.mandatory = mandatory;
        }
        self.channel(number).publishing.content = Content::Header;
        Ok(())
    }

    pub(super) fn content_header(
        &mut self,
        number: u16,
        payload: &[u8],
        now: Now,
    ) -> Result<(), Exception> {
        let header = content::decode(payload).map_err(|error| {
            Exception::new(502, PUBLISH, format_args!("content header: {error:?}"))
        })?;
        if header.class != content::BASIC {
            let text = format!(
                "expected content header for class 60, got one for class {} instead",
                header.class
            );
            return Err(Exception::new(505, PUBLISH, text));
        }
        let bytes_max = self.message_bytes_max;
        if header.body_bytes > bytes_max {
            let text = format!(
                "message size {} is larger than configured max size {bytes_max}",
                header.body_bytes
            );
            return Err(Exception::new(406, PUBLISH, text));
        }
        self.checked(&header)?;
        let publishing = &mut self.channel(number).publishing;
        publishing.builder.begin(
            Origin::Amqp091,
            if header.persistent() { PERSISTENT } else { 0 },
            publishing.exchange.as_bytes(),
            publishing.routing_key.as_bytes(),
            header.block,
            header.body_bytes,
        );
        publishing.content = Content::Body(header.body_bytes);
        if header.body_bytes == 0 {
            self.content_end(number, now);
        }
        Ok(())
    }

    /// What RabbitMQ asks of properties, where they are there.
    fn checked(&self, header: &ContentHeader<'_>) -> Result<(), Exception> {
        let refuse = |text: String| Err(Exception::new(406, PUBLISH, text));
        if let Some(claimed) = header.user_id
            && claimed != self.agreed.user.as_bytes()
        {
            return refuse(format!(
                "user_id property set to '{}' but authenticated user was '{}'",
                String::from_utf8_lossy(claimed),
                self.agreed.user
            ));
        }
        if let Some(expiration) = header.expiration
            && let Err(wrong) = expiration_ms(expiration)
        {
            let expiration = String::from_utf8_lossy(expiration);
            return refuse(format!("invalid expiration '{expiration}': {wrong}"));
        }
        if let Some(mode) = header.delivery_mode
            && !matches!(mode, 1 | 2)
        {
            return refuse(format!("invalid message: {{delivery_mode_unknown,{mode}}}"));
        }
        Ok(())
    }

    pub(super) fn content_body(
        &mut self,
        number: u16,
        payload: &[u8],
        now: Now,
    ) -> Result<(), Exception> {
        let publishing = &mut self.channel(number).publishing;
        let Content::Body(missing) = publishing.content else {
            return Ok(());
        };
        let got = payload.len() as u64;
        let Some(missing) = missing.checked_sub(got) else {
            let text = format!("{got} body bytes where {missing} were announced to be left");
            return Err(Exception::new(501, PUBLISH, text));
        };
        publishing.builder.body(payload);
        publishing.content = Content::Body(missing);
        if missing == 0 {
            self.content_end(number, now);
        }
        Ok(())
    }

    fn content_end(&mut self, number: u16, now: Now) {
        // Another channel's content may have been completed while this one's arrived.
        if self.dirty.is_some_and(|dirty| dirty != number) {
            self.flush(now);
        }
        let publishing = &mut self.channel(number).publishing;
        publishing.builder.end();
        publishing.content = Content::None;
        self.dirty = Some(number);
    }

    /// A batch was taken: confirm its messages, now or once they are durable.
    pub(super) fn published(
        &mut self,
        number: u16,
        count: u64,
        wait: Option<Lsn>,
        effects: &mut Effects,
    ) {
        let durable = self.durable;
        let Some(channel) = self.channels.get_mut(&number) else {
            return;
        };
        let Some(confirms) = channel.confirms.as_mut() else {
            return;
        };
        let first = confirms.last_tag + 1;
        confirms.last_tag += count;
        let last = confirms.last_tag;
        // What needs no wait is confirmed in its turn all the same: `multiple` confirms
        // everything before it.
        let lsn = wait.unwrap_or(Lsn(0));
        if confirms.waiting.is_empty() && lsn <= durable {
            let bits = if first == last { 0 } else { bit::MULTIPLE };
            Method::BasicAck {
                delivery_tag: last,
                bits,
            }
            .write(number, &mut effects.out);
            return;
        }
        match confirms.waiting.back_mut() {
            Some((tag, waits)) if *waits >= lsn => *tag = last,
            _ => confirms.waiting.push_back((last, lsn)),
        }
        self.awaits_confirm(number);
    }

    /// Storage refused: tell a confirming publisher so, message by message in one frame.
    /// `false` if the channel does not confirm.
    pub(super) fn nack(&mut self, number: u16, count: u64, effects: &mut Effects) -> bool {
        let confirms = self
            .channels
            .get_mut(&number)
            .and_then(|channel| channel.confirms.as_mut());
        let Some(confirms) = confirms else {
            return false;
        };
        for _ in 0..count {
            confirms.last_tag += 1;
            Method::BasicNack {
                delivery_tag: confirms.last_tag,
                bits: 0,
            }
            .write(number, &mut effects.out);
        }
        true
    }

    /// basic.return for every record of a batch that no queue took.
    pub(super) fn give_back(&self, number: u16, batch: &Batch, effects: &mut Effects) {
        if self
            .channels
            .get(&number)
            .is_none_or(|channel| channel.closing)
        {
            return;
        }
        for index in 0..batch.record_count() {
            let Some(record) = batch.native_record(index) else {
                continue;
            };
            Method::BasicReturn {
                code: 312,
                text: "NO_ROUTE",
                exchange: text(record.exchange()),
                routing_key: text(record.routing_key()),
            }
            .write(number, &mut effects.out);
            write_content(
                number,
                &record,
                self.agreed.frame_bytes_max,
                &mut effects.out,
            );
        }
    }
}

/// A time to live, or what is wrong with it in Erlang's words.
fn expiration_ms(text: &[u8]) -> Result<u64, String> {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    let count = digits
        .iter()
        .take_while(|digit| digit.is_ascii_digit())
        .count();
    if count == 0 {
        return Err("no_integer".to_owned());
    }
    let (digits, rest) = digits.split_at(count);
    if !rest.is_empty() {
        let rest = String::from_utf8_lossy(rest);
        return Err(format!("{{leftover_string,\"{rest}\"}}"));
    }
    let number = digits.iter().try_fold(0_i64, |number, digit| {
        number.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
    });
    match number.map(|number| sign * number) {
        Some(number) if number < 0 => Err(format!("{{value_negative,{number}}}")),
        Some(number) if number <= EXPIRATION_MS_MAX => Ok(number.unsigned_abs()),
        _ => Err(format!(
            "{{value_too_large,{}}}",
            String::from_utf8_lossy(digits)
        )),
    }
}

/// Content header and body frames of a record.
pub(super) fn write_content(
    number: u16,
    record: &Record<'_>,
    frame_bytes_max: usize,
    out: &mut Vec<u8>,
) {
    // Records of other protocols have no AMQP properties.
    let block: &[u8] = match record.origin {
        origin if origin == Origin::Amqp091 as u8 => record.header,
        _ => &[0, 0],
    };
    frame::write(frame::HEADER, number, out, |out| {
        content::BASIC.write(out);
        0_u16.write(out);
        (record.body.len() as u64).write(out);
        out.extend_from_slice(block);
    });
    for part in record.body.chunks(frame_bytes_max - frame::OVERHEAD_BYTES) {
        frame::write(frame::BODY, number, out, |out| out.extend_from_slice(part));
    }
}

/// What was published by a client of this protocol is UTF-8; of others it may not be.
pub(super) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
