//! The table itself; what it comes to is in `alter` and the catalog's histories.

use super::alter::{ConfigRefused, Subject, alter, check};
use super::table::{Status, TABLE, row};
use super::value::ValueInvalid;
use super::*;
use crate::catalog::{LogDurability, TopicKind};

const STREAM: Subject = Subject {
    kind: TopicKind::Stream,
    log: LogDurability::Fsync,
};

fn configs(pairs: &[(&str, &str)]) -> Configs {
    let owned = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    owned.collect()
}

#[test]
fn rows_are_in_order_and_take_their_defaults() {
    assert!(TABLE.is_sorted_by(|one, next| one.name < next.name));
    for known in TABLE {
        assert_eq!(row(known.name), Some(known));
        let is_empty_list = known.accepted.is_list() && known.default.is_empty();
        assert!(
            is_empty_list || known.accepted.check(known.default).is_ok(),
            "{}",
            known.name
        );
        check(&configs(&[(known.name, known.default)]), STREAM).unwrap();
    }
    assert_eq!(row("retention.seconds"), None);
}

#[test]
fn nothing_is_accepted_that_is_not_followed() {
    for (name, value) in [
        ("preallocate", "true"),
        ("compression.zstd.level", "-5"),
        ("index.interval.bytes", "1"),
        ("remote.storage.enable", "TRUE"),
        ("unclean.leader.election.enable", "true"),
        ("leader.replication.throttled.replicas", "*"),
        ("segment.jitter.ms", "1"),
    ] {
        let refused = check(&configs(&[(name, value)]), STREAM).unwrap_err();
        assert!(
            matches!(refused, ConfigRefused::OnlyDefault { .. }),
            "{refused:?}"
        );
    }
    let of_streams = TABLE.iter().filter(|row| row.status == Status::OfStreams);
    for row in of_streams {
        let of_queue = Subject {
            kind: TopicKind::Queue,
            ..STREAM
        };
        let name = row.name;
        let refused = check(&configs(&[(name, row.default)]), of_queue);
        assert_eq!(refused, Err(ConfigRefused::WorkQueue { name }));
    }
    let flushed = configs(&[("flush.messages", "1")]);
    check(&flushed, STREAM).unwrap();
    let in_pages = Subject {
        log: LogDurability::Os,
        ..STREAM
    };
    assert!(check(&flushed, in_pages).is_err());
}

#[test]
fn values_of_the_wrong_type_or_range_are_refused() {
    let cause = |name: &str, value: &str| match check(&configs(&[(name, value)]), STREAM) {
        Err(ConfigRefused::Invalid { cause, .. }) => cause,
        other => panic!("{other:?}"),
    };
    let a_type = |expected| ValueInvalid::Type { expected };
    assert_eq!(cause("retention.ms", "1d"), a_type("LONG"));
    assert_eq!(cause("max.message.bytes", "3000000000"), a_type("INT"));
    assert_eq!(cause("preallocate", "yes"), a_type("BOOLEAN"));
    assert_eq!(cause("min.cleanable.dirty.ratio", "half"), a_type("DOUBLE"));
    for (name, value, accepted) in [
        ("retention.ms", "-2", "at least -1"),
        ("min.insync.replicas", "0", "at least 1"),
        ("min.cleanable.dirty.ratio", "1.5", "0 to 1"),
        ("compression.gzip.level", "0", "1 to 9, or -1"),
        (
            "cleanup.policy",
            "compact,compact",
            "some of compact, delete, none twice",
        ),
        (
            "message.timestamp.type",
            "createtime",
            "one of CreateTime, LogAppendTime",
        ),
    ] {
        let accepted = accepted.to_owned();
        assert_eq!(
            cause(name, value),
            ValueInvalid::Range { accepted },
            "{name}"
        );
    }
    let bounds = configs(&[
        ("min.compaction.lag.ms", "5"),
        ("max.compaction.lag.ms", "4"),
    ]);
    assert!(matches!(
        check(&bounds, STREAM),
        Err(ConfigRefused::Bounds { .. })
    ));
}

