//! The table of paths, and one request through it.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

use bongsu_broker::Broker;
use bongsu_broker::operator::Operator;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use tokio::sync::mpsc::Receiver;

use crate::content::Content;
use crate::failure::Failure;
use crate::server::Admin;
use crate::spaces::Space;
use crate::{api, metrics, own};

/// One path with one method.
pub struct Route {
    /// How it is asked.
    pub method: Method,
    /// `/api/queues/{vhost}/{name}`: words and parameters, which arrive percent-decoded. A
    /// `{vhost}` must be there, and open to who asks, unless only administrators may ask.
    pub path: &'static str,
    /// Who may ask.
    pub need: Need,
    /// One sentence, for the OpenAPI document.
    pub summary: &'static str,
    /// What may follow the `?`; others are not looked at, as in RabbitMQ.
    pub query: &'static [Parameter],
    /// The JSON schema of the body, if there is one.
    pub body: Option<&'static str>,
    /// Answers.
    pub handler: fn(Context) -> Handling,
}

impl Route {
    /// One that is only asked, without parameters behind the path.
    pub const fn get(
        path: &'static str,
        need: Need,
        summary: &'static str,
        handler: fn(Context) -> Handling,
    ) -> Route {
        Route {
            method: Method::GET,
            path,
            need,
            summary,
            query: &[],
            body: None,
            handler,
        }
    }
}

/// One query parameter.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
}

/// Who may ask, by RabbitMQ's tags; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Anybody, without a login.
    Nobody,
    /// Who has any tag of management.
    Management,
    /// Who may set policies.
    Policymaker,
    /// Who may see everything.
    Monitoring,
    /// Who may change users and spaces.
    Administrator,
}

/// A handler at work.
pub type Handling = Pin<Box<dyn Future<Output = Result<Answer, Failure>> + Send>>;

/// As a [`Handling`].
pub fn boxed(handling: impl Future<Output = Result<Answer, Failure>> + Send + 'static) -> Handling {
    Box::pin(handling)
}

/// All routes.
pub fn all() -> impl Iterator<Item = &'static Route> {
    let families = api::ROUTES.iter().chain(own::ROUTES);
    let families = families.chain(metrics::FAMILY);
    families.flat_map(|family| family.iter())
}

/// What a handler is given.
pub struct Context {
    /// What the process has one of.
    pub admin: Admin,
    /// Who asks; `None` only where nobody needs to log in.
    pub operator: Option<Operator>,
    /// The space that the path names as `{vhost}`.
    pub space: Option<Space>,
    /// Where from.
    pub peer: IpAddr,
    /// Nobody can listen in.
    pub is_secure: bool,
    /// Of the request.
    pub headers: HeaderMap,
    /// Parts of the path by their names.
    pub path: BTreeMap<String, String>,
    /// What follows the `?`; of a name that comes twice, the last.
    pub query: BTreeMap<String, String>,
    /// The same, in order, with those that come twice.
    pub pairs: Vec<(String, String)>,
    /// The body, bounded by [`BODY_BYTES_MAX`](crate::server::BODY_BYTES_MAX).
    pub body: Bytes,
}

impl Context {
    /// The broker.
    pub fn broker(&self) -> &Broker {
        &self.admin.broker
    }

    /// Where clients come in: protocol and address.
    pub fn listeners(&self) -> &[(&'static str, SocketAddr)] {
        &self.admin.settings.listeners
    }

    /// Who asks.
    ///
    /// # Errors
    /// 401 where nobody has logged in.
    pub fn operator(&self) -> Result<&Operator, Failure> {
        self.operator.as_ref().ok_or_else(Failure::login_failed)
    }

    /// The space that the path names.
    ///
    /// # Errors
    /// 404, where the path names none.
    pub fn space(&self) -> Result<&Space, Failure> {
        self.space.as_ref().ok_or_else(Failure::object_not_found)
    }

    /// A part of the path.
    pub fn part(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// What is said of a name behind the `?`.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// 400 with what is wrong and where.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let mut body = serde_json::Deserializer::from_slice(&self.body);
        let bad = |error: &dyn std::fmt::Display| Failure::bad_request(format!("body: {error}"));
        let value = serde_path_to_error::deserialize(&mut body).map_err(|error| bad(&error))?;
        body.end().map_err(|error| bad(&error))?;
        Ok(value)
    }
}

/// What a handler answers.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    content_type: &'static str,
    headers: HeaderMap,
    body: Content,
}

impl Answer {
    /// 200 with JSON.
    pub fn json(value: &impl Serialize) -> Answer {
        let body = serde_json::to_vec(value).expect("plain data with text keys");
        Answer::of("application/json", body)
    }

    /// 200 with bytes of a kind.
    pub fn of(content_type: &'static str, body: impl Into<Bytes>) -> Answer {
        Answer {
            status: StatusCode::OK,
            content_type,
            headers: HeaderMap::new(),
            body: Content::from(body.into()),
        }
    }

    /// 200 with bytes that come one after the other.
    pub fn streamed(content_type: &'static str, chunks: Receiver<io::Result<Bytes>>) -> Answer {
        let mut answer = Answer::of(content_type, Bytes::new());
        answer.body = Content::Streamed(chunks);
        answer
    }

    /// Without a body: 201 Created, 204 No Content.
    pub fn empty(status: StatusCode) -> Answer {
        Answer::of("application/json", Bytes::new()).with_status(status)
    }

    /// With another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Answer {
        self.status = status;
        self
    }

    /// With one more header.
    #[must_use]
    pub fn with_header(mut self, name: header::HeaderName, value: header::HeaderValue) -> Answer {
        self.headers.append(name, value);
        self
    }
}

impl From<Answer> for Response<Content> {
    fn from(answer: Answer) -> Response<Content> {
        let is_empty = answer.body.is_empty();
        let mut response = Response::new(answer.body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        if !is_empty {
            let content_type = header::HeaderValue::from_static(answer.content_type);
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, content_type);
        }
        response
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Answer {
        let body = serde_json::json!({ "error": failure.error, "reason": failure.reason });
        let answer = Answer::json(&body).with_status(failure.status);
        match failure.status {
            StatusCode::UNAUTHORIZED => {
                let realm = header::HeaderValue::from_static("Basic realm=\"Bongsu\"");
                answer.with_header(header::WWW_AUTHENTICATE, realm)
            }
            _ => answer,
        }
    }
}
