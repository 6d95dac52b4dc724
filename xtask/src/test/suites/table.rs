//! All suites, one row each.

use super::{Kind, Suite};
use crate::test::broker::Product;
use crate::test::setup::Ecosystem;

/// In the order they run: what fails fastest comes first.
pub(in crate::test) const ALL: &[Suite] = &[
    Suite {
        name: "unit",
        group: "unit",
        about: "cargo test --workspace",
        judge: None,
        kind: Kind::Workspace,
    },
    Suite {
        name: "pika",
        group: "amqp",
        about: "Python, blocking",
        judge: Some(Product::RabbitMq),
        kind: Kind::Client {
            ecosystem: Ecosystem::Python,
            program: &[".venv/bin/python", "client.py"],
            hello_ends: true,
        },
    },
    Suite {
        name: "aio-pika",
        group: "amqp",
        about: "Python, asyncio",
        judge: Some(Product::RabbitMq),
        kind: Kind::Client {
            ecosystem: Ecosystem::Python,
            program: &[".venv/bin/python", "client.py"],
            hello_ends: true,
        },
    },
    Suite {
        name: "amqplib",
        group: "amqp",
        about: "Node",
        judge: Some(Product::RabbitMq),
        kind: Kind::Client {
            ecosystem: Ecosystem::Node,
            program: &["node", "client.js"],
            hello_ends: true,
        },
    },
    Suite {
        name: "amqp091-go",
        group: "amqp",
        about: "Go",
        judge: Some(Product::RabbitMq),
        kind: Kind::Client {
            ecosystem: Ecosystem::Go,
            program: &["bin/client"],
            hello_ends: true,
        },
    },
    Suite {
        name: "lapin",
        group: "amqp",
        about: "Rust",
        judge: Some(Product::RabbitMq),
        kind: Kind::Client {
            ecosystem: Ecosystem::Rust,
            program: &["target/debug/bongsu-client-lapin"],
            hello_ends: true,
        },
    },
    Suite {
        name: "java",
        group: "amqp",
        about: "the RabbitMQ Java client",
        judge: Some(Product::RabbitMq),
        kind: Kind::Client {
            ecosystem: Ecosystem::Java,
            program: &[
                "java",
                "-cp",
                "target/classes:target/dependency/*",
                "Client",
            ],
            hello_ends: false,
        },
    },
    Suite {
        name: "amqp-connection-manager",
        group: "amqp",
        about: "Node services: channels that come back, and NestJS",
        judge: Some(Product::RabbitMq),
        kind: Kind::Library {
            ecosystem: Ecosystem::Node,
            program: &["node", "client.js"],
            scenarios: &["channels", "full", "reconnect", "nest", "nest_reconnect"],
        },
    },
    Suite {
        name: "celery",
        group: "amqp",
        about: "kombu and Celery's workers",
        judge: Some(Product::RabbitMq),
        kind: Kind::Library {
            ecosystem: Ecosystem::Python,
            program: &[".venv/bin/python", "client.py"],
            scenarios: &[
                "plain",
                "tasks",
                "chords",
                "priorities",
                "acks_late",
                "native_delay",
                "restart",
            ],
        },
    },
    Suite {
        name: "spring",
        group: "amqp",
        about: "Spring AMQP",
        judge: Some(Product::RabbitMq),
        kind: Kind::Library {
            ecosystem: Ecosystem::Java,
            program: &[
                "java",
                "-cp",
                "target/classes:target/dependency/*",
                "Client",
            ],
            scenarios: &[
                "topology",
                "containers",
                "retry",
                "rpc",
                "batch",
                "confirms",
                "transactions",
                "streams",
                "delayed",
                "restart",
            ],
        },
    },
    Suite {
        name: "bunny",
        group: "amqp",
        about: "Ruby",
        judge: Some(Product::RabbitMq),
        kind: Kind::Library {
            ecosystem: Ecosystem::Ruby,
            program: &["ruby", "client.rb"],
            scenarios: &["everyday", "extensions", "reconnect"],
        },
    },
    Suite {
        name: "php-amqplib",
        group: "amqp",
        about: "PHP",
        judge: Some(Product::RabbitMq),
        kind: Kind::Library {
            ecosystem: Ecosystem::Php,
            program: &["php", "client.php"],
            scenarios: &["everyday", "extensions"],
        },
    },
    Suite {
        name: "topologies",
        group: "amqp",
        about: "what service buses declare, by hand",
        judge: Some(Product::RabbitMq),
        kind: Kind::Library {
            ecosystem: Ecosystem::Python,
            program: &[".venv/bin/python", "client.py"],
            scenarios: &[
                "publishing",
                "failing",
                "requesting",
                "ordering",
                "delaying",
            ],
        },
    },
    Suite {
        name: "conformance",
        group: "amqp",
        about: "AMQP 0-9-1 as RabbitMQ has it, texts and all",
        judge: Some(Product::RabbitMq),
        kind: Kind::Conformance,
    },
    Suite {
        name: "kill",
        group: "amqp",
        about: "the clients' ledger over many SIGKILLs",
        judge: Some(Product::RabbitMq),
        kind: Kind::Kill,
    },
    Suite {
        name: "kafka-conformance",
        group: "kafka",
        about: "Kafka's protocol as Apache Kafka has it, by hand",
        judge: Some(Product::Kafka),
        kind: Kind::KafkaPytest {
            folder: "conformance",
        },
    },
    Suite {
        name: "kafka-python",
        group: "kafka",
        about: "confluent-kafka, kafka-python, aiokafka, kcat",
        judge: Some(Product::Kafka),
        kind: Kind::KafkaPytest {
            folder: "libraries",
        },
    },
    Suite {
        name: "mapping",
        group: "kafka",
        about: "docs/mapping.md: one record in AMQP's words and in Kafka's",
        judge: None,
        kind: Kind::KafkaPytest { folder: "mapping" },
    },
    Suite {
        name: "kafka-tools",
        group: "kafka",
        about: "Apache Kafka's command line tools",
        judge: Some(Product::Kafka),
        kind: Kind::KafkaPytest { folder: "tools" },
    },
    Suite {
        name: "kafka-java",
        group: "kafka",
        about: "Apache Kafka's Java clients: producer, consumers, share consumer, admin",
        judge: Some(Product::Kafka),
        kind: Kind::KafkaLibrary {
            ecosystem: Ecosystem::Java,
            program: &[
                "java",
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-cp",
                "target/classes:target/dependency/*",
                "Client",
            ],
            scenarios: &[
                "producer",
                "consumer",
                "consumer_protocol",
                "share",
                "transactions",
                "admin",
                "refused",
            ],
        },
    },
];
