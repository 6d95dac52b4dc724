//! What a share group may be configured to: Kafka's settings by Kafka's names, and what
//! Kafka's share groups do not have by names of our own.
//!
//! A group keeps what was set as text ([`Configs`]); [`ShareConfig::of`] reads it. What is
//! about the records it is lent becomes arguments of its subscriptions
//! ([`ShareConfig::arguments`]), so that a restart finds them there; it is not about work
//! queues, which have arguments of their own.

use bongsu_record::{Arguments, Value};

use crate::catalog::Configs;
use crate::queue::Hold;
use crate::stream::StreamOffset;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Its value where nobody set it; empty: none.
    pub usual: &'static str,
    /// What it may be.
    pub accepted: Accepted,
    /// What it is for.
    pub about: &'static str,
}

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// A whole number from the first to the second, both included.
    Whole(u64, u64),
    /// `true` or `false`.
    Bool,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// `earliest`, `latest`, or `by_duration:` and a span as ISO 8601 writes it.
    Start,
    /// Any text of at most 255 bytes.
    Text,
}

#[rustfmt::skip]
/// Every setting, by name.
pub const TABLE: &[Row] = &[
    row("bongsu.dead.letter.exchange", "", Accepted::Text,
        "The exchange that rejected records, and those that failed too often, go through; empty is the default exchange, where the routing key names the queue or topic. Without it and a routing key they are dropped."),
    row("bongsu.dead.letter.routing.key", "", Accepted::Text,
        "The routing key of dead records, in place of their own."),
    row("bongsu.delay.ms", "0", Accepted::Whole(0, SPAN_MS_MAX),
        "How long after its time stamp a record is delivered for the first time."),
    row("bongsu.order.by.key", "false", Accepted::Bool,
        "Records of one key are lent to one member at a time, in order."),
    row("bongsu.retry.backoff.max.ms", "0", Accepted::Whole(0, SPAN_MS_MAX),
        "The longest wait before a record is delivered again; 0 is the back-off itself."),
    row("bongsu.retry.backoff.ms", "0", Accepted::Whole(0, SPAN_MS_MAX),
        "The wait before a record is delivered again, times how often it was."),
    row("consumer.heartbeat.interval.ms", "5000", Accepted::Whole(100, 60_000),
        "How often members of a consumer group are asked to report."),
    row("consumer.session.timeout.ms", "45000", Accepted::Whole(1_000, 1_800_000),
        "A member of a consumer group that is not heard of for so long is out."),
    row("share.auto.offset.reset", "latest", Accepted::Start,
        "Where the group begins in a partition that it has no place in."),
    row("share.delivery.count.limit", "5", Accepted::Whole(1, 1_000),
        "Deliveries after which a record that comes back is not delivered again."),
    row("share.heartbeat.interval.ms", "5000", Accepted::Whole(100, 60_000),
        "How often members of a share group are asked to report."),
    row("share.isolation.level", "read_uncommitted", Accepted::OneOf(&["read_committed", "read_uncommitted"]),
        "Whether records of transactions that were taken back, or may be, are delivered."),
    row("share.partition.max.record.locks", "2000", Accepted::Whole(1, 100_000),
        "Records of one partition that members hold at once, at most."),
    row("share.record.lock.duration.ms", "30000", Accepted::Whole(1_000, 3_600_000),
        "How long a member may hold a record before it is delivered again."),
    row("share.renew.acknowledge.enable", "true", Accepted::Bool,
        "Whether members may hold records for longer."),
    row("share.session.timeout.ms", "45000", Accepted::Whole(1_000, 1_800_000),
        "A member of a share group that is not heard of for so long is out."),
];

/// What a group's settings come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareConfig {
    /// Milliseconds for which a record is locked.
    pub lock_ms: u64,
    /// Deliveries after which it is dead.
    pub acquired_max: u32,
    /// Records of one partition locked at once.
    pub leased_max: u64,
    /// Where the group begins.
    pub start: StreamOffset,
    /// Locks may be renewed.
    pub renews: bool,
    uncommitted: bool,
    dead_letter: Option<(String, Option<String>)>,
    backoff_ms: (u64, u64),
    delay_ms: u64,
    by_key: bool,
}

/// Why a setting was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigInvalid {
    /// No such setting.
    Unknown,
    /// Not a value of it; what is, for people.
    Value(String),
}

/// The row of that name.
pub fn find(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name == name)
}

/// What a group is configured to after these changes; `None` is as usual again.
///
/// # Errors
/// The first that makes no sense, and why.
pub fn altered(
    current: &Configs,
    changes: &[(String, Option<String>)],
) -> Result<Configs, (String, ConfigInvalid)> {
    let mut configs = current.clone();
    for (name, value) in changes {
        let Some(value) = value else {
            find(name).ok_or_else(|| (name.clone(), ConfigInvalid::Unknown))?;
            configs.remove(name);
            continue;
        };
        check(name, value).map_err(|cause| (name.clone(), cause))?;
        configs.insert(name.clone(), value.clone());
    }
    Ok(configs)
}

