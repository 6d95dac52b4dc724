//! TLS: certificates from files, read again when they change, and handshakes.
//!
//! What is read and does not fit together is not used: at the start it is an error, later the
//! certificates stay as they were and the log names the file. Connections keep what they were
//! made with. A handshake has [`HANDSHAKE_TIMEOUT`]; how many may compute at once is bounded,
//! as each takes a millisecond of a thread that serves others too: a flood of newcomers
//! leaves half of the threads to those who are in.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::identity::Naming;
use crate::stream::{Stream, Tls};

/// Longest that a handshake may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the files are looked at.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// A file larger than this is none of ours.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Whether clients show certificates. One that is shown must be good, whatever is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked for any.
    #[default]
    None,
    /// They are asked.
    Optional,
    /// Who has none is not let in.
    Required,
}

/// The oldest protocol that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// What is set from outside.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// The certificate, and those between it and the authority, in PEM.
    pub certificate: PathBuf,
    /// Its key: PKCS#8, PKCS#1 or SEC1, in PEM.
    pub key: PathBuf,
    /// Authorities that clients' certificates come from, in PEM.
    pub client_ca: Option<PathBuf>,
    /// Whether clients show certificates.
    pub client_certificates: ClientCertificates,
    /// The oldest protocol that is spoken.
    pub version_min: Version,
    /// Which user a client's certificate is of.
    pub naming: Naming,
}

/// Why the files cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError {
    /// Which.
    pub file: PathBuf,
    /// Why.
    pub cause: String,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.cause)
    }
}

impl std::error::Error for TlsError {}

/// Lets clients in under TLS.
#[derive(Debug)]
pub struct Acceptor {
    settings: TlsSettings,
    current: RwLock<Arc<ServerConfig>>,
    /// Of the files' contents when they were last looked at, good or not.
    seen: Mutex<[u8; 32]>,
    /// To compute.
    turns: Semaphore,
}

/// The files' contents.
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Acceptor {
    /// Reads the files.
    ///
    /// # Errors
    /// One that cannot be used.
    pub fn open(settings: TlsSettings) -> Result<Acceptor, TlsError> {
        let files = Files::read(&settings)?;
        let config = configured(&settings, &files)?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Acceptor {
            current: RwLock::new(Arc::new(config)),
            seen: Mutex::new(files.digest()),
            turns: Semaphore::new(threads.div_ceil(2)),
            settings,
        })
    }

    /// Reads the files again: whether they have changed, and are used from here on. What is
    /// bad is told once. Blocks.
    ///
    /// # Errors
    /// What has changed cannot be used; the certificates stay as they were.
    pub fn read_again(&self) -> Result<bool, TlsError> {
        let mut seen = self.seen.lock();
        let files = match Files::read(&self.settings) {
            Ok(files) => files,
            Err(error) => {
                let digest = digest(&[error.to_string().as_bytes()]);
                if std::mem::replace(&mut *seen, digest) == digest {
                    return Ok(false);
                }
                return Err(error);
            }
        };
        let digest = files.digest();
        if std::mem::replace(&mut *seen, digest) == digest {
            return Ok(false);
        }
        let config = configured(&self.settings, &files)?;
        *self.current.write() = Arc::new(config);
        Ok(true)
    }

    /// As [`Acceptor::read_again`], with the outcome in the log.
    pub async fn look(self: &Arc<Self>) {
        let acceptor = self.clone();
        let read = tokio::task::spawn_blocking(move || acceptor.read_again());
        match read.await {
            Ok(Ok(true)) => tracing::info!(
                certificate = %self.settings.certificate.display(),
                "the TLS certificate was read again; new connections get it"
            ),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => {
                tracing::error!("the TLS certificate stays as it was: {error}");
            }
            Err(_) => tracing::error!("the TLS certificate could not be read again"),
        }
    }

    /// Looks at the files every [`LOOK_INTERVAL`], for ever.
    pub async fn watch(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(LOOK_INTERVAL);
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }

    /// When the first certificate of the file ends, Unix seconds; `None` if it cannot be
    /// read. Blocks.
    pub fn expires_s(&self) -> Option<u64> {
        let pem = std::fs::read(&self.settings.certificate).ok()?;
        let certificates = CertificateDer::pem_slice_iter(&pem);
        certificates
            .filter_map(|certificate| crate::identity::expires_s(&certificate.ok()?))
            .min()
    }

    /// Which user a client's certificate is of.
    pub fn naming(&self) -> Naming {
        self.settings.naming
    }

    /// The handshake.
    ///
    /// # Errors
    /// It failed, or took too long.
    pub async fn accept(&self, socket: TcpStream) -> io::Result<Stream> {
        let config = self.current.read().clone();
        let tls = Tls::new(socket, config).map_err(io::Error::other)?;
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, self.shake_hands(tls)).await {
            Ok(shaken) => shaken,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn shake_hands(&self, mut tls: Tls) -> io::Result<Stream> {
        while tls.is_shaking_hands() {
            tls.socket().readable().await?;
            let turn = self.turns.acquire().await.map_err(io::Error::other)?;
            match tls.take_in() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                taken => taken?,
            }
            drop(turn);
            tls.flush().await?;
            if tls.has_ended() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Stream::Tls(Box::new(tls)))
    }
}

