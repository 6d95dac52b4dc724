//! Who is allowed, or denied, to do what to which things: Kafka's model, which has names for
//! all that there is.
//!
//! A rule is about one thing by name, or about all whose names begin so, or about all (`*`).
//! Deny goes before allow. A thing that no rule is about is open or closed, as it is set.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a rule can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Resource {
    /// Topics, queues and exchanges.
    Topic,
    Group,
    /// The broker as a whole, by the name [`CLUSTER`].
    Cluster,
    TransactionalId,
    DelegationToken,
    User,
}

/// How a rule names things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Pattern {
    /// By their name; all, if it is `*`.
    Literal,
    /// By how their names begin.
    Prefixed,
}

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Operation {
    /// In rules only.
    All,
    Read,
    Write,
    Create,
    Delete,
    Alter,
    Describe,
    ClusterAction,
    DescribeConfigs,
    AlterConfigs,
    IdempotentWrite,
    CreateTokens,
    DescribeTokens,
    TwoPhaseCommit,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Acl {
    /// About what.
    pub resource: Resource,
    /// How it is named.
    pub pattern: Pattern,
    /// Its name.
    pub name: Arc<str>,
    /// Who: `User:name`, or `User:*`.
    pub principal: Arc<str>,
    /// From where: an address, or `*`.
    pub host: Arc<str>,
    /// Doing what.
    pub operation: Operation,
    /// May do it; else may not, whatever else is allowed.
    pub allowed: bool,
}

/// Which rules are meant; `None` is any.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AclFilter {
    /// About what.
    pub resource: Option<Resource>,
    /// How things are named.
    pub pattern: PatternFilter,
    /// The name.
    pub name: Option<String>,
    /// As it is in the rule.
    pub principal: Option<String>,
    /// As it is in the rule.
    pub host: Option<String>,
    /// As it is in the rule: `All` means only rules that say so.
    pub operation: Option<Operation>,
    /// As it is in the rule.
    pub allowed: Option<bool>,
}

/// See [`AclFilter`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PatternFilter {
    /// Any pattern, with this very name.
    #[default]
    Any,
    /// Rules that concern the thing of this name.
    Match,
    /// This pattern, with this very name.
    Only(Pattern),
}

impl Acl {
    /// Whether it concerns the thing.
    pub fn is_about(&self, resource: Resource, name: &str) -> bool {
        self.resource == resource
            && match self.pattern {
                Pattern::Literal => &*self.name == name || &*self.name == ANY,
                Pattern::Prefixed => name.starts_with(&*self.name),
            }
    }

    /// Whether it concerns a user who is there.
    pub(super) fn is_of(&self, user: &str, host: &str) -> bool {
        let named = self.principal.strip_prefix(USER);
        let named = named.is_some_and(|named| named == user || named == ANY);
        named && (&*self.host == ANY || &*self.host == host)
    }

    /// Whether an allowed operation brings this one with it, or it is denied.
    fn covers(&self, operation: Operation) -> bool {
        use Operation::{All, Alter, AlterConfigs, Delete, Describe, DescribeConfigs, Read, Write};
        if self.operation == operation || self.operation == All {
            return true;
        }
        // Who may change a thing may see it; who may not see it may still change it.
        self.allowed
            && match operation {
                Describe => matches!(self.operation, Read | Write | Delete | Alter),
                DescribeConfigs => self.operation == AlterConfigs,
                _ => false,
            }
    }
}

impl AclFilter {
    /// Whether a rule is meant.
    pub fn matches(&self, acl: &Acl) -> bool {
        let same = |wanted: &Option<String>, is: &Arc<str>| {
            wanted.as_deref().is_none_or(|wanted| wanted == &**is)
        };
        let named = match (self.pattern, &self.name) {
            (PatternFilter::Only(pattern), _) if pattern != acl.pattern => false,
            (PatternFilter::Match, Some(name)) => acl.is_about(acl.resource, name),
            _ => same(&self.name, &acl.name),
        };
        named
            && self.resource.is_none_or(|wanted| wanted == acl.resource)
            && same(&self.principal, &acl.principal)
            && same(&self.host, &acl.host)
            && self.operation.is_none_or(|wanted| wanted == acl.operation)
            && self.allowed.is_none_or(|wanted| wanted == acl.allowed)
    }
}

/// What the rules say of somebody doing something to a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Denied,
    Allowed,
    /// Some are about the thing, but not about this.
    Others,
    /// None is about the thing.
    Nothing,
}

/// What the rules say.
pub(super) fn judged<'a>(
    acls: impl Iterator<Item = &'a Acl>,
    user: &str,
    host: &str,
    operation: Operation,
    resource: Resource,
    name: &str,
) -> Judged {
    let mut judged = Judged::Nothing;
    for acl in acls.filter(|acl| acl.is_about(resource, name)) {
        let concerns = acl.is_of(user, host) && acl.covers(operation);
        if concerns && !acl.allowed {
            return Judged::Denied;
        }
        if concerns {
            judged = Judged::Allowed;
        } else if judged == Judged::Nothing {
            judged = Judged::Others;
        }
    }
    judged
}

/// The one name of [`Resource::Cluster`].
pub const CLUSTER: &str = "kafka-cluster";
/// Any name, host or user.
pub const ANY: &str = "*";
const USER: &str = "User:";
