//! Sends spans to whoever collects them: OTLP over HTTP, as JSON.
//!
//! A thread of its own takes them from the broker's channel, [`BATCH_SPANS`] or a second's worth
//! at a time. What is not taken is tried again a few times; meanwhile the channel fills, and
//! then the broker drops and counts. Nobody waits for this thread.
//!
//! Written by hand: a few structures in JSON, while OpenTelemetry's crates bring an HTTP client
//! and a runtime's worth of machinery beside the ones that are here.

mod otlp;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bongsu_broker::Broker;
use bongsu_broker::traces::Traces;
use bongsu_broker::traces::span::Span;
use ureq::Agent;

use crate::settings::Settings;

/// The running exporter.
pub struct Exporter {
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Begins to trace, if the settings say so; to be called before clients come.
///
/// # Errors
/// No thread can be started.
pub fn start(settings: &Settings, broker: &Broker) -> std::io::Result<Option<Exporter>> {
    let Some(endpoint) = settings.traces_endpoint.clone() else {
        return Ok(None);
    };
    let (sink, spans) = sync_channel(WAITING_SPANS);
    broker.trace(Traces::new(settings.traces_sample, sink));
    tokio::spawn(broker.clone().trace_commits());
    let Some(traces) = broker.traces().cloned() else {
        return Ok(None);
    };
    let stopping = Arc::new(AtomicBool::new(false));
    let exporting = Exporting {
        agent: Agent::config_builder()
            .timeout_global(Some(REQUEST_TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .build()
            .into(),
        endpoint,
        service: settings.traces_service.clone(),
        traces,
        spans,
        stopping: stopping.clone(),
        failing: false,
    };
    let thread = std::thread::Builder::new().name("bongsu-traces".to_owned());
    let thread = thread.spawn(|| exporting.run())?;
    Ok(Some(Exporter { stopping, thread }))
}

impl Exporter {
    /// Sends what is left, for a moment. Blocks.
    pub fn stop(self) {
        self.stopping.store(true, Ordering::Relaxed);
        let until = Instant::now() + LEAVE_TIMEOUT;
        while !self.thread.is_finished() && Instant::now() < until {
            std::thread::sleep(LOOK_INTERVAL / 10);
        }
    }
}

struct Exporting {
    agent: Agent,
    endpoint: String,
    service: String,
    traces: Arc<Traces>,
    spans: Receiver<Span>,
    stopping: Arc<AtomicBool>,
    /// The last batch was not taken: said once.
    failing: bool,
}

impl Exporting {
    fn run(mut self) {
        let mut batch = Vec::new();
        while self.gather(&mut batch) {
            if !batch.is_empty() {
                self.export(&batch);
                batch.clear();
            }
        }
    }

    /// Waits for a batch, which may be empty; `false`: there will be no more.
    fn gather(&self, batch: &mut Vec<Span>) -> bool {
        let mut until = Instant::now() + LOOK_INTERVAL;
        while batch.len() < BATCH_SPANS {
            let left = until.saturating_duration_since(Instant::now());
            match self.spans.recv_timeout(left) {
                Ok(span) => {
                    if batch.is_empty() {
                        until = Instant::now() + GATHER_TIME;
                    }
                    batch.push(span);
                }
                // Whatever was made before the stop is there by now.
                Err(RecvTimeoutError::Timeout) if self.stops() => return !batch.is_empty(),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return !batch.is_empty(),
            }
            if self.stops() {
                until = Instant::now();
            }
        }
        true
    }

    fn stops(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn export(&mut self, batch: &[Span]) {
        let body = otlp::encode(batch, &self.service);
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            match self.post(&body) {
                Ok(()) => {
                    self.traces.exported(batch.len());
                    if std::mem::take(&mut self.failing) {
                        tracing::info!("spans are taken again by {}", self.endpoint);
                    }
                    return;
                }
                Err(failed) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        let (endpoint, cause) = (&self.endpoint, &failed.cause);
                        tracing::warn!("spans are not taken by {endpoint}: {cause}");
                    }
                    if !failed.may_pass || attempt >= ATTEMPTS_MAX || self.stops() {
                        self.traces.dropped(batch.len());
                        return;
                    }
                }
            }
            self.pause(pause);
            pause *= 2;
        }
    }

    fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while Instant::now() < until && !self.stops() {
            std::thread::sleep(LOOK_INTERVAL.min(pause));
        }
    }

    fn post(&self, body: &[u8]) -> Result<(), Failed> {
        let request = self.agent.post(&self.endpoint);
        let request = request.header("content-type", "application/json");
        let response = request.send(body).map_err(|error| Failed {
            cause: error.to_string(),
            may_pass: true,
        })?;
        let status = response.status();
        match status.as_u16() {
            200..=299 => Ok(()),
            // What the specification wants to be tried again.
            code => Err(Failed {
                cause: format!("it answers {status}"),
                may_pass: matches!(code, 429 | 502 | 503 | 504),
            }),
        }
    }
}

struct Failed {
    cause: String,
    /// Another attempt may succeed.
    may_pass: bool,
}

/// Spans that wait for this thread; more are dropped.
const WAITING_SPANS: usize = 8192;
/// Most spans of one request.
const BATCH_SPANS: usize = 512;
/// How long a span waits for others.
const GATHER_TIME: Duration = Duration::from_secs(1);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPTS_MAX: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How soon a stop is noticed.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How long a stop waits for what is left.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);
