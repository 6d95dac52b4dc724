//! The broker's HTTP port, as commands ask it.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use ureq::http::{Method, Request, Response, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body, Error};

use bongsu_admin::own::backup::BYTES_HEADER;

use super::failure::Failure;
use super::reach::Place;

/// One broker, asked by one user.
pub struct Api {
    agent: Agent,
    place: Place,
    authorization: String,
}

impl Api {
    /// Prepares; nothing is asked yet.
    ///
    /// # Errors
    /// The URL is not HTTP's, or the certificates cannot be read.
    pub fn new(place: Place) -> Result<Api, Failure> {
        if place.url.starts_with("amqp://") {
            let what = format!(
                "this command needs the broker's HTTP port, not '{}'",
                place.url
            );
            return Err(Failure::Usage(what));
        }
        let tls = TlsConfig::builder();
        let tls = match &place.ca_file {
            Some(path) => tls.root_certs(authorities(path)?),
            None => tls,
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIMEOUT.min(place.timeout)))
            .timeout_global(Some(place.timeout))
            .user_agent(concat!("bongsu/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build())
            .build();
        let login = format!("{}:{}", place.user, place.password);
        Ok(Api {
            agent: config.into(),
            authorization: format!("Basic {}", STANDARD.encode(login)),
            place,
        })
    }

    /// The space that is meant.
    pub fn space(&self) -> &str {
        &self.place.space
    }

    /// GET.
    ///
    /// # Errors
    /// As [`Failure`] has them.
    pub fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, path, None)
    }

    /// DELETE.
    ///
    /// # Errors
    /// As [`Failure`] has them.
    pub fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::DELETE, path, None)
    }

    /// PUT of JSON.
    ///
    /// # Errors
    /// As [`Failure`] has them.
    pub fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(Method::PUT, path, Some(body))
    }

    /// POST of JSON.
    ///
    /// # Errors
    /// As [`Failure`] has them.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(Method::POST, path, Some(body))
    }

    /// All items of a list that comes in pages, or as a whole.
    ///
    /// # Errors
    /// As [`Failure`] has them.
    pub fn list(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        for page in 1.. {
            let (number, size) = (page.to_string(), PAGE_SIZE.to_string());
            let paging = [("page", number.as_str()), ("page_size", size.as_str())];
            let query = [query, &paging].concat();
            let answer = self.get(&with_query(path, &query));
            let mut answer = match answer {
                // RabbitMQ's answer to a page behind the last: something went away meanwhile.
                Err(Failure::Failed(_)) if page > 1 => break,
                answer => answer?,
            };
            let found = match &mut answer {
                Value::Array(all) => {
                    items.append(all);
                    break;
                }
                object => match object["items"].as_array_mut() {
                    Some(found) => std::mem::take(found),
                    None => return Err(unexpected(path)),
                },
            };
            let is_last = found.len() < PAGE_SIZE;
            items.extend(found);
            if is_last {
                break;
            }
        }
        Ok(items)
    }

    /// Sends a request, and reads JSON.
    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let response = match body {
            Some(body) => {
                let bytes = serde_json::to_vec(body).expect("plain data with text keys");
                let request = self.request(method, path);
                let request = request.header(header::CONTENT_TYPE, "application/json");
                self.run(
                    request
                        .body(bytes)
                        .map_err(|error| bad_path(path, &error))?,
                )?
            }
            None => {
                let request = self.request(method, path).body(());
                self.run(request.map_err(|error| bad_path(path, &error))?)?
            }
        };
        let bytes = self.judge(response, path)?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|_| unexpected(path))
    }

    /// The bytes of an answer as they come, for what may be large, and how many there will
    /// be, if that is said; no bound on its time.
    ///
    /// # Errors
    /// As [`Failure`] has them.
    pub fn stream(&self, method: Method, path: &str) -> Result<(u64, Box<dyn Read>), Failure> {
        let request = self.request(method, path).body(());
        let mut request = request.map_err(|error| bad_path(path, &error))?;
        request = self
            .agent
            .configure_request(request)
            .timeout_global(None)
            .build();
        let response = self.run(request)?;
        if response.status().is_success() {
            let total = response.headers().get(BYTES_HEADER);
            let total = total.and_then(|total| total.to_str().ok()?.parse().ok());
            let body = Box::new(response.into_body().into_reader());
            return Ok((total.unwrap_or(0), body));
        }
        Err(match self.judge(response, path) {
            Err(failure) => failure,
            Ok(_) => unexpected(path),
        })
    }

    fn request(&self, method: Method, path: &str) -> ureq::http::request::Builder {
        let request = Request::builder().method(method);
        let request = request.uri(format!("{}{path}", self.place.url));
        request.header(header::AUTHORIZATION, &self.authorization)
    }

    fn run<S: ureq::AsSendBody>(&self, request: Request<S>) -> Result<Response<Body>, Failure> {
        self.agent.run(request).map_err(|error| {
            let what = format!("cannot reach the broker at {}: {error}", self.place.url);
            match error {
                Error::Timeout(ureq::Timeout::Global | ureq::Timeout::RecvResponse) => {
                    Failure::Failed(what)
                }
                _ => Failure::Connect(what),
            }
        })
    }

    fn judge(&self, response: Response<Body>, path: &str) -> Result<Vec<u8>, Failure> {
        let status = response.status();
        let body = response
            .into_body()
            .into_with_config()
            .limit(ANSWER_BYTES_MAX);
        let bytes = body.read_to_vec().map_err(|error| {
            Failure::Failed(format!("the broker's answer to {path} broke off: {error}"))
        })?;
        if status.is_success() {
            return Ok(bytes);
        }
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let reason = said["reason"].as_str().or(said["error"].as_str());
        let reason = reason.unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason"));
        let what = format!("{reason} ({} {path})", status.as_u16());
        Err(match status.as_u16() {
            401 | 403 => Failure::Refused(format!("user '{}': {what}", self.place.user)),
            404 => Failure::NotFound(what),
            // As RabbitMQ's API tells of a channel that was closed.
            400 if reason.starts_with("404 ") => Failure::NotFound(what),
            _ => Failure::Failed(what),
        })
    }
}

