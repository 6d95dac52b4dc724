//! Groups of consumers as people see them: who is in them, how far they came, how far they
//! are behind. Groups of Kafka's clients of every kind, and subscriptions, whose place is the
//! state of each record.

use std::collections::BTreeMap;
use std::sync::Arc;

use bongsu_engine::Refused;
use bongsu_engine::access::acl::{Operation, Resource};
use bongsu_engine::catalog::QueueId;
use bongsu_engine::group::classic::assigned;
use bongsu_engine::group::offsets::{Commit, CommitPartition, CommitTopic, Topic};
use bongsu_engine::group::{Answer, Call, Client, GroupError, Request};
use bongsu_engine::refused::{Kind, Permission};
use bongsu_engine::router::SpaceId;
use bongsu_engine::session::records::TopicRef;
use bongsu_engine::session::{Call as SessionCall, Reply};
use bongsu_engine::share;
use bongsu_engine::share::call::PartKey;
use bongsu_engine::stream::StreamOffset;
use bongsu_record::Offset;

use super::Operator;
use super::queues::{QueueKind, Who};
use crate::cell::QueueCell;
use crate::handle::SessionHandle;

/// What a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupSort {
    /// Members share partitions out among themselves.
    Classic,
    /// The broker shares them out (KIP-848).
    Consumer,
    /// Records are shared, not partitions.
    Share,
    /// A queue of a stream's records.
    Subscription,
}

impl GroupSort {
    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            GroupSort::Classic => "classic",
            GroupSort::Consumer => "consumer",
            GroupSort::Share => "share",
            GroupSort::Subscription => "subscription",
        }
    }
}

/// A group at one moment.
#[derive(Clone, Debug)]
pub struct GroupSeen {
    /// Its name.
    pub name: Arc<str>,
    /// What it is.
    pub sort: GroupSort,
    /// As Kafka calls it: `Empty`, `Stable`, …
    pub state: String,
    /// Its members.
    pub members: Vec<MemberSeen>,
    /// Where it is, by topic and partition.
    pub partitions: Vec<PartitionSeen>,
}

impl GroupSeen {
    /// Records that it has yet to read, in all.
    pub fn lag(&self) -> u64 {
        self.partitions.iter().filter_map(|part| part.lag).sum()
    }
}

/// A member of a group.
#[derive(Clone, Debug, Default)]
pub struct MemberSeen {
    /// Its id.
    pub id: String,
    /// Its name across restarts.
    pub instance: Option<String>,
    /// What its client calls itself.
    pub client_id: String,
    /// Where that is.
    pub host: String,
    /// What it has, by topic; empty where that cannot be told.
    pub assigned: Vec<(String, Vec<i32>)>,
}

/// Where a group is in one partition.
#[derive(Clone, Debug)]
pub struct PartitionSeen {
    /// The topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// The next record to be read, or the first that is not settled; `None`: not said.
    pub committed: Option<u64>,
    /// What the consumer wrote beside it.
    pub metadata: String,
    /// When it was committed: Unix milliseconds.
    pub committed_at_ms: Option<u64>,
    /// First that is kept.
    pub start: Option<u64>,
    /// Behind the last; `None`: there is no such partition.
    pub end: Option<u64>,
    /// Records yet to be read.
    pub lag: Option<u64>,
    /// When the first of them was appended: Unix milliseconds.
    pub oldest_ms: Option<u64>,
    /// The member that has it.
    pub member: Option<String>,
    /// Of which queue the log is.
    pub(super) queue: Option<QueueId>,
}

/// A place that was moved, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// Where it was.
    pub from: Option<u64>,
    /// Where it is, or would be.
    pub to: u64,
    /// Records yet to be read from there.
    pub lag: u64,
    /// Why it was not moved.
    pub refused: Option<String>,
}

/// Why nothing was done to a group.
#[derive(Clone, Debug)]
pub enum GroupRefused {
    /// As any session would be told.
    Refused(Refused),
    /// There is no such group.
    NotFound,
    /// It contradicts how the group stands.
    Conflict(String),
    /// It cannot be meant.
    Invalid(String),
}

