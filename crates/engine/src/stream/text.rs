//! A place in a log as people write it: in the words of `x-stream-offset`, or as a time.

use bongsu_record::Offset;

use super::{StreamOffset, age};

/// Reads `first`, `last`, `next`, an offset, a span of time (`2h`: so long ago) or a time,
/// see [`unix_ms`]. `None`: it is none of these.
pub fn parse(text: &str) -> Option<StreamOffset> {
    if text.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(offset) = text.parse()
    {
        return Some(StreamOffset::Offset(Offset(offset)));
    }
    Some(match text {
        "first" => StreamOffset::First,
        "last" => StreamOffset::Last,
        "next" => StreamOffset::Next,
        _ => match age::parse_ms(text) {
            Some(age_ms) => StreamOffset::Interval { age_ms },
            None => StreamOffset::Time {
                unix_ms: unix_ms(text).filter(|ms| *ms >= 0)?,
            },
        },
    })
}

/// Unix milliseconds of `2026-11-21`, `2026-11-21T13:05`, `…:05:30`, `…:05:30.250`, `…Z`,
/// `…+09:00`; UTC unless it says. A space may stand for the T.
pub fn unix_ms(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, ""));
    let [year, month, day] = numbers(date, '-')?;
    let (time, zone) = match time.find(['Z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, ""),
    };
    let (time, part_ms) = match time.split_once('.') {
        Some((whole, part)) if whole.matches(':').count() == 2 => (whole, milliseconds(part)?),
        Some(_) => return None,
        None => (time, 0),
    };
    let [hour, minute, second] = match time.matches(':').count() {
        0 if time.is_empty() => [0; 3],
        1 => {
            let [hour, minute] = numbers(time, ':')?;
            [hour, minute, 0]
        }
        _ => numbers(time, ':')?,
    };
    let is_time = hour < 24 && minute < 60 && second < 60;
    let is_date = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    if !is_time || !is_date {
        return None;
    }
    let days = days_before(year, month) + day - 1;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - zone_seconds(zone)?;
    Some(seconds * 1000 + part_ms)
}

/// Digits behind the point of a second; those beyond the third count for nothing.
fn milliseconds(part: &str) -> Option<i64> {
    if part.is_empty() || part.len() > 9 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{part}00")[..3].parse().ok()
}

/// What is to be taken off for UTC.
fn zone_seconds(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.chars().next() {
        None => return Some(0),
        Some('Z') => return zone[1..].is_empty().then_some(0),
        Some('-') => (-1, &zone[1..]),
        Some(_) => (1, &zone[1..]),
    };
    let [hours, minutes] = numbers(rest, ':')?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Days from 1970-01-01 to the first of the month.
fn days_before(year: i64, month: i64) -> i64 {
    let leap_days = |year: i64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    years + (1..month).map(|month| days_in(year, month)).sum::<i64>()
}

fn days_in(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn numbers<const N: usize>(text: &str, between: char) -> Option<[i64; N]> {
    let mut numbers = [0; N];
    let mut parts = text.split(between);
    for number in &mut numbers {
        let part = parts.next()?;
        let digits =
            !part.is_empty() && part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit());
        *number = part.parse().ok().filter(|_| digits)?;
    }
    parts.next().is_none().then_some(numbers)
}

/// What [`parse`] takes, for people.
pub const ACCEPTED: &str =
    "first, last, next, an offset, a span like 2h or a time like 2026-11-21T13:05Z";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_streams() {
        assert_eq!(parse("first"), Some(StreamOffset::First));
        assert_eq!(parse("last"), Some(StreamOffset::Last));
        assert_eq!(parse("next"), Some(StreamOffset::Next));
        assert_eq!(parse("12"), Some(StreamOffset::Offset(Offset(12))));
        let age_ms = 7_200_000;
        assert_eq!(parse("2h"), Some(StreamOffset::Interval { age_ms }));
        // As `date -u -d … +%s` has them.
        for (text, unix_ms) in [
            ("1970-01-01", 0),
            ("1972-03-01", 68_256_000_000),
            ("2000-02-29T12:00Z", 951_825_600_000),
            ("2026-11-21T13:05:30Z", 1_795_266_330_000),
            ("2026-11-21 13:05:30", 1_795_266_330_000),
            ("2026-11-21T13:05:30.250Z", 1_795_266_330_250),
            ("2026-11-21T13:05:30.25", 1_795_266_330_250),
            ("2026-11-21T13:05:30.123456789Z", 1_795_266_330_123),
            ("2026-11-21T13:05+09:00", 1_795_233_900_000),
            ("2026-11-21T13:05-00:30", 1_795_268_100_000),
        ] {
            assert_eq!(parse(text), Some(StreamOffset::Time { unix_ms }), "{text}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "-1",
            "2d",
            "First",
            "2026-13-01",
            "2026-02-29",
            "2026-11-21T24:00",
            "2026-11-21T13",
            "2026-11-21T13:05.5",
            "2026-11-21T13:05:30.",
            "2026-11-21T13:05:30.é",
            "2026-11-21T13:05X",
            "2026-11-21T13:05+9",
            "1960-01-01",
            "2026-11-21T13:05Z ",
            "99999999999999999999999",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
