//! Which addresses are listened on, and what clients have to get through there: TLS, a proxy.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bongsu_net::door::Door;
use bongsu_net::identity::Naming;
use bongsu_net::proxy::Network;
use bongsu_net::tls::{Acceptor, ClientCertificates, TlsSettings, Version};
use tokio::net::TcpListener;

use crate::settings::Settings;

/// Connections waiting to be accepted: a restart brings all clients back at once.
const BACKLOG: u32 = 4096;

/// What is behind all doors.
pub struct Doors {
    tls: Option<Arc<Acceptor>>,
    proxies: Arc<[Network]>,
}

/// One address.
pub struct Entrance {
    /// What is spoken there, for people.
    pub name: &'static str,
    /// Where that is.
    pub address: SocketAddr,
    /// Its socket.
    pub listener: TcpListener,
    /// What is to be got through.
    pub door: Door,
}

/// The addresses of one protocol.
pub struct Addresses<'a> {
    /// Its name, without and with TLS.
    pub names: [&'static str; 2],
    /// Those without TLS.
    pub plain: &'a [SocketAddr],
    /// Those with it.
    pub tls: &'a [SocketAddr],
    /// Clients come through a proxy.
    pub proxied: bool,
}

impl Doors {
    /// Reads the certificate, if there is to be one.
    ///
    /// # Errors
    /// A setting without another that it needs, or a file that cannot be used.
    pub fn open(settings: &Settings) -> Result<Doors, Box<dyn Error>> {
        let under_tls = [
            ("amqp.tls_listen", &settings.amqp_tls_listen),
            ("kafka.tls_listen", &settings.kafka_tls_listen),
            ("admin.tls_listen", &settings.admin_tls_listen),
        ];
        let needs = under_tls
            .iter()
            .find(|(_, addresses)| !addresses.is_empty());
        let tls = match (&settings.tls_certificate, &settings.tls_key, needs) {
            (Some(certificate), Some(key), _) => {
                let tls = tls_settings(settings, certificate.clone(), key.clone());
                let opened = Acceptor::open(tls).map_err(|error| format!("TLS: {error}"))?;
                Some(Arc::new(opened))
            }
            (None, None, None) => None,
            (None, _, Some((setting, _))) => {
                return Err(format!("{setting} is set, and tls.certificate is not").into());
            }
            (_, None, Some((setting, _))) => {
                return Err(format!("{setting} is set, and tls.key is not").into());
            }
            (Some(_), None, None) => {
                return Err("tls.certificate is set, and tls.key is not".into());
            }
            (None, Some(_), None) => {
                return Err("tls.key is set, and tls.certificate is not".into());
            }
        };
        let through_proxies = [
            ("amqp.proxy_protocol", settings.amqp_proxy_protocol),
            ("kafka.proxy_protocol", settings.kafka_proxy_protocol),
            ("admin.proxy_protocol", settings.admin_proxy_protocol),
        ];
        let proxied = through_proxies.iter().find(|(_, required)| *required);
        if let Some((setting, _)) = proxied
            && settings.proxy_from.is_empty()
        {
            let why = "and proxy.from names no proxy, so nobody could come in";
            return Err(format!("{setting} is required, {why}").into());
        }
        Ok(Doors {
            tls,
            proxies: settings.proxy_from.as_slice().into(),
        })
    }

    /// What keeps certificates up to date, if there are any.
    pub fn tls(&self) -> Option<Arc<Acceptor>> {
        self.tls.clone()
    }

    /// Listens.
    ///
    /// # Errors
    /// An address cannot be listened on.
    pub fn listen(&self, addresses: &Addresses<'_>) -> Result<Vec<Entrance>, Box<dyn Error>> {
        let plain = addresses.plain.iter().map(|address| (*address, None));
        let tls = addresses.tls.iter();
        let tls = tls.map(|address| (*address, self.tls.clone()));
        let each = plain.chain(tls).map(|(address, tls)| {
            let listener = listen(address)?;
            Ok(Entrance {
                name: addresses.names[usize::from(tls.is_some())],
                address: listener.local_addr()?,
                listener,
                door: Door {
                    tls,
                    proxies: addresses.proxied.then(|| self.proxies.clone()),
                },
            })
        });
        each.collect()
    }
}

fn tls_settings(settings: &Settings, certificate: PathBuf, key: PathBuf) -> TlsSettings {
    TlsSettings {
        certificate,
        key,
        client_ca: settings.tls_client_ca.clone(),
        client_certificates: match settings.tls_client_certificates.as_str() {
            "optional" => ClientCertificates::Optional,
            "required" => ClientCertificates::Required,
            _ => ClientCertificates::None,
        },
        version_min: match settings.tls_version_min.as_str() {
            "1.3" => Version::Tls13,
            _ => Version::Tls12,
        },
        naming: match settings.tls_identity.as_str() {
            "distinguished_name" => Naming::DistinguishedName,
            "san_dns" => Naming::SanDns,
            "san_email" => Naming::SanEmail,
            "san_uri" => Naming::SanUri,
            _ => Naming::CommonName,
        },
    }
}

/// As [`TcpListener::bind`], with a longer backlog.
fn listen(address: SocketAddr) -> Result<TcpListener, Box<dyn Error>> {
    let failed = |error: std::io::Error| format!("cannot listen on {address}: {error}");
    let socket = match address {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
    }
    .map_err(failed)?;
    socket.set_reuseaddr(true).map_err(failed)?;
    socket.bind(address).map_err(failed)?;
    Ok(socket.listen(BACKLOG).map_err(failed)?)
}
