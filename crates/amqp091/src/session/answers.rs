//! What the broker's answers mean to the client.

use bongsu_engine::Refused;
use bongsu_engine::refused::Kind;
use bongsu_engine::session::{Effects, Now, Reply};

use super::calls::{Answer, Then};
use super::open::Open;
use super::replies::declared;
use super::tx::to_blame;
use crate::codec::method::Method;
use crate::errors::{Asked, Exception, MethodId, Scope, worded};

impl Open {
    pub fn reply(
        &mut self,
        reply: Reply,
        now: Now,
        effects: &mut Effects,
    ) -> Result<(), Exception> {
        let then = self.calls.answered();
        match reply {
            Reply::Refused(refused) => self.refused(then, &refused, effects)?,
            reply => self.answered(then, reply, effects),
        }
        if self.calls.is_idle() {
            // What was gathered behind the calls: there may be no more bytes, and so no
            // other occasion.
            self.flush(now);
        }
        self.take_exception(effects)?;
        self.calls.pump(effects);
        Ok(())
    }

    fn refused(
        &mut self,
        then: Then,
        refused: &Refused,
        effects: &mut Effects,
    ) -> Result<(), Exception> {
        let (number, method, of) = match &then {
            Then::Nothing => return Ok(()),
            Then::Renewed => {
                let text = "New secret was refused by one of the backends";
                return Err(Exception::new(530, UPDATE_SECRET, text).of_connection());
            }
            Then::Published { channel, count, .. } => {
                if matches!(refused, Refused::Storage { .. }) {
                    let all = 0..u32::try_from(*count).unwrap_or(u32::MAX);
                    if self.published(*channel, *count, None, &[all], effects) {
                        return Ok(());
                    }
                }
                (*channel, PUBLISH, None)
            }
            Then::Answer {
                channel, about, of, ..
            } => (*channel, *about, of.as_ref()),
            Then::Replies { channel, link, .. } | Then::Consuming { channel, link, .. } => {
                self.forget_link(*link);
                (*channel, CONSUME, None)
            }
            Then::Got { channel, .. } => (*channel, GET, None),
            Then::Committed { channel, .. } => (*channel, to_blame(refused), None),
        };
        let queue = match &then {
            Then::Consuming { queue, .. } => Some((Kind::Queue, queue.as_str())),
            _ => of.map(|(kind, name)| (*kind, name.as_str())),
        };
        let exception = self.worded(refused, method, queue);
        match exception.scope {
            Scope::Connection => Err(exception),
            Scope::Channel if self.channel(number).is_none() => Ok(()),
            Scope::Channel => {
                self.close_channel(number, &exception, effects);
                Ok(())
            }
        }
    }

    fn worded(&self, refused: &Refused, method: MethodId, of: Option<(Kind, &str)>) -> Exception {
        let vhost = &self.agreed.vhost;
        worded(refused, Asked { vhost, method, of })
    }

    fn answered(&mut self, then: Then, reply: Reply, effects: &mut Effects) {
        match (then, reply) {
            (Then::Renewed, _) => {
                Method::ConnectionUpdateSecretOk {}.write(0, &mut effects.out);
            }
            (
                Then::Published {
                    channel,
                    count,
                    returnable,
                },
                Reply::Published {
                    wait,
                    routed,
                    refused,
                },
            ) => {
                if !routed {
                    if let Some(batch) = &returnable
                        && self.channel(channel).is_some()
                    {
                        self.give_back(channel, batch, effects);
                    }
                    self.unroutable(channel, count, returnable.is_some(), effects);
                }
                self.published(channel, count, wait, &refused, effects);
            }
            (
                Then::Committed {
                    channel,
                    returnable,
                    links,
                },
                Reply::Committed { wait, unrouted },
            ) => {
                let is_back = |(index, _): &(usize, _)| unrouted.contains(index);
                let returned = returnable
                    .into_iter()
                    .filter(is_back)
                    .map(|(_, batch)| batch);
                self.committed(channel, wait, returned, links, effects);
            }
            (
                Then::Answer {
                    channel, answer, ..
                },
                reply,
            ) => {
                self.say(channel, answer.as_ref(), reply, effects);
            }
            (
                Then::Replies {
                    channel,
                    link,
                    tag,
                    no_wait,
                },
                Reply::Queue { name, .. },
            ) => self.replies_open(channel, (link, tag), name, no_wait),
            (Then::Consuming { link, no_wait, .. }, _) => self.consuming(link, no_wait, effects),
            (Then::Got { channel, no_ack }, Reply::Got(got)) => {
                self.got(channel, no_ack, got.as_ref(), effects);
            }
            (_, _) => {}
        }
    }

    fn say(&mut self, number: u16, answer: Option<&Answer>, reply: Reply, effects: &mut Effects) {
        let out = &mut effects.out;
        match (answer, reply) {
            (answer, Reply::Queue { name, ready, links }) => {
                match answer {
                    Some(Answer::RepliesDeclare) => declared(number, &name, out),
                    Some(_) => Method::QueueDeclareOk {
                        queue: &name,
                        message_count: u32::try_from(ready).unwrap_or(u32::MAX),
                        consumer_count: links,
                    }
                    .write(number, out),
                    None => {}
                }
                if let Some(channel) = self.channel(number) {
                    channel.last_queue = Some(name);
                }
            }
            (Some(answer), Reply::Count(count)) => {
                answer.write(number, u32::try_from(count).unwrap_or(u32::MAX), out);
            }
            (Some(answer), _) => answer.write(number, 0, out),
            (None, _) => {}
        }
    }
}

const UPDATE_SECRET: MethodId = (10, 70);
const PUBLISH: MethodId = (60, 40);
const CONSUME: MethodId = (60, 20);
const GET: MethodId = (60, 70);
