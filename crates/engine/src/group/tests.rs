//! Histories (text in, effects out; `BONGSU_BLESS=1` rewrites the answers), and random members.
//! The histories are the specification of groups.

mod random;
mod remembered;

use std::fmt::Write as _;
use std::sync::Arc;

use super::call::{Answer, Client, Effect, GroupError, Input, Request, Ticket};
use super::classic::{Described, Join, Leave, Leaving, Protocol, Sync};
use super::consumer::{self, Beat, Held, NoTopics};
use super::machine::{Group, Settings};
use super::note::Note;
use super::offsets::{
    Commit, CommitPartition, CommitTopic, Committed, DeleteOffsets, FetchOffsets, FetchTopic,
    FetchedTopic, Place, Topic, TopicResults,
};
use crate::catalog::TopicId;

/// A group, the time, and what is durable.
struct World {
    group: Group,
    settings: Settings,
    now_ms: u64,
    notes: Vec<Vec<u8>>,
    ticket: u64,
    token: u128,
}

impl World {
    fn new(settings: Settings) -> World {
        World {
            group: Group::new("g", Arc::new(settings.clone())),
            settings,
            now_ms: 0,
            notes: Vec::new(),
            ticket: 0,
            token: 0,
        }
    }

    fn handle(&mut self, input: Input<'_>) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.group.handle(input, self.now_ms, &mut effects);
        self.group.check();
        for effect in &effects {
            if let Effect::Record(note) = effect {
                self.notes.push(note.clone());
            }
        }
        effects
    }

    fn ask(&mut self, client: &str, request: Request) -> Vec<Effect> {
        self.ticket += 1;
        self.token += 1;
        let client = Client {
            id: client.to_owned(),
            host: "here".to_owned(),
        };
        self.handle(Input::Request {
            ticket: Ticket(self.ticket),
            client: &client,
            token: self.token,
            request: Box::new(request),
            topics: &NoTopics,
        })
    }

    /// The time goes on to `at_ms`, and stops at each deadline before.
    fn run_to(&mut self, at_ms: u64) -> Vec<(u64, Effect)> {
        let mut all = Vec::new();
        while let Some(due_ms) = self.group.deadline_ms().filter(|due_ms| *due_ms <= at_ms) {
            self.now_ms = self.now_ms.max(due_ms);
            let effects = self.handle(Input::Timeout);
            all.extend(effects.into_iter().map(|effect| (self.now_ms, effect)));
            let next_ms = self.group.deadline_ms();
            assert!(next_ms.is_none_or(|ms| ms > self.now_ms), "it stands still");
        }
        self.now_ms = at_ms;
        all
    }

    /// The broker ends and starts again: all that is left is what was recorded.
    fn restart(&mut self) {
        let mut replayed = Group::new("g", Arc::new(self.settings.clone()));
        for note in &self.notes {
            replayed.replay(note).expect("its own notes");
        }
        // A checkpoint knows the same.
        let mut section = Vec::new();
        self.group.encode(&mut section);
        let mut restored = Group::new("g", Arc::new(self.settings.clone()));
        restored.replay(&section).expect("its own section");
        assert_eq!(remembered(&restored), remembered(&replayed));
        assert_eq!(restored.kind(), replayed.kind());
        replayed.replayed(self.now_ms);
        self.group = replayed;
    }
}

/// Every offset, committed and pending.
fn remembered(group: &Group) -> Vec<(Option<i64>, Place, Committed)> {
    let offsets = group.offsets();
    let committed = offsets.committed();
    let committed = committed.map(|(place, said)| (None, place, said.clone()));
    let pending = offsets.pending();
    let pending = pending.map(|(id, place, said)| (Some(id), place, said.clone()));
    committed.chain(pending).collect()
}

