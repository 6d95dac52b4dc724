//! `bongsu serve`: takes over the data directory, listens, and stops in order.

use std::error::Error;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bongsu_admin::own::doctor::Doctor;
use bongsu_admin::{Admin, Settings as AdminSettings};
use bongsu_amqp091::{Session, Settings as AmqpSettings};
use bongsu_broker::topics::{Bounds, TopicSettings};
use bongsu_broker::{Broker, Limits, Recovered};
use bongsu_engine::access::Settings as AccessSettings;
use bongsu_engine::group::Settings as GroupSettings;
use bongsu_engine::transaction::Settings as TransactionSettings;
use bongsu_kafka::{BrokerConfig, Logins, Settings as KafkaSettings};
use bongsu_net::door::Guest;
use bongsu_net::listener::serve as receive;
use bongsu_storage::disk::LocalDisk;
use bongsu_storage::{Durability, Options};
use rustix::process::{Resource, getrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::checkup;
use crate::doors::{Addresses, Doors};
use crate::logs::{self, Logs};
use crate::settings::{Settings, TABLE, show};
use crate::supervised::{self, Watchdog};
use crate::tokens::{keep, tokens};
use crate::traces;

/// How often memory and disk are looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);
/// How long a thread that has read from the disk waits for more to read. What it read is freed by
/// others, which gives memory back only once the thread allocates again, or ends.
const IDLE_THREAD_LIFE: Duration = Duration::from_secs(1);
/// How long clients have to take leave before the broker stops without them.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the broker until SIGINT or SIGTERM.
///
/// # Errors
/// The data directory cannot be taken over, or an address cannot be listened on.
pub fn run(settings: Settings) -> Result<(), Box<dyn Error>> {
    let logs = logs::start(settings.log_json, &settings.log_levels);
    allow_many_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_keep_alive(IDLE_THREAD_LIFE)
        .build()?;
    runtime.block_on(serve(&settings, logs))
}

async fn serve(settings: &Settings, logs: Arc<Logs>) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    // Signals are caught before anything is on the disk that wants an orderly end.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let doors = Doors::open(settings)?;
    let tokens = tokens(settings)?;
    let is_new = !settings.data_dir.join("register").exists();
    let (broker, recovered) = Broker::open(
        Arc::new(LocalDisk),
        options(settings),
        settings.data_durability,
        limits(settings),
    )?;
    broker.set_topic_settings(topics(settings));
    broker.configure_groups(groups(settings));
    broker.configure_transactions(transactions(settings));
    broker.configure_access(AccessSettings {
        administrators: settings.access_administrators.clone(),
        open: settings.access_open,
        kafka_space: settings.kafka_space.clone(),
    });
    if let Some(tokens) = &tokens {
        broker.take_tokens(tokens.clone());
    }
    broker.start();
    let exporter = traces::start(settings, &broker)?;
    if let Some(path) = &settings.definitions_load {
        // Before anybody comes: they find what they expect.
        for warning in bongsu_admin::definitions::load(&broker, path).await? {
            tracing::warn!("definitions.load: {warning}");
        }
    }
    let most = place_count(settings.limits_connections_max);
    let places = Arc::new(Semaphore::new(most));
    let mut listeners = JoinSet::new();
    let mut addresses = Vec::new();
    for entrance in doors.listen(&Addresses {
        names: ["AMQP 0-9-1", "AMQPS"],
        plain: &settings.amqp_listen,
        tls: &settings.amqp_tls_listen,
        proxied: settings.amqp_proxy_protocol,
    })? {
        addresses.push((entrance.name, entrance.address));
        let (listener, door) = (entrance.listener, entrance.door);
        let session = amqp_sessions(settings);
        listeners.spawn(receive(
            listener,
            (broker.clone(), "AMQP 0-9-1"),
            places.clone(),
            door,
            session,
        ));
    }
    for entrance in doors.listen(&Addresses {
        names: ["Kafka", "Kafka TLS"],
        plain: &settings.kafka_listen,
        tls: &settings.kafka_tls_listen,
        proxied: settings.kafka_proxy_protocol,
    })? {
        addresses.push((entrance.name, entrance.address));
        let (listener, door) = (entrance.listener, entrance.door);
        let session = kafka_sessions(settings);
        listeners.spawn(receive(
            listener,
            (broker.clone(), "Kafka"),
            places.clone(),
            door,
            session,
        ));
    }
    let http = doors.listen(&Addresses {
        names: ["HTTP", "HTTPS"],
        plain: &settings.admin_listen,
        tls: &settings.admin_tls_listen,
        proxied: settings.admin_proxy_protocol,
    })?;
    addresses.extend(
        http.iter()
            .map(|entrance| (entrance.name, entrance.address)),
    );
    let admin = Admin::new(
        broker.clone(),
        AdminSettings {
            listeners: addresses.clone(),
            log_levels: Some(logs),
            tls: doors.tls(),
            doctor: Some(Arc::new(doctor(settings))),
            started_with: show::in_effect(settings),
        },
    );
    for entrance in http {
        let (listener, door) = (entrance.listener, entrance.door);
        listeners.spawn(bongsu_admin::serve(listener, admin.clone(), door));
    }
    for entrance in doors.listen(&Addresses {
        names: ["metrics", "metrics"],
        plain: &settings.metrics_listen,
        tls: &[],
        proxied: false,
    })? {
        addresses.push((entrance.name, entrance.address));
        let (listener, door) = (entrance.listener, entrance.door);
        let serving = bongsu_admin::serve(listener, admin.clone().for_metrics(), door);
        listeners.spawn(serving);
    }
    let watching = tokio::spawn(watch_limits(broker.clone()));
    announce(settings, is_new, &recovered, &addresses, begun.elapsed());
    say_places(most, settings.limits_connections_max);
    supervised::ready();
    let tls = doors.tls();
    let mut keeping = JoinSet::new();
    tls.clone().map(|tls| keeping.spawn(tls.watch()));
    tokens.map(|tokens| keeping.spawn(keep(tokens)));
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hangup.recv() => {
                if let Some(tls) = &tls {
                    tls.look().await;
                }
            }
        }
    }
    supervised::stopping();
    say(settings, "stopping: taking leave of clients");
    broker.stop();
    let left = async { while listeners.join_next().await.is_some() {} };
    if tokio::time::timeout(LEAVE_TIMEOUT, left).await.is_err() {
        tracing::warn!("some clients did not take leave");
        listeners.shutdown().await;
    }
    watching.abort();
    keeping.abort_all();
    if let Some(exporter) = exporter {
        tokio::task::spawn_blocking(|| exporter.stop()).await?;
    }
    tokio::task::spawn_blocking(move || broker.close()).await??;
    say(settings, "stopped");
    Ok(())
}

