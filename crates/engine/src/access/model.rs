//! The decision beside a naive one, over made-up users, permissions and rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;

use super::acl::{Acl, CLUSTER, Operation, Pattern, Resource};
use super::may::Asking;
use super::note::Note;
use super::password::Secrets;
use super::permission::{Pattern as Names, Permissions};
use super::scram::{Credential, Mechanism};
use super::{ADMINISTRATOR, Principal, Settings, Users};
use crate::router::SpaceId;

/// What there is, as plain as can be.
#[derive(Clone, Debug)]
struct World {
    /// Who asks: made by Kafka's tools alone, or with a password; or gone meanwhile.
    known: Known,
    by_settings: bool,
    tagged: bool,
    /// Configure, write, read.
    permitted: Option<[&'static str; 3]>,
    rules: Vec<Acl>,
    open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    ByKafka,
    ByPassword,
    Gone,
}

fn rules() -> impl Strategy<Value = Acl> {
    let things = select(vec![Resource::Topic, Resource::Group, Resource::Cluster]);
    let patterns = select(vec![Pattern::Literal, Pattern::Prefixed]);
    let names = select(vec!["a", "ab", "b", "*"]);
    let whom = select(vec!["User:u", "User:v", "User:*", "Group:u"]);
    let hosts = select(vec!["h", "elsewhere", "*"]);
    let rule = (
        things,
        patterns,
        names,
        whom,
        hosts,
        operations(),
        any::<bool>(),
    );
    rule.prop_map(
        |(resource, pattern, name, principal, host, operation, allowed)| Acl {
            resource,
            pattern,
            name: Arc::from(match resource {
                Resource::Cluster => CLUSTER,
                _ => name,
            }),
            principal: Arc::from(principal),
            host: Arc::from(host),
            operation,
            allowed,
        },
    )
}

fn operations() -> impl Strategy<Value = Operation> {
    use Operation::*;
    select(vec![
        All,
        Read,
        Write,
        Create,
        Delete,
        Alter,
        Describe,
        DescribeConfigs,
        AlterConfigs,
        ClusterAction,
        IdempotentWrite,
    ])
}

fn worlds() -> impl Strategy<Value = World> {
    let known = select(vec![Known::ByKafka, Known::ByPassword, Known::Gone]);
    let pattern = || select(vec!["", ".*", "^a", "^b$"]);
    let permitted = proptest::option::of([pattern(), pattern(), pattern()]);
    let rules = proptest::collection::vec(rules(), 0..6);
    let flags = (
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.2),
        any::<bool>(),
    );
    (known, flags, permitted, rules).prop_map(
        |(known, (by_settings, tagged, open), permitted, rules)| World {
            known,
            by_settings,
            tagged,
            permitted,
            rules,
            open,
        },
    )
}

impl World {
    fn users(&self) -> Users {
        let mut users = Users::new();
        let settings = Settings {
            open: self.open,
            ..Settings::default()
        };
        users.configure(settings, [0; 32]);
        let user: Arc<str> = Arc::from("u");
        let credential = Credential::of(Mechanism::Sha256, "p", b"salt".to_vec(), 4096);
        match self.known {
            Known::Gone => {}
            Known::ByKafka => users.apply(Note::SetCredential {
                user: user.clone(),
                mechanism: Mechanism::Sha256,
                credential,
            }),
            Known::ByPassword => users.apply(Note::SetUser {
                user: user.clone(),
                secrets: Secrets::default(),
                tags: self.tags(),
            }),
        }
        if let (Known::ByPassword, Some([configure, write, read])) = (self.known, self.permitted) {
            let names = |text| Names::new(text).unwrap();
            users.apply(Note::SetPermissions {
                user,
                space: SpaceId::DEFAULT,
                permissions: Permissions {
                    configure: names(configure),
                    write: names(write),
                    read: names(read),
                },
            });
        }
        for rule in &self.rules {
            users.apply(Note::AddAcl(rule.clone()));
        }
        users
    }

    fn tags(&self) -> BTreeSet<Arc<str>> {
        let tag = self.tagged && self.known == Known::ByPassword;
        tag.then(|| Arc::from(ADMINISTRATOR)).into_iter().collect()
    }