impl From<Refused> for GroupRefused {
    fn from(refused: Refused) -> GroupRefused {
        GroupRefused::Refused(refused)
    }
}

impl Operator {
    /// The groups of a space whose names contain a text, in the order of names, without their
    /// members' shares.
    ///
    /// # Errors
    /// [`Refused::NotFound`], [`Refused::Denied`].
    pub fn groups(&self, space: &str, text: &str) -> Result<Vec<GroupSeen>, Refused> {
        let session = self.session(space)?;
        let id = session.in_space()?;
        let mut seen: Vec<GroupSeen> = Vec::new();
        for cell in self.broker().groups().all() {
            let is_meant = cell.space == id && cell.name.contains(text);
            if is_meant && session.may(Operation::Describe, Resource::Group, &cell.name) {
                seen.extend(self.broker().group_seen(id, &cell.name));
            }
        }
        let shares = self.broker().share_places(id);
        for (group, _) in shares {
            let is_new = seen.iter().all(|known| *known.name != *group);
            if is_new
                && group.contains(text)
                && session.may(Operation::Describe, Resource::Group, &group)
            {
                seen.push(self.broker().share_seen(id, &group, "Empty"));
            }
        }
        for queue in self.queue_names(space, text)? {
            if queue.kind == QueueKind::Subscription {
                seen.extend(self.broker().subscription_seen(id, &queue.name));
            }
        }
        seen.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(seen)
    }

    /// How many groups of Kafka's clients a space has.
    ///
    /// # Errors
    /// [`Refused::NotFound`], [`Refused::Denied`].
    pub fn group_count(&self, space: &str) -> Result<u64, Refused> {
        let id = self.session(space)?.in_space()?;
        let groups = self.broker().groups().all();
        Ok(groups.iter().filter(|cell| cell.space == id).count() as u64)
    }

    /// A group with its members, and how long ago what they have yet to read was written. May
    /// read the disk.
    ///
    /// # Errors
    /// [`GroupRefused`].
    pub async fn group(&self, space: &str, name: &str) -> Result<GroupSeen, GroupRefused> {
        let session = self.session(space)?;
        let id = session.in_space()?;
        let seen = match self.group_or_share(&session, id, name)? {
            Some(mut seen) => {
                seen.members = self.group_members(space, name).await?;
                for part in &mut seen.partitions {
                    let has = |member: &&MemberSeen| {
                        let mut assigned = member.assigned.iter();
                        assigned.any(|(topic, partitions)| {
                            *topic == *part.topic && partitions.contains(&part.partition)
                        })
                    };
                    let member = seen.members.iter().find(has);
                    part.member = member.map(|member| member.id.clone());
                }
                seen
            }
            None => {
                let found = self.broker().subscription_seen(id, name);
                let mut seen = found.ok_or(GroupRefused::NotFound)?;
                seen.members = self.group_members(space, name).await?;
                seen
            }
        };
        let broker = self.broker().clone();
        let dated = self.blocking(move || {
            let mut seen = seen;
            let behind = seen.partitions.iter_mut();
            let behind = behind.filter(|part| part.lag.is_some_and(|lag| lag > 0));
            for part in behind.take(DATED_MAX) {
                let cell = part.queue.and_then(|queue| broker.cell(queue));
                let from = part.committed.max(part.start).unwrap_or(0);
                part.oldest_ms = cell.and_then(|cell| cell.time_at(Offset(from)).ok().flatten());
            }
            seen
        });
        Ok(dated.await?)
    }

    /// Who is in a group; of a subscription, its consumers.
    ///
    /// # Errors
    /// [`GroupRefused`].
    pub async fn group_members(
        &self,
        space: &str,
        name: &str,
    ) -> Result<Vec<MemberSeen>, GroupRefused> {
        let mut session = self.session(space)?;
        let id = session.in_space()?;
        if let Some(seen) = self.group_or_share(&session, id, name)? {
            return Ok(self.members(&mut session, &seen).await);
        }
        let (consumers, _) = self.consumers(space, name, (0, MEMBERS_MAX))?;
        let members = consumers.into_iter().map(|consumer| {
            let Who {
                tag, connection, ..
            } = consumer.who;
            MemberSeen {
                id: consumer.key.0.to_string(),
                client_id: tag,
                host: connection,
                ..MemberSeen::default()
            }
        });
        Ok(members.collect())
    }

