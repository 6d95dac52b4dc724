//! Scopes of a token (OAuth 2.0) as RabbitMQ's plugin has them, made into rights.
//!
//! ```text
//! <prefix>configure:<space>/<name>
//! <prefix>write:<space>/<name>[/<routing key>]
//! <prefix>read:<space>/<name>[/<routing key>]
//! <prefix>tag:<tag>
//! ```
//!
//! Parts are patterns in which `*` stands for anything; `%2F` and the like for one byte that
//! would not be taken literally otherwise. What cannot be read grants nothing, and neither
//! does what is not ours.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::granted::{Scope, Wildcard};
use crate::refused::Permission;

/// What a token's scopes come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// What may be done where.
    pub scopes: Vec<Scope>,
    /// What somebody is to those who run the broker.
    pub tags: BTreeSet<Arc<str>>,
}

impl Rights {
    /// Of scopes that begin with `prefix`, which may be empty.
    pub fn of<'a>(scopes: impl IntoIterator<Item = &'a str>, prefix: &str) -> Rights {
        let mut rights = Rights::default();
        for scope in scopes {
            let own = scope.strip_prefix(prefix);
            let Some((kind, rest)) = own.and_then(|own| own.split_once(':')) else {
                continue;
            };
            let permission = match kind {
                "tag" => {
                    rights.tags.insert(Arc::from(rest));
                    continue;
                }
                "configure" => Permission::Configure,
                "write" => Permission::Write,
                "read" => Permission::Read,
                _ => continue,
            };
            rights.scopes.extend(scope_of(permission, rest));
        }
        rights
    }
}

fn scope_of(permission: Permission, text: &str) -> Option<Scope> {
    let mut parts = text.split('/').map(pattern);
    let scope = Scope {
        permission,
        space: parts.next()??,
        name: parts.next()??,
        routing_key: match parts.next() {
            Some(key) => Some(key?),
            None => None,
        },
    };
    parts.next().is_none().then_some(scope)
}

/// Percent-decoded. A star that was written as `%2A` is no pattern: as that cannot be said
/// further down, it is not readable.
fn pattern(text: &str) -> Option<Wildcard> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>()?;
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let byte = u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()?;
        if byte == b'*' {
            return None;
        }
        bytes.push(byte);
        rest = after;
    }
    let text = String::from_utf8(bytes).ok()?;
    Some(Wildcard(Arc::from(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(permission: Permission, parts: [&str; 2], key: Option<&str>) -> Scope {
        let wildcard = |text: &str| Wildcard(Arc::from(text));
        Scope {
            permission,
            space: wildcard(parts[0]),
            name: wildcard(parts[1]),
            routing_key: key.map(wildcard),
        }
    }

    fn scopes(text: &str) -> Vec<Scope> {
        Rights::of([text], "bongsu.").scopes
    }

    #[test]
    fn parts_are_space_name_and_key() {
        use Permission::{Configure, Read, Write};
        let read = scope(Read, ["*", "*"], None);
        assert_eq!(scopes("bongsu.read:*/*"), [read]);
        let write = scope(Write, ["shop", "orders*"], Some("eu.*"));
        assert_eq!(scopes("bongsu.write:shop/orders*/eu.*"), [write]);
        let configure = scope(Configure, ["/", "a/b"], None);
        assert_eq!(scopes("bongsu.configure:%2F/a%2fb"), [configure]);
        let nothing = scope(Read, ["", ""], Some(""));
        assert_eq!(scopes("bongsu.read://"), [nothing]);
        let accents = scope(Read, ["é", "x"], None);
        assert_eq!(scopes("bongsu.read:%C3%A9/x"), [accents]);
    }

    #[test]
    fn what_cannot_be_read_grants_nothing() {
        for text in [
            "read:*/*",
            "bongsu.read",
            "bongsu.read:*",
            "bongsu.read:a/b/c/d",
            "bongsu.admin:*/*",
            "bongsu.READ:*/*",
            "bongsu.read:%/x",
            "bongsu.read:%2/x",
            "bongsu.read:%zz/x",
            "bongsu.read:%+1/x",
            "bongsu.read:%ff/x",
            "bongsu.read:%2A/x",
            "other.bongsu.read:*/*",
            "",
        ] {
            assert_eq!(scopes(text), [], "{text}");
        }
    }

    #[test]
    fn tags_are_theirs() {
        let rights = Rights::of(["tag:administrator", "tag:x", "profile"], "");
        let tags: Vec<&str> = rights.tags.iter().map(|tag| &**tag).collect();
        assert_eq!(tags, ["administrator", "x"]);
        assert_eq!(rights.scopes, []);
    }
}