fn run(history: &str) -> String {
    let mut world = World::new(Settings::default());
    let mut out = String::new();
    for line in history.lines().filter(|l| !l.starts_with("---- ")) {
        writeln!(out, "{line}").expect("a string");
        let code = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = code.split_whitespace().collect();
        if words.is_empty() {
            continue;
        }
        for (at_ms, effect) in step(&mut world, &words) {
            let at = at_ms.map_or_else(String::new, |ms| format!("at {ms} "));
            for shown in shown(&effect) {
                writeln!(out, "---- {at}{shown}").expect("a string");
            }
        }
    }
    out
}

fn step(world: &mut World, words: &[&str]) -> Vec<(Option<u64>, Effect)> {
    let named = |name: &str| {
        let mut words = words.iter();
        words.find_map(|w| w.strip_prefix(name)?.strip_prefix('='))
    };
    let number = |name: &str, usual: i64| named(name).map_or(usual, |n| n.parse().expect(name));
    let member = || named("member").map(long_id).unwrap_or_default();
    let instance = || named("instance").map(str::to_owned);
    let client = named("client").unwrap_or("c");
    let request = match words[0] {
        "settings" => {
            let usual = Settings::default();
            let settings = Settings {
                initial_delay_ms: number("delay", 3_000) as u64,
                members_max: number("members", i64::from(u32::MAX)) as usize,
                metadata_bytes_max: number("metadata", 4_096) as usize,
                retention_ms: number("retention", 604_800_000) as u64,
                check_ms: number("check", usual.check_ms as i64) as u64,
                ..usual
            };
            *world = World::new(settings);
            return Vec::new();
        }
        "at" => {
            let at_ms = words[1].parse().expect("milliseconds");
            let effects = world.run_to(at_ms).into_iter();
            return effects.map(|(ms, effect)| (Some(ms), effect)).collect();
        }
        "restart" => {
            world.restart();
            return Vec::new();
        }
        "abandon" => {
            let ticket = words[1].trim_start_matches('t').parse().expect("a ticket");
            let effects = world.handle(Input::Abandon(Ticket(ticket)));
            return effects.into_iter().map(|effect| (None, effect)).collect();
        }
        "topic-deleted" => {
            let effects = world.handle(Input::TopicDeleted(topic(words[1]).id));
            return effects.into_iter().map(|effect| (None, effect)).collect();
        }
        "end" => {
            let commit = words[2] == "commit";
            let producer = words[1].parse().expect("a producer");
            let note = world.group.complete_transaction(producer, commit);
            world.notes.extend(note.clone());
            let effects = note.into_iter().map(|note| (None, Effect::Record(note)));
            return effects.collect();
        }
        "join" => Request::Join(Join {
            member: member(),
            instance: instance(),
            protocol_type: named("type").unwrap_or("consumer").to_owned(),
            protocols: protocols(
                named("protocols").unwrap_or("range"),
                named("topics"),
                named("says"),
            ),
            session_timeout_ms: number("session", 10_000) as i32,
            rebalance_timeout_ms: number("rebalance", 20_000) as i32,
            id_required: named("member").is_none() && !words.contains(&"old"),
            may_skip: !words.contains(&"old"),
        }),
        "sync" => Request::Sync(Sync {
            member: member(),
            instance: instance(),
            generation: number("generation", 1) as i32,
            protocol_type: named("type").map(str::to_owned),
            protocol: named("protocol").map(str::to_owned),
            assignments: words
                .iter()
                .filter_map(|word| word.split_once(':'))
                .map(|(member, share)| (long_id(member), Arc::from(share.as_bytes())))
                .collect(),
        }),
        "heartbeat" => Request::Heartbeat {
            member: member(),
            instance: instance(),
            generation: number("generation", 1) as i32,
        },
        "leave" => Request::Leave(Leave {
            members: words[1..]
                .iter()
                .map(|who| match who.strip_prefix("instance:") {
                    Some(instance) => Leaving {
                        member: String::new(),
                        instance: Some(instance.to_owned()),
                    },
                    None => Leaving {
                        member: long_id(who),
                        instance: None,
                    },
                })
                .collect(),
        }),
        "commit" | "pend" => {
            let commit = Commit {
                member: member(),
                instance: instance(),
                generation: number("generation", -1) as i32,
                retention_ms: number("retention", -1),
                knows_not_found: !words.contains(&"old"),
                topics: committed_topics(words, named("metadata").unwrap_or("")),
            };
            if words[0] == "commit" {
                Request::Commit(commit)
            } else {
                let producer = number("producer", 1);
                let mut effects = Vec::new();
                let now_ms = world.now_ms;
                let results =
                    world
                        .group
                        .commit_transactional(producer, commit, now_ms, &mut effects);
                world.notes.extend(effects.iter().filter_map(|e| match e {
                    Effect::Record(note) => Some(note.clone()),
                    Effect::Answer { .. } => None,
                }));
                effects.push(Effect::Answer {
                    ticket: Ticket(0),
                    answer: Answer::Committed(results),
                });
                return effects.into_iter().map(|effect| (None, effect)).collect();
            }
        }
        "fetch" => Request::FetchOffsets(FetchOffsets {
            member: named("member").map(str::to_owned),
            member_epoch: number("epoch", -1) as i32,
            require_stable: words.contains(&"stable"),
            topics: (!words.contains(&"all")).then(|| places(words)),
        }),
        "forget" => Request::DeleteOffsets(DeleteOffsets {
            topics: places(words),
        }),
        "beat" | "share" => {
            let epoch = number("epoch", 0) as i32;
            let beat = Beat {
                member: named("member").unwrap_or_default().to_owned(),
                epoch,
                instance: instance(),
                rebalance_timeout_ms: Some(1_000),
                topics: Some(vec!["t".to_owned()]),
                held: Some(Held::new()),
                ..Beat::default()
            };
            match words[0] {
                "beat" => Request::Beat(Box::new(beat)),
                _ => Request::ShareBeat(Box::new(beat)),
            }
        }
        "describe" if words.contains(&"consumers") => Request::DescribeConsumers,
        "describe" if words.contains(&"share") => Request::DescribeShare,
        "describe" => Request::Describe,
        "delete" => Request::Delete,
        other => panic!("what is {other}?"),
    };
    let effects = world.ask(client, request);
    effects.into_iter().map(|effect| (None, effect)).collect()
}

