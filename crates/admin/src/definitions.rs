//! Definitions: all that was declared, as one JSON document of RabbitMQ's shape; written, and
//! read to a [`Plan`] of what to make.
//!
//! RabbitMQ's own documents of 3.8 to 4.x are read as they are. What there is nothing to make
//! of is not dropped in silence: it is in [`Read::warnings`]. A document is read whole, and
//! checked against what there is, before anything is made.

use std::collections::BTreeSet;
use std::path::Path;

use bongsu_broker::Broker;
use bongsu_broker::operator::catalog::{BindingRow, QueueRow, apply_to_name};
use bongsu_broker::operator::import::{ImportFailed, Plan, Why};
use bongsu_broker::operator::users::{UserChange, UserRow};
use bongsu_engine::catalog::arguments::{self, Place};
use bongsu_engine::catalog::{ExchangeType, SpaceDefinition, SpaceId};
use bongsu_engine::refused::Kind;
use bongsu_engine::session::{Binding, DeclareExchange, DeclareQueue, Destination};
use serde_json::{Map, Value, json};

use crate::api::overview::VERSION;
use crate::api::{policies, users, vhosts};
use crate::failure::Failure;
use crate::fields::Fields;
use crate::spaces::Space;
use crate::value;

/// What a document comes to.
#[derive(Debug, Default)]
pub struct Read {
    /// What to make.
    pub plan: Plan,
    /// What was passed over, for people.
    pub warnings: Vec<String>,
}

/// All that was declared.
pub fn write_all(broker: &Broker) -> Value {
    let spaces: Vec<Space> = broker
        .space_names()
        .into_iter()
        .map(|(id, name)| Space { name, id })
        .collect();
    let vhosts = broker.space_rows().into_iter().map(|row| {
        let space = &row.definition;
        let queue_type = space.default_queue_type.as_deref().unwrap_or("undefined");
        json!({
            "name": &*space.name,
            "description": space.description,
            "tags": space.tags,
            "default_queue_type": queue_type,
            "metadata": { "description": space.description, "tags": space.tags,
                "default_queue_type": queue_type },
        })
    });
    let users = broker.user_rows().into_iter().map(|row| user(broker, &row));
    let permissions = broker.permission_rows(None, None);
    let topic_permissions = broker.topic_permission_rows(None, None);
    let mut out = head();
    for (name, value) in [
        ("users", users.collect()),
        ("vhosts", vhosts.collect()),
        (
            "permissions",
            permissions.iter().map(users::describe_permission).collect(),
        ),
        (
            "topic_permissions",
            topic_permissions
                .iter()
                .map(users::describe_topic_permission)
                .collect(),
        ),
        ("parameters", parameters(broker, &spaces)),
        ("global_parameters", json!([])),
    ] {
        out.insert(name.to_owned(), value);
    }
    let sections = Sections::of(broker, &spaces);
    sections.put(&mut out, |space, mut value| {
        value["vhost"] = json!(space);
        value
    });
    Value::Object(out)
}

/// All that was declared in one space; names of spaces are left out.
pub fn write_space(broker: &Broker, space: &Space) -> Value {
    let mut out = head();
    let spaces = std::slice::from_ref(space);
    let parameters = parameters(broker, spaces);
    let parameters = parameters.as_array().into_iter().flatten().map(|value| {
        let mut value = value.clone();
        if let Some(object) = value.as_object_mut() {
            object.remove("vhost");
        }
        value
    });
    out.insert("parameters".to_owned(), parameters.collect());
    if let Some(row) = broker.space_named(&space.name) {
        let definition = &row.definition;
        out.insert("original_vhost_name".to_owned(), json!(&*space.name));
        out.insert("description".to_owned(), json!(definition.description));
    }
    Sections::of(broker, spaces).put(&mut out, |_, value| value);
    Value::Object(out)
}

fn head() -> Map<String, Value> {
    let head = json!({
        "rabbit_version": VERSION,
        "rabbitmq_version": VERSION,
        "product_name": "Bongsu",
        "product_version": env!("CARGO_PKG_VERSION"),
        "rabbitmq_definition_format": "cluster",
    });
    head.as_object().cloned().unwrap_or_default()
}

/// A user whose password is its name is told with a hash of it: an empty one would lock it
/// out where it is imported.
fn user(broker: &Broker, row: &UserRow) -> Value {
    let mut described = users::describe(row);
    let (algorithm, hash) = &row.password_hash;
    if hash.is_empty() && !algorithm.is_empty() && row.scram.is_empty() {
        described["password_hash"] = json!(broker.hash_password(&row.name));
    }
    described
}