/// A path of parts, each percent-encoded: a name may have slashes.
pub fn path(parts: &[&str]) -> String {
    let mut path = String::new();
    for part in parts {
        path.push('/');
        encode(part, &mut path);
    }
    path
}

/// A path with what follows the `?`.
pub fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    let mut out = path.to_owned();
    for (index, (name, value)) in query.iter().enumerate() {
        out.push(if index == 0 { '?' } else { '&' });
        encode(name, &mut out);
        out.push('=');
        encode(value, &mut out);
    }
    out
}

fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

fn authorities(path: &Path) -> Result<RootCerts, Failure> {
    let wrong = |what: String| Failure::Usage(format!("{}: {what}", path.display()));
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let mut certificates: Vec<Certificate<'static>> = Vec::new();
    for item in ureq::tls::parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| wrong(error.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(wrong("it has no certificate".to_owned()));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

fn unexpected(path: &str) -> Failure {
    Failure::Failed(format!("the answer to {path} is not what a Bongsu answers"))
}

fn bad_path(path: &str, error: &ureq::http::Error) -> Failure {
    Failure::Usage(format!("{path}: {error}"))
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const PAGE_SIZE: usize = 500;
/// Largest answer that is read into memory.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_have_anything() {
        assert_eq!(
            path(&["api", "queues", "/", "a b/%é"]),
            "/api/queues/%2F/a%20b%2F%25%C3%A9"
        );
        assert_eq!(
            with_query("/x", &[("a", "1&2"), ("b", "")]),
            "/x?a=1%262&b="
        );
    }
}