/// `t/0`: topic and partition.
fn place(word: &str) -> Option<(Topic, i32)> {
    let (name, partition) = word.split_once('/')?;
    Some((topic(name), partition.parse().ok()?))
}

/// Topics have two partitions, but for those whose name begins with `no`.
fn topic(name: &str) -> Topic {
    let exists = !name.starts_with("no");
    let bytes = name
        .bytes()
        .fold(0_u128, |id, byte| (id << 8) | u128::from(byte));
    Topic {
        id: TopicId(if exists { bytes } else { 0 }),
        name: Arc::from(name),
        partition_count: if exists { 2 } else { 0 },
        denied: name.starts_with("secret"),
    }
}

fn committed_topics(words: &[&str], metadata: &str) -> Vec<CommitTopic> {
    let said = words.iter().filter_map(|word| {
        let (at, offset) = word.split_once('=')?;
        let (topic, partition) = place(at)?;
        Some(CommitTopic {
            topic,
            partitions: vec![CommitPartition {
                partition,
                offset: offset.parse().expect("an offset"),
                leader_epoch: -1,
                metadata: Arc::from(metadata),
            }],
        })
    });
    said.collect()
}

fn places(words: &[&str]) -> Vec<FetchTopic> {
    let all = words.iter().filter_map(|word| place(word));
    let all = all.map(|(topic, partition)| FetchTopic {
        topic,
        partitions: vec![partition],
    });
    all.collect()
}

fn protocols(names: &str, topics: Option<&str>, says: Option<&str>) -> Vec<Protocol> {
    let topics: Option<Vec<String>> =
        topics.map(|topics| topics.split(',').map(str::to_owned).collect());
    let protocols = names.split(',').filter(|name| !name.is_empty());
    let protocols = protocols.map(|name| Protocol {
        name: Arc::from(name),
        metadata: Arc::from(says.unwrap_or("").as_bytes()),
        topics: topics.clone().map(Arc::from),
    });
    protocols.collect()
}