    fn group_or_share(
        &self,
        session: &SessionHandle,
        space: SpaceId,
        name: &str,
    ) -> Result<Option<GroupSeen>, GroupRefused> {
        let is_share = self
            .broker()
            .share_places(space)
            .keys()
            .any(|group| **group == *name);
        let seen = match self.broker().group_seen(space, name) {
            None if is_share => Some(self.broker().share_seen(space, name, "Empty")),
            found => found,
        };
        if seen.is_some() && !session.may(Operation::Describe, Resource::Group, name) {
            return Err(self.denied(name));
        }
        Ok(seen)
    }

    async fn members(&self, session: &mut SessionHandle, seen: &GroupSeen) -> Vec<MemberSeen> {
        let request = match seen.sort {
            GroupSort::Classic => Request::Describe,
            GroupSort::Consumer => Request::DescribeConsumers,
            GroupSort::Share => Request::DescribeShare,
            GroupSort::Subscription => return Vec::new(),
        };
        let text = |text: &Arc<str>| text.to_string();
        match self.ask(session, &seen.name, request).await {
            Some(Answer::Described(Ok(described))) => {
                let consumes = *described.protocol_type == *"consumer";
                let members = described.members.iter().map(|member| MemberSeen {
                    id: text(&member.member),
                    instance: member.instance.as_ref().map(text),
                    client_id: text(&member.client_id),
                    host: text(&member.client_host),
                    assigned: consumes
                        .then(|| assigned::partitions(&member.assignment))
                        .flatten()
                        .unwrap_or_default(),
                });
                members.collect()
            }
            Some(Answer::Members(Ok(described))) => {
                let members = described.members.iter().map(|one| MemberSeen {
                    id: text(&one.id),
                    instance: one.member.instance.as_ref().map(text),
                    client_id: text(&one.member.client_id),
                    host: text(&one.member.client_host),
                    assigned: one
                        .assigned
                        .iter()
                        .map(|(_, name, partitions)| {
                            let partitions = partitions.iter();
                            let partitions = partitions.filter_map(|p| i32::try_from(*p).ok());
                            (text(name), partitions.collect())
                        })
                        .collect(),
                });
                members.collect()
            }
            _ => Vec::new(),
        }
    }

    async fn ask(
        &self,
        session: &mut SessionHandle,
        group: &str,
        request: Request,
    ) -> Option<Answer> {
        let client = Client {
            id: "bongsu-admin".to_owned(),
            host: self.host().to_string(),
        };
        let call = Call::To {
            group: group.to_owned(),
            client,
            request,
        };
        match self.call(session, SessionCall::Group(Box::new(call))).await {
            Reply::Group(answer) => Some(*answer),
            _ => None,
        }
    }

