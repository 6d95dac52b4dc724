//! Histories (text in, answers out; `BONGSU_BLESS=1` rewrites the answers): the specification
//! of how members walk from one target to the next.
//!
//! ```text
//! topic t=4            a topic with partitions; 0: it is deleted
//! at 1000              the time, in milliseconds
//! m1 join t,u pattern=x.* assignor=range instance=i id=z timeout=9
//! m1 beat              as the client library does: the epoch it was told, and what it holds
//!                      if that has changed since it last said so
//! m1 beat epoch=3 held=t:0,t:1
//! m1 full              says all again
//! m1 leave | away      for good, or with its name across restarts
//! keep m1              from here on, m1 does not give up what it is to
//! drop m1              it does again
//! describe             what the group is at
//! settings session=1000 max=2
//! restart              what a replay of all notes gives
//! kind share           the group is a share group
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::beat::{self, Beat, Beaten, Refused};
use super::settings::Settings;
use super::topics::{Held, Partition, TopicShape, Topics};
use super::*;
use crate::catalog::TopicId;

/// Topics by name; numbers are given in the order of making, and never again.
#[derive(Debug, Default)]
pub(super) struct World {
    topics: BTreeMap<Arc<str>, TopicShape>,
    made: u128,
}

impl World {
    pub fn set(&mut self, name: &str, partition_count: u32) {
        if partition_count == 0 {
            self.topics.remove(name);
            return;
        }
        if !self.topics.contains_key(name) {
            self.made += 1;
        }
        let id = TopicId(self.made);
        let shape = self.topics.entry(name.into()).or_insert(TopicShape {
            id,
            partition_count,
        });
        shape.partition_count = partition_count;
    }
}

impl Topics for World {
    fn by_name(&self, name: &str) -> Option<TopicShape> {
        self.topics.get(name).copied()
    }

    fn name(&self, id: TopicId) -> Option<Arc<str>> {
        let found = self.topics.iter().find(|(_, shape)| shape.id == id);
        found.map(|(name, _)| name.clone())
    }

    fn each(&self, visit: &mut dyn FnMut(&str, TopicShape)) {
        for (name, shape) in &self.topics {
            visit(name, *shape);
        }
    }
}

/// Either machine.
enum Machine {
    Consumer(ConsumerGroup),
    Share(ShareGroup),
}

/// What a client knows.
#[derive(Default)]
struct Client {
    id: String,
    instance: Option<String>,
    topics: Vec<String>,
    pattern: Option<String>,
    epoch: i32,
    held: Held,
    /// It has not said yet what it holds.
    news: bool,
    /// It does not give anything up.
    keeps: bool,
}

struct Run {
    world: World,
    machine: Machine,
    clients: BTreeMap<String, Client>,
    notes: Vec<u8>,
    now_ms: u64,
    out: String,
}

fn run(history: &str) -> String {
    let mut run = Run {
        world: World::default(),
        machine: Machine::Consumer(ConsumerGroup::new(Settings::CONSUMER)),
        clients: BTreeMap::new(),
        notes: Vec::new(),
        now_ms: 0,
        out: String::new(),
    };
    for line in history.lines().filter(|line| !line.starts_with("---- ")) {
        writeln!(run.out, "{line}").expect("a string");
        let code = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = code.split_whitespace().collect();
        if !words.is_empty() {
            run.step(&words);
            match &run.machine {
                Machine::Consumer(group) => group.check(),
                Machine::Share(group) => group.check(),
            }
        }
    }
    run.out
}

impl Run {
    fn tell(&mut self, text: &str) {
        writeln!(self.out, "---- {text}").expect("a string");
    }

