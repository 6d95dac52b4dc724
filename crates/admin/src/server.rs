//! The HTTP server: sockets in, [`Context`]s to the table's handlers.
//!
//! Bounds: [`CONNECTIONS_MAX`] connections; a head comes within [`HEAD_TIMEOUT`] and has at
//! most [`HEAD_BYTES_MAX`] in [`HEADERS_MAX`] lines; who has not logged in gets no body kept;
//! [`REQUESTS_MAX`] handlers work at once, on bodies of at most [`BODIES_BYTES_MAX`] together,
//! each at most [`BODY_BYTES_MAX`]; a request that takes longer than [`REQUEST_TIMEOUT`], the
//! arrival of its body included, is given up.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bongsu_broker::Broker;
use bongsu_net::door::{Door, Guest};
use bongsu_net::listener::receive;
use bongsu_net::stream::Stream;
use bongsu_net::tls::Acceptor;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::content::Content;
use crate::failure::Failure;
use crate::login::{self, Logins};
use crate::metrics;
use crate::origin;
use crate::own::doctor::Doctor;
use crate::own::logs::LogLevels;
use crate::own::settings::Setting;
use crate::paths::{self, Found};
use crate::percent;
use crate::route::{Answer, Context, Need, Route};
use crate::spaces;

/// Connections at once.
pub const CONNECTIONS_MAX: usize = 1024;
/// Handlers at work at once.
pub const REQUESTS_MAX: usize = 64;
/// Largest body of a request.
pub const BODY_BYTES_MAX: usize = 32 << 20;
/// Bodies in memory at once.
pub const BODIES_BYTES_MAX: usize = 64 << 20;
/// Longest that a request may take, once its head is there.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest that a head may take to come, and a connection be idle.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest head.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// Most headers.
pub const HEADERS_MAX: usize = 100;
/// Largest body that is passed over, so that its connection can be used again.
const PASSED_OVER_BYTES_MAX: usize = 64 << 10;
/// Longest that such a body may take to come.
const PASSED_OVER_TIMEOUT: Duration = Duration::from_secs(2);

/// What the process has one of, for the handlers.
#[derive(Clone)]
pub struct Admin {
    /// The broker.
    pub broker: Broker,
    /// How it is set.
    pub settings: Arc<Settings>,
    /// What the machine is called.
    pub host: Arc<str>,
    /// Who has logged in with a cookie.
    pub logins: Arc<Logins>,
    room: Arc<Room>,
    only_metrics: bool,
}

/// What requests share.
struct Room {
    connections: Arc<Semaphore>,
    requests: Semaphore,
    /// In KiB.
    bodies: Semaphore,
}

/// What is set from outside.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where clients come in: protocol and address.
    pub listeners: Vec<(&'static str, SocketAddr)>,
    /// The levels of the log, if there is one.
    pub log_levels: Option<Arc<dyn LogLevels>>,
    /// What has the certificates, if there are any.
    pub tls: Option<Arc<Acceptor>>,
    /// What looks after the process and its machine, if anything does.
    pub doctor: Option<Arc<Doctor>>,
    /// What the process was started with.
    pub started_with: Vec<Setting>,
}

impl Admin {
    /// For a broker.
    pub fn new(broker: Broker, settings: Settings) -> Admin {
        Admin {
            broker,
            settings: Arc::new(settings),
            host: host(),
            logins: Arc::default(),
            only_metrics: false,
            room: Arc::new(Room {
                connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
                requests: Semaphore::new(REQUESTS_MAX),
                bodies: Semaphore::new(BODIES_BYTES_MAX >> 10),
            }),
        }
    }
}

impl Admin {
    /// The same, for a listener that answers nothing but metrics, and those without a login:
    /// who may reach it may read them.
    #[must_use]
    pub fn for_metrics(mut self) -> Admin {
        self.only_metrics = true;
        self
    }
}

/// Answers whoever comes in through `door` until the broker stops. Clients of other protocols
/// take no place from them: somebody must be able to look.
pub async fn serve(listener: TcpListener, admin: Admin, door: Door) {
    let stopping = admin.broker.stopping();
    let places = Arc::clone(&admin.room.connections);
    receive(listener, stopping, places, door, move |guest| {
        let admin = admin.clone();
        async move { serve_one(guest, admin).await }
    })
    .await;
}

