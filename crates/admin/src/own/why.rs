//! Why nothing is delivered, in a sentence: `3 consumers, all at their prefetch of 10; oldest
//! lease 14 min`. The console has its own words for each code and builds them of the same
//! facts.

use bongsu_broker::operator::queues::WhySeen;
use bongsu_engine::queue::LinkKey;
use bongsu_engine::queue::why::{Code, Why};
use serde_json::{Value, json};

/// The answer of `…/why`.
pub fn told(seen: &WhySeen, now_ms: u64) -> Value {
    let why = &seen.why;
    let name_of = |key: LinkKey| name_of(seen, key);
    let code = code(seen);
    let oldest = why.oldest_lease.map(|held| {
        json!({
            "offset": held.start.0,
            "consumer": held.holder.0.to_string(),
            "consumer_name": name_of(held.holder),
            "leased_for_ms": now_ms.saturating_sub(held.since_ms),
        })
    });
    let locks: Vec<Value> = why
        .locks
        .iter()
        .map(|lock| {
            json!({
                "consumer": lock.holder.map(|key| key.0.to_string()),
                "consumer_name": lock.holder.map(&name_of),
                "keys": lock.keys,
            })
        })
        .collect();
    json!({
        "delivering": why.code == Code::Delivering && code == "delivering",
        "code": code,
        "text": sentence(seen, code, now_ms),
        "facts": {
            "ready": why.depth.ready,
            "leased": why.depth.leased,
            "waiting": why.depth.waiting,
            "dying": why.depth.dying,
            "consumers": why.consumers,
            "at_prefetch": why.at_prefetch,
            "prefetch_min": why.prefetch.map(|(low, _)| low),
            "prefetch_max": why.prefetch.map(|(_, high)| high),
            "slow": why.slow,
            "oldest_lease": oldest,
            "next_at": why.next_ms,
            "next_in_ms": why.next_ms.map(|at_ms| at_ms.saturating_sub(now_ms)),
            "locks": locks,
            "single_active": why.single_active.map(|key| key.0.to_string()),
            "single_active_name": why.single_active.map(&name_of),
            "alarm": seen.alarm.as_deref(),
            "dead_letter_exchange": seen.dead_letter.as_ref().map(|(exchange, _)| exchange),
            "dead_letter_routing_key": seen.dead_letter.as_ref().and_then(|(_, key)| key.as_ref()),
        },
    })
}

/// An empty queue to which nobody can publish is not merely empty.
fn code(seen: &WhySeen) -> &'static str {
    match (&seen.alarm, seen.why.code) {
        (Some(_), Code::Empty) => "blocked",
        (_, code) => code.name(),
    }
}

fn sentence(seen: &WhySeen, code: &str, now_ms: u64) -> String {
    let why = &seen.why;
    let name_of = |key: LinkKey| name_of(seen, key);
    let depth = why.depth;
    let reads = seen.readers.is_some();
    let consumers = match reads {
        true => counted(u64::from(why.consumers), "reader"),
        false => counted(u64::from(why.consumers), "consumer"),
    };
    match why.code {
        Code::Delivering if reads => format!("{consumers}; each at its own place"),
        Code::Delivering => format!("delivering to {consumers}"),
        Code::Empty if code == "blocked" => format!(
            "empty, and publishers are held back: {}",
            seen.alarm.as_deref().unwrap_or_default()
        ),
        Code::Empty if reads => "empty".to_owned(),
        Code::Empty => format!("empty; {consumers}"),
        Code::AllLeased => {
            let records = counted(depth.leased, "record");
            format!(
                "{records} leased, none left to deliver{}",
                oldest(why, now_ms)
            )
        }
        Code::WaitingForTime => {
            let waiting = counted(depth.waiting, "record");
            let next = match why.next_ms {
                Some(at_ms) if at_ms > now_ms => format!("; the next in {}", span(at_ms - now_ms)),
                _ => String::new(),
            };
            let leased = match depth.leased {
                0 => String::new(),
                leased => format!(", {} leased", counted(leased, "record")),
            };
            format!("{waiting} waiting for their time{next}{leased}")
        }
        Code::DeadLetterStuck => {
            let dying = counted(depth.dying, "dead record");
            match &seen.dead_letter {
                Some((exchange, _)) => format!(
                    "{dying} that nobody takes: no queue behind exchange '{exchange}' has room, or there is none"
                ),
                None => format!("{dying} on their way out"),
            }
        }
        Code::NoConsumers if reads => "no readers".to_owned(),
        Code::NoConsumers => format!("no consumers; {} ready", counted(depth.ready, "record")),
        Code::SingleActiveIdle => {
            let active = why.single_active.map(&name_of).unwrap_or_default();
            let full = match why.prefetch {
                Some((credit, _)) => format!("is at its prefetch of {credit}"),
                None => "does not read what it was sent".to_owned(),
            };
            let others = u64::from(why.consumers.saturating_sub(1));
            let others = counted(others, "other");
            format!(
                "one consumer is served at a time, and {active} {full}{}; {others} standing by",
                oldest(why, now_ms)
            )
        }
        Code::AtPrefetch => {
            let of = match why.prefetch {
                Some((low, high)) if low == high => format!(" of {low}"),
                Some((low, high)) => format!(" of {low} to {high}"),
                None => String::new(),
            };
            let all = match why.consumers {
                1 => "at its prefetch",
                _ => "all at their prefetch",
            };
            format!("{consumers}, {all}{of}{}", oldest(why, now_ms))
        }
        Code::SlowConsumers => {
            let slow = u64::from(why.slow);
            let verb = match slow {
                1 => "does",
                _ => "do",
            };
            let full = match why.at_prefetch {
                0 => String::new(),
                full => format!(", {full} at their prefetch"),
            };
            format!("{consumers}, of which {slow} {verb} not read what they were sent{full}")
        }
        Code::GroupLocked => {
            let held: Vec<String> = why
                .locks
                .iter()
                .map(|lock| match lock.holder {
                    Some(key) => {
                        format!("{} held by {}", counted(lock.keys, "key"), name_of(key))
                    }
                    None => format!(
                        "{} whose first record waits to be tried again",
                        counted(lock.keys, "key")
                    ),
                })
                .collect();
            format!(
                "what is ready is of keys that are taken: {}{}",
                held.join(", "),
                oldest(why, now_ms)
            )
        }
        Code::Reading => format!(
            "{} being read from the log, to be put in order",
            counted(depth.ready, "record")
        ),
    }
}

