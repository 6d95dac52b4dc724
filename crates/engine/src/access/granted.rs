//! What somebody may do who was let in elsewhere, and brought it along (OAuth 2.0): it
//! counts in place of what is kept here under that name.

use std::sync::Arc;

use crate::refused::Permission;

/// See the module's comment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// Each permits something.
    pub scopes: Vec<Scope>,
    /// When it ends, in Unix milliseconds.
    pub until_ms: Option<i64>,
}

/// One thing granted: `read:shop/orders-*/eu.*` as RabbitMQ's scopes have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Doing what.
    pub permission: Permission,
    /// In which spaces.
    pub space: Wildcard,
    /// To what.
    pub name: Wildcard,
    /// With which routing keys, where they matter; `None`: with none, as in RabbitMQ.
    pub routing_key: Option<Wildcard>,
}

/// A text in which `*` stands for anything, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wildcard(pub Arc<str>);

impl Granted {
    /// Whether anything is granted in a space.
    pub fn in_space(&self, space: &str) -> bool {
        self.scopes.iter().any(|scope| scope.space.matches(space))
    }

    /// Whether it may be done to a thing.
    pub fn permits(&self, permission: Permission, space: &str, name: &str) -> bool {
        let mut scopes = self.of(permission, space, name);
        scopes.next().is_some()
    }

    /// Whether it may be done with this routing key.
    pub fn permits_key(&self, permission: Permission, space: &str, name: &str, key: &str) -> bool {
        let mut scopes = self.of(permission, space, name);
        scopes.any(|scope| {
            let pattern = scope.routing_key.as_ref();
            pattern.is_some_and(|pattern| pattern.matches(key))
        })
    }

    fn of<'a>(
        &'a self,
        permission: Permission,
        space: &'a str,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Scope> {
        self.scopes.iter().filter(move |scope| {
            scope.permission == permission && scope.space.matches(space) && scope.name.matches(name)
        })
    }
}

impl Wildcard {
    /// Whether it is this text. Takes time in proportion to both lengths, at most.
    pub fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        // The first place is the best one: what follows has the most room.
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_their_stars_allow() {
        let cases = [
            ("*", "", true),
            ("*", "anything", true),
            ("orders", "orders", true),
            ("orders", "orders2", false),
            ("orders*", "orders2", true),
            ("*orders", "my orders", true),
            ("*orders", "my orders2", false),
            ("a*b*c", "a--b--c", true),
            ("a*b*c", "a--c--b", false),
            ("a*a", "a", false),
            ("**", "x", true),
            ("", "", true),
            ("", "x", false),
        ];
        for (pattern, text, expected) in cases {
            let wildcard = Wildcard(Arc::from(pattern));
            assert_eq!(wildcard.matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn scopes_permit_what_they_say_where_they_say() {
        let wild = |text: &str| Wildcard(Arc::from(text));
        let granted = Granted {
            scopes: vec![Scope {
                permission: Permission::Write,
                space: wild("shop"),
                name: wild("orders*"),
                routing_key: Some(wild("eu.*")),
            }],
            until_ms: None,
        };
        assert!(granted.in_space("shop") && !granted.in_space("/"));
        assert!(granted.permits(Permission::Write, "shop", "orders-1"));
        assert!(!granted.permits(Permission::Read, "shop", "orders-1"));
        assert!(!granted.permits(Permission::Write, "/", "orders-1"));
        assert!(granted.permits_key(Permission::Write, "shop", "orders", "eu.1"));
        assert!(!granted.permits_key(Permission::Write, "shop", "orders", "us.1"));
    }
}