fn parameters(broker: &Broker, spaces: &[Space]) -> Value {
    let rows = spaces
        .iter()
        .filter_map(|space| broker.space_named(&space.name));
    let rows = rows.filter(|row| !row.definition.limits.is_none());
    let rows = rows.map(|row| {
        json!({
            "component": "vhost-limits",
            "name": "limits",
            "vhost": &*row.definition.name,
            "value": vhosts::limits_json(&row.definition.limits),
        })
    });
    rows.collect()
}

/// What spaces have in them, by space.
struct Sections {
    queues: Vec<(String, Value)>,
    exchanges: Vec<(String, Value)>,
    bindings: Vec<(String, Value)>,
    policies: Vec<(String, Value)>,
}

impl Sections {
    fn of(broker: &Broker, spaces: &[Space]) -> Sections {
        let mut sections = Sections {
            queues: Vec::new(),
            exchanges: Vec::new(),
            bindings: Vec::new(),
            policies: Vec::new(),
        };
        for space in spaces {
            let name = || space.name.to_string();
            let rows = broker.queue_rows(Some(space.id));
            let rows: Vec<QueueRow> = rows.into_iter().filter(is_told).collect();
            let told: BTreeSet<&str> = rows.iter().map(|row| &*row.definition.name).collect();
            let bindings = broker.binding_rows(Some(space.id)).into_iter();
            let bindings = bindings.filter(|row| !row.to_queue || told.contains(&*row.destination));
            sections
                .bindings
                .extend(bindings.map(|row| (name(), binding(&row))));
            sections
                .queues
                .extend(rows.iter().map(|row| (name(), queue(row))));
            let exchanges = broker.exchange_rows(Some(space.id)).into_iter();
            let exchanges = exchanges.filter(|row| !row.definition.name.starts_with("amq."));
            sections.exchanges.extend(exchanges.map(|row| {
                let definition = &row.definition;
                let described = json!({
                    "name": &*definition.name,
                    "type": definition.exchange_type.name(),
                    "durable": definition.durable,
                    "auto_delete": definition.auto_delete,
                    "internal": definition.internal,
                    "arguments": value::object(&definition.arguments),
                });
                (name(), described)
            }));
            let policies = broker.policy_rows(Some(space.id)).into_iter();
            sections.policies.extend(policies.map(|(_, policy)| {
                let described = json!({
                    "name": policy.name,
                    "pattern": policy.pattern,
                    "apply-to": apply_to_name(policy.apply_to),
                    "definition": value::object(&policy.definition),
                    "priority": policy.priority,
                });
                (name(), described)
            }));
        }
        sections
    }

    fn put(self, out: &mut Map<String, Value>, each: impl Fn(&str, Value) -> Value) {
        for (name, values) in [
            ("policies", self.policies),
            ("queues", self.queues),
            ("exchanges", self.exchanges),
            ("bindings", self.bindings),
        ] {
            let values = values.into_iter();
            let values = values.map(|(space, value)| each(&space, value));
            out.insert(name.to_owned(), values.collect());
        }
    }
}

/// Queues of sessions go with them, and names that the broker made up are nobody's to give.
/// A topic's further partitions come with it.
fn is_told(row: &QueueRow) -> bool {
    let definition = &row.definition;
    definition.owner.is_none()
        && definition.part_of.is_none()
        && !definition.name.starts_with("amq.")
}

fn queue(row: &QueueRow) -> Value {
    let definition = &row.definition;
    json!({
        "name": &*definition.name,
        "durable": definition.durable,
        "auto_delete": definition.auto_delete,
        "arguments": value::object(&definition.arguments),
    })
}

fn binding(row: &BindingRow) -> Value {
    let definition = &row.definition;
    json!({
        "source": definition.source,
        "destination": &*row.destination,
        "destination_type": if row.to_queue { "queue" } else { "exchange" },
        "routing_key": definition.routing_key,
        "arguments": value::object(&definition.arguments),
    })
}

/// Reads a document, for one space or, `None`, for all that it names, and checks it against
/// what there is.
///
/// # Errors
/// 400, with everything that is wrong, each with its place.
pub fn read(broker: &Broker, text: &[u8], only: Option<&str>) -> Result<Read, Failure> {
    let document: Value =
        serde_json::from_slice(text).map_err(|_| Failure::bad_request("failed_to_parse_json"))?;
    let Value::Object(document) = document else {
        return Err(Failure::bad_request("failed_to_parse_json"));
    };
    let mut reader = Reader {
        broker,
        only,
        read: Read::default(),
        made_users: BTreeSet::new(),
        wrong: Vec::new(),
    };
    reader.document(&document);
    if reader.wrong.is_empty() {
        return Ok(reader.read);
    }
    let count = reader.wrong.len();
    reader.wrong.truncate(WRONG_SHOWN_MAX);
    let mut reason = reader.wrong.join("; ");
    if count > WRONG_SHOWN_MAX {
        reason.push_str(&format!("; and {} more", count - WRONG_SHOWN_MAX));
    }
    Err(Failure::bad_request(reason))
}