    /// Moves a group's places in a topic, or tells where they would be: only while it has no
    /// members, as with Kafka, for a member would go on where it is and commit that.
    ///
    /// # Errors
    /// [`GroupRefused`].
    pub async fn move_group(
        &self,
        (space, name): (&str, &str),
        (topic, partition): (&str, Option<i32>),
        to: StreamOffset,
        dry_run: bool,
    ) -> Result<Vec<Moved>, GroupRefused> {
        let mut session = self.session(space)?;
        let id = session.in_space()?;
        let Some(seen) = self.group_or_share(&session, id, name)? else {
            return Err(match self.broker().subscription_seen(id, name) {
                Some(_) => GroupRefused::Conflict(format!(
                    "'{name}' is a subscription: its place is the state of each of its records"
                )),
                None => GroupRefused::NotFound,
            });
        };
        if !session.may(Operation::Read, Resource::Group, name) {
            return Err(self.denied(name));
        }
        session.allowed(Permission::Read, Kind::Queue, topic)?;
        let members = self.members(&mut session, &seen).await.len();
        if members > 0 {
            let reason = format!(
                "group '{name}' has {members} members: stop them first, or they go on where they are"
            );
            return Err(GroupRefused::Conflict(reason));
        }
        let found = self.broker().catalog().topic(id, topic);
        let Some(found) = found else {
            return Err(GroupRefused::Invalid(format!(
                "topic: there is no topic '{topic}'"
            )));
        };
        let count = i32::try_from(found.partitions.len()).unwrap_or(i32::MAX);
        let wanted = match partition {
            Some(one) if one < 0 || one >= count => {
                let reason = format!(
                    "partition: topic '{topic}' has 0 to {}, got {one}",
                    count - 1
                );
                return Err(GroupRefused::Invalid(reason));
            }
            Some(one) => one..one + 1,
            None => 0..count,
        };
        let cells: Vec<(i32, Arc<QueueCell>)> = wanted
            .filter_map(|partition| {
                let index = usize::try_from(partition).ok()?;
                let queue = *found.partitions.get(index)?;
                Some((partition, self.broker().cell(queue)?))
            })
            .collect();
        let known: BTreeMap<i32, Option<u64>> = seen
            .partitions
            .iter()
            .filter(|part| *part.topic == *found.name)
            .map(|part| (part.partition, part.committed))
            .collect();
        let broker = self.broker().clone();
        let name_of_topic = found.name.clone();
        let mut moved: Vec<Moved> = self
            .blocking(move || {
                let now_ms = i64::try_from(broker.now_ms()).unwrap_or(i64::MAX);
                let durable = broker.durable_lsn();
                let mut moved = Vec::new();
                for (partition, cell) in cells {
                    let bounds = cell.log.bounds(durable);
                    let end = bounds.durable_end;
                    let to = cell.place(to, end, now_ms)?.max(bounds.start).min(end);
                    moved.push(Moved {
                        topic: name_of_topic.clone(),
                        partition,
                        from: known.get(&partition).copied().flatten(),
                        to: to.0,
                        lag: end.0 - to.0,
                        refused: None,
                    });
                }
                Ok::<_, Refused>(moved)
            })
            .await??;
        if dry_run {
            return Ok(moved);
        }
        match seen.sort {
            GroupSort::Share => self.alter_share(&mut session, name, &mut moved).await?,
            _ => self.commit(&mut session, name, &mut moved).await?,
        }
        let user = &self.user().name;
        tracing::info!(
            "user '{user}' moves group '{name}' of '{space}' in topic '{topic}' to {to:?}"
        );
        Ok(moved)
    }

    async fn commit(
        &self,
        session: &mut SessionHandle,
        name: &str,
        moved: &mut [Moved],
    ) -> Result<(), GroupRefused> {
        let partitions = moved.iter().map(|moved| CommitPartition {
            partition: moved.partition,
            offset: i64::try_from(moved.to).unwrap_or(i64::MAX),
            leader_epoch: -1,
            metadata: Arc::from(""),
        });
        let Some(first) = moved.first() else {
            return Ok(());
        };
        let topic = Topic {
            name: first.topic.clone(),
            ..Topic::default()
        };
        let request = Request::Commit(Commit {
            generation: -1,
            retention_ms: -1,
            topics: vec![CommitTopic {
                topic,
                partitions: partitions.collect(),
            }],
            ..Commit::default()
        });
        let Some(Answer::Committed(results)) = self.ask(session, name, request).await else {
            return Err(GroupRefused::Refused(super::failed()));
        };
        for (_, partitions) in results {
            for (partition, result) in partitions {
                let Err(error) = result else { continue };
                if error == GroupError::UnknownMember {
                    let reason = format!("group '{name}' has members by now: stop them first");
                    return Err(GroupRefused::Conflict(reason));
                }
                let of_partition = moved
                    .iter_mut()
                    .filter(|moved| moved.partition == partition);
                of_partition.for_each(|moved| moved.refused = Some(format!("{error:?}")));
            }
        }
        Ok(())
    }

