//! Where AMQP is, for commands that speak it: as the URL says, else where the broker says
//! that it listens.

use serde_json::Value;

use super::Asked;
use super::failure::Failure;
use crate::replay::Url;

/// The AMQP address, and who asks.
pub fn url(asked: &Asked) -> Result<Url, Failure> {
    let place = &asked.place;
    if place.url.starts_with("amqp://") {
        let mut url = Url::parse(&place.url).map_err(Failure::Usage)?;
        if asked.names_space {
            url.virtual_host = place.space.clone();
        }
        return Ok(url);
    }
    let host = host_of(&place.url);
    let port = listening(asked).unwrap_or(PORT);
    Ok(Url {
        address: format!("{host}:{port}"),
        user: place.user.clone(),
        password: place.password.clone(),
        virtual_host: place.space.clone(),
    })
}

/// The port that the broker says it has for AMQP, if it says so.
fn listening(asked: &Asked) -> Option<u64> {
    let overview = asked.api().ok()?.get("/api/overview").ok()?;
    let is_amqp = |listener: &&Value| listener["protocol"] == "amqp";
    overview["listeners"].as_array()?.iter().find(is_amqp)?["port"].as_u64()
}

fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

const PORT: u64 = 5672;

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn a_host_stands_before_its_port() {
        assert_eq!(host_of("http://h:15672/x"), "h");
        assert_eq!(host_of("https://h"), "h");
        assert_eq!(host_of("http://[::1]:1"), "[::1]");
        assert_eq!(host_of("http://[::1]"), "[::1]");
    }
}
