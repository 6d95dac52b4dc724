//! The header by which a proxy in front says who the client is: PROXY protocol, versions 1
//! and 2 (haproxy.org, proxy-protocol.txt).
//!
//! Only from trusted addresses, and then it must be there. What it says is what rules about
//! this machine see, with one exception: a client counts as one of this machine only if the
//! proxy does as well, as "127.0.0.1" of another machine's proxy is not ours.
//!
//! ```text
//! version 1   "PROXY TCP4 203.0.113.7 192.0.2.1 51234 5672\r\n", at most 107 bytes
//! version 2   12 bytes of signature
//!             u8 version (2) and command (0 LOCAL, 1 PROXY)
//!             u8 family (1 IPv4, 2 IPv6) and transport (1 stream)
//!             u16 bytes that follow: addresses, ports, then what we do not look at
//! ```

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Longest that a header may take to come.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// A network: addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many bits are the same.
    bits: u8,
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The proxy speaks for itself, to see whether we are there.
    Local,
    /// It speaks for somebody it does not name.
    Unknown,
    /// Where the client is, and where it came in.
    Client {
        /// The client.
        source: SocketAddr,
        /// Where it meant to go.
        destination: SocketAddr,
    },
}

/// A header that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It does not begin as one.
    Signature,
    /// A version or command that there is not.
    Command,
    /// Longer than [`HEADER_BYTES_MAX`], or than 107 bytes in version 1.
    Length,
    /// The addresses are none.
    Addresses,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Signature => "it does not begin as a PROXY header",
            Malformed::Command => "its version or command is unknown",
            Malformed::Length => "it is too long",
            Malformed::Addresses => "its addresses are none",
        })
    }
}

impl std::error::Error for Malformed {}

impl From<Malformed> for io::Error {
    fn from(malformed: Malformed) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, malformed)
    }
}

impl FromStr for Network {
    type Err = ();

    /// `10.0.0.0/8`, `fd00::/8`, or one address.
    fn from_str(text: &str) -> Result<Network, ()> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= most).ok_or(())?,
            None => most,
        };
        Ok(Network { address, bits })
    }
}

