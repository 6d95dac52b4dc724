//! `/api/users`, permissions, topic permissions and limits of users: for administrators.

use std::collections::BTreeSet;
use std::sync::Arc;

use bongsu_broker::operator::users::{
    NewSecrets, PermissionRow, TopicPermissionRow, UserChange, UserRow,
};
use bongsu_engine::access::{UserLimits, UserRefused};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::fields::{Fields, wrong};
use crate::list;
use crate::route::{Answer, Context, Handling, Need, Route, boxed};

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    get("/api/users", "All users.", |context| {
        boxed(all(context, false))
    }),
    get(
        "/api/users/without-permissions",
        "Users that may enter no virtual host.",
        |context| boxed(all(context, true)),
    ),
    get("/api/users/{user}", "One user.", |context| {
        boxed(one(context))
    }),
    put(
        "/api/users/{user}",
        "Makes a user, or another of it.",
        USER,
        |context| boxed(put_user(context)),
    ),
    delete(
        "/api/users/{user}",
        "Deletes a user; its connections are closed.",
        |context| boxed(delete_user(context)),
    ),
    Route {
        method: Method::POST,
        path: "/api/users/bulk-delete",
        need: Need::Administrator,
        summary: "Deletes users.",
        query: &[],
        body: Some(
            r#"{"type":"object","required":["users"],"properties":{"users":{"type":"array",
            "items":{"type":"string"}}}}"#,
        ),
        handler: |context| boxed(delete_users(context)),
    },
    get(
        "/api/users/{user}/permissions",
        "What a user may do.",
        |context| boxed(permissions(context)),
    ),
    get(
        "/api/vhosts/{vhost}/permissions",
        "What users may do in a virtual host.",
        |context| boxed(permissions(context)),
    ),
    get("/api/permissions", "What users may do.", |context| {
        boxed(permissions(context))
    }),
    get(
        "/api/permissions/{vhost}/{user}",
        "What a user may do in a virtual host.",
        |context| boxed(permission(context)),
    ),
    put(
        "/api/permissions/{vhost}/{user}",
        "Says what a user may do in a virtual host.",
        PERMISSION,
        |context| boxed(permit(context)),
    ),
    delete(
        "/api/permissions/{vhost}/{user}",
        "Takes a user's permissions away.",
        |context| boxed(forbid(context)),
    ),
    get(
        "/api/users/{user}/topic-permissions",
        "Topic permissions of a user.",
        |context| boxed(topic_permissions(context)),
    ),
    get(
        "/api/vhosts/{vhost}/topic-permissions",
        "Topic permissions in a virtual host.",
        |context| boxed(topic_permissions(context)),
    ),
    get(
        "/api/topic-permissions",
        "All topic permissions.",
        |context| boxed(topic_permissions(context)),
    ),
    get(
        "/api/topic-permissions/{vhost}/{user}",
        "Topic permissions of a user in a virtual host.",
        |context| boxed(topic_permission(context)),
    ),
    put(
        "/api/topic-permissions/{vhost}/{user}",
        "Says which routing keys of an exchange a user may use.",
        TOPIC_PERMISSION,
        |context| boxed(permit_keys(context)),
    ),
    delete(
        "/api/topic-permissions/{vhost}/{user}",
        "Takes a user's topic permissions away.",
        |context| boxed(permit_all_keys(context)),
    ),
    delete(
        "/api/topic-permissions/{vhost}/{user}/{exchange}",
        "Takes a user's topic permissions of an exchange away.",
        |context| boxed(permit_all_keys(context)),
    ),
    limits_route("/api/user-limits", "Limits of users."),
    limits_route("/api/user-limits/{user}", "Limits of a user."),
    put(
        "/api/user-limits/{user}/{limit}",
        "Limits a user.",
        LIMIT,
        |context| boxed(put_limit(context)),
    ),
    delete(
        "/api/user-limits/{user}/{limit}",
        "Takes a limit away.",
        |context| boxed(delete_limit(context)),
    ),
];

const USER: &str = r#"{"type":"object","required":["tags"],"properties":{
    "password":{"type":"string"},"password_hash":{"type":"string"},
    "hashing_algorithm":{"type":"string"},
    "tags":{"anyOf":[{"type":"string"},{"type":"array","items":{"type":"string"}}]}}}"#;
