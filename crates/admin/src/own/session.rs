//! Logging in and out of the console.

use std::time::Instant;

use http::{Method, StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use crate::failure::Failure;
use crate::login::{self, COOKIE, LOGIN_IDLE};
use crate::route::{Answer, Context, Need, Route, boxed};

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    Route {
        method: Method::POST,
        path: "/bongsu/v1/login",
        need: Need::Nobody,
        summary: "Logs in: sets a cookie that stands for user and password.",
        query: &[],
        body: Some(
            r#"{"type":"object","required":["user","password"],"properties":{
            "user":{"type":"string"},"password":{"type":"string"}}}"#,
        ),
        handler: |context| boxed(log_in(context)),
    },
    Route {
        method: Method::POST,
        path: "/bongsu/v1/logout",
        need: Need::Nobody,
        summary: "Logs out: the cookie is worth nothing from here on.",
        query: &[],
        body: None,
        handler: |context| boxed(log_out(context)),
    },
];

#[derive(Deserialize)]
struct Credentials {
    user: String,
    password: String,
}

async fn log_in(context: Context) -> Result<Answer, Failure> {
    let said: Credentials = context.json()?;
    let broker = context.broker();
    let operator = broker
        .operator(&said.user, &said.password, context.peer)
        .await?;
    login::check(&operator, Need::Management)?;
    let user = json!({
        "user": &*operator.user().name,
        "tags": operator.user().tags.iter().collect::<Vec<_>>(),
        "idle_ms": LOGIN_IDLE.as_millis() as u64,
    });
    let token = context.admin.logins.add(operator, Instant::now());
    let token = token.map_err(|error| {
        let reason = format!("no randomness: {error}");
        Failure::with(StatusCode::SERVICE_UNAVAILABLE, "unavailable", reason)
    })?;
    Ok(Answer::json(&user).with_header(header::SET_COOKIE, set_cookie(&context, &token, None)))
}

async fn log_out(context: Context) -> Result<Answer, Failure> {
    if let Some(token) = login::cookie(&context.headers) {
        context.admin.logins.remove(&token);
    }
    let gone = set_cookie(&context, "", Some(0));
    Ok(Answer::empty(StatusCode::NO_CONTENT).with_header(header::SET_COOKIE, gone))
}

fn set_cookie(context: &Context, token: &str, max_age_s: Option<u64>) -> header::HeaderValue {
    let secure = if context.is_secure { "; Secure" } else { "" };
    let age = max_age_s.map_or(String::new(), |s| format!("; Max-Age={s}"));
    let cookie = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict{age}{secure}");
    header::HeaderValue::from_str(&cookie).expect("hexadecimal digits and words")
}