struct Reader<'a> {
    broker: &'a Broker,
    only: Option<&'a str>,
    read: Read,
    /// Users that the document makes.
    made_users: BTreeSet<String>,
    wrong: Vec<String>,
}

impl<'a> Reader<'a> {
    fn document(&mut self, document: &Map<String, Value>) {
        // In the order in which things need each other.
        type Entry<'a> = fn(&mut Reader<'a>, &str, &Fields) -> Result<(), Failure>;
        let all: [(&str, Entry<'a>); 9] = [
            ("vhosts", Reader::space),
            ("users", Reader::user),
            ("permissions", Reader::permission),
            ("topic_permissions", Reader::topic_permission),
            ("parameters", Reader::parameter),
            ("policies", Reader::policy),
            ("exchanges", Reader::exchange),
            ("queues", Reader::queue),
            ("bindings", Reader::binding),
        ];
        for (section, entry) in all {
            let Some(entries) = document.get(section) else {
                continue;
            };
            let is_of_all = !OF_A_SPACE.contains(&section);
            if self.only.is_some() && is_of_all {
                self.read
                    .warnings
                    .push(format!("{section}: not for one virtual host, passed over"));
                continue;
            }
            let Value::Array(entries) = entries else {
                self.wrong.push(format!("{section}: not an array"));
                continue;
            };
            for (index, fields) in entries.iter().enumerate() {
                let place = format!("{section}[{index}]");
                let Value::Object(fields) = fields else {
                    self.wrong.push(format!("{place}: not an object"));
                    continue;
                };
                if let Err(failure) = entry(self, &place, &Fields(fields.clone())) {
                    self.wrong.push(format!("{place}: {}", failure.reason));
                }
            }
        }
        for (section, value) in document {
            let is_known = all.iter().any(|(known, _)| known == section);
            let is_empty = value.as_array().is_some_and(Vec::is_empty);
            if section == "global_parameters" {
                self.global_parameters(value);
            } else if !is_known && !is_empty && !TOLD_ONLY.contains(&section.as_str()) {
                self.read
                    .warnings
                    .push(format!("{section}: nothing is made of it here"));
            }
        }
    }