const PERMISSION: &str = r#"{"type":"object","required":["configure","write","read"],
    "properties":{"configure":{"type":"string"},"write":{"type":"string"},
    "read":{"type":"string"}}}"#;
const TOPIC_PERMISSION: &str = r#"{"type":"object","required":["exchange","write","read"],
    "properties":{"exchange":{"type":"string"},"write":{"type":"string"},
    "read":{"type":"string"}}}"#;
const LIMIT: &str = r#"{"type":"object","required":["value"],"properties":{
    "value":{"type":"integer"}}}"#;

const fn get(path: &'static str, summary: &'static str, handler: fn(Context) -> Handling) -> Route {
    Route {
        method: Method::GET,
        path,
        need: Need::Administrator,
        summary,
        query: list::PARAMETERS,
        body: None,
        handler,
    }
}

const fn put(
    path: &'static str,
    summary: &'static str,
    body: &'static str,
    handler: fn(Context) -> Handling,
) -> Route {
    Route {
        method: Method::PUT,
        path,
        need: Need::Administrator,
        summary,
        query: &[],
        body: Some(body),
        handler,
    }
}

const fn delete(
    path: &'static str,
    summary: &'static str,
    handler: fn(Context) -> Handling,
) -> Route {
    Route {
        method: Method::DELETE,
        path,
        need: Need::Administrator,
        summary,
        query: &[],
        body: None,
        handler,
    }
}

/// Everybody may see their own.
const fn limits_route(path: &'static str, summary: &'static str) -> Route {
    Route {
        method: Method::GET,
        path,
        need: Need::Management,
        summary,
        query: &[],
        body: None,
        handler: |context| boxed(limits(context)),
    }
}

/// One change, done and durable.
async fn change(context: &Context, change: UserChange) -> Result<bool, Failure> {
    let changed = context.operator()?.change_user(change).await;
    changed.map_err(refused)
}

/// Why a change of a user is refused, in RabbitMQ's words where it has some.
pub fn refused(refused: UserRefused) -> Failure {
    match refused {
        UserRefused::Access => Failure::not_authorised("Not administrator user"),
        UserRefused::NotFound { user } => Failure::bad_request(format!("no_such_user: {user}")),
        UserRefused::NoSpace { space } => Failure::bad_request(format!("no_such_vhost: {space}")),
        UserRefused::Name { user } => {
            Failure::bad_request(format!("a user's name has 1 to 255 bytes, not as '{user}'"))
        }
        UserRefused::Tags => Failure::bad_request("too many tags, or too long ones"),
        UserRefused::Hash { algorithm } => Failure::bad_request(format!(
            "password_hash cannot be read as '{algorithm}': expected base64 of \
             rabbit_password_hashing_sha256, _sha512 or _md5, or argon2id"
        )),
        UserRefused::Pattern {
            which,
            pattern,
            cause,
        } => Failure::bad_request(format!("invalid_regexp: {which} '{pattern}': {cause}")),
        UserRefused::Exchange => Failure::bad_request("the exchange's name is too long"),
        UserRefused::Full { max } => {
            Failure::bad_request(format!("there are {max} users, as many as there may be"))
        }
        UserRefused::Storage => Failure::with(
            StatusCode::SERVICE_UNAVAILABLE,
            "storage",
            "the disk failed; see the broker's log",
        ),
    }
}

fn created(is_new: bool) -> Answer {
    Answer::empty(match is_new {
        true => StatusCode::CREATED,
        false => StatusCode::NO_CONTENT,
    })
}

async fn all(context: Context, without_permissions: bool) -> Result<Answer, Failure> {
    let broker = context.broker();
    let mut rows = broker.user_rows();
    if without_permissions {
        let permitted = broker.permission_rows(None, None).into_iter();
        let permitted: BTreeSet<Arc<str>> = permitted.map(|row| row.user).collect();
        rows.retain(|row| !permitted.contains(&row.name));
    }
    list::answer(
        &context,
        rows,
        |row| &row.name,
        |one, other| one.name.cmp(&other.name),
        describe,
    )
}

async fn one(context: Context) -> Result<Answer, Failure> {
    let row = find(&context)?;
    Ok(list::one(&context, describe(&row)))
}

