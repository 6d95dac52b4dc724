//! Spans of time as RabbitMQ writes them in `x-max-age` and `x-stream-offset`: a number
//! from 1 up and one of `Y M D h m s`, without anything before, between or behind. A year
//! has 365 days and a month has 30.

/// Milliseconds; none if the text is no such span. A span beyond `u64` is the longest.
pub fn parse_ms(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    if number.is_empty() || number.bytes().all(|digit| digit == b'0') {
        return None;
    }
    let unit_ms = match unit {
        "Y" => 365 * DAY_MS,
        "M" => 30 * DAY_MS,
        "D" => DAY_MS,
        "h" => 3_600_000,
        "m" => 60_000,
        "s" => 1_000,
        _ => return None,
    };
    // Only digits: what does not parse is too long.
    let number: u64 = number.parse().unwrap_or(u64::MAX);
    Some(number.saturating_mul(unit_ms))
}

/// What [`parse_ms`] takes, for people.
pub const ACCEPTED: &str = "a span of time like 7D (units Y, M, D, h, m, s)";

const DAY_MS: u64 = 86_400_000;
