//! A place in a queue as the command line names it, in the words of `x-stream-offset`.

use bongsu_record::Value;

/// Reads `first`, `last`, `next`, an offset, a span of time (`2h`: so long ago) or a time
/// (`2026-11-21`, `2026-11-21T13:05`, `…:05:30`, `…Z`, `…+09:00`; UTC unless it says).
pub fn parse(text: &str) -> Result<Value, String> {
    if let Ok(offset) = text.parse::<i64>()
        && offset >= 0
    {
        return Ok(Value::Int(offset));
    }
    let is_span = bongsu_engine::stream::age::parse_ms(text).is_some();
    if is_span || ["first", "last", "next"].contains(&text) {
        return Ok(Value::Text(text.to_owned()));
    }
    let seconds = unix_seconds(text).and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map(Value::Time).ok_or_else(|| {
        "expected first, last, next, an offset, a span like 2h or a time like 2026-11-21T13:05Z"
            .to_owned()
    })
}

fn unix_seconds(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, ""));
    let [year, month, day] = numbers(date, '-')?;
    let (time, zone) = match time.find(['Z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, ""),
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
    Some(days * 86_400 + hour * 3600 + minute * 60 + second - zone_seconds(zone)?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_streams() {
        for text in ["first", "last", "next", "2h", "7D"] {
            assert_eq!(parse(text), Ok(Value::Text(text.to_owned())));
        }
        assert_eq!(parse("0"), Ok(Value::Int(0)));
        assert_eq!(parse("123"), Ok(Value::Int(123)));
        // As `date -u -d … +%s` has them.
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("1972-03-01", 68_256_000),
            ("2000-02-29T12:00Z", 951_825_600),
            ("2026-11-21T13:05:30Z", 1_795_266_330),
            ("2026-11-21 13:05:30", 1_795_266_330),
            ("2026-11-21T13:05+09:00", 1_795_233_900),
            ("2026-11-21T13:05-00:30", 1_795_268_100),
        ] {
            assert_eq!(parse(text), Ok(Value::Time(seconds)), "{text}");
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
            "2026-11-21T13:05X",
            "2026-11-21T13:05+9",
            "1960-01-01",
            "2026-11-21T13:05Z ",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