    async fn alter_share(
        &self,
        session: &mut SessionHandle,
        name: &str,
        moved: &mut [Moved],
    ) -> Result<(), GroupRefused> {
        let parts = moved.iter().map(|moved| {
            let key = PartKey {
                topic: TopicRef::Name(moved.topic.clone()),
                partition: moved.partition,
            };
            (key, i64::try_from(moved.to).unwrap_or(i64::MAX))
        });
        let request = share::Request::Alter {
            group: Arc::from(name),
            parts: parts.collect(),
        };
        let call = SessionCall::Share(Box::new(request));
        let Reply::Share { wait, answer } = self.call(session, call).await else {
            return Err(GroupRefused::Refused(super::failed()));
        };
        self.until_durable(wait).await;
        match *answer {
            share::Answer::Altered(Ok(altered)) => {
                for ((_, _, result), moved) in altered.into_iter().zip(moved) {
                    moved.refused = result.err().map(|refused| format!("{refused:?}"));
                }
                Ok(())
            }
            share::Answer::Altered(Err(share::Refused::HasMembers)) => Err(GroupRefused::Conflict(
                format!("group '{name}' has members by now: stop them first"),
            )),
            share::Answer::Altered(Err(share::Refused::NoGroup)) => Err(GroupRefused::NotFound),
            other => Err(GroupRefused::Conflict(format!("{other:?}"))),
        }
    }

    /// Deletes a group that has no members, with all it remembers; of a subscription, its
    /// queue.
    ///
    /// # Errors
    /// [`GroupRefused`].
    pub async fn delete_group(&self, space: &str, name: &str) -> Result<(), GroupRefused> {
        let mut session = self.session(space)?;
        let id = session.in_space()?;
        let user = self.user().name.clone();
        let Some(seen) = self.group_or_share(&session, id, name)? else {
            if self.broker().subscription_seen(id, name).is_none() {
                return Err(GroupRefused::NotFound);
            }
            let call = SessionCall::DeleteQueue {
                name: name.to_owned(),
                if_unused: true,
                if_empty: false,
            };
            return match self.call(&mut session, call).await {
                Reply::Refused(Refused::InUse { .. }) => Err(GroupRefused::Conflict(format!(
                    "subscription '{name}' has consumers: stop them first"
                ))),
                Reply::Refused(refused) => Err(refused.into()),
                _ => {
                    tracing::info!("user '{user}' deletes subscription '{name}' of '{space}'");
                    Ok(())
                }
            };
        };
        if !session.may(Operation::Delete, Resource::Group, name) {
            return Err(self.denied(name));
        }
        let members = self.members(&mut session, &seen).await.len();
        if members > 0 {
            let reason = format!("group '{name}' has {members} members: stop them first");
            return Err(GroupRefused::Conflict(reason));
        }
        if seen.sort == GroupSort::Share {
            let mut topics: Vec<Arc<str>> = seen
                .partitions
                .iter()
                .map(|part| part.topic.clone())
                .collect();
            topics.sort_unstable();
            topics.dedup();
            let request = share::Request::Forget {
                group: Arc::from(name),
                topics,
            };
            let call = SessionCall::Share(Box::new(request));
            if let Reply::Share { wait, .. } = self.call(&mut session, call).await {
                self.until_durable(wait).await;
            }
        }
        match self.ask(&mut session, name, Request::Delete).await {
            Some(Answer::Deleted(Ok(()))) => {}
            // Only its places were left of it.
            Some(Answer::Deleted(Err(GroupError::NotFound))) if seen.sort == GroupSort::Share => {}
            Some(Answer::Deleted(Err(GroupError::NonEmpty))) => {
                let reason = format!("group '{name}' has members by now: stop them first");
                return Err(GroupRefused::Conflict(reason));
            }
            Some(Answer::Deleted(Err(GroupError::NotFound))) => return Err(GroupRefused::NotFound),
            Some(Answer::Deleted(Err(GroupError::Denied))) => return Err(self.denied(name)),
            other => return Err(GroupRefused::Conflict(format!("{other:?}"))),
        }
        tracing::info!("user '{user}' deletes group '{name}' of '{space}'");
        Ok(())
    }
}

impl Operator {
    fn denied(&self, group: &str) -> GroupRefused {
        GroupRefused::Refused(Refused::Denied {
            permission: Permission::Read,
            kind: Kind::Queue,
            name: group.to_owned(),
            user: self.user().name.to_string(),
        })
    }
}

/// Partitions of one group of which it is told since when they are behind.
const DATED_MAX: usize = 500;
/// Consumers of a subscription that are told.
const MEMBERS_MAX: usize = 1_000;