/// Refuses what a group cannot be configured to.
///
/// # Errors
/// [`ConfigInvalid`].
pub fn check(name: &str, value: &str) -> Result<(), ConfigInvalid> {
    let row = find(name).ok_or(ConfigInvalid::Unknown)?;
    let invalid = |accepted: String| Err(ConfigInvalid::Value(accepted));
    match row.accepted {
        Accepted::Whole(min, max) => match value.parse::<u64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(()),
            _ => invalid(format!("a whole number from {min} to {max}")),
        },
        Accepted::Bool if value != "true" && value != "false" => invalid("true or false".into()),
        Accepted::OneOf(values) if !values.contains(&value) => invalid(values.join(" or ")),
        Accepted::Start if start(value).is_none() => {
            invalid("earliest, latest, or by_duration: and a span such as PT1H".into())
        }
        Accepted::Text if value.len() > TEXT_BYTES_MAX => invalid("at most 255 bytes".into()),
        _ => Ok(()),
    }
}

impl ShareConfig {
    /// Reads settings that were checked.
    pub fn of(configs: &Configs) -> ShareConfig {
        let read = |name: &str| {
            let set = configs.get(name).map(String::as_str);
            set.or_else(|| find(name).map(|row| row.usual))
                .unwrap_or("")
        };
        let whole = |name: &str| read(name).parse::<u64>().unwrap_or(0);
        let is_set = |name: &str| configs.contains_key(name);
        let has_dead_letter =
            is_set("bongsu.dead.letter.exchange") || is_set("bongsu.dead.letter.routing.key");
        let key = read("bongsu.dead.letter.routing.key");
        let backoff_ms = whole("bongsu.retry.backoff.ms");
        ShareConfig {
            lock_ms: whole("share.record.lock.duration.ms"),
            acquired_max: u32::try_from(whole("share.delivery.count.limit")).unwrap_or(u32::MAX),
            leased_max: whole("share.partition.max.record.locks"),
            start: start(read("share.auto.offset.reset")).unwrap_or(StreamOffset::Next),
            renews: read("share.renew.acknowledge.enable") == "true",
            uncommitted: read("share.isolation.level") == "read_uncommitted",
            dead_letter: has_dead_letter.then(|| {
                let exchange = read("bongsu.dead.letter.exchange").to_owned();
                (exchange, (!key.is_empty()).then(|| key.to_owned()))
            }),
            backoff_ms: (
                backoff_ms,
                whole("bongsu.retry.backoff.max.ms").max(backoff_ms),
            ),
            delay_ms: whole("bongsu.delay.ms"),
            by_key: read("bongsu.order.by.key") == "true",
        }
    }

    /// For how long records are lent.
    pub fn hold(&self) -> Hold {
        Hold {
            lock_ms: self.lock_ms,
            acquired_max: self.acquired_max,
        }
    }

    /// What the group's subscriptions are.
    pub fn arguments(&self) -> Arguments {
        let mut arguments = Arguments::new();
        let mut set = |name: &str, value: Value| {
            arguments.insert(name.to_owned(), value);
        };
        let whole = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        if self.uncommitted {
            let level = "uncommitted".to_owned();
            set("x-subscribe-isolation", Value::Text(level));
        }
        if let Some((exchange, key)) = &self.dead_letter {
            set("x-dead-letter-exchange", Value::Text(exchange.clone()));
            if let Some(key) = key {
                set("x-dead-letter-routing-key", Value::Text(key.clone()));
            }
        }
        if self.backoff_ms.0 > 0 {
            set("x-delayed-retry-type", Value::Text("all".to_owned()));
            set("x-delayed-retry-min", whole(self.backoff_ms.0));
            set("x-delayed-retry-max", whole(self.backoff_ms.1));
        }
        if self.delay_ms > 0 {
            set("x-delivery-delay", whole(self.delay_ms));
        }
        if self.by_key {
            set("x-group-key", Value::Text("routing-key".to_owned()));
        }
        arguments
    }
}

fn start(value: &str) -> Option<StreamOffset> {
    match value {
        "earliest" => Some(StreamOffset::First),
        "latest" => Some(StreamOffset::Next),
        _ => {
            let age_ms = iso_ms(value.strip_prefix("by_duration:")?)?;
            Some(StreamOffset::Interval { age_ms })
        }
    }
}

