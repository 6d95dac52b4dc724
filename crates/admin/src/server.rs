//! The HTTP server: sockets in, [`Context`]s to the table's handlers.
//!
//! Bounds: a body is at most [`BODY_BYTES_MAX`]; a request that takes longer than
//! [`REQUEST_TIMEOUT`] is given up.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Query, RawPathParams, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use bongsu_broker::Broker;
use bongsu_net::door::Door;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::failure::Failure;
use crate::guests::{Guests, Peer};
use crate::login::let_in;
use crate::own::logs::LogLevels;
use crate::route::{self, Context, Route};

/// Largest body of a request.
pub const BODY_BYTES_MAX: usize = 32 << 20;
/// Longest that a request may take.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// What the process has one of, for the handlers.
#[derive(Clone)]
pub struct Admin {
    /// The broker.
    pub broker: Broker,
    /// How it is set.
    pub settings: Arc<Settings>,
}

/// What is set from outside.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where clients come in: protocol and address.
    pub listeners: Vec<(&'static str, SocketAddr)>,
    /// The levels of the log, if there is one.
    pub log_levels: Option<Arc<dyn LogLevels>>,
}

/// Answers whoever comes in through `door` until the broker stops.
///
/// # Errors
/// The socket's.
pub async fn serve(
    listener: TcpListener,
    admin: Admin,
    places: Arc<Semaphore>,
    door: Door,
) -> std::io::Result<()> {
    let mut stopping = admin.broker.stopping();
    let guests = Guests::receive(listener, stopping.clone(), places, door)?;
    let service = router(admin).into_make_service_with_connect_info::<Peer>();
    axum::serve(guests, service)
        .with_graceful_shutdown(async move {
            let _ = stopping.wait_for(|stops| *stops).await;
        })
        .await
}

fn router(admin: Admin) -> Router {
    let mut by_path: BTreeMap<&'static str, MethodRouter<Admin>> = BTreeMap::new();
    for route in route::all() {
        let filter = MethodFilter::try_from(route.method.clone());
        let filter = filter.expect("the table has usual methods only");
        let at = by_path.remove(route.path).unwrap_or_default();
        let handler = move |State(admin): State<Admin>,
                            ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
                            path: RawPathParams,
                            Query(query): Query<BTreeMap<String, String>>,
                            request: Request| async move {
            let path = path.iter();
            let path = path.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let path = path.collect();
            let answered = tokio::time::timeout(
                REQUEST_TIMEOUT,
                answer(route, admin, peer, (path, query), request),
            );
            match answered.await {
                Ok(response) => response,
                Err(_) => Failure {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    error: "timeout",
                    reason: format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()),
                }
                .into_response(),
            }
        };
        by_path.insert(route.path, at.merge(on(filter, handler)));
    }
    let mut router = Router::new();
    for (path, methods) in by_path {
        router = router.route(path, methods);
    }
    router.with_state(admin)
}

async fn answer(
    route: &'static Route,
    admin: Admin,
    peer: SocketAddr,
    (path, query): (BTreeMap<String, String>, BTreeMap<String, String>),
    request: Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let peer = peer.ip().to_canonical();
    let operator = match let_in(&admin.broker, &head.headers, peer, route.need).await {
        Ok(operator) => operator,
        Err(failure) => return failure.into_response(),
    };
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES_MAX).await else {
        let reason = format!("the body is larger than {BODY_BYTES_MAX} bytes, or did not come");
        return Failure::bad_request(reason).into_response();
    };
    let context = Context {
        admin,
        operator,
        peer,
        headers: head.headers,
        path,
        query,
        body,
    };
    match (route.handler)(context).await {
        Ok(answer) => answer.into_response(),
        Err(failure) => failure.into_response(),
    }
}
