//! One sample for each queue, exchange, channel and connection: families of them, asked for by
//! name, of one space or all, by pages.

use std::sync::Arc;

use bongsu_broker::Broker;
use bongsu_broker::operator::groups::GroupSeen;
use bongsu_broker::operator::measures::{ExchangeMeasure, QueueMeasure};
use bongsu_broker::operator::sessions::{ChannelFacts, ConnectionFilter, Page};
use bongsu_broker::registry::ConnectionFacts;
use bongsu_broker::statistics::{Count, Counted};

use super::broker::{self, Counter, sum};
use super::exposition::{Exposition, Kind, Value};
use crate::failure::Failure;

/// Objects that one answer may be about; more are to be asked for by pages.
pub const OBJECTS_MAX: usize = 20_000;

/// Which objects, and how their samples are called.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Of this space only.
    pub space: Option<String>,
    /// Page, from 1, and its size; `None`: all of them.
    pub page: Option<(usize, usize)>,
    /// `""` or `detailed_`: behind `rabbitmq_` and `bongsu_`.
    pub infix: &'static str,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// What came and went.
    Churn,
    /// Memory, disk, files.
    Node,
    /// Ready, unacknowledged, all.
    QueueCoarse,
    /// Consumers.
    QueueConsumers,
    /// Bytes, and what waits and dies.
    Queue,
    /// What was published, delivered, acknowledged.
    QueueDelivery,
    /// How long the oldest has been there: reads the disk.
    QueueAge,
    /// What came in and went out.
    Exchange,
    /// Asks the sessions.
    Channel,
    /// Bytes.
    ConnectionCoarse,
    /// Channels and reads.
    Connection,
    /// How far groups of Kafka's clients are behind.
    Group,
    /// One for each virtual host.
    Vhost,
}

/// By the names of RabbitMQ's `family=`; `queue_age_metrics` and `group_metrics` are ours.
pub const FAMILIES: &[(&str, Family)] = &[
    ("connection_churn_metrics", Family::Churn),
    ("node_metrics", Family::Node),
    ("node_coarse_metrics", Family::Node),
    ("queue_coarse_metrics", Family::QueueCoarse),
    ("queue_consumer_count", Family::QueueConsumers),
    ("queue_metrics", Family::Queue),
    ("queue_delivery_metrics", Family::QueueDelivery),
    ("queue_age_metrics", Family::QueueAge),
    ("exchange_metrics", Family::Exchange),
    ("channel_exchange_metrics", Family::Exchange),
    ("channel_metrics", Family::Channel),
    ("connection_coarse_metrics", Family::ConnectionCoarse),
    ("connection_metrics", Family::Connection),
    ("group_metrics", Family::Group),
    ("vhost_status", Family::Vhost),
];