/// `c-7` is the id made of the seventh token.
fn long_id(short: &str) -> String {
    match short.rsplit_once('-') {
        Some((name, token)) => {
            let token: u64 = token.parse().expect("a token");
            format!("{name}-00000000-0000-0000-0000-{token:012x}")
        }
        None => short.to_owned(),
    }
}

fn short_id(long: &str) -> String {
    match long.split_once("-00000000-0000-0000-0000-") {
        Some((name, token)) => {
            let token = u64::from_str_radix(token, 16).expect("hex");
            format!("{name}-{token}")
        }
        None => long.to_owned(),
    }
}

fn shown(effect: &Effect) -> Vec<String> {
    let (ticket, answer) = match effect {
        Effect::Record(note) => return shown_notes(note),
        Effect::Answer { ticket, answer } => (ticket.0, answer),
    };
    let to = if ticket == 0 {
        String::new()
    } else {
        format!("t{ticket} ")
    };
    let refused = |error: &GroupError| match error {
        GroupError::MemberIdRequired { member } => {
            vec![format!("{to}come again as {}", short_id(member))]
        }
        other => vec![format!("{to}refused {other:?}")],
    };
    match answer {
        Answer::Joined(Ok(joined)) => {
            let mut text = format!(
                "{to}{} joined {} {} leader {}",
                short_id(&joined.member),
                joined.generation,
                joined.protocol,
                short_id(&joined.leader)
            );
            for member in &joined.members {
                let said = String::from_utf8_lossy(&member.metadata);
                let named = member.instance.as_ref().map(|name| format!("({name})"));
                let id = short_id(&member.member);
                write!(text, ", {id}{}:{said}", named.unwrap_or_default()).expect("a string");
            }
            if joined.skip_assignment {
                text.push_str(", nothing to share out");
            }
            vec![text]
        }
        Answer::Synced(Ok(synced)) => {
            let share = String::from_utf8_lossy(&synced.assignment);
            vec![format!("{to}share \"{share}\" of {}", synced.protocol)]
        }
        Answer::Beaten(Ok(told)) => vec![format!("{to}{} in epoch {}", told.member, told.epoch)],
        Answer::Beaten(Err(error)) => vec![format!("{to}refused {error:?}")],
        Answer::Members(Ok(described)) => {
            let count = described.members.len();
            vec![format!("{to}{:?}, members {count}", described.state)]
        }
        Answer::Members(Err(error)) => refused(error),
        Answer::Alive(Ok(())) => vec![format!("{to}alive")],
        Answer::Left(Ok(left)) => {
            let left = left.iter().map(|left| {
                let who = match left.who.member.is_empty() {
                    true => left.who.instance.clone().unwrap_or_default(),
                    false => short_id(&left.who.member),
                };
                match &left.result {
                    Ok(()) => format!("{to}{who} left"),
                    Err(error) => format!("{to}{who} refused {error:?}"),
                }
            });
            left.collect()
        }
        Answer::Committed(results) => shown_results(&to, "committed", results),
        Answer::DeletedOffsets(Ok(results)) => shown_results(&to, "forgotten", results),
        Answer::Fetched(Ok(topics)) => topics.iter().flat_map(|t| shown_topic(&to, t)).collect(),
        Answer::Described(Ok(described)) => shown_described(&to, described),
        Answer::Deleted(Ok(())) => vec![format!("{to}deleted")],
        Answer::Joined(Err(error))
        | Answer::Synced(Err(error))
        | Answer::Alive(Err(error))
        | Answer::Left(Err(error))
        | Answer::DeletedOffsets(Err(error))
        | Answer::Fetched(Err(error))
        | Answer::Described(Err(error))
        | Answer::Deleted(Err(error)) => refused(error),
        Answer::Each(_) | Answer::Listed(_) => panic!("a group answers for itself only"),
    }
}

