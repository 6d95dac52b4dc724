//! Who takes part: a broker and the protocol it is spoken to by.

use std::process::Command;

use super::super::broker::{Installed, Kind};
use super::super::{Places, Suite, peers};
use super::Options;

/// A column of the comparison.
pub struct Column {
    /// What results call it.
    pub id: &'static str,
    /// What people read.
    pub title: String,
    /// How it is started.
    pub installed: Installed,
    /// What makes an answer mean a sync.
    pub durability: &'static str,
}

impl Column {
    /// Whether it is ours.
    pub fn ours(&self) -> bool {
        self.installed.kind == Kind::Bongsu
    }

    /// Seconds to start and stop it once, about.
    pub fn turn_seconds(&self) -> f64 {
        match self.installed.kind {
            Kind::Bongsu | Kind::Nats | Kind::Redis => 0.6,
            Kind::RabbitMq => 8.0,
            Kind::Kafka => 6.0,
        }
    }
}

/// Those that were asked for and are here; says how to get the others.
pub fn present(options: &Options, places: &Places) -> Vec<Column> {
    let mut columns = vec![Column {
        id: "bongsu-amqp",
        title: "Bongsu, AMQP".to_owned(),
        installed: Installed::bongsu(places, Suite::Amqp),
        durability: "data.durability=fsync",
    }];
    let wanted = |kind| options.peers.contains(&kind);
    let mut add = |id, durability, installed: Result<Installed, String>| match installed {
        Ok(installed) => columns.push(Column {
            id,
            title: installed.title.clone(),
            installed,
            durability,
        }),
        Err(how) => eprintln!("{id} is left out: {how}"),
    };
    if wanted(Kind::RabbitMq) {
        add(
            "rabbitmq",
            "classic durable queue, persistent messages, publisher confirms",
            Installed::rabbitmq().ok_or("apt-get install rabbitmq-server".into()),
        );
    }
    let mut kafka = Installed::bongsu(places, Suite::Kafka);
    kafka.title = "Bongsu, Kafka".into();
    add("bongsu-kafka", "data.durability=fsync, acks=all", Ok(kafka));
    if wanted(Kind::Kafka) {
        // Its starter brings the jars from Maven the first time, whatever it is asked.
        let starter = Command::new(Installed::kafka_tools())
            .args(["topics", "--version"])
            .output();
        let ready = starter.is_ok_and(|output| output.status.success());
        add(
            "kafka",
            "log.flush.interval.messages=1, acks=all",
            match ready {
                true => Ok(Installed::kafka()),
                false => Err("apt-get install default-jdk-headless maven, for its jars".into()),
            },
        );
    }
    if wanted(Kind::Nats) {
        add(
            "nats",
            "jetstream sync_interval: always",
            peers::nats(places).map_err(|error| error.to_string()),
        );
    }
    if wanted(Kind::Redis) {
        add(
            "redis",
            "appendonly yes, appendfsync always",
            Installed::redis().ok_or("apt-get install redis-server".into()),
        );
    }
    columns
}