/// Writes a family.
///
/// # Errors
/// 400 if it is about more than [`OBJECTS_MAX`] objects.
pub async fn write(
    text: &mut Exposition,
    family: Family,
    broker: &Broker,
    scope: &Scope,
) -> Result<(), Failure> {
    let mut table = Table { text, scope };
    match family {
        Family::Churn => broker::churn(table.text, broker, &scope.prefix()),
        Family::Node => broker::resources(table.text, broker),
        Family::QueueCoarse => table.queues(&queues(broker, scope)?, COARSE),
        Family::QueueConsumers => table.queues(&queues(broker, scope)?, CONSUMERS),
        Family::Queue => table.queues(&queues(broker, scope)?, FINE),
        Family::QueueDelivery => {
            let queues = queues(broker, scope)?;
            table.counted(&queues, QUEUE_COUNTERS, queue_labels, |queue| {
                &queue.counted
            });
        }
        Family::QueueAge => {
            let queues = queues(broker, scope)?;
            table.ages(&queues, &ages(broker, &queues).await);
        }
        Family::Exchange => {
            let range = scope.range(broker.measure_exchanges(scope.space.as_deref(), 0..0))?;
            let exchanges = broker
                .measure_exchanges(scope.space.as_deref(), range)
                .items;
            let labels = |exchange: &ExchangeMeasure| {
                // It has no name, and RabbitMQ's tools show it without.
                vec![
                    ("vhost", exchange.space.to_string()),
                    ("exchange", exchange.name.clone()),
                ]
            };
            table.counted(&exchanges, EXCHANGE_COUNTERS, labels, |exchange| {
                &exchange.counted
            });
        }
        Family::Channel => {
            let filter = scope.filter();
            let range = scope.range(broker.list_channels(&filter, 0..0).await)?;
            table.channels(broker.list_channels(&filter, range).await.items);
        }
        Family::ConnectionCoarse => table.connections(&connections(broker, scope)?, TRAFFIC),
        Family::Connection => table.connections(&connections(broker, scope)?, CONNECTION),
        Family::Group => {
            let space = scope.space.as_deref();
            let range = scope.range(broker.measure_groups(space, 0..0))?;
            table.groups(&broker.measure_groups(space, range).items);
        }
        Family::Vhost => {
            let name = format!("rabbitmq_{}vhost_status", scope.infix);
            table
                .text
                .family(&name, Kind::Gauge, "Whether a virtual host is up: 1");
            for (_, space) in broker.space_names() {
                table.text.sample(&name, &[("vhost", &*space)], 1_u64);
            }
        }
    }
    Ok(())
}

impl Scope {
    fn prefix(&self) -> String {
        match self.infix {
            "" => "rabbitmq_".to_owned(),
            // As RabbitMQ calls it there.
            infix => format!("rabbitmq_{infix}"),
        }
    }

    fn name(&self, name: &str) -> String {
        match name.strip_prefix("bongsu_") {
            Some(own) => format!("bongsu_{}{own}", self.infix),
            None => format!("rabbitmq_{}{name}", self.infix),
        }
    }

    fn filter(&self) -> ConnectionFilter {
        ConnectionFilter {
            space: self.space.clone(),
            ..ConnectionFilter::default()
        }
    }

    /// Which of so many are asked for.
    fn range<T>(&self, counted: Page<T>) -> Result<std::ops::Range<usize>, Failure> {
        match self.page {
            Some((page, size)) => {
                let start = page.saturating_sub(1).saturating_mul(size);
                Ok(start..start.saturating_add(size))
            }
            None if counted.filtered > OBJECTS_MAX => Err(Failure::bad_request(format!(
                "{} objects, and one answer is about {OBJECTS_MAX} at most: ask for pages, as in \
                 ?page=1&page_size={OBJECTS_MAX}",
                counted.filtered
            ))),
            None => Ok(0..OBJECTS_MAX),
        }
    }
}

fn queues(broker: &Broker, scope: &Scope) -> Result<Vec<QueueMeasure>, Failure> {
    let space = scope.space.as_deref();
    let range = scope.range(broker.measure_queues(space, 0..0))?;
    Ok(broker.measure_queues(space, range).items)
}

fn connections(broker: &Broker, scope: &Scope) -> Result<Vec<ConnectionFacts>, Failure> {
    let filter = scope.filter();
    let range = scope.range(broker.list_connections(&filter, 0..0))?;
    Ok(broker.list_connections(&filter, range).items)
}

async fn ages(broker: &Broker, queues: &[QueueMeasure]) -> Vec<Option<u64>> {
    let broker = broker.clone();
    let names: Vec<(Arc<str>, Arc<str>)> = queues
        .iter()
        .map(|queue| (queue.space.clone(), queue.name.clone()))
        .collect();
    let looked_up = tokio::task::spawn_blocking(move || broker.oldest_ages(&names)).await;
    looked_up.unwrap_or_default()
}

fn queue_labels(queue: &QueueMeasure) -> Vec<(&'static str, String)> {
    vec![
        ("vhost", queue.space.to_string()),
        ("queue", queue.name.to_string()),
    ]
}

