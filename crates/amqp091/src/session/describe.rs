//! How a connection stands: its channels, told to whoever watches the broker.

use bongsu_engine::session::describe::{self, Description, Holds};

use super::channel::{Channel, Slot};
use super::consume::Use;
use super::open::Open;

impl Open {
    pub fn describe(&self) -> Description {
        let open = self
            .channels
            .iter()
            .filter_map(|(number, slot)| match slot {
                Slot::Open(channel) => Some((*number, channel)),
                Slot::Closing(_) => None,
            });
        let mut channels: Vec<describe::Channel> = open
            .map(|(number, channel)| described(number, channel))
            .collect();
        for (id, link) in &self.links {
            let number = u32::from(link.channel);
            let index = channels.binary_search_by_key(&number, |channel| channel.number);
            if let (Ok(index), Use::Consumer(_)) = (index, &link.used) {
                channels[index].consumers.push(Holds {
                    link: *id,
                    unsettled: link.unsettled,
                });
            }
        }
        Description {
            channels,
            waiting_answers: self.unconfirmed.len() as u64,
        }
    }
}

fn described(number: u16, channel: &Channel) -> describe::Channel {
    let uncommitted = channel.tx.as_ref().map(|tx| tx.uncommitted());
    let (uncommitted, uncommitted_settles) = uncommitted.unwrap_or_default();
    let confirms = channel.confirms.as_ref();
    describe::Channel {
        number: u32::from(number),
        prefetch: u32::from(channel.prefetch),
        prefetch_of_all: u32::from(channel.prefetch_of_all),
        unsettled: channel.unsettled.count(),
        unconfirmed: confirms.map_or(0, |confirms| confirms.waiting()),
        uncommitted,
        uncommitted_settles,
        confirms: confirms.is_some(),
        transactional: channel.tx.is_some(),
        counts: channel.counts,
        consumers: Vec::new(),
    }
}
