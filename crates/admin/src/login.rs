//! Who asks: HTTP Basic with the users of every protocol, a bearer token, or the cookie that
//! the console was given for one of these.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bongsu_broker::operator::Operator;
use http::{HeaderMap, Method, header};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::origin;
use crate::route::Need;
use crate::server::Admin;

/// Lets in who may.
///
/// # Errors
/// 401: no or wrong credentials, or a user without the tag. 403: a cookie where it does not
/// do.
pub async fn let_in(
    admin: &Admin,
    method: &Method,
    headers: &HeaderMap,
    peer: IpAddr,
    need: Need,
) -> Result<Option<Operator>, Failure> {
    if need == Need::Nobody {
        return Ok(None);
    }
    let operator = match said(headers) {
        Some(Said::Basic(user, password)) => admin.broker.operator(&user, &password, peer).await?,
        Some(Said::Bearer(token)) => admin.broker.operator("", &token, peer).await?,
        None => {
            let token = cookie(headers).ok_or_else(Failure::login_failed)?;
            let operator = admin.logins.find(&token, Instant::now());
            let operator = operator.filter(|operator| !operator.has_ended());
            let operator = operator.ok_or_else(Failure::login_failed)?;
            origin::check_cookie(method, headers)?;
            operator
        }
    };
    check(&operator, need)?;
    Ok(Some(operator))
}

/// Refuses who has not the tags.
///
/// # Errors
/// 401, in RabbitMQ's words.
pub fn check(operator: &Operator, need: Need) -> Result<(), Failure> {
    let user = operator.user();
    let tagged = |tag: &str| user.tags.contains(tag);
    if user.administrator || tagged("administrator") {
        return Ok(());
    }
    let (may, lacks) = match need {
        Need::Nobody => (true, ""),
        Need::Management => (
            tagged("management") || tagged("policymaker") || tagged("monitoring"),
            "Not management user",
        ),
        Need::Policymaker => (tagged("policymaker"), "Not policymaker"),
        Need::Monitoring => (tagged("monitoring"), "Not monitor user"),
        Need::Administrator => (false, "Not administrator user"),
    };
    match may {
        true => Ok(()),
        false => Err(Failure::not_authorised(lacks)),
    }
}

enum Said {
    Basic(String, String),
    Bearer(String),
}

/// `Authorization`: Basic (RFC 7617) or Bearer (RFC 6750).
fn said(headers: &HeaderMap) -> Option<Said> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Said::Bearer(encoded.trim().to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some(Said::Basic(user.to_owned(), password.to_owned()))
}

/// The console's cookie, if there is one.
pub fn cookie(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    let pairs = lines.filter_map(|line| line.to_str().ok());
    let mut pairs = pairs.flat_map(|line| line.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then(|| value.to_owned())
    })
}

/// Who has logged in with a cookie: in memory, so that a restart ends all of them.
///
/// At most [`LOGINS_MAX`], of them [`LOGINS_OF_USER_MAX`] of one user: then the oldest goes.
#[derive(Debug, Default)]
pub struct Logins {
    /// By the hash of what the browser holds, so that who reads memory cannot log in.
    by_token: Mutex<HashMap<[u8; 32], Login>>,
}

#[derive(Debug)]
struct Login {
    operator: Operator,
    since: Instant,
    used: Instant,
}

impl Logins {
    /// Remembers who has logged in; the token is for their browser alone.
    ///
    /// # Errors
    /// The machine has no randomness to give.
    pub fn add(&self, operator: Operator, now: Instant) -> Result<String, getrandom::Error> {
        let mut secret = [0_u8; 32];
        getrandom::fill(&mut secret)?;
        let token: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut logins = self.by_token.lock();
        logins.retain(|_, login| login.holds(now));
        let user = Arc::clone(&operator.user().name);
        let of_user = logins.iter().filter(|(_, login)| login.is_of(&user));
        let oldest = match of_user.clone().count() >= LOGINS_OF_USER_MAX {
            true => of_user.min_by_key(|(_, login)| login.used),
            false if logins.len() >= LOGINS_MAX => {
                logins.iter().min_by_key(|(_, login)| login.used)
            }
            false => None,
        };
        if let Some(oldest) = oldest.map(|(key, _)| *key) {
            logins.remove(&oldest);
        }
        let login = Login {
            operator,
            since: now,
            used: now,
        };
        logins.insert(hash(&token), login);
        Ok(token)
    }

    /// Who holds a token, with the rights that they have by now.
    pub fn find(&self, token: &str, now: Instant) -> Option<Operator> {
        let mut logins = self.by_token.lock();
        let login = logins.get_mut(&hash(token))?;
        let operator = match login.holds(now) {
            true => login.operator.again(),
            false => None,
        };
        match operator {
            Some(operator) => {
                login.used = now;
                Some(operator)
            }
            None => {
                logins.remove(&hash(token));
                None
            }
        }
    }

    /// Forgets a token.
    pub fn remove(&self, token: &str) {
        self.by_token.lock().remove(&hash(token));
    }
}

impl Login {
    fn holds(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < LOGIN_LONGEST
            && now.saturating_duration_since(self.used) < LOGIN_IDLE
    }

    fn is_of(&self, user: &str) -> bool {
        &*self.operator.user().name == user
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The cookie's name.
pub const COOKIE: &str = "bongsu_session";
/// A login ends after this long.
pub const LOGIN_LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// And after this long without a request.
pub const LOGIN_IDLE: Duration = Duration::from_secs(60 * 60);
const LOGINS_MAX: usize = 1024;
const LOGINS_OF_USER_MAX: usize = 32;
