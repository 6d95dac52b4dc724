//! Groups of consumers, and streams.

use bongsu_broker::operator::groups::{GroupRefused, GroupSeen, MemberSeen, PartitionSeen};
use bongsu_broker::operator::streams::StreamSeen;
use bongsu_engine::stream::StreamOffset;
use bongsu_record::Offset;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::json::{self, Page};
use super::moves::conflict;
use super::queues;
use crate::failure::Failure;
use crate::route::{Answer, Context, Need, Parameter, Route, boxed};

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/bongsu/v1/streams",
        need: Need::Management,
        summary: "Streams and topics with their partitions.",
        query: LIST,
        body: None,
        handler: |context| boxed(streams(context)),
    },
    Route {
        method: Method::GET,
        path: "/bongsu/v1/streams/{space}/{name}",
        need: Need::Management,
        summary: "One stream: bounds, sizes and times of its partitions, and who reads it.",
        query: &[],
        body: None,
        handler: |context| boxed(stream(context)),
    },
    Route {
        method: Method::GET,
        path: "/bongsu/v1/groups",
        need: Need::Management,
        summary: "Groups of consumers of every kind, with their lag.",
        query: LIST,
        body: None,
        handler: |context| boxed(groups(context)),
    },
    Route {
        method: Method::GET,
        path: "/bongsu/v1/groups/{group}",
        need: Need::Management,
        summary: "One group: members, and by partition how far it came and how far it is behind.",
        query: SPACE,
        body: None,
        handler: |context| boxed(group(context)),
    },
    Route {
        method: Method::POST,
        path: "/bongsu/v1/groups/{group}/offsets",
        need: Need::Management,
        summary: "Moves a group without members in a topic, to first, last, next, an offset or a time.",
        query: SPACE,
        body: Some(
            r#"{"type":"object","required":["topic","to"],"properties":{"topic":{"type":"string"},
"partition":{"type":["integer","null"]},"to":{"type":["string","integer"]},"dry_run":{"type":"boolean"}}}"#,
        ),
        handler: |context| boxed(offsets(context)),
    },
    Route {
        method: Method::DELETE,
        path: "/bongsu/v1/groups/{group}",
        need: Need::Management,
        summary: "Deletes a group that has no members, with all it remembers.",
        query: SPACE,
        body: None,
        handler: |context| boxed(delete(context)),
    },
];

const SPACE: &[Parameter] = &[Parameter {
    name: "space",
    summary: "Where the group is; / without.",
}];

const LIST: &[Parameter] = &[
    Parameter {
        name: "space",
        summary: "Only those of this space.",
    },
    Parameter {
        name: "name",
        summary: "Only those whose name contains this.",
    },
    Parameter {
        name: "sort",
        summary: "A member of the items; by space and name without.",
    },
    Parameter {
        name: "sort_reverse",
        summary: "true: the other way round.",
    },
    Parameter {
        name: "page",
        summary: "From 1.",
    },
    Parameter {
        name: "page_size",
        summary: "1 to 500, 100 without.",
    },
];

fn spaces(context: &Context) -> Result<Vec<String>, Failure> {
    Ok(
        match context.query.get("space").filter(|text| !text.is_empty()) {
            Some(space) => vec![space.clone()],
            None => context.operator()?.spaces(),
        },
    )
}

/// The page, the items on it, and how many there are.
fn listed(context: &Context, mut items: Vec<Value>) -> Result<(Page, Vec<Value>, u64), Failure> {
    let page = Page::of(context)?;
    let total = items.len() as u64;
    json::sort(context, &mut items);
    let items = page.cut(items);
    Ok((page, items, total))
}

async fn streams(context: Context) -> Result<Answer, Failure> {
    let operator = context.operator()?;
    let text = context.query.get("name").map_or("", String::as_str);
    let mut items = Vec::new();
    for space in spaces(&context)? {
        let seen = operator.streams(&space, text)?;
        items.extend(seen.iter().map(stream_told));
    }
    let (page, items, total) = listed(&context, items)?;
    Ok(Answer::json(&page.answer(items, total)))
}

async fn stream(context: Context) -> Result<Answer, Failure> {
    let operator = context.operator()?;
    let (space, name) = (context.part("space"), context.part("name"));
    let seen = operator.stream(space, name).await?;
    Ok(Answer::json(&stream_told(&seen)))
}

fn stream_told(seen: &StreamSeen) -> Value {
    let retention = seen.queue.properties.retention;
    let retention = retention.map(|kept| json!({ "age_ms": kept.age_ms, "bytes": kept.bytes }));
    let partitions: Vec<Value> = seen
        .partitions
        .iter()
        .map(|part| {
            json!({
                "partition": part.partition,
                "start": part.start.0,
                "end": part.end.0,
                "durable_end": part.durable_end.0,
                "count": part.end.0 - part.start.0,
                "bytes": part.bytes,
                "segments": part.segments,
                "readers": part.readers,
                "oldest_at": part.oldest_ms,
                "newest_at": part.newest_ms,
                "retention": retention,
            })
        })
        .collect();
    let mut told = queues::told(&seen.queue);
    told["count"] = json!(
        seen.partitions
            .iter()
            .map(|p| p.end.0 - p.start.0)
            .sum::<u64>()
    );
    told["bytes"] = json!(seen.partitions.iter().map(|part| part.bytes).sum::<u64>());
    told["readers"] = json!(seen.partitions.iter().map(|part| part.readers).sum::<u32>());
    told["subscriptions"] = json!(
        seen.subscriptions
            .iter()
            .map(|name| &**name)
            .collect::<Vec<_>>()
    );
    told["partition_count"] = json!(partitions.len());
    told["partitions"] = Value::Array(partitions);
    told
}

