//! `/api/connections`, `/api/channels` and `/api/consumers`: who is there. Users without the
//! tag `monitoring` see their own only.

use bongsu_broker::operator::sessions::{ChannelFacts, ConnectionFilter, ConsumerFacts};
use bongsu_broker::registry::{ConnectionFacts, ConnectionState};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::api::{node, rate};
use crate::failure::Failure;
use crate::list;
use crate::route::{Answer, Context, Need, Parameter, Route, boxed};
use crate::spaces::{self, Shown};
use crate::value;

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    route(
        Method::GET,
        "/api/connections",
        "All connections.",
        list::PARAMETERS,
        |context| boxed(connections(context)),
    ),
    route(
        Method::GET,
        "/api/vhosts/{vhost}/connections",
        "Connections of a virtual host.",
        list::PARAMETERS,
        |context| boxed(connections(context)),
    ),
    route(
        Method::GET,
        "/api/connections/{name}",
        "One connection.",
        &[],
        |context| boxed(connection(context)),
    ),
    route(
        Method::DELETE,
        "/api/connections/{name}",
        "Closes a connection; the header X-Reason says why.",
        &[],
        |context| boxed(close(context)),
    ),
    route(
        Method::GET,
        "/api/connections/username/{user}",
        "Connections of a user.",
        list::PARAMETERS,
        |context| boxed(connections(context)),
    ),
    route(
        Method::DELETE,
        "/api/connections/username/{user}",
        "Closes the connections of a user.",
        &[],
        |context| boxed(close_all(context)),
    ),
    route(
        Method::GET,
        "/api/connections/{name}/channels",
        "Channels of a connection.",
        list::PARAMETERS,
        |context| boxed(channels_of(context)),
    ),
    route(
        Method::GET,
        "/api/channels",
        "All channels.",
        list::PARAMETERS,
        |context| boxed(channels(context)),
    ),
    route(
        Method::GET,
        "/api/vhosts/{vhost}/channels",
        "Channels of a virtual host.",
        list::PARAMETERS,
        |context| boxed(channels(context)),
    ),
    route(
        Method::GET,
        "/api/channels/{name}",
        "One channel.",
        &[],
        |context| boxed(channel(context)),
    ),
    route(
        Method::GET,
        "/api/consumers",
        "All consumers.",
        list::PARAMETERS,
        |context| boxed(consumers(context)),
    ),
    route(
        Method::GET,
        "/api/consumers/{vhost}",
        "Consumers of a virtual host.",
        list::PARAMETERS,
        |context| boxed(consumers(context)),
    ),
];

const fn route(
    method: Method,
    path: &'static str,
    summary: &'static str,
    query: &'static [Parameter],
    handler: fn(Context) -> crate::route::Handling,
) -> Route {
    Route {
        method,
        path,
        need: Need::Management,
        summary,
        query,
        body: None,
        handler,
    }
}

/// Which connections are to be seen.
fn filter(context: &Context) -> Result<ConnectionFilter, Failure> {
    let operator = context.operator()?;
    let own = (!spaces::sees_all(operator)).then(|| operator.user().name.to_string());
    Ok(ConnectionFilter {
        user: own,
        space: context.space.as_ref().map(|space| space.name.to_string()),
        ..ConnectionFilter::default()
    })
}

async fn connections(context: Context) -> Result<Answer, Failure> {
    let filter = filter(&context)?;
    let mut rows = context
        .broker()
        .list_connections(&filter, 0..usize::MAX)
        .items;
    if let Some(user) = context.path.get("user") {
        rows.retain(|facts| *facts.user == **user);
    }
    list::answer(
        &context,
        rows,
        |facts| &facts.name,
        |one, other| one.name.cmp(&other.name),
        |facts| describe(&context, facts),
    )
}

async fn connection(context: Context) -> Result<Answer, Failure> {
    let facts = find(&context)?;
    let described = describe(&context, &facts);
    Ok(list::one(&context, described))
}

/// The connection that the path names.
fn find(context: &Context) -> Result<ConnectionFacts, Failure> {
    let found = context.broker().connection_named(context.part("name"));
    let facts = found.ok_or_else(Failure::object_not_found)?;
    may_see(context, &facts)?;
    Ok(facts)
}

fn may_see(context: &Context, facts: &ConnectionFacts) -> Result<(), Failure> {
    let operator = context.operator()?;
    match spaces::sees_all(operator) || facts.user == operator.user().name {
        true => Ok(()),
        false => Err(Failure::not_authorised(
            "User not authorised to access object",
        )),
    }
}

