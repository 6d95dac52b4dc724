//! All suites, one row each.

use super::{Kind, Suite};
use crate::test::setup::Ecosystem;

/// In the order they run: what fails fastest comes first.
pub(in crate::test) const ALL: &[Suite] = &[
    Suite {
        name: "unit",
        group: "unit",
        about: "cargo test --workspace",
        kind: Kind::Workspace,
    },
    Suite {
        name: "pika",
        group: "clients",
        about: "Python, blocking",
        kind: Kind::Client {
            ecosystem: Ecosystem::Python,
            program: &[".venv/bin/python", "client.py"],
            hello_ends: true,
        },
    },
    Suite {
        name: "aio-pika",
        group: "clients",
        about: "Python, asyncio",
        kind: Kind::Client {
            ecosystem: Ecosystem::Python,
            program: &[".venv/bin/python", "client.py"],
            hello_ends: true,
        },
    },
    Suite {
        name: "amqplib",
        group: "clients",
        about: "Node",
        kind: Kind::Client {
            ecosystem: Ecosystem::Node,
            program: &["node", "client.js"],
            hello_ends: true,
        },
    },
    Suite {
        name: "amqp091-go",
        group: "clients",
        about: "Go",
        kind: Kind::Client {
            ecosystem: Ecosystem::Go,
            program: &["bin/client"],
            hello_ends: true,
        },
    },
    Suite {
        name: "lapin",
        group: "clients",
        about: "Rust",
        kind: Kind::Client {
            ecosystem: Ecosystem::Rust,
            program: &["target/debug/bongsu-client-lapin"],
            hello_ends: true,
        },
    },
    Suite {
        name: "java",
        group: "clients",
        about: "the RabbitMQ Java client",
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
        group: "clients",
        about: "Node services: channels that come back, and NestJS",
        kind: Kind::Library {
            ecosystem: Ecosystem::Node,
            program: &["node", "client.js"],
            scenarios: &["channels", "full", "reconnect", "nest", "nest_reconnect"],
        },
    },
    Suite {
        name: "celery",
        group: "clients",
        about: "kombu and Celery's workers",
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
        group: "clients",
        about: "Spring AMQP",
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
        group: "clients",
        about: "Ruby",
        kind: Kind::Library {
            ecosystem: Ecosystem::Ruby,
            program: &["ruby", "client.rb"],
            scenarios: &["everyday", "extensions", "reconnect"],
        },
    },
    Suite {
        name: "php-amqplib",
        group: "clients",
        about: "PHP",
        kind: Kind::Library {
            ecosystem: Ecosystem::Php,
            program: &["php", "client.php"],
            scenarios: &["everyday", "extensions"],
        },
    },
    Suite {
        name: "topologies",
        group: "clients",
        about: "what service buses declare, by hand",
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
        group: "clients",
        about: "AMQP 0-9-1 as RabbitMQ has it, texts and all",
        kind: Kind::Conformance,
    },
    Suite {
        name: "kill",
        group: "clients",
        about: "the clients' ledger over many SIGKILLs",
        kind: Kind::Kill,
    },
];