/// A span as Java's `Duration` reads it: `P1DT2H3M4.5S`, in milliseconds; not negative.
fn iso_ms(text: &str) -> Option<u64> {
    let rest = text.strip_prefix(['P', 'p'])?;
    let (days, time) = match rest.split_once(['T', 't']) {
        Some((days, time)) if !time.is_empty() => (days, time),
        Some(_) => return None,
        None => (rest, ""),
    };
    let mut total = 0_f64;
    let mut found = false;
    for (part, units) in [(days, &[('D', 86_400.0)][..]), (time, TIME_UNITS)] {
        let mut rest = part;
        let mut units = units.iter();
        while !rest.is_empty() {
            let at = rest.find(|c: char| c.is_ascii_alphabetic())?;
            let (number, unit) = rest.split_at(at);
            let seconds =
                units.find(|(name, _)| unit.starts_with([*name, name.to_ascii_lowercase()]));
            let number: f64 = number
                .parse()
                .ok()
                .filter(|n: &f64| n.is_finite() && *n >= 0.0)?;
            total += number * seconds?.1;
            found = true;
            rest = &unit[1..];
        }
    }
    let ms = total * 1000.0;
    (found && ms < SPAN_MS_MAX as f64 * 1000.0).then_some(ms as u64)
}

const fn row(
    name: &'static str,
    usual: &'static str,
    accepted: Accepted,
    about: &'static str,
) -> Row {
    Row {
        name,
        usual,
        accepted,
        about,
    }
}

const TIME_UNITS: &[(char, f64)] = &[('H', 3600.0), ('M', 60.0), ('S', 1.0)];
const TEXT_BYTES_MAX: usize = 255;
/// As long as RabbitMQ lets anything wait.
const SPAN_MS_MAX: u64 = 4_294_967_295;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Properties;

    fn configs(pairs: &[(&str, &str)]) -> Configs {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn what_is_usual_can_be_set() {
        for row in TABLE {
            assert_eq!(check(row.name, row.usual), Ok(()), "{}", row.name);
        }
        for pair in TABLE.windows(2) {
            assert!(pair[0].name < pair[1].name);
        }
        let usual = ShareConfig::of(&Configs::new());
        assert_eq!((usual.lock_ms, usual.acquired_max), (30_000, 5));
        assert_eq!(usual.arguments().len(), 1, "{usual:?}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (name, value) in [
            ("share.record.lock.duration.ms", "999"),
            ("share.delivery.count.limit", "0"),
            ("share.isolation.level", "serializable"),
            ("share.auto.offset.reset", "none"),
            ("share.auto.offset.reset", "by_duration:-PT1H"),
            ("share.auto.offset.reset", "by_duration:PT-1H"),
            ("share.auto.offset.reset", "by_duration:P"),
            ("share.auto.offset.reset", "by_duration:PT"),
            ("bongsu.order.by.key", "yes"),
        ] {
            assert!(
                matches!(check(name, value), Err(ConfigInvalid::Value(_))),
                "{name}={value}"
            );
        }
        assert_eq!(check("share.no.such", "1"), Err(ConfigInvalid::Unknown));
    }

    #[test]
    fn spans_are_read_as_java_reads_them() {
        assert_eq!(iso_ms("P1DT2H3M4.5S"), Some(93_784_500));
        assert_eq!(iso_ms("PT15M"), Some(900_000));
        assert_eq!(iso_ms("P2D"), Some(172_800_000));
        for wrong in [
            "", "P", "PT", "1H", "P1H", "PT1D", "PT1M1H", "PT1", "PTNaNS", "PT1é",
        ] {
            assert_eq!(iso_ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn changes_are_taken_together_or_not_at_all() {
        let set = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
        let changes = [
            set("bongsu.delay.ms", "5"),
            set("share.isolation.level", "read_committed"),
        ];
        let configs = altered(&Configs::new(), &changes).expect("both");
        assert_eq!(configs.len(), 2);
        let unset = [("bongsu.delay.ms".to_owned(), None)];
        assert_eq!(altered(&configs, &unset).map(|left| left.len()), Ok(1));
        let wrong = [
            set("bongsu.order.by.key", "true"),
            set("bongsu.delay.ms", "x"),
        ];
        let refused = altered(&configs, &wrong);
        assert!(
            matches!(refused, Err((name, ConfigInvalid::Value(_))) if name == "bongsu.delay.ms")
        );
        for unknown in [set("no.such", "1"), ("no.such".to_owned(), None)] {
            let refused = altered(&configs, &[unknown]);
            assert_eq!(refused, Err(("no.such".to_owned(), ConfigInvalid::Unknown)));
        }
    }

    #[test]
    fn a_groups_settings_are_its_subscriptions_properties() {
        let configs = configs(&[
            ("bongsu.dead.letter.routing.key", "dead"),
            ("bongsu.retry.backoff.ms", "100"),
            ("bongsu.delay.ms", "5"),
            ("bongsu.order.by.key", "true"),
            ("share.isolation.level", "read_committed"),
        ]);
        let properties = Properties::of(&ShareConfig::of(&configs).arguments());
        let dead_letter = properties.dead_letter.expect("dead letters");
        assert_eq!(
            (
                dead_letter.exchange.as_str(),
                dead_letter.routing_key.as_deref()
            ),
            ("", Some("dead"))
        );
        assert!(properties.retry.is_some() && properties.grouping.is_some());
        assert_eq!(
            (properties.delay_ms, properties.uncommitted),
            (Some(5), false)
        );
    }
}