async fn close(context: Context) -> Result<Answer, Failure> {
    let facts = find(&context)?;
    may_close(&context, &facts)?;
    let reason = reason(&context);
    match context.broker().close_connection(facts.id, &reason) {
        true => Ok(Answer::empty(StatusCode::NO_CONTENT)),
        false => Err(Failure::object_not_found()),
    }
}

/// Who only looks closes nothing but their own.
fn may_close(context: &Context, facts: &ConnectionFacts) -> Result<(), Failure> {
    let user = context.operator()?.user();
    let may = user.administrator || user.tags.contains("administrator") || facts.user == user.name;
    match may {
        true => Ok(()),
        false => Err(Failure::not_authorised(
            "User not authorised to access object",
        )),
    }
}

async fn close_all(context: Context) -> Result<Answer, Failure> {
    let user = context.part("user").to_owned();
    let filter = ConnectionFilter {
        user: Some(user),
        ..ConnectionFilter::default()
    };
    let rows = context
        .broker()
        .list_connections(&filter, 0..usize::MAX)
        .items;
    let reason = reason(&context);
    for facts in &rows {
        may_close(&context, facts)?;
    }
    for facts in rows {
        context.broker().close_connection(facts.id, &reason);
    }
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

fn reason(context: &Context) -> String {
    let said = context.headers.get("x-reason");
    let said = said.and_then(|reason| reason.to_str().ok());
    let said = said.filter(|reason| !reason.is_empty());
    let mut reason = said.unwrap_or("Closed via management plugin").to_owned();
    reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
    reason
}

async fn channels(context: Context) -> Result<Answer, Failure> {
    let filter = filter(&context)?;
    let rows = context.broker().list_channels(&filter, 0..usize::MAX).await;
    listed(&context, rows.items)
}

async fn channels_of(context: Context) -> Result<Answer, Failure> {
    let facts = find(&context)?;
    let rows = context.broker().channels_of(facts.id).await;
    listed(&context, rows)
}

fn listed(context: &Context, rows: Vec<ChannelFacts>) -> Result<Answer, Failure> {
    list::answer(
        context,
        rows,
        |channel| &channel.name,
        |one, other| one.name.cmp(&other.name),
        |channel| describe_channel(context, channel),
    )
}

async fn channel(context: Context) -> Result<Answer, Failure> {
    // The connection's name and, in brackets, the channel's number.
    let name = context.part("name");
    let (connection, _) = name
        .rsplit_once(" (")
        .ok_or_else(Failure::object_not_found)?;
    let facts = context.broker().connection_named(connection);
    let facts = facts.ok_or_else(Failure::object_not_found)?;
    may_see(&context, &facts)?;
    let rows = context.broker().channels_of(facts.id).await;
    let found = rows.iter().find(|channel| channel.name == name);
    let channel = found.ok_or_else(Failure::object_not_found)?;
    let mut described = describe_channel(&context, channel);
    let consumers = context.broker().list_consumers(None, 0..usize::MAX).items;
    let of_channel = consumers
        .iter()
        .filter(|consumer| consumer.connection == facts.id && consumer.channel == channel.number);
    described["consumer_details"] = of_channel
        .map(|consumer| describe_consumer(&context, consumer))
        .collect();
    described["deliveries"] = json!([]);
    described["publishes"] = json!([]);
    Ok(list::one(&context, described))
}

async fn consumers(context: Context) -> Result<Answer, Failure> {
    let shown = Shown::of(&context)?;
    let space = context.space.as_ref().map(|space| space.name.clone());
    let rows = context
        .broker()
        .list_consumers(space.as_deref(), 0..usize::MAX);
    let mut rows = rows.items;
    rows.retain(|consumer| shown.all().any(|(_, name)| *name == consumer.space));
    list::answer(
        &context,
        rows,
        |consumer| &consumer.tag,
        |one, other| {
            let key = |one: &ConsumerFacts| (one.connection_name.clone(), one.channel);
            (key(one), &one.tag).cmp(&(key(other), &other.tag))
        },
        |consumer| describe_consumer(&context, consumer),
    )
}

fn describe(context: &Context, facts: &ConnectionFacts) -> Value {
    let (peer, local) = (facts.peer.peer, facts.peer.local);
    let client = &facts.client;
    let mut described = json!({
        "name": facts.name,
        "node": node(context),
        "vhost": &*facts.space,
        "user": &*facts.user,
        "user_who_performed_action": &*facts.user,
        "user_provided_name": client.name,
        "protocol": facts.peer.protocol,
        "type": "network",
        "state": match facts.state {
            ConnectionState::Starting => "starting",
            ConnectionState::Running => "running",
            ConnectionState::Flow => "flow",
            ConnectionState::Blocked => "blocked",
        },
        "host": local.ip().to_canonical().to_string(),
        "port": local.port(),
        "peer_host": peer.ip().to_canonical().to_string(),
        "peer_port": peer.port(),
        "connected_at": facts.connected_at_ms,
        "channels": facts.channels,
        "channel_max": client.channel_max,
        "frame_max": client.frame_bytes_max,
        "timeout": client.heartbeat_s,
        "auth_mechanism": client.mechanism,
        "client_properties": value::object(&client.properties),
        "ssl": facts.tls.is_some(),
        "ssl_protocol": facts.tls.as_ref().map(|tls| tls.version.clone()),
        "ssl_cipher": facts.tls.as_ref().map(|tls| tls.cipher.clone()),
        "peer_cert_subject": facts.tls.as_ref().and_then(|tls| tls.peer_subject.clone()),
        "recv_oct": facts.bytes_in,
        "recv_oct_details": rate(0.0),
        "recv_cnt": facts.reads,
        "send_oct": facts.bytes_out,
        "send_oct_details": rate(0.0),
        "send_cnt": facts.writes,
        "send_pend": 0,
    });
    if client.name.is_empty() {
        described["user_provided_name"] = Value::Null;
    }
    described
}

/// A channel of a connection, as others refer to it.
fn connection_details(facts: &ConnectionFacts) -> Value {
    json!({
        "name": facts.name,
        "peer_host": facts.peer.peer.ip().to_canonical().to_string(),
        "peer_port": facts.peer.peer.port(),
    })
}

fn describe_channel(context: &Context, channel: &ChannelFacts) -> Value {
    let stands = channel.stands.clone().unwrap_or_default();
    let counts = &stands.counts;
    let deliver_get = counts.deliver + counts.deliver_no_ack + counts.get + counts.get_no_ack;
    let mut stats = json!({});
    for (name, count) in [
        ("publish", counts.publish),
        ("confirm", counts.confirm),
        ("return_unroutable", counts.return_unroutable),
        ("drop_unroutable", counts.drop_unroutable),
        ("deliver", counts.deliver),
        ("deliver_no_ack", counts.deliver_no_ack),
        ("get", counts.get),
        ("get_no_ack", counts.get_no_ack),
        ("get_empty", counts.get_empty),
        ("ack", counts.ack),
        ("redeliver", counts.redeliver),
        ("deliver_get", deliver_get),
    ] {
        stats[name] = json!(count);
        stats[format!("{name}_details")] = rate(0.0);
    }
    json!({
        "name": channel.name,
        "node": node(context),
        "number": channel.number,
        "vhost": &*channel.connection.space,
        "user": &*channel.connection.user,
        "user_who_performed_action": &*channel.connection.user,
        "connection_details": connection_details(&channel.connection),
        "state": "running",
        "confirm": stands.confirms,
        "transactional": stands.transactional,
        "prefetch_count": stands.prefetch,
        "global_prefetch_count": stands.prefetch_of_all,
        "messages_unacknowledged": stands.unsettled,
        "messages_unconfirmed": stands.unconfirmed,
        "messages_uncommitted": stands.uncommitted,
        "acks_uncommitted": stands.uncommitted_settles,
        "pending_raft_commands": 0,
        "consumer_count": stands.consumers.len(),
        "message_stats": stats,
    })
}

/// A consumer as RabbitMQ describes it.
pub fn describe_consumer(context: &Context, consumer: &ConsumerFacts) -> Value {
    json!({
        "consumer_tag": consumer.tag,
        "queue": { "name": &*consumer.queue, "vhost": &*consumer.space },
        "channel_details": {
            "name": format!("{} ({})", consumer.connection_name, consumer.channel),
            "number": consumer.channel,
            "connection_name": consumer.connection_name,
            "node": node(context),
            "peer_host": consumer.peer_host,
            "peer_port": consumer.peer_port,
            "user": &*consumer.user,
        },
        "ack_required": consumer.ack_required,
        "exclusive": consumer.exclusive,
        "active": consumer.active,
        "activity_status": match (consumer.active, consumer.single_active) {
            (false, _) => "waiting",
            (true, false) => "up",
            (true, true) => "single_active",
        },
        "prefetch_count": consumer.prefetch,
        "consumer_timeout": Value::Null,
        "arguments": value::object(&consumer.arguments),
    })
}

/// As the protocols have room for.
const REASON_BYTES_MAX: usize = 200;
