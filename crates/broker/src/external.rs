//! Coming in by what somebody else has vouched for: a certificate that was verified when the
//! client connected, or a signed token.

use std::sync::Arc;

use bongsu_engine::Refused;
use bongsu_engine::access::Principal;
use bongsu_engine::session::{Now, Reply};

use crate::broker::Broker;
use crate::handle::{Executed, SessionHandle};
use crate::tokens::Tokens;

impl SessionHandle {
    /// As whom the certificate says, who has to be a user.
    pub(crate) fn login_external(&mut self) -> Result<Executed, Refused> {
        let name = self.identity.certified.clone();
        let name = name.ok_or_else(|| refused(""))?;
        let principal = self.broker.external(&name).inspect_err(|_| {
            let peer = &self.host;
            tracing::warn!(%peer, user = &*name, "there is no user as its certificate says");
        })?;
        let reply = entered(&principal);
        self.is_user(principal);
        Ok(Executed::Now(reply))
    }

    /// As whom a token says, if tokens are taken.
    pub(crate) fn login_token(&mut self, token: String, now: Now) -> Result<Executed, Refused> {
        let tokens = self.broker.tokens().ok_or_else(|| refused(""))?;
        let host = self.host.clone();
        Ok(self.enter_by(move || {
            let principal = proven(&tokens, &token, now.unix_ms, &host)?;
            let reply = entered(&principal);
            Ok((principal, reply))
        }))
    }

    /// A new token of the same user, for the one it came in by. Who came in otherwise has
    /// nothing to renew.
    pub(crate) fn renew_login(&mut self, secret: String, now: Now) -> Result<Executed, Refused> {
        let before = self.user()?;
        if before.granted.is_none() {
            return Ok(Executed::Now(Reply::Done));
        }
        let name = before.name.clone();
        let tokens = self.broker.tokens().ok_or_else(|| refused(&name))?;
        let host = self.host.clone();
        Ok(self.enter_by(move || {
            let principal = proven(&tokens, &secret, now.unix_ms, &host)?;
            if principal.name != name {
                tracing::warn!(
                    peer = host,
                    user = &*name,
                    other = &*principal.name,
                    "a new token is another user's"
                );
                return Err(refused(&name));
            }
            let reply = entered(&principal);
            Ok((principal, reply))
        }))
    }
}

impl Broker {
    /// Takes tokens from here on; to be called once, before anybody is let in.
    pub fn take_tokens(&self, tokens: Arc<Tokens>) {
        self.set_tokens(tokens);
    }
}

/// Who a token says somebody is; why it is refused is only for the log.
pub(crate) fn proven(
    tokens: &Tokens,
    token: &str,
    now_ms: i64,
    host: &str,
) -> Result<Principal, Refused> {
    tokens.prove(token, now_ms).map_err(|error| {
        tracing::warn!(peer = host, "a token was refused: {error}");
        refused("")
    })
}

fn entered(principal: &Principal) -> Reply {
    let granted = principal.granted.as_ref();
    Reply::Entered {
        user: principal.name.clone(),
        until_ms: granted.and_then(|granted| granted.until_ms),
    }
}

fn refused(user: &str) -> Refused {
    Refused::Login {
        user: user.to_owned(),
    }
}