/// The user that the path names.
fn find(context: &Context) -> Result<UserRow, Failure> {
    let row = context.broker().user_row(context.part("user"));
    row.ok_or_else(Failure::object_not_found)
}

/// A user as RabbitMQ describes it.
pub fn describe(row: &UserRow) -> Value {
    let (algorithm, hash) = &row.password_hash;
    json!({
        "name": &*row.name,
        "password_hash": hash,
        "hashing_algorithm": match *algorithm {
            "" => "rabbit_password_hashing_sha256",
            algorithm => algorithm,
        },
        "tags": row.tags.iter().map(|tag| &**tag).collect::<Vec<_>>(),
        "limits": limits_json(&row.limits),
    })
}

async fn put_user(context: Context) -> Result<Answer, Failure> {
    let fields = context.fields()?;
    let put = read(context.part("user"), &fields)?;
    let is_new = change(&context, put).await?;
    if let Some(limits) = fields.get("limits").filter(|limits| limits.is_object()) {
        let limits = read_limits(limits)?;
        let user = context.part("user").to_owned();
        change(&context, UserChange::Limits { user, limits }).await?;
    }
    Ok(created(is_new))
}

/// A user as RabbitMQ's definitions have it.
///
/// # Errors
/// 400.
pub fn read(name: &str, fields: &Fields) -> Result<UserChange, Failure> {
    let tags = match fields.get("tags").or_else(|| fields.get("administrator")) {
        None => return Err(Failure::bad_request("tags_not_present")),
        Some(Value::Bool(true)) => BTreeSet::from([Arc::from("administrator")]),
        Some(Value::Bool(false)) => BTreeSet::new(),
        Some(Value::String(tags)) => {
            let tags = tags.split(',').map(str::trim);
            tags.filter(|tag| !tag.is_empty()).map(Arc::from).collect()
        }
        Some(Value::Array(tags)) => {
            let tags = tags.iter().map(|tag| {
                let text = tag.as_str().map(str::trim);
                text.ok_or_else(|| wrong("not_string", "tags", tag))
            });
            let tags: Result<Vec<&str>, Failure> = tags.collect();
            let tags = tags?.into_iter();
            tags.filter(|tag| !tag.is_empty()).map(Arc::from).collect()
        }
        Some(other) => return Err(wrong("not_tags", "tags", other)),
    };
    let algorithm = fields.text("hashing_algorithm")?.unwrap_or_default();
    let secrets = match (fields.text("password")?, fields.text("password_hash")?) {
        // RabbitMQ keeps what has no password from logging in with one.
        (Some(""), _) | (None, None) => NewSecrets::None,
        (Some(password), _) => NewSecrets::Password(password.to_owned()),
        (None, Some(hash)) => NewSecrets::Hash {
            algorithm: algorithm.to_owned(),
            hash: hash.to_owned(),
        },
    };
    Ok(UserChange::Put {
        user: name.to_owned(),
        secrets,
        tags,
    })
}