/// What looks at this process and its machine when somebody asks.
fn doctor(settings: &Settings) -> Doctor {
    let settings = settings.clone();
    Doctor::new(move || checkup::checks(&settings))
}

fn amqp_sessions(
    settings: &Settings,
) -> impl Fn(&Guest) -> Session + 'static + Send + Sync + use<> {
    let amqp = AmqpSettings {
        frame_bytes_max: settings.amqp_frame_bytes_max,
        channel_max: settings.amqp_channel_max,
        heartbeat_s: u16::try_from(settings.amqp_heartbeat.as_secs()).unwrap_or(u16::MAX),
        message_bytes_max: settings.amqp_message_bytes_max,
        ..AmqpSettings::default()
    };
    // Seeds of names the server makes up: they need only differ.
    let seed = AtomicU64::new(RandomState::new().build_hasher().finish());
    move |guest| {
        let seed = seed.fetch_add(1, Ordering::Relaxed);
        let settings = AmqpSettings {
            certified: guest.certified.is_some(),
            ..amqp.clone()
        };
        Session::new(settings, seed, Instant::now())
    }
}

fn groups(settings: &Settings) -> GroupSettings {
    let timeout_ms = |timeout: Duration| i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    GroupSettings {
        session_timeout_ms_min: timeout_ms(settings.kafka_group_session_timeout_min),
        session_timeout_ms_max: timeout_ms(settings.kafka_group_session_timeout_max),
        initial_delay_ms: ms(settings.kafka_group_initial_delay),
        members_max: settings.kafka_group_members_max,
        metadata_bytes_max: settings.kafka_offset_metadata_bytes_max,
        retention_ms: ms(settings.kafka_offsets_retention),
        ..GroupSettings::default()
    }
}

