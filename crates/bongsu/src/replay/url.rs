//! `amqp://user:password@host:port/vhost`, each part but the host optional.

/// Where a broker is, and who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// `host:port`.
    pub address: String,
    pub user: String,
    pub password: String,
    pub virtual_host: String,
}

impl Url {
    /// Reads one; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Url, String> {
        let rest = text
            .strip_prefix("amqp://")
            .ok_or_else(|| format!("'{text}' does not begin with amqp://"))?;
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(path)),
            None => (rest, None),
        };
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (login, place),
            None => ("guest:guest", authority),
        };
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        // The last colon of an IPv6 address stands within its brackets.
        let has_port = place
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if place.is_empty() {
            return Err(format!("'{text}' names no host"));
        }
        Ok(Url {
            address: match has_port {
                true => place.to_owned(),
                false => format!("{place}:{PORT}"),
            },
            user: plain(user)?,
            password: plain(password)?,
            virtual_host: match path {
                None | Some("") => "/".to_owned(),
                Some(path) => plain(path)?,
            },
        })
    }
}

/// Undoes `%2f` and its like.
pub fn plain(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let hex = behind
            .get(..2)
            .and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.ok_or_else(|| format!("'{text}' has a % without two digits behind it"))?);
        rest = &behind[2..];
    }
    String::from_utf8(bytes).map_err(|_| format!("'{text}' is not UTF-8"))
}

const PORT: u16 = 5672;

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, String, String) {
        let url = Url::parse(text).unwrap();
        (url.address, url.user, url.password, url.virtual_host)
    }

    #[test]
    fn every_part_but_the_host_may_be_left_out() {
        let of = |a: &str, u: &str, p: &str, v: &str| (a.into(), u.into(), p.into(), v.into());
        assert_eq!(parts("amqp://h"), of("h:5672", "guest", "guest", "/"));
        assert_eq!(parts("amqp://h:1/"), of("h:1", "guest", "guest", "/"));
        assert_eq!(
            parts("amqp://a%40b:c%3a@h:1/%2fx"),
            of("h:1", "a@b", "c:", "/x")
        );
        assert_eq!(parts("amqp://u@[::1]/v"), of("[::1]:5672", "u", "", "v"));
        assert_eq!(
            parts("amqp://[::1]:7"),
            of("[::1]:7", "guest", "guest", "/")
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("http://h", "begin with amqp://"),
            ("amqp:///v", "names no host"),
            ("amqp://h/%2", "two digits"),
            ("amqp://h/%ff", "not UTF-8"),
        ] {
            let error = Url::parse(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