/// What a consumer is called, for people.
fn name_of(seen: &WhySeen, key: LinkKey) -> String {
    match seen.who.get(&key) {
        Some(who) if who.tag.is_empty() => format!("somebody of {}", who.connection),
        Some(who) if who.connection.is_empty() => format!("consumer '{}'", who.tag),
        Some(who) => format!("consumer '{}' of {}", who.tag, who.connection),
        None => format!("holder {}", key.0),
    }
}

fn oldest(why: &Why, now_ms: u64) -> String {
    match why.oldest_lease {
        Some(held) => format!(
            "; oldest lease {}",
            span(now_ms.saturating_sub(held.since_ms))
        ),
        None => String::new(),
    }
}

fn counted(count: u64, of: &str) -> String {
    match count {
        1 => format!("1 {of}"),
        count => format!("{count} {of}s"),
    }
}

/// A span of time for people: the two largest units at most.
fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if seconds == 0 => format!("{ms} ms"),
        () if minutes == 0 => format!("{seconds} s"),
        () if hours == 0 => format!("{minutes} min"),
        () if days == 0 => format!("{hours} h {} min", minutes % 60),
        () => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use bongsu_engine::queue::why::{Depth, Locks};
    use std::collections::BTreeMap;

    use bongsu_broker::operator::queues::Who;
    use bongsu_engine::queue::Held;
    use bongsu_engine::session::Tries;
    use bongsu_record::Offset;

    use super::*;

    fn seen(code: Code) -> WhySeen {
        WhySeen {
            why: Why {
                code,
                depth: Depth {
                    ready: 5,
                    leased: 30,
                    waiting: 1,
                    dying: 2,
                },
                consumers: 3,
                at_prefetch: 3,
                prefetch: Some((10, 10)),
                slow: 1,
                oldest_lease: Some(Held {
                    start: Offset(4),
                    end: Offset(9),
                    holder: LinkKey(7),
                    tries: Tries::default(),
                    since_ms: 160_000,
                    deadline_ms: None,
                }),
                next_ms: Some(1_090_000),
                locks: vec![
                    Locks {
                        holder: Some(LinkKey(7)),
                        keys: 2,
                    },
                    Locks {
                        holder: None,
                        keys: 1,
                    },
                ],
                single_active: Some(LinkKey(7)),
                first_owed: Some(Offset(4)),
            },
            alarm: None,
            readers: None,
            dead_letter: Some(("dlx".to_owned(), None)),
            who: BTreeMap::from([(
                LinkKey(7),
                Who {
                    tag: "c7".to_owned(),
                    ..Who::default()
                },
            )]),
        }
    }

    fn text(seen: &WhySeen) -> String {
        let told = told(seen, 1_000_000);
        told["text"].as_str().expect("text").to_owned()
    }

    #[test]
    fn each_cause_has_its_sentence() {
        let full = seen(Code::AtPrefetch);
        assert_eq!(
            text(&full),
            "3 consumers, all at their prefetch of 10; oldest lease 14 min"
        );
        for (code, expected) in [
            (Code::Delivering, "delivering to 3 consumers"),
            (Code::NoConsumers, "no consumers; 5 records ready"),
            (
                Code::WaitingForTime,
                "1 record waiting for their time; the next in 1 min, 30 records leased",
            ),
            (
                Code::AllLeased,
                "30 records leased, none left to deliver; oldest lease 14 min",
            ),
            (
                Code::SingleActiveIdle,
                "one consumer is served at a time, and consumer 'c7' is at its prefetch of 10; oldest lease 14 min; 2 others standing by",
            ),
            (
                Code::SlowConsumers,
                "3 consumers, of which 1 does not read what they were sent, 3 at their prefetch",
            ),
            (
                Code::GroupLocked,
                "what is ready is of keys that are taken: 2 keys held by consumer 'c7', 1 key whose first record waits to be tried again; oldest lease 14 min",
            ),
            (
                Code::DeadLetterStuck,
                "2 dead records that nobody takes: no queue behind exchange 'dlx' has room, or there is none",
            ),
            (Code::Empty, "empty; 3 consumers"),
        ] {
            assert_eq!(text(&seen(code)), expected);
        }
    }

    #[test]
    fn an_empty_queue_during_an_alarm_is_blocked() {
        let mut blocked = seen(Code::Empty);
        blocked.alarm = Some("low on disk".into());
        let told = told(&blocked, 0);
        assert_eq!(
            (&told["code"], &told["delivering"]),
            (&json!("blocked"), &json!(false))
        );
        assert_eq!(
            told["text"],
            "empty, and publishers are held back: low on disk"
        );
    }

    #[test]
    fn spans_have_two_units_at_most() {
        for (ms, text) in [
            (0, "0 ms"),
            (1_500, "1 s"),
            (840_000, "14 min"),
            (7_260_000, "2 h 1 min"),
            (90_000_000, "1 d 1 h"),
        ] {
            assert_eq!(span(ms), text);
        }
    }
}
