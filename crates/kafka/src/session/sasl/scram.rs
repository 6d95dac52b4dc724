//! SCRAM's messages (RFC 5802, section 7), the server's side; what is proven by them is
//! [`bongsu_engine::access::scram`]'s.
//!
//! ```text
//! client  n,[a=user],n=user,r=NONCE[,extension=…]
//! server  r=NONCE NONCE,s=SALT,i=4096
//! client  c=BASE64(n,[a=user],),r=NONCE NONCE[,extension=…],p=PROOF
//! server  v=SIGNATURE
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub(super) use bongsu_engine::access::scram::Mechanism;

/// What the client said first.
#[derive(Debug)]
pub(super) struct First {
    pub(super) user: String,
    /// `n,[a=user],`
    header: String,
    /// What follows it.
    bare: String,
    nonce: String,
}

/// What has been said so far.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) user: String,
    header: String,
    nonce: String,
    /// What both have said, without the header.
    said: String,
}

impl First {
    /// `None` if it is not as it should be, or asks for what is not offered: a binding to
    /// the channel, to act for somebody else, a delegation token.
    pub(super) fn read(said: &[u8]) -> Option<First> {
        let text = std::str::from_utf8(said).ok()?;
        let (binding, rest) = text.split_once(',')?;
        let (acts_for, bare) = rest.split_once(',')?;
        // `y`: the client could bind to a channel, and believes that the server cannot.
        if !matches!(binding, "n" | "y") {
            return None;
        }
        let mut parts = bare.split(',');
        let user = named(parts.next()?.strip_prefix("n=")?)?;
        let nonce = parts.next()?.strip_prefix("r=")?;
        let is_token = parts.any(|part| part == "tokenauth=true");
        let for_itself = match acts_for.strip_prefix("a=") {
            Some(name) => named(name)? == user,
            None => acts_for.is_empty(),
        };
        if user.is_empty() || nonce.is_empty() || is_token || !for_itself {
            return None;
        }
        Some(First {
            header: text[..text.len() - bare.len()].to_owned(),
            nonce: nonce.to_owned(),
            bare: bare.to_owned(),
            user,
        })
    }

    /// What the server says to it; its part of the nonce is printable and has no comma.
    pub(super) fn answered(
        self,
        salt: &[u8],
        iterations: u32,
        server_nonce: &str,
    ) -> (Exchange, String) {
        let nonce = format!("{}{server_nonce}", self.nonce);
        let says = format!("r={nonce},s={},i={iterations}", STANDARD.encode(salt));
        let exchange = Exchange {
            user: self.user,
            header: self.header,
            said: format!("{},{says}", self.bare),
            nonce,
        };
        (exchange, says)
    }
}

impl Exchange {
    /// All that was said and the proof, of what the client says last; `None` if it is not
    /// as it should be.
    pub(super) fn ended(&self, said: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let text = std::str::from_utf8(said).ok()?;
        let (without_proof, proof) = text.rsplit_once(",p=")?;
        let mut parts = without_proof.split(',');
        let header = parts.next()?.strip_prefix("c=")?;
        let nonce = parts.next()?.strip_prefix("r=")?;
        if STANDARD.decode(header).ok()? != self.header.as_bytes() || nonce != self.nonce {
            return None;
        }
        let auth_message = format!("{},{without_proof}", self.said);
        Some((auth_message.into_bytes(), STANDARD.decode(proof).ok()?))
    }
}

/// What the server says last.
pub(super) fn verifier(signature: &[u8]) -> String {
    format!("v={}", STANDARD.encode(signature))
}

/// A name in which commas and equal signs are spelt out.
fn named(spelt: &str) -> Option<String> {
    let mut name = String::with_capacity(spelt.len());
    let mut parts = spelt.split('=');
    name.push_str(parts.next()?);
    for part in parts {
        let (sign, rest) = part.split_at_checked(2)?;
        name.push(match sign {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        name.push_str(rest);
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelt_with_signs() {
        assert_eq!(named("a=2Cb=3D").as_deref(), Some("a,b="));
        assert_eq!(named("plain").as_deref(), Some("plain"));
        for wrong in ["a=", "a=2", "a=2c", "a=41b", "=\u{e9}"] {
            assert_eq!(named(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_exchange_is_what_was_said() {
        let first = First::read(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO").unwrap();
        assert_eq!(first.user, "user");
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let (exchange, says) = first.answered(&salt, 4096, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let expected = format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        assert_eq!(says, expected);
        let last = format!("c=biws,r={nonce},p=AAAA");
        let (all, proof) = exchange.ended(last.as_bytes()).unwrap();
        let expected = format!("n=user,r=rOprNGfwEbeRWgbNEkqO,{says},c=biws,r={nonce}");
        assert_eq!(String::from_utf8(all).unwrap(), expected);
        assert_eq!(proof, [0, 0, 0]);
        for wrong in [
            format!("c=eSws,r={nonce},p=AAAA"),
            format!("c=biws,r={nonce}x,p=AAAA"),
            format!("c=biws,r={nonce}"),
            format!("c=biws,r={nonce},p=A"),
            format!("r={nonce},p=AAAA"),
            String::new(),
        ] {
            assert!(exchange.ended(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_offered_is_refused() {
        assert_eq!(First::read(b"y,a=me,n=me,r=1").unwrap().header, "y,a=me,");
        for wrong in [
            "p=tls-unique,,n=user,r=1",
            "n,a=other,n=user,r=1",
            "n,,n=user,r=1,tokenauth=true",
            "n,,n=,r=1",
            "n,,n=user,r=",
            "n,,m=x,n=user,r=1",
            "n,,n=user",
            "n",
            "",
        ] {
            assert!(First::read(wrong.as_bytes()).is_none(), "{wrong}");
        }
        assert!(First::read(b"n,,n=\xff,r=1").is_none());
    }
}