fn shown_results(to: &str, what: &str, results: &TopicResults) -> Vec<String> {
    let of = results.iter().flat_map(|(topic, partitions)| {
        partitions
            .iter()
            .map(move |(partition, result)| match result {
                Ok(()) => format!("{to}{}/{partition} {what}", topic.name),
                Err(error) => format!("{to}{}/{partition} refused {error:?}", topic.name),
            })
    });
    of.collect()
}

fn shown_topic(to: &str, of: &FetchedTopic) -> Vec<String> {
    let partitions = of.partitions.iter().map(|of_partition| {
        let at = format!("{to}{}/{}", of.topic.name, of_partition.partition);
        match &of_partition.committed {
            Ok(None) => format!("{at} nothing"),
            Ok(Some(said)) if said.metadata.is_empty() => format!("{at} at {}", said.offset),
            Ok(Some(said)) => format!("{at} at {} \"{}\"", said.offset, said.metadata),
            Err(error) => format!("{at} refused {error:?}"),
        }
    });
    partitions.collect()
}

fn shown_described(to: &str, described: &Described) -> Vec<String> {
    let mut lines = vec![format!(
        "{to}{} \"{}\" \"{}\"",
        described.state, described.protocol_type, described.protocol
    )];
    for member in &described.members {
        lines.push(format!(
            "{to}{} of {}@{} says \"{}\" has \"{}\"",
            short_id(&member.member),
            member.client_id,
            member.client_host,
            String::from_utf8_lossy(&member.metadata),
            String::from_utf8_lossy(&member.assignment),
        ));
    }
    lines
}

fn shown_notes(mut bytes: &[u8]) -> Vec<String> {
    let mut shown = Vec::new();
    while !bytes.is_empty() {
        let note = Note::decode(&mut bytes).expect("its own note");
        shown.push(match note {
            Note::Classic {
                generation,
                empty_since_ms,
                ..
            } => match empty_since_ms {
                Some(ms) => format!("record generation {generation}, empty since {ms}"),
                None => format!("record generation {generation}"),
            },
            Note::Offset {
                topic,
                partition,
                committed,
            } => format!("record {}/{partition} at {}", topic.name, committed.offset),
            Note::Pending {
                producer_id,
                topic,
                partition,
                committed,
            } => {
                let at = committed.offset;
                format!("record {}/{partition} at {at} by {producer_id}", topic.name)
            }
            Note::Completed {
                producer_id,
                commit,
            } => format!("record end of {producer_id}, commit {commit}"),
            Note::Removed { topic, partition } => {
                let bytes = topic.0.to_be_bytes();
                let name: String = bytes
                    .iter()
                    .filter(|b| **b > 0)
                    .map(|b| *b as char)
                    .collect();
                format!("record {name}/{partition} forgotten")
            }
            Note::Vacant => "record no group".to_owned(),
            Note::Consumer(note) => format!("record of consumers {}", shown_beat(&note)),
            Note::Share(note) => format!("record of share {}", shown_beat(&note)),
        });
    }
    shown
}

fn shown_beat(note: &consumer::Note) -> String {
    match note {
        consumer::Note::Group {
            epoch,
            target_epoch,
            ..
        } => format!("epoch {epoch}, target {target_epoch}"),
        consumer::Note::Member { id, member } => format!("{id} in {}", member.epoch),
        consumer::Note::Target { id, .. } => format!("target of {id}"),
        consumer::Note::Gone { id } => format!("{id} gone"),
    }
}

#[test]
fn histories_come_out_as_written() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/group/histories");
    let bless = std::env::var_os("BONGSU_BLESS").is_some();
    let mut count = 0;
    for entry in std::fs::read_dir(&dir).expect("the histories") {
        let path = entry.expect("an entry").path();
        let written = std::fs::read_to_string(&path).expect("a history");
        let found = run(&written);
        if bless {
            std::fs::write(&path, &found).expect("rewritten");
        } else {
            assert_eq!(found, written, "{}", path.display());
        }
        count += 1;
    }
    assert!(count >= 12, "{count} histories");
}
