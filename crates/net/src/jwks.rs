//! Where the keys of tokens are read from: a file, or a URL of whoever signs them.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bongsu_broker::tokens::KeySource;
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// A place with keys.
pub enum Jwks {
    /// A file.
    File(PathBuf),
    /// Read by HTTP.
    Url(String, Agent),
}

impl Jwks {
    /// A path, or a URL with `http` or `https`; of the latter the certificate must come from
    /// an authority in the PEM file `ca`, or, without one, from one that browsers trust.
    ///
    /// # Errors
    /// The authorities cannot be read.
    pub fn at(place: &str, ca: Option<&PathBuf>) -> Result<Jwks, String> {
        if !place.starts_with("https://") && !place.starts_with("http://") {
            return Ok(Jwks::File(PathBuf::from(place)));
        }
        let roots = match ca {
            None => RootCerts::WebPki,
            Some(file) => {
                let failed = |cause: String| format!("{}: {cause}", file.display());
                let pem = std::fs::read(file).map_err(|error| failed(error.to_string()))?;
                let items = parse_pem(&pem).filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                });
                let certificates: Vec<Certificate<'static>> = items.collect();
                if certificates.is_empty() {
                    return Err(failed("no certificate in PEM".to_owned()));
                }
                RootCerts::Specific(Arc::new(certificates))
            }
        };
        let agent = Agent::config_builder()
            .timeout_global(Some(READ_TIMEOUT))
            .max_redirects(REDIRECTS_MAX)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        Ok(Jwks::Url(place.to_owned(), agent.into()))
    }

    /// Whether reading it may fail for a while: then nobody has to wait for it to start.
    pub fn is_remote(&self) -> bool {
        matches!(self, Jwks::Url(..))
    }
}

impl KeySource for Jwks {
    fn read(&self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        match self {
            Jwks::File(path) => {
                let failed = |error: std::io::Error| format!("{}: {error}", path.display());
                let file = std::fs::File::open(path).map_err(failed)?;
                let mut file = file.take(KEYS_BYTES_MAX);
                file.read_to_end(&mut bytes).map_err(failed)?;
            }
            Jwks::Url(url, agent) => {
                let failed = |error: ureq::Error| format!("{url}: {error}");
                let mut answer = agent.get(url).call().map_err(failed)?;
                let body = answer.body_mut().with_config().limit(KEYS_BYTES_MAX);
                bytes = body.read_to_vec().map_err(failed)?;
            }
        }
        Ok(bytes)
    }
}

/// Longest that reading may take, redirects and all.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
const REDIRECTS_MAX: u32 = 3;
const KEYS_BYTES_MAX: u64 = 1 << 20;