impl Network {
    /// Whether the address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = u32::from(own) ^ u32::from(other);
                differ.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = u128::from(own) ^ u128::from(other);
                differ.leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

/// Reads the header and nothing beyond it.
///
/// # Errors
/// The socket's, [`Malformed`], or it took longer than [`HEADER_TIMEOUT`].
pub async fn read(socket: &mut TcpStream) -> io::Result<Header> {
    match tokio::time::timeout(HEADER_TIMEOUT, read_header(socket)).await {
        Ok(read) => read,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn read_header(socket: &mut TcpStream) -> io::Result<Header> {
    let mut bytes = vec![0; SIGNATURE.len()];
    socket.read_exact(&mut bytes).await?;
    // A byte at a time, and only in version 1: behind its end are the client's own.
    while let Wants::More(count) = wants(&bytes)? {
        let at = bytes.len();
        bytes.resize(at + count, 0);
        socket.read_exact(&mut bytes[at..]).await?;
    }
    Ok(parse(&bytes)?)
}

/// How far a header has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// So many bytes more, at least; they all belong to it.
    More(usize),
    /// It is whole.
    Nothing,
}

/// How many bytes a header wants that begins with these; not to be asked of fewer than 12.
///
/// # Errors
/// It is none.
pub fn wants(bytes: &[u8]) -> Result<Wants, Malformed> {
    if bytes.starts_with(SIGNATURE) {
        let Some(length) = bytes.get(14..16) else {
            return Ok(Wants::More(16 - bytes.len()));
        };
        let whole = 16 + usize::from(u16::from_be_bytes([length[0], length[1]]));
        return match whole.checked_sub(bytes.len()) {
            _ if whole > HEADER_BYTES_MAX => Err(Malformed::Length),
            Some(0) => Ok(Wants::Nothing),
            Some(rest) => Ok(Wants::More(rest)),
            None => Err(Malformed::Length),
        };
    }
    match bytes {
        _ if !bytes.starts_with(b"PROXY ") => Err(Malformed::Signature),
        [.., b'\r', b'\n'] => Ok(Wants::Nothing),
        _ if bytes.len() >= LINE_BYTES_MAX => Err(Malformed::Length),
        _ => Ok(Wants::More(1)),
    }
}

/// What a whole header says.
///
/// # Errors
/// It is none.
pub fn parse(bytes: &[u8]) -> Result<Header, Malformed> {
    match bytes.strip_prefix(SIGNATURE) {
        Some(rest) => parse_binary(rest),
        None => parse_line(bytes),
    }
}

fn parse_binary(bytes: &[u8]) -> Result<Header, Malformed> {
    let [command, family, length @ ..] = bytes else {
        return Err(Malformed::Command);
    };
    let (length, rest) = length.split_first_chunk().ok_or(Malformed::Length)?;
    if rest.len() != usize::from(u16::from_be_bytes(*length)) {
        return Err(Malformed::Length);
    }
    match command {
        0x20 => return Ok(Header::Local),
        0x21 => {}
        _ => return Err(Malformed::Command),
    }
    match family {
        0x11 => {
            let addresses: &[u8; 12] = rest.first_chunk().ok_or(Malformed::Addresses)?;
            let [a, b, c, d, e, f, g, h, ports @ ..] = *addresses;
            let (source, destination) = of_ports(ports);
            Ok(Header::Client {
                source: (Ipv4Addr::new(a, b, c, d), source).into(),
                destination: (Ipv4Addr::new(e, f, g, h), destination).into(),
            })
        }
        0x21 => {
            let (one, rest) = rest.split_first_chunk().ok_or(Malformed::Addresses)?;
            let (other, rest) = rest.split_first_chunk().ok_or(Malformed::Addresses)?;
            let ports = rest.first_chunk().ok_or(Malformed::Addresses)?;
            let (source, destination) = of_ports(*ports);
            Ok(Header::Client {
                source: (Ipv6Addr::from_octets(*one), source).into(),
                destination: (Ipv6Addr::from_octets(*other), destination).into(),
            })
        }
        // Something else, or nothing said: sockets of one machine, datagrams.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => Ok(Header::Unknown),
        _ => Err(Malformed::Addresses),
    }
}

fn of_ports(ports: [u8; 4]) -> (u16, u16) {
    let [a, b, c, d] = ports;
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

fn parse_line(bytes: &[u8]) -> Result<Header, Malformed> {
    let line = bytes.strip_suffix(b"\r\n").ok_or(Malformed::Length)?;
    let line = std::str::from_utf8(line).map_err(|_| Malformed::Signature)?;
    let mut words = line.split(' ');
    if words.next() != Some("PROXY") {
        return Err(Malformed::Signature);
    }
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Ok(Header::Unknown);
    }
    let mut next = || words.next().ok_or(Malformed::Addresses);
    let (source, destination) = (next()?, next()?);
    let (source_port, destination_port) = (next()?, next()?);
    if words.next().is_some() {
        return Err(Malformed::Addresses);
    }
    let address = |address: &str, port: &str| {
        let address: IpAddr = address.parse().map_err(|_| Malformed::Addresses)?;
        let port: u16 = port.parse().map_err(|_| Malformed::Addresses)?;
        match (family, address) {
            (Some("TCP4"), IpAddr::V4(_)) | (Some("TCP6"), IpAddr::V6(_)) => {
                Ok(SocketAddr::new(address, port))
            }
            _ => Err(Malformed::Addresses),
        }
    };
    Ok(Header::Client {
        source: address(source, source_port)?,
        destination: address(destination, destination_port)?,
    })
}

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Of version 2, with what proxies may add: certificates of clients, mostly.
pub const HEADER_BYTES_MAX: usize = 16 + 16 * 1024;
/// Of version 1.
const LINE_BYTES_MAX: usize = 107;

#[cfg(test)]
mod tests;
