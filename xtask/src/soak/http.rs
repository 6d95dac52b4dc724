//! One request to the broker's HTTP port.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The body of the answer, if its status is of success. As `guest`.
pub(super) fn ask(at: SocketAddr, method: &str, path: &str, body: &str) -> Result<String, String> {
    let asked = format!("{method} {path}");
    let failed = |error: std::io::Error| format!("{asked}: {error}");
    let mut socket = TcpStream::connect_timeout(&at, PATIENCE).map_err(failed)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {at}\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).map_err(failed)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some(status) if status.starts_with('2') => Ok(body.to_owned()),
        _ => Err(format!(
            "{asked}: {} {body}",
            head.lines().next().unwrap_or("no answer")
        )),
    }
}

/// The value of a metric without labels.
pub(super) fn metric(at: SocketAddr, name: &str) -> Result<u64, String> {
    let text = ask(at, "GET", "/metrics", "")?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = value.and_then(|value| value.trim().parse::<f64>().ok());
    value
        .map(|value| value as u64)
        .ok_or_else(|| format!("there is no metric {name}"))
}

const PATIENCE: Duration = Duration::from_secs(20);