    fn global_parameters(&mut self, value: &Value) {
        for parameter in value.as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or("?");
            if !GLOBAL_TOLD_ONLY.contains(&name) {
                self.read.warnings.push(format!(
                    "global_parameters: '{name}': nothing is made of it here"
                ));
            }
        }
    }

    /// The space that an entry is for: it must be there, or be made.
    fn space_of(&self, fields: &Fields) -> Result<String, Failure> {
        let name = match self.only {
            Some(only) => only,
            None => fields.required_text("vhost")?,
        };
        let is_there = self.read.plan.makes_space(name) || self.broker.space_named(name).is_some();
        match is_there {
            true => Ok(name.to_owned()),
            false => Err(Failure::bad_request(format!("no_such_vhost: {name}"))),
        }
    }

    fn space_id(&self, name: &str) -> Option<SpaceId> {
        self.broker.space_named(name).map(|row| row.id)
    }

    fn space(&mut self, place: &str, fields: &Fields) -> Result<(), Failure> {
        let name = fields.required_text("name")?;
        let known = self.broker.space_named(name);
        let known = known.map(|row| SpaceDefinition::clone(&row.definition));
        let mut space = vhosts::read(name, fields, known)?;
        if let Some(limits) = fields.get("limits") {
            space.limits = vhosts::read_limits(limits)?;
        }
        space
            .check()
            .map_err(|refused| Failure::of(refused, name, (Kind::Space, name)))?;
        self.read.plan.spaces.push((place.to_owned(), space));
        Ok(())
    }

    fn user(&mut self, place: &str, fields: &Fields) -> Result<(), Failure> {
        let name = fields.required_text("name")?.to_owned();
        let put = users::read(&name, fields)?;
        self.made_users.insert(name.clone());
        self.read.plan.users.push((place.to_owned(), put));
        if let Some(limits) = fields.get("limits").filter(|limits| limits.is_object()) {
            let limits = users::read_limits(limits)?;
            let limit = UserChange::Limits { user: name, limits };
            self.read.plan.users.push((place.to_owned(), limit));
        }
        Ok(())
    }

    /// The user that an entry is for: it must be there, or be made.
    fn user_of<'f>(&self, fields: &'f Fields) -> Result<&'f str, Failure> {
        let name = fields.required_text("user")?;
        let is_made = self.made_users.contains(name);
        match is_made || self.broker.user_row(name).is_some() {
            true => Ok(name),
            false => Err(Failure::bad_request(format!("no_such_user: {name}"))),
        }
    }

    fn permission(&mut self, place: &str, fields: &Fields) -> Result<(), Failure> {
        let (user, space) = (self.user_of(fields)?, self.space_of(fields)?);
        let permit = users::read_permission(user, &space, fields)?;
        self.read.plan.users.push((place.to_owned(), permit));
        Ok(())
    }

    fn topic_permission(&mut self, place: &str, fields: &Fields) -> Result<(), Failure> {
        let (user, space) = (self.user_of(fields)?, self.space_of(fields)?);
        let permit = users::read_topic_permission(user, &space, fields)?;
        self.read.plan.users.push((place.to_owned(), permit));
        Ok(())
    }

    fn parameter(&mut self, place: &str, fields: &Fields) -> Result<(), Failure> {
        let component = fields.required_text("component")?;
        if component != "vhost-limits" {
            let name = fields.text("name")?.unwrap_or_default();
            self.read.warnings.push(format!(
                "{place}: '{name}' of component {component}: nothing is made of it here"
            ));
            return Ok(());
        }
        let name = self.space_of(fields)?;
        let limits = vhosts::read_limits(fields.get("value").unwrap_or(&Value::Null))?;
        let spaces = &mut self.read.plan.spaces;
        if let Some((_, space)) = spaces.iter_mut().find(|(_, space)| *space.name == *name) {
            space.limits = limits;
            return Ok(());
        }
        let known = self.broker.space_named(&name);
        let known = known.map(|row| SpaceDefinition::clone(&row.definition));
        let mut space = known.unwrap_or_else(|| SpaceDefinition::named(&name));
        space.limits = limits;
        spaces.push((place.to_owned(), space));
        Ok(())
    }

    fn policy(&mut self, place: &str, fields: &Fields) -> Result<(), Failure> {
        let space = self.space_of(fields)?;
        let policy = policies::read(fields.required_text("name")?, fields)?;
        let policies = &mut self.read.plan.policies;
        policies.push((place.to_owned(), space, policy));
        Ok(())
    }

    fn exchange(&mut self, place: &str, fields: &Fields) -> Result<(), Failure> {
        let space = self.space_of(fields)?;
        let name = fields.required_text("name")?.to_owned();
        if name.is_empty() || name.starts_with("amq.") {
            // Every space has them.
            return Ok(());
        }
        let exchange_type = fields.required_text("type")?;
        let declare = DeclareExchange {
            name: name.clone(),
            exchange_type: exchange_type.to_owned(),
            passive: false,
            durable: fields.boolean("durable", true)?,
            auto_delete: fields.boolean("auto_delete", false)?,
            internal: fields.boolean("internal", false)?,
            arguments: value::arguments(&fields.object("arguments")?)?,
        };
        let known_type = ExchangeType::by_name(exchange_type);
        if known_type.is_none() {
            let reason = format!("unknown exchange type '{exchange_type}'");
            return Err(Failure::bad_request(reason));
        }
        check(
            Place::Exchange,
            &declare.arguments,
            &space,
            (Kind::Exchange, &name),
        )?;
        let id = self.space_id(&space);
        let known = id.and_then(|id| self.broker.exchange_row(id, &name));
        if let Some(known) = known {
            let known = &known.definition;
            if Some(known.exchange_type) != known_type || known.durable != declare.durable {
                return Err(Failure::bad_request(format!(
                    "exchange '{name}' in vhost '{space}' is there with another type or durability"
                )));
            }
        }
        let exchanges = &mut self.read.plan.exchanges;
        exchanges.push((place.to_owned(), space, declare));
        Ok(())
    }

    fn queue(&mut self, place: &str, fields: &Fields) -> Result<(), Failure> {
        let space = self.space_of(fields)?;
        let name = fields.required_text("name")?.to_owned();
        if name.starts_with("amq.") {
            self.read.warnings.push(format!(
                "{place}: the name '{name}' was made up by a broker, passed over"
            ));
            return Ok(());
        }
        let mut arguments = value::arguments(&fields.object("arguments")?)?;
        // 3.13 and later say the type beside the arguments, too.
        if let Some(queue_type) = fields.text("type")?
            && queue_type != "classic"
        {
            let queue_type = bongsu_record::Value::Text(queue_type.to_owned());
            arguments
                .entry("x-queue-type".to_owned())
                .or_insert(queue_type);
        }
        let declare = DeclareQueue {
            name: name.clone(),
            passive: false,
            durable: fields.boolean("durable", true)?,
            exclusive: false,
            auto_delete: fields.boolean("auto_delete", false)?,
            arguments,
        };
        check(
            Place::Queue,
            &declare.arguments,
            &space,
            (Kind::Queue, &name),
        )?;
        let id = self.space_id(&space);
        let known = id.and_then(|id| self.broker.queue_row(id, &name));
        if let Some(known) = known {
            let known = &known.definition;
            if known.durable != declare.durable || known.auto_delete != declare.auto_delete {
                return Err(Failure::bad_request(format!(
                    "queue '{name}' in vhost '{space}' is there with another durability or \
                     auto-delete"
                )));
            }
        }
        let queues = &mut self.read.plan.queues;
        queues.push((place.to_owned(), space, declare));
        Ok(())
    }

    fn binding(&mut self, place: &str, fields: &Fields) -> Result<(), Failure> {
        let space = self.space_of(fields)?;
        let source = fields.required_text("source")?.to_owned();
        let destination = fields.required_text("destination")?.to_owned();
        if source.is_empty() {
            return Ok(());
        }
        let is_made_up = |name: &str| name.starts_with("amq.gen-");
        if is_made_up(&destination) {
            self.read.warnings.push(format!(
                "{place}: leads to '{destination}', which is passed over"
            ));
            return Ok(());
        }
        let destination = match fields.required_text("destination_type")? {
            "queue" => Destination::Queue(destination),
            "exchange" => Destination::Exchange(destination),
            other => {
                let reason = format!("destination_type '{other}' is neither queue nor exchange");
                return Err(Failure::bad_request(reason));
            }
        };
        let binding = Binding {
            source,
            destination,
            routing_key: fields.text("routing_key")?.unwrap_or_default().to_owned(),
            arguments: value::arguments(&fields.object("arguments")?)?,
        };
        let bindings = &mut self.read.plan.bindings;
        bindings.push((place.to_owned(), space, binding));
        Ok(())
    }
}

