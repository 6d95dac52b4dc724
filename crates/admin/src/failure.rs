//! Why a request is not answered as asked: a status, a word, and a sentence in JSON, as
//! RabbitMQ's management has it: `{"error": "not_found", "reason": "…"}`.

use bongsu_engine::Refused;
use bongsu_engine::refused::{Kind, Limit, Permission, StreamOperation};
use http::StatusCode;

/// See the module's comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Of the response.
    pub status: StatusCode,
    /// For programs.
    pub error: &'static str,
    /// For people.
    pub reason: String,
}

impl Failure {
    /// 400, with a word of its own.
    pub fn new(error: &'static str, reason: impl Into<String>) -> Failure {
        Failure::with(StatusCode::BAD_REQUEST, error, reason)
    }

    /// With any status.
    pub fn with(status: StatusCode, error: &'static str, reason: impl Into<String>) -> Failure {
        Failure {
            status,
            error,
            reason: reason.into(),
        }
    }

    /// 400: the request cannot be meant.
    pub fn bad_request(reason: impl Into<String>) -> Failure {
        Failure::new("bad_request", reason)
    }

    /// 401: who asks may not use this.
    pub fn not_authorised(reason: impl Into<String>) -> Failure {
        Failure::with(StatusCode::UNAUTHORIZED, "not_authorised", reason)
    }

    /// 401: who asks is not known. RabbitMQ spells this one so, too.
    pub fn login_failed() -> Failure {
        Failure::with(StatusCode::UNAUTHORIZED, "not_authorized", "Login failed")
    }

    /// 403: not to be asked like this.
    pub fn forbidden(reason: impl Into<String>) -> Failure {
        Failure::with(StatusCode::FORBIDDEN, "forbidden", reason)
    }

    /// 404: what the path names is not there.
    pub fn object_not_found() -> Failure {
        Failure::not_found("Not Found")
    }

    /// 404.
    pub fn not_found(reason: impl Into<String>) -> Failure {
        Failure::with(StatusCode::NOT_FOUND, "Object Not Found", reason)
    }

    /// 404: the space that a change is for is not there.
    pub fn no_space() -> Failure {
        Failure::with(StatusCode::NOT_FOUND, "not_found", "vhost_not_found")
    }

    /// What the broker refused, in a space, in RabbitMQ's words where it has some. `of` is
    /// what an argument would be of.
    pub fn of(refused: Refused, space: &str, of: (Kind, &str)) -> Failure {
        let words = Words { space, of };
        words.of(refused)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        match refused {
            Refused::Login { .. } => Failure::login_failed(),
            Refused::NotFound { .. } => Failure::object_not_found(),
            other => Failure::of(other, "/", (Kind::Queue, "")),
        }
    }
}

struct Words<'a> {
    space: &'a str,
    of: (Kind, &'a str),
}

