//! Requests that another site makes a browser send.
//!
//! A browser sends a user's cookie, and the password of HTTP Basic once it knows it, with
//! whatever a page of any site asks for. So what changes something is refused where the
//! browser says that it comes from elsewhere, whatever it carries; and a cookie alone changes
//! nothing without a header that only our own pages can send.

use http::{HeaderMap, Method, header};

use crate::failure::Failure;

/// What the console's requests carry.
pub const CONSOLE_HEADER: &str = "x-bongsu-console";

/// Whether a method only reads.
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Refuses a change that comes from another site.
///
/// # Errors
/// 403.
pub fn check(method: &Method, headers: &HeaderMap) -> Result<(), Failure> {
    if is_safe(method) {
        return Ok(());
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site")
        && !matches!(site, "same-origin" | "none")
    {
        return Err(foreign(&format!("Sec-Fetch-Site: {site}")));
    }
    if let Some(origin) = text(header::ORIGIN.as_str()) {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        let ours = text(header::HOST.as_str());
        if authority.is_none() || authority != ours {
            return Err(foreign(&format!("Origin: {origin}")));
        }
    }
    Ok(())
}

/// Refuses a change that a cookie alone asks for.
///
/// # Errors
/// 403.
pub fn check_cookie(method: &Method, headers: &HeaderMap) -> Result<(), Failure> {
    match is_safe(method)
        || headers
            .get(CONSOLE_HEADER)
            .is_some_and(|value| value == "1")
    {
        true => Ok(()),
        false => Err(Failure::forbidden(
            "a change by cookie needs the header X-Bongsu-Console: 1",
        )),
    }
}

fn foreign(from: &str) -> Failure {
    Failure::forbidden(format!(
        "changes are taken from our own pages only, not with {from}"
    ))
}

#[cfg(test)]
mod tests;
