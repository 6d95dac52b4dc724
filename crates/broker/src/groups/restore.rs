//! Groups at a start: a section each, then the notes behind it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bongsu_engine::catalog::TopicId;
use bongsu_engine::group::{Group, Input, Settings};
use bongsu_engine::router::SpaceId;
use bongsu_record::Lsn;
use bongsu_storage::{Error, Recovery};

use super::topics::SpaceTopics;
use super::{GROUP_NOTE, GroupCell};
use crate::broker::Broker;

/// Groups while the WAL is replayed.
#[derive(Default)]
pub(crate) struct RestoredGroups {
    settings: Arc<Settings>,
    /// Up to where each knows, and what.
    groups: BTreeMap<(SpaceId, String), (Lsn, Group)>,
}

impl RestoredGroups {
    /// Those of the checkpoint.
    pub(crate) fn of(recovery: &Recovery) -> Result<RestoredGroups, Error> {
        let mut restored = RestoredGroups::default();
        for section in recovery.sections() {
            if section.kind != GROUP_NOTE {
                continue;
            }
            let malformed = || {
                let what = "a group's section is malformed".to_owned();
                Error::corrupt("checkpoint".as_ref(), 0, what)
            };
            let (applied, note) = section
                .bytes
                .split_first_chunk::<8>()
                .ok_or_else(malformed)?;
            let applied = Lsn(u64::from_be_bytes(*applied));
            restored.take(applied, note).ok_or_else(malformed)?;
        }
        Ok(restored)
    }

    /// One note of the WAL.
    pub(crate) fn replay(&mut self, lsn: Lsn, note: &[u8]) -> Result<(), Error> {
        self.take(lsn, note).ok_or_else(|| {
            let what = "a group's note is malformed".to_owned();
            Error::corrupt("lane".as_ref(), lsn.0, what)
        })
    }

    fn take(&mut self, lsn: Lsn, note: &[u8]) -> Option<()> {
        let (space, rest) = note.split_first_chunk::<4>()?;
        let space = SpaceId(u32::from_be_bytes(*space));
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (name, notes) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let name = std::str::from_utf8(name).ok()?;
        let settings = &self.settings;
        let entry = self.groups.entry((space, name.to_owned()));
        let (applied, group) =
            entry.or_insert_with(|| (Lsn(0), Group::new(name, settings.clone())));
        if lsn <= *applied {
            return Some(());
        }
        *applied = lsn;
        group.replay(notes).ok()
    }

    /// They are the broker's now. Topics may have gone whose end groups did not record.
    pub(crate) fn finish(self, broker: &Broker) {
        let now_ms = broker.now_ms();
        for ((space, _), (_, mut group)) in self.groups {
            if group.is_vacant() {
                continue;
            }
            group.replayed(now_ms);
            let topics: Vec<TopicId> = group.offsets().topics().collect();
            let catalog = broker.catalog();
            let gone = topics.into_iter();
            let gone = gone.filter(|topic| catalog.topic_by_id(space, *topic).is_none());
            let gone: Vec<TopicId> = gone.collect();
            drop(catalog);
            let cell = GroupCell::new(space, group);
            broker.groups().put(cell.clone());
            let mut state = cell.lock();
            let mut effects = Vec::new();
            let catalog = broker.catalog();
            let input = Input::TopicsChanged(&SpaceTopics {
                catalog: &catalog,
                space,
            });
            state.machine.handle(input, now_ms, &mut effects);
            drop(catalog);
            for topic in gone {
                let input = Input::TopicDeleted(topic);
                state.machine.handle(input, now_ms, &mut effects);
            }
            broker.act_group(&cell, &mut state, effects, None, None);
        }
    }
}
