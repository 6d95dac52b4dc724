//! OAUTHBEARER (RFC 7628): a signed token, and what is said when it is refused.
//!
//! ```text
//! client   n,[a=<user>],^Aauth=Bearer <token>[^A<key>=<value>]…^A^A
//! server   nothing; or {"status":"invalid_token"}, upon which the client says ^A and is
//!          refused
//! ```

use bongsu_engine::session::{Call, Effects, Reply};

use super::{Asked, answered, enter, refuse};
use crate::session::Session;

pub(super) fn said(session: &mut Session, asked: Asked, said: &[u8], effects: &mut Effects) {
    let Some(First { acts_for, token }) = First::read(said) else {
        return invalid(session, &asked, effects);
    };
    let call = Call::LoginToken { token };
    session.call(
        effects,
        call,
        move |session, reply, now, effects| match reply {
            Reply::Entered { user, until_ms } => {
                if acts_for.is_some_and(|name| *name != *user) {
                    return refuse(session, &asked, now, effects);
                }
                session.login.until_ms = until_ms;
                enter(session, asked, user.to_string(), Vec::new(), now, effects);
            }
            _ => invalid(session, &asked, effects),
        },
    );
}

/// The client is told so in the exchange, and asks to be refused.
fn invalid(session: &mut Session, asked: &Asked, effects: &mut Effects) {
    if let Some(chosen) = &mut session.login.chosen {
        chosen.told = true;
    }
    answered(session, asked, INVALID.to_vec(), None, effects);
}

/// What the client says first.
#[derive(Debug, PartialEq, Eq)]
struct First {
    /// Whom it wants to be taken for.
    acts_for: Option<String>,
    token: String,
}

impl First {
    fn read(said: &[u8]) -> Option<First> {
        let text = std::str::from_utf8(said).ok()?;
        let mut parts = text.strip_suffix("\x01\x01")?.split('\x01');
        let mut head = parts.next()?.split(',');
        // No channel is bound: TLS is ours to see, not the client's to claim.
        let (binding, acts_for, rest) = (head.next()?, head.next()?, head.next()?);
        if binding != "n" || !rest.is_empty() || head.next().is_some() {
            return None;
        }
        let acts_for = match acts_for {
            "" => None,
            name => Some(name.strip_prefix("a=")?),
        };
        let mut token = None;
        for part in parts {
            let (key, value) = part.split_once('=')?;
            // Others are extensions, which mean nothing here.
            if key == "auth" {
                let (scheme, rest) = value.split_once(' ')?;
                if token.is_some() || !scheme.eq_ignore_ascii_case("bearer") {
                    return None;
                }
                token = Some(rest.trim());
            }
        }
        Some(First {
            acts_for: acts_for.filter(|name| !name.is_empty()).map(str::to_owned),
            token: token.filter(|token| !token.is_empty())?.to_owned(),
        })
    }
}

/// What Kafka says, whatever was wrong.
const INVALID: &[u8] = br#"{"status":"invalid_token"}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_among_what_else_is_said() {
        let read = |said: &str| First::read(said.as_bytes());
        let first = |acts_for: Option<&str>| {
            Some(First {
                acts_for: acts_for.map(str::to_owned),
                token: "a.b.c".to_owned(),
            })
        };
        assert_eq!(read("n,,\x01auth=Bearer a.b.c\x01\x01"), first(None));
        assert_eq!(read("n,a=,\x01auth=bearer a.b.c\x01\x01"), first(None));
        let extended = "n,a=anna,\x01x=y=z\x01auth=Bearer a.b.c\x01traceId=1\x01\x01";
        assert_eq!(read(extended), first(Some("anna")));
        for bad in [
            "",
            "\x01",
            "n,,\x01\x01",
            "n,,\x01auth=Bearer \x01\x01",
            "n,,\x01auth=Basic a.b.c\x01\x01",
            "n,,\x01auth=Bearer a.b.c\x01",
            "y,,\x01auth=Bearer a.b.c\x01\x01",
            "n,anna,\x01auth=Bearer a.b.c\x01\x01",
            "n,,,\x01auth=Bearer a.b.c\x01\x01",
            "n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01",
            "n,,\x01novalue\x01auth=Bearer a.b.c\x01\x01",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
