//! Groups of the classic kind, and what all groups remember.
//!
//! Reading order: [`coordinator`] (where groups are), [`members`] (joining, sharing out,
//! leaving), [`committed`] (offsets; [`by_id`]: by the topics' numbers), [`admin`] (listing, describing, deleting).

use kafka_protocol::messages::GroupId;
use kafka_protocol::protocol::StrBytes;

use bongsu_engine::group::{Answer, Call as GroupCall, Client, Request};
use bongsu_engine::session::{Call, Close, Effects, Reply};

use super::{Head, Session};

pub(crate) mod admin;
mod by_id;
pub(crate) mod committed;
pub(crate) mod coordinator;
pub(crate) mod members;

impl Session {
    /// Asks one group; `then` goes on with its answer.
    pub(crate) fn ask_group(
        &mut self,
        head: &Head,
        group: &GroupId,
        request: Request,
        effects: &mut Effects,
        then: impl FnOnce(&mut Session, Answer, &mut Effects) + Send + 'static,
    ) {
        let call = GroupCall::To {
            group: group.to_string(),
            client: self.client(head),
            request,
        };
        self.ask_groups(call, effects, then);
    }

    /// Asks several groups, each something that none of them waits for.
    pub(crate) fn ask_each(
        &mut self,
        head: &Head,
        requests: Vec<(String, Request)>,
        effects: &mut Effects,
        then: impl FnOnce(&mut Session, Vec<(String, Answer)>, &mut Effects) + Send + 'static,
    ) {
        let call = GroupCall::Each {
            client: self.client(head),
            requests,
        };
        self.ask_groups(call, effects, |session, answer, effects| match answer {
            Answer::Each(answers) => then(session, answers, effects),
            _ => effects.close = Some(Close::Now),
        });
    }

    pub(crate) fn ask_groups(
        &mut self,
        call: GroupCall,
        effects: &mut Effects,
        then: impl FnOnce(&mut Session, Answer, &mut Effects) + Send + 'static,
    ) {
        let call = Call::Group(Box::new(call));
        self.call(effects, call, |session, reply, _, effects| match reply {
            Reply::Group(answer) => then(session, *answer, effects),
            _ => effects.close = Some(Close::Now),
        });
    }

    fn client(&self, head: &Head) -> Client {
        Client {
            id: head.client_id.as_deref().unwrap_or_default().to_owned(),
            // The broker knows.
            host: String::new(),
        }
    }
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(crate) fn owned(text: Option<&StrBytes>) -> Option<String> {
    text.map(|text| text.to_string())
}
