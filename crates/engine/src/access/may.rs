//! Whether somebody may do something: one decision for every protocol.
//!
//! In this order, the first that says something decides:
//!
//! 1. whom the settings call an administrator may;
//! 2. a rule ([`acl`](super::acl)) that denies;
//! 3. a permission in the space, or for the broker as a whole the tag `administrator`; of
//!    who brought rights along, those in place of what is kept here;
//! 4. a rule that allows;
//! 5. of users that only Kafka's tools know of, the settings, where no rule is about the
//!    thing; all others may not.

use std::sync::Arc;

use super::acl::{self, CLUSTER, Judged, Operation, Resource};
use super::{ADMINISTRATOR, Principal, Users};
use crate::refused::{Kind, Permission, Refused};
use crate::router::SpaceId;

/// Who asks, from where, and in which space.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// Who.
    pub user: &'a Principal,
    /// Its address.
    pub host: &'a str,
    /// Where.
    pub space: SpaceId,
    /// The space's name.
    pub space_name: &'a str,
}

impl Users {
    /// Whether a user may enter a space that it asks for by name: who may do anything there,
    /// as RabbitMQ has it. Into the space of Kafka's clients come also those whose rights
    /// are rules.
    pub fn may_enter(&self, asking: Asking<'_>) -> bool {
        let user = asking.user;
        if user.administrator {
            return true;
        }
        let known = self.users.get(&user.name);
        let permitted = match &user.granted {
            Some(granted) => granted.in_space(asking.space_name),
            None => known.is_some_and(|of| of.permissions.contains_key(&asking.space)),
        };
        let by_rules = || {
            let mut acls = self.acls.iter();
            let exists = user.granted.is_some() || known.is_some();
            exists && acls.any(|acl| acl.allowed && acl.is_of(&user.name, asking.host))
        };
        permitted
            || asking.space_name == self.settings.kafka_space
                && (known.is_some_and(|of| of.is_kafkas()) || by_rules())
    }

    /// Whether a user may do this to a thing of that name.
    pub fn may(
        &self,
        asking: Asking<'_>,
        operation: Operation,
        resource: Resource,
        name: &str,
    ) -> bool {
        self.decide(
            asking,
            operation,
            resource,
            name,
            |permits| match resource {
                Resource::Topic => match operation {
                    Operation::Read => permits(Permission::Read, name),
                    Operation::Write | Operation::IdempotentWrite => {
                        permits(Permission::Write, name)
                    }
                    Operation::Create
                    | Operation::Delete
                    | Operation::Alter
                    | Operation::AlterConfigs => permits(Permission::Configure, name),
                    Operation::Describe | Operation::DescribeConfigs => {
                        use Permission::{Configure, Read, Write};
                        let all = [Read, Write, Configure];
                        all.iter().any(|permission| permits(*permission, name))
                    }
                    _ => false,
                },
                // A group is how somebody reads; to remove or configure it is more.
                Resource::Group => match operation {
                    Operation::Read | Operation::Describe | Operation::DescribeConfigs => {
                        permits(Permission::Read, name)
                    }
                    Operation::Delete | Operation::Alter | Operation::AlterConfigs => {
                        permits(Permission::Configure, name)
                    }
                    _ => false,
                },
                Resource::TransactionalId => match operation {
                    Operation::Write | Operation::Describe => permits(Permission::Write, name),
                    _ => false,
                },
                Resource::Cluster => match operation {
                    Operation::Describe | Operation::IdempotentWrite => {
                        self.is_in(asking) || asking.user.is(ADMINISTRATOR)
                    }
                    _ => asking.user.is(ADMINISTRATOR),
                },
                Resource::DelegationToken | Resource::User => asking.user.is(ADMINISTRATOR),
            },
        )
    }

    /// Whether a user may do this to the broker as a whole.
    pub fn may_all(&self, asking: Asking<'_>, operation: Operation) -> bool {
        self.may(asking, operation, Resource::Cluster, CLUSTER)
    }

    /// Whether a user may do this to a queue or exchange; rules of the topic of that name
    /// concern it.
    ///
    /// # Errors
    /// [`Refused::Denied`].
    pub fn check(
        &self,
        asking: Asking<'_>,
        permission: Permission,
        kind: Kind,
        name: &str,
    ) -> Result<(), Refused> {
        let operation = match permission {
            Permission::Configure => Operation::Alter,
            Permission::Write => Operation::Write,
            Permission::Read => Operation::Read,
        };
        let permitted_as = match (kind, name) {
            (Kind::Exchange, "") => DEFAULT_EXCHANGE,
            (_, name) => name,
        };
        let may = self.decide(asking, operation, Resource::Topic, name, |permits| {
            permits(permission, permitted_as)
        });
        may.then_some(())
            .ok_or_else(|| denied(asking, permission, kind, name))
    }