fn check(
    place: Place,
    given: &bongsu_record::Arguments,
    space: &str,
    of: (Kind, &str),
) -> Result<(), Failure> {
    let checked = arguments::check(place, given);
    checked.map_err(|refused| Failure::of(refused, space, of))
}

/// What ended an import, for people.
pub fn failed(failed: ImportFailed) -> Failure {
    let failure = match failed.why {
        Why::Refused { space, refused } => {
            Failure::of(refused, &space, (Kind::Queue, &failed.place))
        }
        Why::User(refused) => users::refused(refused),
    };
    Failure {
        reason: format!(
            "{}: {}; what stands before it was imported",
            failed.place, failure.reason
        ),
        ..failure
    }
}

/// Imports a file as the broker starts.
///
/// # Errors
/// For people: the file, and the entry that is wrong.
pub async fn load(broker: &Broker, path: &Path) -> Result<Vec<String>, String> {
    let wrong =
        |why: &dyn std::fmt::Display| format!("definitions.load: {}: {why}", path.display());
    let text = std::fs::read(path).map_err(|error| wrong(&error))?;
    let read = read(broker, &text, None).map_err(|failure| wrong(&failure.reason))?;
    let imported = broker.own_operator().import(read.plan).await;
    imported.map_err(|error| wrong(&failed(error).reason))?;
    Ok(read.warnings)
}

const OF_A_SPACE: [&str; 5] = ["policies", "queues", "exchanges", "bindings", "parameters"];
/// Said about the document, or of RabbitMQ alone.
const TOLD_ONLY: [&str; 14] = [
    "rabbit_version",
    "rabbitmq_version",
    "rabbitmq_definition_format",
    "product_name",
    "product_version",
    "original_cluster_name",
    "original_vhost_name",
    "explanation",
    "description",
    "metadata",
    "default_queue_type",
    "tags",
    "limits",
    "name",
];
const GLOBAL_TOLD_ONLY: [&str; 4] = [
    "cluster_name",
    "internal_cluster_id",
    "cluster_tags",
    "imported_definition_hash_value",
];
/// Complaints of one answer.
const WRONG_SHOWN_MAX: usize = 20;