/// Answers one who is in, until it leaves or the broker stops.
pub async fn serve_one(guest: Guest, admin: Admin) {
    let mut stopping = admin.broker.stopping();
    let peer = guest.peer;
    let from = From {
        peer,
        secure: !matches!(guest.stream, Stream::Plain(_)),
    };
    let service = service_fn(move |request| {
        let admin = admin.clone();
        async move { Ok::<_, Infallible>(respond(admin, from, request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    let connection = http.serve_connection(TokioIo::new(guest.stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = stopping.wait_for(|stops| *stops) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("HTTP with {peer}: {error}");
    }
    drop(guest.place);
}

/// Where a request comes from.
#[derive(Clone, Copy)]
struct From {
    peer: SocketAddr,
    secure: bool,
}

async fn respond(admin: Admin, from: From, request: Request<Incoming>) -> Response<Content> {
    let is_head = request.method() == Method::HEAD;
    let for_console = request.headers().contains_key(origin::CONSOLE_HEADER);
    let (head, body) = request.into_parts();
    let expects = head.headers.contains_key(header::EXPECT);
    let mut unread = Some(body);
    let answered =
        tokio::time::timeout(REQUEST_TIMEOUT, found(admin, from, head, &mut unread)).await;
    let answer = answered.unwrap_or_else(|_| {
        let reason = format!("no answer within {} s", REQUEST_TIMEOUT.as_secs());
        Err(Failure::with(
            StatusCode::SERVICE_UNAVAILABLE,
            "timeout",
            reason,
        ))
    });
    let mut response: Response<Content> = answer.unwrap_or_else(Answer::from).into();
    let headers = response.headers_mut();
    if for_console {
        // A browser would ask its user itself.
        headers.remove(header::WWW_AUTHENTICATE);
    }
    for (name, value) in HEADERS {
        let name = HeaderName::from_static(name);
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    // A client that still sends would find its connection closed under the next request.
    if let Some(body) = unread
        && (expects || !pass_over(body).await)
    {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    if is_head {
        let bytes = response.body().size_hint().exact().unwrap_or(0);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
        *response.body_mut() = Content::default();
    }
    response
}

/// Finds the route of a request.
async fn found(
    admin: Admin,
    from: From,
    head: Parts,
    unread: &mut Option<Incoming>,
) -> Result<Answer, Failure> {
    let (route, path) = match paths::find(&head.method, head.uri.path()) {
        Found::Route(route, _) if admin.only_metrics && !metrics::is_of(route) => {
            return Err(Failure::object_not_found());
        }
        Found::Route(route, path) => (route, path),
        Found::Methods(methods) => return other_method(&head.method, &methods),
        Found::Nothing => return Err(Failure::object_not_found()),
        Found::Malformed => {
            let reason = "the path's percent-encoding is not of UTF-8";
            return Err(Failure::bad_request(reason));
        }
    };
    let pairs = percent::query(head.uri.query().unwrap_or_default());
    let pairs = pairs
        .ok_or_else(|| Failure::bad_request("the query's percent-encoding is not of UTF-8"))?;
    origin::check(&head.method, &head.headers)?;
    let peer = from.peer.ip().to_canonical();
    let need = match admin.only_metrics {
        true => Need::Nobody,
        false => route.need,
    };
    let operator = login::let_in(&admin, &head.method, &head.headers, peer, need).await?;
    let named = path.get("vhost").or_else(|| path.get("space"));
    let space = match (&operator, named, route.need) {
        (Some(operator), Some(name), need) if need != Need::Administrator => {
            let for_change = !origin::is_safe(&head.method);
            Some(spaces::find(operator, name, for_change)?)
        }
        _ => None,
    };
    let room = Arc::clone(&admin.room);
    let _place = room.requests.acquire().await;
    let kib = body_bytes(&head.headers)?.div_ceil(1024);
    let _held = room
        .bodies
        .acquire_many(u32::try_from(kib).unwrap_or(u32::MAX))
        .await;
    let body = match unread.take() {
        Some(body) => read(body).await?,
        None => Bytes::new(),
    };
    let context = Context {
        admin,
        operator,
        space,
        peer,
        is_secure: from.secure,
        headers: head.headers,
        path,
        query: pairs.iter().cloned().collect(),
        pairs,
        body,
    };
    handle(route, context).await
}

async fn handle(route: &'static Route, context: Context) -> Result<Answer, Failure> {
    // A task of its own: a client that goes away leaves nothing half done.
    match tokio::spawn((route.handler)(context)).await {
        Ok(answered) => answered,
        Err(error) => {
            tracing::error!("{} {}: {error}", route.method, route.path);
            Err(Failure::with(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "the request failed; see the broker's log",
            ))
        }
    }
}

fn other_method(method: &Method, methods: &[&'static Method]) -> Result<Answer, Failure> {
    let mut allowed: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    if allowed.contains(&"GET") {
        allowed.push("HEAD");
    }
    allowed.push("OPTIONS");
    allowed.sort_unstable();
    let allow = HeaderValue::from_str(&allowed.join(", ")).expect("methods are words");
    let answer = match *method {
        Method::OPTIONS => Answer::empty(StatusCode::OK),
        _ => Answer::from(Failure::with(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            format!("{method} is not one of {}", allowed.join(", ")),
        )),
    };
    Ok(answer.with_header(header::ALLOW, allow))
}

/// Reads a body that nobody wants, if it is short and soon there; whether it was.
async fn pass_over(body: Incoming) -> bool {
    if body.is_end_stream() {
        return true;
    }
    let mut limited = Limited::new(body, PASSED_OVER_BYTES_MAX);
    let all = async {
        while let Some(frame) = limited.frame().await {
            if frame.is_err() {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(PASSED_OVER_TIMEOUT, all)
        .await
        .unwrap_or(false)
}

/// Bytes to keep room for: those announced, or as many as may come.
fn body_bytes(headers: &HeaderMap) -> Result<usize, Failure> {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    match length {
        Some(bytes) if bytes > BODY_BYTES_MAX => Err(too_large()),
        Some(bytes) => Ok(bytes),
        None if headers.contains_key(header::TRANSFER_ENCODING) => Ok(BODY_BYTES_MAX),
        None => Ok(0),
    }
}

async fn read(body: Incoming) -> Result<Bytes, Failure> {
    let limited = Limited::new(body, BODY_BYTES_MAX);
    match limited.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Failure::bad_request("the body did not come")),
    }
}

/// What the machine is called, as the kernel knows it.
fn host() -> Arc<str> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => Arc::from("localhost"),
        name => Arc::from(name),
    }
}

fn too_large() -> Failure {
    Failure::with(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too_large",
        format!("a body has at most {BODY_BYTES_MAX} bytes"),
    )
}

/// What every response says, unless its handler says otherwise.
const HEADERS: [(&str, &str); 7] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'",
    ),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];