fn transactions(settings: &Settings) -> TransactionSettings {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let timeout_ms = settings.kafka_transaction_timeout_max.as_millis();
    TransactionSettings {
        timeout_ms_max: i32::try_from(timeout_ms).unwrap_or(i32::MAX),
        id_expiration_ms: ms(settings.kafka_transactional_id_expiration),
        producer_expiration_ms: ms(settings.kafka_producer_id_expiration),
    }
}

fn topics(settings: &Settings) -> TopicSettings {
    TopicSettings {
        auto_create: settings.kafka_auto_create_topics,
        bounds: Bounds {
            usual: settings.kafka_partitions,
            per_topic_max: settings.kafka_topic_partitions_max,
            in_all_max: settings.kafka_partitions_max,
        },
        segment_bytes_usual: settings.data_segment_bytes_max,
    }
}

/// The settings as Kafka's clients are told of them, under their names here and, where there
/// is the same, under Kafka's.
fn told(settings: &Settings) -> Arc<[BrokerConfig]> {
    let said = |key: &str| settings.said.get(key).cloned();
    let own = TABLE.iter().map(|row| BrokerConfig {
        name: row.key.to_owned(),
        value: said(row.key).unwrap_or_else(|| row.default.to_owned()),
        is_set: said(row.key).is_some(),
        meaning: row.meaning.to_owned(),
    });
    let bytes = |bytes: u64| bytes.to_string();
    let of_kafka = [
        (
            "auto.create.topics.enable",
            "kafka.auto_create_topics",
            settings.kafka_auto_create_topics.to_string(),
        ),
        (
            "num.partitions",
            "kafka.partitions",
            settings.kafka_partitions.to_string(),
        ),
        (
            "log.segment.bytes",
            "data.segment_bytes_max",
            bytes(settings.data_segment_bytes_max),
        ),
        (
            "log.dirs",
            "data.dir",
            settings.data_dir.display().to_string(),
        ),
        (
            "socket.request.max.bytes",
            "kafka.request_bytes_max",
            bytes(settings.kafka_request_bytes_max as u64),
        ),
    ];
    let of_kafka = of_kafka.into_iter().map(|(name, key, value)| BrokerConfig {
        name: name.to_owned(),
        value,
        is_set: said(key).is_some(),
        meaning: format!("The setting {key}."),
    });
    own.chain(of_kafka).collect()
}

fn kafka_sessions(
    settings: &Settings,
) -> impl Fn(&Guest) -> bongsu_kafka::Session + 'static + Send + Sync + use<> {
    let advertised = settings.kafka_advertised.clone();
    let (host, port) = advertised.clone().unwrap_or_default();
    let kafka = KafkaSettings {
        node_id: settings.kafka_node_id,
        advertised_host: host,
        advertised_port: port,
        request_bytes_max: settings.kafka_request_bytes_max,
        decompressed_bytes_max: settings.kafka_decompressed_bytes_max,
        idle: settings.kafka_idle,
        space: settings.kafka_space.clone(),
        configs: told(settings),
    };
    let advertised = advertised.map(|_| Arc::new(kafka.clone()));
    let seed = AtomicU64::new(RandomState::new().build_hasher().finish());
    let logins = Logins {
        required: settings.kafka_sasl_required,
        lifetime: settings.kafka_reauthenticate,
        tokens: !settings.oauth_jwks.is_empty(),
    };
    move |guest| {
        let local = guest.local;
        let settings = advertised.clone().unwrap_or_else(|| {
            Arc::new(KafkaSettings {
                advertised_host: local.ip().to_canonical().to_string(),
                advertised_port: local.port(),
                ..kafka.clone()
            })
        });
        let seed = seed.fetch_add(1, Ordering::Relaxed);
        bongsu_kafka::Session::new(settings, seed, Instant::now())
            .with_logins(logins)
            .with_certificate(guest.certified.is_some())
    }
}

