//! Names: what clients may choose, and what the broker makes up.

use std::borrow::Cow;

use crate::refused::{Kind, Refused};
use crate::router::QueueId;

/// Length of a name, as AMQP's short strings bound it.
pub const NAME_BYTES_MAX: usize = 255;

/// The name as it will be known. Line ends are taken out, as RabbitMQ does: they come from
/// scripts that read a name with its line.
pub fn clean(name: &str) -> Cow<'_, str> {
    if name.contains(['\r', '\n']) {
        Cow::Owned(name.replace(['\r', '\n'], ""))
    } else {
        Cow::Borrowed(name)
    }
}

/// Refuses a new name that belongs to the broker or is too long.
pub(super) fn check_new(kind: Kind, name: &str) -> Result<(), Refused> {
    if is_reserved(name) {
        return Err(Refused::Reserved {
            kind,
            name: name.to_owned(),
        });
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Refused::InvalidArgument {
            argument: "name".to_owned(),
            value: name.to_owned(),
            accepted: "at most 255 bytes",
        });
    }
    Ok(())
}

/// Names that clients may not declare.
pub(super) fn is_reserved(name: &str) -> bool {
    name.starts_with("amq.") || is_share(name)
}

/// The name of a share group's subscription.
pub(super) fn share(group: &str, source: QueueId) -> String {
    format!("{SHARE}{}/{group}", source.0)
}

/// The group, if a name is that of a share group's subscription.
pub(super) fn share_group(name: &str) -> Option<&str> {
    let (_, group) = name.strip_prefix(SHARE)?.split_once('/')?;
    Some(group)
}

/// Whether a name is that of a share group's subscription.
pub(super) fn is_share(name: &str) -> bool {
    name.starts_with(SHARE)
}

/// Whether a name is of the places for answers, which clients neither make nor share.
pub(super) fn is_reply(name: &str) -> bool {
    name.starts_with(REPLY)
}

/// The name of a queue that a client leaves to the broker to name.
pub fn generated_queue(token: u128) -> String {
    generated(GENERATED, token)
}

/// `prefix` and 128 bits as base64url without padding, as RabbitMQ's names look.
pub(super) fn generated(prefix: &str, token: u128) -> String {
    let mut name = String::with_capacity(prefix.len() + 22);
    name.push_str(prefix);
    // 22 characters hold 132 bits: the token and four zeros.
    for index in 0..22u32 {
        let shift = 122i32 - 6 * index as i32;
        let bits = if shift >= 0 {
            token >> shift
        } else {
            token << -shift
        };
        name.push(BASE64_URL[(bits & 63) as usize] as char);
    }
    name
}

const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Of share groups' subscriptions: then the number of the stream, `/` and the group.
const SHARE: &str = "$share/";
/// Of queues that clients leave to the broker to name.
pub(super) const GENERATED: &str = "amq.gen-";
/// What a client consumes from and names in `reply-to` to be answered directly.
pub(super) const REPLY: &str = "amq.rabbitmq.reply-to";
/// What its requests carry instead.
pub(super) const REPLY_QUEUE: &str = "amq.rabbitmq.reply-to.";