impl Files {
    fn read(settings: &TlsSettings) -> Result<Files, TlsError> {
        let client_ca = match settings.client_certificates {
            ClientCertificates::None => None,
            _ => settings.client_ca.as_deref(),
        };
        Ok(Files {
            certificate: read(&settings.certificate)?,
            key: read(&settings.key)?,
            client_ca: client_ca.map(read).transpose()?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let client_ca = self.client_ca.as_deref().unwrap_or_default();
        digest(&[&self.certificate, &self.key, client_ca])
    }
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    use std::io::Read;
    let failed = |error: io::Error| failed(file, error.to_string());
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    let mut opened = opened.take(FILE_BYTES_MAX);
    opened.read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn failed(file: &Path, cause: impl Into<String>) -> TlsError {
    TlsError {
        file: file.to_owned(),
        cause: cause.into(),
    }
}

fn configured(settings: &TlsSettings, files: &Files) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(&settings.certificate, &files.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&files.key).map_err(|error| {
        let wanted = "in PEM as PKCS#8, PKCS#1 or SEC1, without a passphrase";
        failed(
            &settings.key,
            format!("no private key ({error}); it is to be {wanted}"),
        )
    })?;
    let verifier = verifier(settings, files, &provider)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions(settings.version_min))
        .map_err(|error| failed(&settings.certificate, error.to_string()))?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    builder.with_single_cert(chain, key).map_err(|error| {
        let cause = match &error {
            rustls::Error::InconsistentKeys(_) => {
                let certificate = settings.certificate.display();
                format!("it is not the key of the certificate in {certificate}")
            }
            other => other.to_string(),
        };
        let file = match &error {
            rustls::Error::InvalidCertificate(_) => &settings.certificate,
            _ => &settings.key,
        };
        failed(file, cause)
    })
}

fn certificates(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| failed(file, format!("not PEM: {error}")))?;
    if read.is_empty() {
        return Err(failed(file, "no certificate in PEM"));
    }
    Ok(read)
}

fn verifier(
    settings: &TlsSettings,
    files: &Files,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    if settings.client_certificates == ClientCertificates::None {
        return Ok(None);
    }
    let (Some(file), Some(pem)) = (&settings.client_ca, &files.client_ca) else {
        let cause = "tls.client_certificates asks for them, and tls.client_ca names no file";
        return Err(failed(Path::new("tls.client_ca"), cause));
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file, pem)? {
        let added = roots.add(certificate);
        added.map_err(|error| failed(file, error.to_string()))?;
    }
    let mut builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    if settings.client_certificates == ClientCertificates::Optional {
        builder = builder.allow_unauthenticated();
    }
    let built = builder.build();
    built
        .map(Some)
        .map_err(|error| failed(file, error.to_string()))
}

fn versions(least: Version) -> &'static [&'static SupportedProtocolVersion] {
    match least {
        Version::Tls12 => rustls::ALL_VERSIONS,
        Version::Tls13 => TLS13_ONLY,
    }
}

const TLS13_ONLY: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
