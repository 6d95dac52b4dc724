//! Requests decided: checks in RabbitMQ's order, then changes, applied as they are made.

mod binding;
mod exchange;
mod policy;
mod queue;
mod space;
mod subscription;
mod topic;

use crate::catalog::call::{Answer, Effect, Input};
use crate::catalog::change::Change;
use crate::catalog::state::Catalog;
use crate::refused::Refused;
use crate::router::ExchangeId;

impl Catalog {
    /// Takes one input. What must be recorded and done is appended to `effects`, in order.
    ///
    /// # Errors
    /// [`Refused`]; then nothing has changed and there are no effects.
    pub fn handle(&mut self, input: Input, effects: &mut Vec<Effect>) -> Result<Answer, Refused> {
        match input {
            Input::DeclareSpace { space } => self.declare_space(space, effects),
            Input::DeleteSpace { name } => self.delete_space(&name, effects),
            Input::DeclareExchange { space, declare } => {
                self.declare_exchange(space, declare, effects)
            }
            Input::DeleteExchange {
                space,
                name,
                if_unused,
            } => self.delete_exchange(space, &name, if_unused, effects),
            Input::DeclareQueue {
                space,
                owner,
                declare,
                token,
            } => self.declare_queue(space, owner, declare, token, None, effects),
            Input::Subscribe {
                space,
                owner,
                declare,
                token,
                start,
            } => self.declare_queue(space, owner, declare, token, Some(start), effects),
            Input::Share {
                group,
                source,
                start,
                arguments,
            } => self.share(&group, source, start, arguments, effects),
            Input::ConfigureGroup {
                space,
                group,
                configs,
            } => {
                self.configure_group(space, group, configs, effects)?;
                Ok(Answer::Done)
            }
            Input::Unshare { group, source } => Ok(self.unshare(&group, source, effects)),
            Input::OpenReplyQueue {
                space,
                owner,
                token,
            } => Ok(self.open_reply_queue(space, owner, token, effects)),
            Input::DeleteQueue {
                space,
                owner,
                name,
                if_unused,
                if_empty,
                links,
                ready,
            } => {
                let used = if_unused && links > 0;
                let full = if_empty && ready > 0;
                self.delete_queue(space, owner, &name, used, full, effects)
            }
            Input::Bind {
                space,
                owner,
                binding,
            } => self.bind(space, owner, binding, effects),
            Input::Unbind {
                space,
                owner,
                binding,
            } => self.unbind(space, owner, binding, effects),
            Input::SetPolicy { space, policy } => self.set_policy(space, policy, effects),
            Input::ClearPolicy { space, name } => {
                self.clear_policy(space, name, effects);
                Ok(Answer::Done)
            }
            Input::LinkClosed { queue, links } => {
                self.link_closed(queue, links, effects);
                Ok(Answer::Done)
            }
            Input::SessionClosed { owner } => {
                self.session_closed(owner, effects);
                Ok(Answer::Done)
            }
        }
    }

    /// Applies a change that this call makes, and says so.
    fn change(&mut self, change: Change, durable: bool, effects: &mut Vec<Effect>) {
        let altered = self.apply(&change);
        debug_assert!(altered, "{change:?}");
        effects.push(if durable {
            Effect::Durable(change)
        } else {
            Effect::Transient(change)
        });
    }

    /// Deletes those of `sources`, exchanges that have just lost bindings, that were waiting
    /// for their last one to go; and so on up the bindings to them.
    fn delete_unbound(&mut self, mut sources: Vec<ExchangeId>, effects: &mut Vec<Effect>) {
        while let Some(id) = sources.pop() {
            let Some(entry) = self.exchanges.get(&id) else {
                continue;
            };
            if !entry.definition.auto_delete || !entry.outbound.is_empty() {
                continue;
            }
            sources.extend(entry.inbound.iter().map(|edge| edge.source));
            self.drop_exchange(id, effects);
        }
    }
}