    /// Whether a rule concerns this user from this host, and whether it names the operation.
    fn rules_on(&self, resource: Resource, name: &str) -> Vec<&Acl> {
        let is_about = |rule: &&Acl| {
            rule.resource == resource
                && match rule.pattern {
                    Pattern::Literal => &*rule.name == "*" || &*rule.name == name,
                    Pattern::Prefixed => name.starts_with(&*rule.name),
                }
        };
        self.rules.iter().filter(is_about).collect()
    }

    fn permits(&self, which: usize, name: &str) -> bool {
        let Some(patterns) = self.permitted.filter(|_| self.known == Known::ByPassword) else {
            return false;
        };
        match patterns[which] {
            ".*" => true,
            "^a" => name.starts_with('a'),
            "^b$" => name == "b",
            _ => false,
        }
    }

    /// As the table in docs/access.md has it.
    fn by_permission(&self, operation: Operation, resource: Resource, name: &str) -> bool {
        use Operation::*;
        const CONFIGURE: usize = 0;
        const WRITE: usize = 1;
        const READ: usize = 2;
        let is_in = self.known == Known::ByPassword && self.permitted.is_some();
        let tagged = !self.tags().is_empty();
        match (resource, operation) {
            (Resource::Topic, Read) => self.permits(READ, name),
            (Resource::Topic, Write | IdempotentWrite) => self.permits(WRITE, name),
            (Resource::Topic, Create | Delete | Alter | AlterConfigs) => {
                self.permits(CONFIGURE, name)
            }
            (Resource::Topic, Describe | DescribeConfigs) => [CONFIGURE, WRITE, READ]
                .iter()
                .any(|which| self.permits(*which, name)),
            (Resource::Group, Read | Describe | DescribeConfigs) => self.permits(READ, name),
            (Resource::Group, Delete | Alter | AlterConfigs) => self.permits(CONFIGURE, name),
            (Resource::Cluster, Describe | IdempotentWrite) => is_in || tagged,
            (Resource::Cluster, _) => tagged,
            _ => false,
        }
    }

    fn may(&self, operation: Operation, resource: Resource, name: &str) -> bool {
        use Operation::*;
        if self.by_settings {
            return true;
        }
        if self.known == Known::Gone {
            return false;
        }
        let about = self.rules_on(resource, name);
        let is_mine = |rule: &&&Acl| {
            ["User:u", "User:*"].contains(&&*rule.principal) && ["h", "*"].contains(&&*rule.host)
        };
        let mine: Vec<&&Acl> = about.iter().filter(is_mine).collect();
        let names = |rule: &Acl| rule.operation == operation || rule.operation == All;
        if mine.iter().any(|rule| !rule.allowed && names(rule)) {
            return false;
        }
        if self.by_permission(operation, resource, name) {
            return true;
        }
        let implied: BTreeMap<Operation, Vec<Operation>> = BTreeMap::from([
            (Describe, vec![Read, Write, Delete, Alter]),
            (DescribeConfigs, vec![AlterConfigs]),
        ]);
        let implies = |rule: &Acl| {
            let by = implied.get(&operation);
            by.is_some_and(|by| by.contains(&rule.operation))
        };
        if mine
            .iter()
            .any(|rule| rule.allowed && (names(rule) || implies(rule)))
        {
            return true;
        }
        let is_closed = resource == Resource::Cluster
            && matches!(operation, Alter | AlterConfigs | ClusterAction);
        self.known == Known::ByKafka && about.is_empty() && self.open && !is_closed
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_decision_is_the_naive_one(world in worlds(), operation in operations()) {
        let users = world.users();
        let user = Principal {
            name: Arc::from("u"),
            administrator: world.by_settings,
            tags: world.tags(),
            granted: None,
        };
        let asking = Asking {
            user: &user,
            host: "h",
            space: SpaceId::DEFAULT,
            space_name: "/",
        };
        let mut things = vec![(Resource::Cluster, CLUSTER)];
        for name in ["a", "ab", "abc", "b", "c"] {
            things.extend([(Resource::Topic, name), (Resource::Group, name)]);
        }
        for (resource, name) in things {
            let may = users.may(asking, operation, resource, name);
            let expected = world.may(operation, resource, name);
            prop_assert_eq!(may, expected, "{:?} {:?} {}", operation, resource, name);
        }
    }
}
