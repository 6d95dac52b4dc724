//! When a certificate ends: as much of X.509 (RFC 5280) as that takes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The Unix time, in seconds, at which the first certificate of a PEM file ends.
pub fn ends_at(pem: &str) -> Option<i64> {
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let body: String = body.split_whitespace().collect();
    let der = STANDARD.decode(body).ok()?;
    let (_, certificate, _) = element(&der)?;
    let (_, to_be_signed, _) = element(certificate)?;
    let mut rest = to_be_signed;
    // The version is optional, and tagged.
    if let Some((VERSION, _, behind)) = element(rest) {
        rest = behind;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, rest) = element(validity)?;
    let (tag, time, _) = element(rest)?;
    unix_seconds(tag, std::str::from_utf8(time).ok()?)
}

/// Tag, content, and what is behind.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let (digits, behind) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        length = digits
            .iter()
            .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
        rest = behind;
    }
    let (content, behind) = rest.split_at_checked(length)?;
    Some((tag, content, behind))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn unix_seconds(tag: u8, text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let year: i64 = text.get(..2)?.parse().ok()?;
            (
                if year < 50 { 2000 + year } else { 1900 + year },
                text.get(2..)?,
            )
        }
        _ => (text.get(..4)?.parse().ok()?, text.get(4..)?),
    };
    let mut parts = [0_i64; 5];
    for (index, part) in parts.iter_mut().enumerate() {
        *part = rest.get(index * 2..index * 2 + 2)?.parse().ok()?;
    }
    let [month, day, hour, minute, second] = parts;
    // Days from civil, as Howard Hinnant has it: years that begin in March.
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_time_are_read() {
        // As `date -u -d … +%s` has them.
        assert_eq!(unix_seconds(UTC_TIME, "261121130530Z"), Some(1_795_266_330));
        assert_eq!(unix_seconds(0x18, "20000229120000Z"), Some(951_825_600));
        assert_eq!(unix_seconds(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(unix_seconds(UTC_TIME, "26112113Z"), None);
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        for text in [
            "",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\n%%\n-----END CERTIFICATE-----",
        ] {
            assert_eq!(ends_at(text), None, "{text}");
        }
    }
}