/// A gauge of a thing: its name, what it says, and where it is read.
type Gauge<T> = (&'static str, &'static str, fn(&T) -> u64);

struct Table<'a> {
    text: &'a mut Exposition,
    scope: &'a Scope,
}

impl Table<'_> {
    fn gauges<T>(
        &mut self,
        things: &[T],
        gauges: &[Gauge<T>],
        labels: impl Fn(&T) -> Vec<(&'static str, String)>,
    ) {
        for (name, help, value) in gauges {
            let name = self.scope.name(name);
            let kind = match name.ends_with("_total") {
                true => Kind::Counter,
                false => Kind::Gauge,
            };
            self.text.family(&name, kind, help);
            for thing in things {
                self.put(&name, &labels(thing), value(thing));
            }
        }
    }

    fn counted<T>(
        &mut self,
        things: &[T],
        counters: &[Counter],
        labels: impl Fn(&T) -> Vec<(&'static str, String)>,
        counted: impl Fn(&T) -> &Counted,
    ) {
        for (name, help, counts) in counters {
            let name = self.scope.name(name);
            self.text.family(&name, Kind::Counter, help);
            for thing in things {
                self.put(&name, &labels(thing), sum(counted(thing), counts));
            }
        }
    }

    fn put(&mut self, name: &str, labels: &[(&'static str, String)], value: impl Into<Value>) {
        let labels: Vec<(&str, &str)> = labels
            .iter()
            .map(|(label, text)| (*label, text.as_str()))
            .collect();
        self.text.sample(name, &labels, value);
    }

    fn queues(&mut self, queues: &[QueueMeasure], gauges: &[Gauge<QueueMeasure>]) {
        self.gauges(queues, gauges, queue_labels);
    }

    fn ages(&mut self, queues: &[QueueMeasure], ages: &[Option<u64>]) {
        let name = self.scope.name("bongsu_queue_oldest_message_age_seconds");
        let help = "Age of the oldest message that somebody is owed; 0: there is none";
        self.text.family(&name, Kind::Gauge, help);
        for (queue, age_ms) in queues.iter().zip(ages) {
            let age_s = age_ms.unwrap_or(0) as f64 / 1000.0;
            self.put(&name, &queue_labels(queue), age_s);
        }
        let name = self.scope.name("bongsu_queue_oldest_lease_age_seconds");
        let help = "Time that the longest unacknowledged delivery has lasted; 0: there is none";
        self.text.family(&name, Kind::Gauge, help);
        for queue in queues {
            let age_s = queue.oldest_lease_ms as f64 / 1000.0;
            self.put(&name, &queue_labels(queue), age_s);
        }
    }

    fn groups(&mut self, groups: &[(Arc<str>, GroupSeen)]) {
        let of_group = |space: &Arc<str>, group: &GroupSeen| {
            vec![
                ("vhost", space.to_string()),
                ("group", group.name.to_string()),
            ]
        };
        let name = self.scope.name("bongsu_group_lag");
        let help = "Records that a group has yet to read, of all it has committed a place in";
        self.text.family(&name, Kind::Gauge, help);
        for (space, group) in groups {
            self.put(&name, &of_group(space, group), group.lag());
        }
        let name = self.scope.name("bongsu_group_partition_lag");
        let help = "The same, of one partition";
        self.text.family(&name, Kind::Gauge, help);
        for (space, group) in groups {
            for part in &group.partitions {
                let Some(lag) = part.lag else { continue };
                let mut labels = of_group(space, group);
                labels.push(("topic", part.topic.to_string()));
                labels.push(("partition", part.partition.to_string()));
                self.put(&name, &labels, lag);
            }
        }
    }

    fn connections(&mut self, all: &[ConnectionFacts], gauges: &[Gauge<ConnectionFacts>]) {
        self.gauges(all, gauges, |connection| {
            vec![
                ("connection", connection.name.clone()),
                ("vhost", connection.space.to_string()),
                ("protocol", connection.peer.protocol.to_owned()),
            ]
        });
    }

    fn channels(&mut self, mut all: Vec<ChannelFacts>) {
        all.retain(|channel| channel.stands.is_some());
        self.gauges(&all, CHANNEL, |channel| {
            vec![
                ("channel", channel.name.clone()),
                ("vhost", channel.connection.space.to_string()),
            ]
        });
    }
}

const COARSE: &[Gauge<QueueMeasure>] = &[
    (
        "queue_messages_ready",
        "Messages ready to be delivered",
        |queue| queue.depth.ready,
    ),
    (
        "queue_messages_unacked",
        "Messages delivered and not acknowledged",
        |queue| queue.depth.leased,
    ),
    ("queue_messages", "Messages of the queue", |queue| {
        queue.depth.owed()
    }),
];

const CONSUMERS: &[Gauge<QueueMeasure>] = &[(
    "queue_consumers",
    "Consumers and readers of the queue",
    |queue| u64::from(queue.consumers),
)];

const FINE: &[Gauge<QueueMeasure>] = &[
    (
        "queue_messages_bytes",
        "Bytes of all that the queue's log keeps",
        |queue| queue.bytes,
    ),
    (
        "queue_messages_ram_bytes",
        "Of these, bytes in memory",
        |queue| queue.memory_bytes,
    ),
    (
        "bongsu_queue_messages_waiting",
        "Messages not to be delivered before some time",
        |queue| queue.depth.waiting,
    ),
    (
        "bongsu_queue_messages_dying",
        "Messages on their way to where dead ones go",
        |queue| queue.depth.dying,
    ),
];

const QUEUE_COUNTERS: &[Counter] = &[
    (
        "queue_messages_published_total",
        "Messages appended to the queue",
        &[Count::Publish],
    ),
    (
        "queue_messages_delivered_total",
        "Messages delivered to consumers that need not acknowledge, or fetched",
        &[Count::DeliverNoAck],
    ),
    (
        "queue_messages_delivered_ack_total",
        "Messages delivered to consumers that acknowledge",
        &[Count::Deliver],
    ),
    (
        "queue_messages_redelivered_total",
        "Messages delivered though they were before",
        &[Count::Redeliver],
    ),
    (
        "queue_messages_acked_total",
        "Messages acknowledged",
        &[Count::Ack],
    ),
    (
        "queue_get_total",
        "Messages got, acknowledged at once",
        &[Count::GetNoAck],
    ),
    (
        "queue_get_ack_total",
        "Messages got, to be acknowledged",
        &[Count::Get],
    ),
    (
        "queue_get_empty_total",
        "Times that a message was to be got and there was none",
        &[Count::GetEmpty],
    ),
    (
        "bongsu_queue_messages_rejected_total",
        "Messages dead because a consumer rejected them",
        &[Count::Rejected],
    ),
    (
        "bongsu_queue_messages_expired_total",
        "Messages dead because they were not consumed in time",
        &[Count::Expired],
    ),
    (
        "bongsu_queue_messages_max_length_total",
        "Messages dead because the queue was full",
        &[Count::MaxLength],
    ),
    (
        "bongsu_queue_messages_delivery_limit_total",
        "Messages dead because they failed too often",
        &[Count::DeliveryLimit],
    ),
    (
        "bongsu_queue_messages_dead_lettered_total",
        "Messages moved on to where the queue's dead ones go",
        &[Count::DeadLettered],
    ),
];

const EXCHANGE_COUNTERS: &[Counter] = &[
    (
        "exchange_messages_published_total",
        "Messages published to the exchange",
        &[Count::PublishIn],
    ),
    (
        "bongsu_exchange_messages_routed_total",
        "Messages that the exchange put into queues, one for each",
        &[Count::PublishOut],
    ),
];

const TRAFFIC: &[Gauge<ConnectionFacts>] = &[
    (
        "connection_incoming_bytes_total",
        "Bytes read from the client",
        |connection| connection.bytes_in,
    ),
    (
        "connection_outgoing_bytes_total",
        "Bytes written to the client",
        |connection| connection.bytes_out,
    ),
];

const CONNECTION: &[Gauge<ConnectionFacts>] = &[
    (
        "connection_incoming_packets_total",
        "Reads from the client's socket",
        |connection| connection.reads,
    ),
    (
        "connection_outgoing_packets_total",
        "Writes to the client's socket",
        |connection| connection.writes,
    ),
    (
        "connection_channels",
        "Channels of the connection",
        |connection| u64::from(connection.channels),
    ),
];

const CHANNEL: &[Gauge<ChannelFacts>] = &[
    ("channel_consumers", "Consumers of the channel", |channel| {
        stands(channel, |stands| stands.consumers.len() as u64)
    }),
    (
        "channel_messages_unacked",
        "Messages delivered and not acknowledged",
        |channel| stands(channel, |stands| stands.unsettled),
    ),
    (
        "channel_messages_unconfirmed",
        "Messages published and not confirmed",
        |channel| stands(channel, |stands| stands.unconfirmed),
    ),
    (
        "channel_messages_uncommitted",
        "Messages published in a transaction that is not committed",
        |channel| stands(channel, |stands| stands.uncommitted),
    ),
    (
        "channel_acks_uncommitted",
        "Acknowledgements in a transaction that is not committed",
        |channel| stands(channel, |stands| stands.uncommitted_settles),
    ),
    (
        "channel_prefetch",
        "Messages each new consumer may hold; 0: no limit",
        |channel| stands(channel, |stands| u64::from(stands.prefetch)),
    ),
    (
        "channel_global_prefetch",
        "Messages all consumers may hold together; 0: no limit",
        |channel| stands(channel, |stands| u64::from(stands.prefetch_of_all)),
    ),
    (
        "channel_messages_published_total",
        "Messages published",
        |channel| stands(channel, |stands| stands.counts.publish),
    ),
    (
        "channel_messages_confirmed_total",
        "Messages confirmed",
        |channel| stands(channel, |stands| stands.counts.confirm),
    ),
    (
        "channel_messages_unroutable_returned_total",
        "Messages that no queue took, returned",
        |channel| stands(channel, |stands| stands.counts.return_unroutable),
    ),
    (
        "channel_messages_unroutable_dropped_total",
        "Messages that no queue took, dropped",
        |channel| stands(channel, |stands| stands.counts.drop_unroutable),
    ),
    (
        "channel_messages_delivered_total",
        "Messages delivered to consumers that need not acknowledge",
        |channel| stands(channel, |stands| stands.counts.deliver_no_ack),
    ),
    (
        "channel_messages_delivered_ack_total",
        "Messages delivered to consumers that acknowledge",
        |channel| stands(channel, |stands| stands.counts.deliver),
    ),
    (
        "channel_messages_redelivered_total",
        "Messages delivered though they were before",
        |channel| stands(channel, |stands| stands.counts.redeliver),
    ),
    (
        "channel_messages_acked_total",
        "Messages acknowledged",
        |channel| stands(channel, |stands| stands.counts.ack),
    ),
    (
        "channel_get_total",
        "Messages got, acknowledged at once",
        |channel| stands(channel, |stands| stands.counts.get_no_ack),
    ),
    (
        "channel_get_ack_total",
        "Messages got, to be acknowledged",
        |channel| stands(channel, |stands| stands.counts.get),
    ),
    (
        "channel_get_empty_total",
        "Times that a message was to be got and there was none",
        |channel| stands(channel, |stands| stands.counts.get_empty),
    ),
];

fn stands(
    channel: &ChannelFacts,
    read: impl Fn(&bongsu_engine::session::describe::Channel) -> u64,
) -> u64 {
    channel.stands.as_ref().map_or(0, read)
}