async fn watch_limits(broker: Broker) {
    let mut ticks = tokio::time::interval(WATCH_INTERVAL);
    let mut watchdog = Watchdog::new();
    loop {
        ticks.tick().await;
        broker.watch_limits();
        watchdog.tick();
    }
}

fn options(settings: &Settings) -> Options {
    Options {
        // A lane is synced unless nothing in it is to be: queues of memory durability write
        // nothing to it anyway.
        durability: match settings.data_durability {
            Durability::Os => Durability::Os,
            Durability::Fsync | Durability::Memory => Durability::Fsync,
        },
        checkpoint_bytes: settings.data_checkpoint_bytes,
        segment_bytes_max: settings.data_segment_bytes_max,
        cache_bytes: settings.limits_cache_bytes,
        ..Options::new(&settings.data_dir)
    }
}

fn limits(settings: &Settings) -> Limits {
    Limits {
        memory_bytes: settings.limits_memory_bytes,
        disk_free_bytes_min: settings.limits_disk_free_bytes_min,
        ..Limits::default()
    }
}

/// Where the broker is and what it has found.
fn announce(
    settings: &Settings,
    is_new: bool,
    recovered: &Recovered,
    addresses: &[(&str, SocketAddr)],
    took: Duration,
) {
    let report = &recovered.storage;
    let how = match (is_new, report.clean) {
        (true, _) => "new".to_owned(),
        (false, true) => "stopped cleanly".to_owned(),
        (false, false) => format!(
            "replayed {} after a crash, cut {} torn bytes",
            crate::settings::value_size(report.replayed_bytes),
            report.torn_bytes
        ),
    };
    if settings.log_json {
        let listeners = addresses.iter();
        let listeners = listeners.map(|(protocol, address)| format!("{protocol} {address}"));
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            data = %settings.data_dir.display(),
            found = how,
            queue_count = recovered.queue_count,
            record_count = recovered.record_count,
            took_ms = took.as_millis() as u64,
            listeners = listeners.collect::<Vec<_>>().join(", "),
            "started"
        );
        return;
    }
    let mut out = format!(
        "bongsu {}\n  data       {} ({}; {} queues, {} records; {} ms)\n",
        env!("CARGO_PKG_VERSION"),
        settings.data_dir.display(),
        how,
        recovered.queue_count,
        recovered.record_count,
        took.as_millis(),
    );
    for (protocol, address) in addresses {
        out.push_str(&format!("  {protocol:<10} {address}\n"));
    }
    print!("{out}");
}

/// Where programs read the log, nothing is written beside it.
fn say(settings: &Settings, text: &str) {
    match settings.log_json {
        true => tracing::info!("{text}"),
        false => println!("{text}"),
    }
}

/// A socket is a file: the usual soft limit of 1024 is far below what we serve, and the
/// hard limit is what the administrator means.
fn allow_many_files() {
    use rustix::process::{Rlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!("the limit of open files stays as it is: {error}");
    }
}

/// How many clients are let in: whoever is beyond that is sent away at once. A client that took
/// the last file would leave none for the next segment, and one that nobody can accept would
/// wait for an answer.
fn place_count(connections_max: usize) -> usize {
    let files = getrlimit(Resource::Nofile).current;
    let most = files.map_or(usize::MAX, |files| clients_of(files) as usize);
    most.min(connections_max)
}

/// Says so where those are fewer than was set.
fn say_places(places: usize, connections_max: usize) {
    if places < connections_max {
        tracing::info!(
            "{places} clients are let in at once, and not {connections_max} (limits.connections_max): \
             the limit of open files is {}",
            getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
        );
    }
}

/// Of so many files, what clients may have; of few, half.
fn clients_of(files: u64) -> u64 {
    files - FILES_OF_OUR_OWN.min(files / 2)
}

/// Files that are no clients: listeners, the log's lanes, and its segments, of which 256 stay open.
pub(crate) const FILES_OF_OUR_OWN: u64 = 512;

#[cfg(test)]
mod tests;
