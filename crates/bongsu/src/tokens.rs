//! Tokens that clients may come in by, as they are set.

use std::error::Error;
use std::sync::Arc;

use bongsu_broker::tokens::{READ_INTERVAL, TokenSettings, Tokens};
use bongsu_net::jwks::Jwks;

use crate::settings::Settings;

/// What proves tokens, if any are taken.
///
/// # Errors
/// A setting without another that it needs, or a file that cannot be used. Keys that are read
/// from elsewhere may come later.
pub fn tokens(settings: &Settings) -> Result<Option<Arc<Tokens>>, Box<dyn Error>> {
    if settings.oauth_jwks.is_empty() {
        return Ok(None);
    }
    if settings.oauth_audience.is_empty() {
        let why = "and oauth.audience is not: tokens for others would be taken";
        return Err(format!("oauth.jwks is set, {why}").into());
    }
    let scope_prefix = match settings.oauth_scope_prefix.as_str() {
        "" => format!("{}.", settings.oauth_audience),
        prefix => prefix.to_owned(),
    };
    let skew_ms = settings.oauth_clock_skew.as_millis();
    let tokens = TokenSettings {
        issuer: settings.oauth_issuer.clone(),
        audience: settings.oauth_audience.clone(),
        scope_prefix,
        username_claims: settings.oauth_username_claims.clone(),
        scopes_claims: settings.oauth_scopes_claims.clone(),
        clock_skew_ms: i64::try_from(skew_ms).unwrap_or(i64::MAX),
    };
    let failed = |cause: String| format!("oauth.jwks: {cause}");
    let source = Jwks::at(&settings.oauth_jwks, settings.oauth_ca.as_ref()).map_err(failed)?;
    let is_remote = source.is_remote();
    let tokens = Tokens::new(tokens, Box::new(source));
    if !is_remote {
        tokens.read_keys().map_err(failed)?;
    }
    Ok(Some(Arc::new(tokens)))
}

/// Reads the keys again and again, for ever.
pub async fn keep(tokens: Arc<Tokens>) {
    let mut ticks = tokio::time::interval(READ_INTERVAL);
    loop {
        ticks.tick().await;
        let reading = tokens.clone();
        let read = tokio::task::spawn_blocking(move || reading.read_keys()).await;
        if let Ok(Err(error)) = read {
            tracing::error!("the keys of tokens stay as they were: oauth.jwks: {error}");
        }
    }
}