#[test]
fn lists_are_added_to_and_taken_from() {
    let one = |name: &str, operation| Alteration {
        name: name.to_owned(),
        operation,
    };
    let text = |text: &str| Some(text.to_owned());
    let none = Configs::new();
    let both = alter(
        &none,
        &[one("cleanup.policy", Operation::Append(text("compact")))],
        STREAM,
    );
    let both = both.unwrap();
    assert_eq!(both, configs(&[("cleanup.policy", "delete,compact")]));
    let again = [one("cleanup.policy", Operation::Append(text("compact")))];
    assert_eq!(alter(&both, &again, STREAM).as_ref(), Ok(&both));
    let compact = [one("cleanup.policy", Operation::Subtract(text("delete")))];
    let compact = alter(&both, &compact, STREAM).unwrap();
    assert_eq!(compact, configs(&[("cleanup.policy", "compact")]));
    let nothing = [one("cleanup.policy", Operation::Subtract(text("compact")))];
    assert!(alter(&compact, &nothing, STREAM).is_err());
    let usual = [one("cleanup.policy", Operation::Delete)];
    assert_eq!(alter(&compact, &usual, STREAM), Ok(none.clone()));
    let added = [one("retention.ms", Operation::Append(text("1")))];
    let name = "retention.ms";
    assert_eq!(
        alter(&none, &added, STREAM),
        Err(ConfigRefused::NotAList { name })
    );
    let missing = [one(name, Operation::Set(None))];
    assert!(matches!(
        alter(&none, &missing, STREAM),
        Err(ConfigRefused::NoValue { .. })
    ));
    let twice = [
        one(name, Operation::Delete),
        one(name, Operation::Set(text("1"))),
    ];
    assert!(matches!(
        alter(&none, &twice, STREAM),
        Err(ConfigRefused::Twice { .. })
    ));
}

#[test]
fn what_was_set_becomes_numbers() {
    let set = configs(&[
        ("cleanup.policy", "compact, delete"),
        ("compression.type", "zstd"),
        ("max.message.bytes", " 100 "),
        ("message.timestamp.type", "LogAppendTime"),
        ("min.insync.replicas", "2"),
        ("min.cleanable.dirty.ratio", "0.1"),
    ]);
    let config = TopicConfig::of(&set);
    assert_eq!(config.compression, Compression::Zstd);
    assert_eq!(config.message_bytes_max, 100);
    assert_eq!(config.timestamps, Timestamps::Append);
    assert_eq!(config.replicas_min, 2);
    let compaction = config.compaction.unwrap();
    assert!((compaction.dirty_ratio_min - 0.1).abs() < 1e-9);
    assert_eq!(compaction.delete_retention_ms, 86_400_000);
    let usual = TopicConfig::default();
    assert_eq!(usual.message_bytes_max, 1_048_588);
    assert_eq!(usual.timestamp_after_max_ms, 3_600_000);
    assert_eq!(usual.segment_ms, 604_800_000);
    assert_eq!((usual.compaction, usual.replicas_min), (None, 1));
}

/// What `docs/kafka/topics.md` says behind its mark.
fn documented() -> String {
    let mut out = String::from("\n| name | default | accepted | |\n|---|---|---|---|\n");
    for row in TABLE {
        let what = match row.status {
            Status::Enforced => format!("Enforced. {}", row.meaning),
            Status::OfStreams => format!("Enforced, of streams. {}", row.meaning),
            Status::IfSynced => {
                format!(
                    "Any value with durability fsync, else the default. {}",
                    row.meaning
                )
            }
            Status::OnlyDefault(why) => format!("Only the default: {why}."),
        };
        let (name, accepted) = (row.name, row.accepted.accepted());
        out += &format!("| `{name}` | `{}` | {accepted} | {what} |\n", row.default);
    }
    out.replace("| `` |", "| (empty) |")
}

#[test]
fn the_document_says_what_the_table_says() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/kafka/topics.md");
    let text = std::fs::read_to_string(file).unwrap();
    let mark = "rewrites what follows -->\n";
    let (head, told) = text.split_at(text.find(mark).unwrap() + mark.len());
    if std::env::var_os("BONGSU_BLESS").is_some() {
        std::fs::write(file, format!("{head}{}", documented())).unwrap();
        return;
    }
    assert_eq!(told, documented(), "BONGSU_BLESS=1 rewrites it");
}