async fn delete_user(context: Context) -> Result<Answer, Failure> {
    let row = find(&context)?;
    let user = row.name.to_string();
    change(&context, UserChange::Delete { user }).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn delete_users(context: Context) -> Result<Answer, Failure> {
    let fields = context.fields()?;
    fields.require(&["users"])?;
    let Some(Value::Array(users)) = fields.get("users") else {
        let value = fields.get("users").unwrap_or(&Value::Null);
        return Err(wrong("not_array", "users", value));
    };
    let names = users.iter().map(|user| {
        let name = user.as_str().map(str::to_owned);
        name.ok_or_else(|| wrong("not_string", "users", user))
    });
    let names: Vec<String> = names.collect::<Result<_, _>>()?;
    if let Some(nobody) = names
        .iter()
        .find(|name| context.broker().user_row(name).is_none())
    {
        return Err(Failure::bad_request(format!("no_such_user: {nobody}")));
    }
    let changes = names.into_iter().map(|user| UserChange::Delete { user });
    for changed in context.operator()?.change_users(changes.collect()).await {
        changed.map_err(refused)?;
    }
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn permissions(context: Context) -> Result<Answer, Failure> {
    let (user, space) = asked(&context)?;
    let rows = context
        .broker()
        .permission_rows(user.as_deref(), space.as_deref());
    list::answer(
        &context,
        rows,
        |row| &row.user,
        |one, other| (&one.space, &one.user).cmp(&(&other.space, &other.user)),
        describe_permission,
    )
}

/// The user and the space that the path names; both must be there.
fn asked(context: &Context) -> Result<(Option<String>, Option<String>), Failure> {
    let user = context.path.get("user").cloned();
    if user.is_some() {
        find(context)?;
    }
    let space = context.path.get("vhost").cloned();
    if let Some(space) = &space
        && context.broker().space_named(space).is_none()
    {
        return Err(Failure::object_not_found());
    }
    Ok((user, space))
}

async fn permission(context: Context) -> Result<Answer, Failure> {
    let (user, space) = asked(&context)?;
    let rows = context
        .broker()
        .permission_rows(user.as_deref(), space.as_deref());
    let row = rows.first().ok_or_else(Failure::object_not_found)?;
    Ok(list::one(&context, describe_permission(row)))
}

/// Permissions as RabbitMQ describes them.
pub fn describe_permission(row: &PermissionRow) -> Value {
    json!({
        "user": &*row.user,
        "vhost": &*row.space,
        "configure": row.permissions.configure.text(),
        "write": row.permissions.write.text(),
        "read": row.permissions.read.text(),
    })
}

/// Topic permissions as RabbitMQ describes them.
pub fn describe_topic_permission(row: &TopicPermissionRow) -> Value {
    json!({
        "user": &*row.user,
        "vhost": &*row.space,
        "exchange": &*row.exchange,
        "write": row.permissions.write.text(),
        "read": row.permissions.read.text(),
    })
}

/// RabbitMQ says one thing of both.
fn no_user_or_space(refusal: UserRefused) -> Failure {
    match refusal {
        UserRefused::NotFound { .. } | UserRefused::NoSpace { .. } => {
            Failure::bad_request("vhost_or_user_not_found")
        }
        other => refused(other),
    }
}

async fn permit(context: Context) -> Result<Answer, Failure> {
    let permit = read_permission(
        context.part("user"),
        context.part("vhost"),
        &context.fields()?,
    )?;
    let changed = context.operator()?.change_user(permit).await;
    changed.map(created).map_err(no_user_or_space)
}

/// Permissions as RabbitMQ's definitions have them.
///
/// # Errors
/// 400.
pub fn read_permission(user: &str, space: &str, fields: &Fields) -> Result<UserChange, Failure> {
    fields.require(&["configure", "write", "read"])?;
    Ok(UserChange::Permit {
        user: user.to_owned(),
        space: space.to_owned(),
        configure: fields.required_text("configure")?.to_owned(),
        write: fields.required_text("write")?.to_owned(),
        read: fields.required_text("read")?.to_owned(),
    })
}

/// Topic permissions as RabbitMQ's definitions have them.
///
/// # Errors
/// 400.
pub fn read_topic_permission(
    user: &str,
    space: &str,
    fields: &Fields,
) -> Result<UserChange, Failure> {
    fields.require(&["exchange", "write", "read"])?;
    Ok(UserChange::PermitKeys {
        user: user.to_owned(),
        space: space.to_owned(),
        exchange: fields.required_text("exchange")?.to_owned(),
        write: fields.required_text("write")?.to_owned(),
        read: fields.required_text("read")?.to_owned(),
    })
}

async fn forbid(context: Context) -> Result<Answer, Failure> {
    let (user, space) = asked(&context)?;
    let rows = context
        .broker()
        .permission_rows(user.as_deref(), space.as_deref());
    let row = rows.first().ok_or_else(Failure::object_not_found)?;
    let forbid = UserChange::Forbid {
        user: row.user.to_string(),
        space: row.space.to_string(),
    };
    change(&context, forbid).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn topic_permissions(context: Context) -> Result<Answer, Failure> {
    let rows = topic_rows(&context)?;
    list::answer(
        &context,
        rows,
        |row| &row.user,
        |one, other| {
            (&one.space, &one.user, &one.exchange).cmp(&(
                &other.space,
                &other.user,
                &other.exchange,
            ))
        },
        describe_topic_permission,
    )
}

fn topic_rows(context: &Context) -> Result<Vec<TopicPermissionRow>, Failure> {
    let (user, space) = asked(context)?;
    let broker = context.broker();
    Ok(broker.topic_permission_rows(user.as_deref(), space.as_deref()))
}

async fn topic_permission(context: Context) -> Result<Answer, Failure> {
    let rows = topic_rows(&context)?;
    match rows.is_empty() {
        true => Err(Failure::object_not_found()),
        false => Ok(Answer::json(
            &rows
                .iter()
                .map(describe_topic_permission)
                .collect::<Vec<_>>(),
        )),
    }
}

async fn permit_keys(context: Context) -> Result<Answer, Failure> {
    let fields = context.fields()?;
    let permit = read_topic_permission(context.part("user"), context.part("vhost"), &fields)?;
    let changed = context.operator()?.change_user(permit).await;
    changed.map(created).map_err(no_user_or_space)
}

async fn permit_all_keys(context: Context) -> Result<Answer, Failure> {
    let exchange = context.path.get("exchange").cloned();
    let mut rows = topic_rows(&context)?;
    rows.retain(|row| {
        exchange
            .as_deref()
            .is_none_or(|exchange| exchange == &*row.exchange)
    });
    if rows.is_empty() {
        return Err(Failure::object_not_found());
    }
    let permit = UserChange::PermitAllKeys {
        user: context.part("user").to_owned(),
        space: context.part("vhost").to_owned(),
        exchange,
    };
    change(&context, permit).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn limits(context: Context) -> Result<Answer, Failure> {
    let mut rows = context.broker().user_rows();
    if let Some(user) = context.path.get("user") {
        find(&context)?;
        rows.retain(|row| *row.name == **user);
    }
    let operator = context.operator()?;
    if !operator.administers() {
        let own = &operator.user().name;
        rows.retain(|row| row.name == *own);
    }
    rows.retain(|row| !row.limits.is_none());
    let rows = rows.iter();
    let rows = rows.map(|row| json!({ "user": &*row.name, "value": limits_json(&row.limits) }));
    Ok(Answer::json(&rows.collect::<Vec<_>>()))
}

async fn put_limit(context: Context) -> Result<Answer, Failure> {
    let row = context.broker().user_row(context.part("user"));
    let row =
        row.ok_or_else(|| Failure::bad_request(format!("no_such_user: {}", context.part("user"))))?;
    let fields = context.fields()?;
    fields.require(&["value"])?;
    let value = fields.get("value").cloned().unwrap_or(Value::Null);
    let mut limits = row.limits;
    set(&mut limits, context.part("limit"), &value)?;
    let user = row.name.to_string();
    change(&context, UserChange::Limits { user, limits }).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

async fn delete_limit(context: Context) -> Result<Answer, Failure> {
    let row = find(&context)?;
    let mut limits = row.limits;
    set(&mut limits, context.part("limit"), &Value::from(-1))?;
    let user = row.name.to_string();
    change(&context, UserChange::Limits { user, limits }).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// Limits of a user as RabbitMQ names them, and our own.
pub fn limits_json(limits: &UserLimits) -> Value {
    let set = limits.named().into_iter();
    let set = set.filter_map(|(name, value)| Some((name.to_owned(), json!(value?))));
    Value::Object(set.collect())
}

/// Limits of a user as RabbitMQ's definitions have them.
///
/// # Errors
/// 400.
pub fn read_limits(value: &Value) -> Result<UserLimits, Failure> {
    let mut limits = UserLimits::default();
    let Value::Object(object) = value else {
        return Err(wrong("not_object", "limits", value));
    };
    for (name, value) in object {
        set(&mut limits, name, value)?;
    }
    Ok(limits)
}

fn set(limits: &mut UserLimits, name: &str, value: &Value) -> Result<(), Failure> {
    let number = limit_of(name, value)?;
    match limits.set(name, number) {
        true => Ok(()),
        false => Err(Failure::bad_request(format!(
            "Unrecognised terms [{name}] in user-limits"
        ))),
    }
}

/// A limit; below 0 it is none, as in RabbitMQ.
///
/// # Errors
/// 400.
pub fn limit_of(name: &str, value: &Value) -> Result<Option<u64>, Failure> {
    match (value.as_i64(), value.as_u64()) {
        (Some(number), _) if number < 0 => Ok(None),
        (_, Some(number)) => Ok(Some(number)),
        _ => Err(Failure::bad_request(format!(
            "{name} should be a number, actually was {value}"
        ))),
    }
}