    fn step(&mut self, words: &[&str]) {
        let named = |name: &str| {
            let mut found = words.iter();
            found.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        };
        let mut notes = Vec::new();
        match words[0] {
            "topic" => {
                for word in &words[1..] {
                    let (name, count) = word.split_once('=').expect("name=count");
                    self.world.set(name, count.parse().expect("a count"));
                }
                match &mut self.machine {
                    Machine::Consumer(group) => group.topics_changed(&self.world, &mut notes),
                    Machine::Share(group) => group.topics_changed(&self.world, &mut notes),
                }
            }
            "at" => {
                self.now_ms = words[1].parse().expect("milliseconds");
                match &mut self.machine {
                    Machine::Consumer(group) => group.timeout(self.now_ms, &mut notes),
                    Machine::Share(group) => {
                        for id in group.timeout(self.now_ms, &mut notes) {
                            self.tell(&format!("out {id}"));
                        }
                    }
                }
            }
            "kind" => self.machine = Machine::Share(ShareGroup::new(Settings::SHARE)),
            "settings" => {
                let number = |name| named(name).map(|text| text.parse::<u32>().expect("a number"));
                let settings = Settings {
                    session_timeout_ms: number("session").unwrap_or(45_000),
                    heartbeat_interval_ms: 5_000,
                    members_max: number("max").unwrap_or(1000) as usize,
                };
                match &mut self.machine {
                    Machine::Consumer(group) => group.configure(settings),
                    Machine::Share(group) => group.configure(settings),
                }
            }
            "describe" => {
                let described = match &self.machine {
                    Machine::Consumer(group) => group.describe(&self.world),
                    Machine::Share(group) => group.describe(&self.world),
                };
                self.describe(&described);
            }
            "restart" => self.restart(&mut notes),
            "keep" => self.clients.entry(words[1].to_owned()).or_default().keeps = true,
            "drop" => {
                let client = self.clients.entry(words[1].to_owned()).or_default();
                client.keeps = false;
                client.news = true;
            }
            name => self.client(name, words, &mut notes),
        }
        for note in notes {
            note.encode(&mut self.notes);
        }
    }

    fn restart(&mut self, notes: &mut Vec<Note>) {
        let bytes = std::mem::take(&mut self.notes);
        let mut rest = &bytes[..];
        match &mut self.machine {
            Machine::Consumer(group) => {
                let mut again = ConsumerGroup::new(Settings::CONSUMER);
                while !rest.is_empty() {
                    again.replay(Note::decode(&mut rest).expect("own notes"));
                }
                again.replayed(self.now_ms);
                again.topics_changed(&self.world, notes);
                *group = again;
                for note in group.notes() {
                    note.encode(&mut self.notes);
                }
            }
            Machine::Share(group) => {
                let mut again = ShareGroup::new(Settings::SHARE);
                while !rest.is_empty() {
                    again.replay(Note::decode(&mut rest).expect("own notes"));
                }
                again.replayed(self.now_ms);
                again.topics_changed(&self.world, notes);
                *group = again;
                for note in group.notes() {
                    note.encode(&mut self.notes);
                }
            }
        }
    }

    fn client(&mut self, name: &str, words: &[&str], notes: &mut Vec<Note>) {
        let named = |name: &str| {
            let mut found = words.iter();
            found.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        };
        let mut client = self.clients.remove(name).unwrap_or_default();
        let mut beat = Beat {
            names_itself: true,
            instance: client.instance.clone(),
            ..Beat::default()
        };
        match words[1] {
            "join" => {
                client.id = named("id").unwrap_or(name).to_owned();
                client.instance = named("instance").map(str::to_owned);
                client.pattern = named("pattern").map(str::to_owned);
                let topics = words.get(2).filter(|word| !word.contains('='));
                let topics = topics.map(|list| list.split(',').map(str::to_owned).collect());
                client.topics = topics.unwrap_or_default();
                client.held.clear();
                client.news = false;
                beat.epoch = beat::JOIN;
                beat.instance = client.instance.clone();
                beat.rebalance_timeout_ms =
                    Some(named("timeout").map_or(300_000, |text| text.parse().expect("ms")));
                beat.topics = Some(client.topics.clone());
                beat.pattern = client.pattern.clone();
                beat.assignor = named("assignor").map(str::to_owned);
                beat.held = Some(Held::new());
                client.epoch = 0;
            }
            "beat" | "full" => {
                beat.epoch = client.epoch;
                if client.news || words[1] == "full" {
                    beat.held = Some(client.held.clone());
                }
                if words[1] == "full" {
                    beat.rebalance_timeout_ms = Some(300_000);
                    beat.topics = Some(client.topics.clone());
                }
                client.news = false;
            }
            "leave" => beat.epoch = beat::LEAVE,
            "away" => beat.epoch = beat::LEAVE_FOR_A_WHILE,
            other => panic!("no such step: {other}"),
        }
        if client.id.is_empty() {
            client.id = name.to_owned();
        }
        beat.member = client.id.clone();
        if let Some(epoch) = named("epoch") {
            beat.epoch = epoch.parse().expect("an epoch");
        }
        if let Some(list) = named("held") {
            beat.held = Some(self.partitions(list));
        }
        if let Some(list) = named("wants") {
            client.topics = list.split(',').map(str::to_owned).collect();
            beat.topics = Some(client.topics.clone());
        }
        if let Some(pattern) = named("like") {
            beat.pattern = Some(pattern.to_owned());
        }
        let asker = Asker {
            client_id: name,
            client_host: "/127.0.0.1",
            token: 1,
        };
        let answer = match &mut self.machine {
            Machine::Consumer(group) => group.beat(&beat, asker, &self.world, self.now_ms, notes),
            Machine::Share(group) => group.beat(&beat, asker, &self.world, self.now_ms, notes),
        };
        let text = match answer {
            Ok(told) => self.told(&mut client, &told),
            Err(refused) => shown(&refused),
        };
        self.tell(&text);
        self.clients.insert(name.to_owned(), client);
    }