    /// Whether a user may publish to a queue through the default exchange: it is the
    /// exchange that must be permitted, but the queue's topic that rules are about.
    ///
    /// # Errors
    /// [`Refused::Denied`], about the exchange.
    pub fn check_publish(&self, asking: Asking<'_>, queue: &str) -> Result<(), Refused> {
        let (operation, resource) = (Operation::Write, Resource::Topic);
        let may = self.decide(asking, operation, resource, queue, |permits| {
            permits(Permission::Write, DEFAULT_EXCHANGE)
        });
        may.then_some(())
            .ok_or_else(|| denied(asking, Permission::Write, Kind::Exchange, ""))
    }

    /// Whether a user may use this routing key of a topic exchange that it may write to or
    /// read from.
    ///
    /// # Errors
    /// [`Refused::TopicDenied`].
    pub fn check_key(
        &self,
        asking: Asking<'_>,
        permission: Permission,
        exchange: &str,
        routing_key: &str,
    ) -> Result<(), Refused> {
        let user = asking.user;
        let may = if user.administrator {
            true
        } else if let Some(granted) = &user.granted {
            // Who may by a rule has no scope for the exchange at all.
            !granted.permits(permission, asking.space_name, exchange)
                || granted.permits_key(permission, asking.space_name, exchange, routing_key)
        } else {
            let known = self.users.get(&user.name);
            let key = (asking.space, Arc::from(exchange));
            let patterns = known.and_then(|known| known.topic_permissions.get(&key));
            patterns.is_none_or(|patterns| {
                let pattern = match permission {
                    Permission::Write => &patterns.write,
                    Permission::Read | Permission::Configure => &patterns.read,
                };
                pattern.permits_for(routing_key, &user.name, asking.space_name)
            })
        };
        may.then_some(()).ok_or_else(|| Refused::TopicDenied {
            permission,
            exchange: exchange.to_owned(),
            routing_key: routing_key.to_owned(),
            user: user.name.to_string(),
        })
    }

    /// Whether a user has permissions in the space.
    fn is_in(&self, asking: Asking<'_>) -> bool {
        match &asking.user.granted {
            Some(granted) => granted.in_space(asking.space_name),
            None => {
                let known = self.users.get(&asking.user.name);
                known.is_some_and(|known| known.permissions.contains_key(&asking.space))
            }
        }
    }

    /// See the module's comment. `permitted` is told what permissions there are.
    fn decide(
        &self,
        asking: Asking<'_>,
        operation: Operation,
        resource: Resource,
        name: &str,
        permitted: impl FnOnce(&dyn Fn(Permission, &str) -> bool) -> bool,
    ) -> bool {
        let user = asking.user;
        if user.administrator {
            return true;
        }
        let known = self.users.get(&user.name);
        if user.granted.is_none() && known.is_none() {
            // It was deleted since it came in.
            return false;
        }
        let acls = self.acls.iter().map(|acl| &**acl);
        let judged = acl::judged(acls, &user.name, asking.host, operation, resource, name);
        if judged == Judged::Denied {
            return false;
        }
        let permits = |permission, name: &str| match &user.granted {
            Some(granted) => granted.permits(permission, asking.space_name, name),
            None => known
                .and_then(|known| known.permissions.get(&asking.space))
                .is_some_and(|permissions| permissions.permit(permission, name)),
        };
        if permitted(&permits) {
            return true;
        }
        // Who may come in, and what the rules are, is nobody's but who was given it.
        let closed = resource == Resource::Cluster
            && matches!(
                operation,
                Operation::Alter | Operation::AlterConfigs | Operation::ClusterAction
            );
        match judged {
            Judged::Denied | Judged::Others => false,
            Judged::Allowed => true,
            Judged::Nothing => {
                let kafkas = user.granted.is_none() && known.is_some_and(|known| known.is_kafkas());
                kafkas && self.settings.open && !closed
            }
        }
    }
}

fn denied(asking: Asking<'_>, permission: Permission, kind: Kind, name: &str) -> Refused {
    Refused::Denied {
        permission,
        kind,
        name: name.to_owned(),
        user: asking.user.name.to_string(),
    }
}

/// What permissions call the exchange that has no name.
const DEFAULT_EXCHANGE: &str = "amq.default";