impl Words<'_> {
    fn thing(&self, kind: Kind, name: &str) -> String {
        format!("{} '{name}' in vhost '{}'", kind_name(kind), self.space)
    }

    fn invalid(&self, argument: &str, why: &str) -> Failure {
        let (kind, name) = self.of;
        let thing = self.thing(kind, name);
        Failure::bad_request(format!("invalid arg '{argument}' for {thing}: {why}"))
    }

    fn of(&self, refused: Refused) -> Failure {
        let queue = |name: &str| self.thing(Kind::Queue, name);
        match refused {
            Refused::Login { .. } => Failure::login_failed(),
            Refused::Denied {
                kind: Kind::Space, ..
            } => Failure::not_authorised("User not authorised to access virtual host"),
            Refused::Denied {
                permission,
                kind,
                name,
                user,
            } => {
                let permission = permission_name(permission);
                let thing = self.thing(kind, &name);
                let reason = format!("{permission} access to {thing} refused for user '{user}'");
                Failure::not_authorised(reason)
            }
            Refused::NotFound {
                kind: Kind::Space, ..
            } => Failure::no_space(),
            Refused::NotFound { kind, name } => Failure::with(
                StatusCode::NOT_FOUND,
                "not_found",
                format!("no {}", self.thing(kind, &name)),
            ),
            Refused::Inequivalent {
                kind,
                name,
                argument,
                requested,
                current,
            } => {
                let thing = self.thing(kind, &name);
                let (requested, current) = (quoted(requested), quoted(current));
                Failure::bad_request(format!(
                    "inequivalent arg '{argument}' for {thing}: received {requested} but current \
                     is {current}"
                ))
            }
            Refused::Locked { queue: name } => Failure::bad_request(format!(
                "cannot obtain exclusive access to locked {}",
                queue(&name)
            )),
            Refused::Reserved { kind, name } => Failure::not_authorised(format!(
                "{} name '{name}' contains reserved prefix 'amq.*'",
                kind_name(kind)
            )),
            Refused::InUse { kind, name } => {
                Failure::bad_request(format!("{} in use", self.thing(kind, &name)))
            }
            Refused::PartOfTopic { queue: name, topic } => Failure::bad_request(format!(
                "{} is a partition of {} and is deleted with it",
                queue(&name),
                queue(&topic)
            )),
            Refused::NotEmpty { queue: name } => {
                Failure::bad_request(format!("{} not empty", queue(&name)))
            }
            Refused::Full { queue: name } => {
                Failure::bad_request(format!("{} is full and refuses messages", queue(&name)))
            }
            Refused::ExclusiveConsumer { queue: name } => {
                Failure::bad_request(format!("{} in exclusive use", queue(&name)))
            }
            Refused::InvalidArgument {
                argument,
                value,
                accepted,
            } => self.invalid(&argument, &format!("'{value}' is not {accepted}")),
            Refused::ArgumentType {
                argument,
                found,
                accepted,
            } => self.invalid(&argument, &format!("expected {accepted}, got {found}")),
            Refused::ArgumentAlone { argument, needs } => {
                self.invalid(&argument, &format!("'{needs}' is missing"))
            }
            Refused::ArgumentsExclude { one, other } => {
                Failure::bad_request(format!("{one} and {other} are mutually exclusive"))
            }
            Refused::NotForStreams { argument } => self.invalid(&argument, "not for streams"),
            Refused::OnlyForReaders { argument } => self.invalid(&argument, "for streams only"),
            Refused::NoCredit { queue: name } => Failure::bad_request(format!(
                "consumer prefetch count is not set for {}",
                queue(&name)
            )),
            Refused::NotWithStreams {
                queue: name,
                operation,
            } => {
                let what = match operation {
                    StreamOperation::Get => "basic.get",
                    StreamOperation::Purge => "queue.purge",
                    StreamOperation::AutoSettle => "automatic acknowledgement",
                };
                let queue = queue(&name);
                Failure::bad_request(format!("{what} not supported by stream queues {queue}"))
            }
            Refused::StreamProperty {
                queue: name,
                property,
            } => Failure::bad_request(format!(
                "invalid property '{property}' for {}",
                queue(&name)
            )),
            Refused::TakesNone { queue: name } => Failure::bad_request(format!(
                "{} consumes the records of another and takes none",
                queue(&name)
            )),
            Refused::UnknownExchangeType { name } => {
                Failure::bad_request(format!("unknown exchange type '{name}'"))
            }
            Refused::Internal { exchange } => Failure::bad_request(format!(
                "cannot publish to internal {}",
                self.thing(Kind::Exchange, &exchange)
            )),
            Refused::Unsupported { what } => {
                Failure::bad_request(format!("{what} is not supported"))
            }
            Refused::Storage { cause } => {
                Failure::with(StatusCode::SERVICE_UNAVAILABLE, "storage", cause)
            }
            Refused::TopicDenied {
                exchange,
                routing_key,
                user,
                ..
            } => {
                let thing = self.thing(Kind::Exchange, &exchange);
                let reason =
                    format!("access to topic '{routing_key}' in {thing} refused for user '{user}'");
                Failure::not_authorised(reason)
            }
            Refused::QueueLimit { queue: name, max } => Failure::bad_request(format!(
                "cannot declare queue '{name}': queue limit in vhost '{}' ({max}) is reached",
                self.space
            )),
            Refused::LimitReached {
                limit, count, user, ..
            } => {
                let (what, of) = match limit {
                    Limit::SpaceConnections => ("connections", "the virtual host"),
                    Limit::UserConnections => ("connections", "the user"),
                    Limit::UserChannels => ("channels", "the user"),
                };
                Failure::bad_request(format!("user '{user}': {of} has its {count} {what} open"))
            }
        }
    }
}

fn quoted(value: String) -> String {
    let is_plain = value == "none" || value.contains('\'');
    match is_plain {
        true => value,
        false => format!("'{value}'"),
    }
}

fn permission_name(permission: Permission) -> &'static str {
    match permission {
        Permission::Configure => "configure",
        Permission::Write => "write",
        Permission::Read => "read",
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Space => "vhost",
        Kind::Exchange => "exchange",
        Kind::Queue => "queue",
        Kind::Link => "consumer",
    }
}