    fn told(&self, client: &mut Client, told: &Beaten) -> String {
        client.epoch = told.epoch;
        client.id = told.member.to_string();
        let mut text = format!("epoch {}", told.epoch);
        let Some(assignment) = &told.assignment else {
            return text;
        };
        let mut held = Held::new();
        for (topic, indexes) in assignment {
            held.extend(indexes.iter().map(|index| Partition {
                topic: *topic,
                index: *index,
            }));
        }
        write!(text, " {}", self.named(assignment)).expect("a string");
        if client.keeps {
            client.held.extend(held);
        } else {
            client.news = client.held != held;
            client.held = held;
        }
        text
    }

    fn named(&self, assignment: &[(TopicId, Vec<u32>)]) -> String {
        let mut parts = Vec::new();
        for (topic, indexes) in assignment {
            let name = self.world.name(*topic);
            let name = name.unwrap_or_else(|| format!("({})", topic.0).into());
            parts.extend(indexes.iter().map(|index| format!("{name}:{index}")));
        }
        match parts.is_empty() {
            true => "nothing".to_owned(),
            false => parts.join(" "),
        }
    }

    fn partitions(&self, list: &str) -> Held {
        let parse = |text: &str| {
            let (name, index) = text.split_once(':').expect("topic:index");
            Partition {
                topic: self.world.by_name(name).expect("a topic").id,
                index: index.parse().expect("an index"),
            }
        };
        list.split(',')
            .filter(|text| !text.is_empty())
            .map(parse)
            .collect()
    }

    fn describe(&mut self, described: &Description) {
        let (state, assignor) = (described.state.name(), described.assignor);
        let (epoch, target) = (described.epoch, described.target_epoch);
        self.tell(&format!(
            "{state}, epoch {epoch}, target {target}, {assignor}"
        ));
        for one in &described.members {
            let list = |parts: &[group::NamedPartitions]| {
                let parts: Vec<_> = parts
                    .iter()
                    .map(|(id, _, list)| (*id, list.clone()))
                    .collect();
                self.named(&parts)
            };
            let member = &one.member;
            let text = format!(
                "{} epoch {} {:?}: {}; shall have {}",
                one.id,
                member.epoch,
                member.state,
                list(&one.assigned),
                list(&one.target),
            );
            self.tell(&text);
        }
    }
}

fn shown(refused: &Refused) -> String {
    format!("refused: {refused:?}")
}

#[test]
fn histories() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/group/consumer/histories");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of histories")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a history");
        let answered = run(&text);
        if std::env::var_os("BONGSU_BLESS").is_some() {
            std::fs::write(&file, &answered).expect("rewritten");
            continue;
        }
        assert_eq!(answered, text, "{}", file.display());
    }
}