async fn groups(context: Context) -> Result<Answer, Failure> {
    let operator = context.operator()?;
    let text = context.query.get("name").map_or("", String::as_str);
    let mut items = Vec::new();
    for space in spaces(&context)? {
        for seen in operator.groups(&space, text)? {
            items.push(json!({
                "name": &*seen.name,
                "space": space,
                "kind": seen.sort.name(),
                "state": seen.state,
                "partition_count": seen.partitions.len(),
                "topics": topics(&seen),
                "lag": seen.lag(),
            }));
        }
    }
    let (page, mut items, total) = listed(&context, items)?;
    for item in &mut items {
        let part = |name: &str| item[name].as_str().unwrap_or_default();
        // One that went meanwhile has none.
        let members = operator.group_members(part("space"), part("name")).await;
        let members = members.unwrap_or_default();
        item["members"] = members.iter().map(member_told).collect();
    }
    Ok(Answer::json(&page.answer(items, total)))
}

fn topics(seen: &GroupSeen) -> Vec<&str> {
    let mut topics: Vec<&str> = seen.partitions.iter().map(|part| &*part.topic).collect();
    topics.dedup();
    topics
}

fn space_of(context: &Context) -> &str {
    let asked = context.query.get("space").filter(|text| !text.is_empty());
    asked.map_or("/", String::as_str)
}

async fn group(context: Context) -> Result<Answer, Failure> {
    let (space, name) = (space_of(&context), context.part("group"));
    let seen = context.operator()?.group(space, name).await;
    let seen = seen.map_err(|why| refused(why, name))?;
    let now_ms = context.broker().now_ms();
    let members: Vec<Value> = seen.members.iter().map(member_told).collect();
    let told = |part: &PartitionSeen| partition_told(part, now_ms);
    let partitions: Vec<Value> = seen.partitions.iter().map(told).collect();
    let oldest = seen
        .partitions
        .iter()
        .filter_map(|part| part.oldest_ms)
        .min();
    Ok(Answer::json(&json!({
        "name": &*seen.name,
        "space": space,
        "kind": seen.sort.name(),
        "state": seen.state,
        "members": members,
        "partitions": partitions,
        "topics": topics(&seen),
        "lag": seen.lag(),
        "oldest_lag_ms": oldest.map(|at_ms| now_ms.saturating_sub(at_ms)),
    })))
}

fn member_told(member: &MemberSeen) -> Value {
    let assigned: Vec<Value> = member
        .assigned
        .iter()
        .map(|(topic, partitions)| json!({ "topic": topic, "partitions": partitions }))
        .collect();
    json!({
        "id": member.id,
        "instance": member.instance,
        "client_id": member.client_id,
        "host": member.host,
        "assigned": assigned,
    })
}

fn partition_told(part: &PartitionSeen, now_ms: u64) -> Value {
    json!({
        "topic": &*part.topic,
        "partition": part.partition,
        "committed": part.committed,
        "committed_at": part.committed_at_ms,
        "metadata": part.metadata,
        "start": part.start,
        "end": part.end,
        "lag": part.lag,
        "oldest_lag_ms": part.oldest_ms.map(|at_ms| now_ms.saturating_sub(at_ms)),
        "member": part.member,
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Offsets {
    topic: String,
    partition: Option<i32>,
    to: To,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum To {
    Offset(u64),
    Text(String),
}

async fn offsets(context: Context) -> Result<Answer, Failure> {
    let (space, name) = (space_of(&context), context.part("group"));
    let body: Offsets = context.json()?;
    let to = match body.to {
        To::Offset(offset) => StreamOffset::Offset(Offset(offset)),
        To::Text(text) => json::place("to", &text)?,
    };
    let operator = context.operator()?;
    let part = (body.topic.as_str(), body.partition);
    let moved = operator
        .move_group((space, name), part, to, body.dry_run)
        .await;
    let moved = moved.map_err(|why| refused(why, name))?;
    let partitions: Vec<Value> = moved
        .iter()
        .map(|moved| {
            json!({
                "topic": &*moved.topic,
                "partition": moved.partition,
                "from": moved.from,
                "to": moved.to,
                "lag": moved.lag,
                "error": moved.refused,
            })
        })
        .collect();
    Ok(Answer::json(&json!({
        "group": name,
        "dry_run": body.dry_run,
        "partitions": partitions,
        "lag": moved.iter().map(|moved| moved.lag).sum::<u64>(),
    })))
}

async fn delete(context: Context) -> Result<Answer, Failure> {
    let (space, name) = (space_of(&context), context.part("group"));
    let deleted = context.operator()?.delete_group(space, name).await;
    deleted.map_err(|why| refused(why, name))?;
    Ok(Answer::empty(http::StatusCode::NO_CONTENT))
}

fn refused(why: GroupRefused, group: &str) -> Failure {
    match why {
        GroupRefused::Refused(refused) => refused.into(),
        GroupRefused::NotFound => Failure::not_found(format!("there is no group '{group}'")),
        GroupRefused::Conflict(reason) => conflict(reason),
        GroupRefused::Invalid(reason) => Failure::bad_request(reason),
    }
}
