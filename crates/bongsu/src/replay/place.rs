//! A place in a queue as the command line names it, in the words of `x-stream-offset`.

use bongsu_engine::stream::text;
use bongsu_record::Value;

/// Reads `first`, `last`, `next`, an offset, a span of time (`2h`: so long ago) or a time
/// (`2026-11-21`, `2026-11-21T13:05`, `…:05:30`, `…Z`, `…+09:00`; UTC unless it says).
pub fn parse(place: &str) -> Result<Value, String> {
    if let Ok(offset) = place.parse::<i64>()
        && offset >= 0
    {
        return Ok(Value::Int(offset));
    }
    let is_span = bongsu_engine::stream::age::parse_ms(place).is_some();
    if is_span || ["first", "last", "next"].contains(&place) {
        return Ok(Value::Text(place.to_owned()));
    }
    let seconds = unix_seconds(place).and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map(Value::Time).ok_or_else(|| {
        "expected first, last, next, an offset, a span like 2h or a time like 2026-11-21T13:05Z"
            .to_owned()
    })
}

fn unix_seconds(text: &str) -> Option<i64> {
    text::unix_ms(text).map(|ms| ms.div_euclid(1000))
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
        for text in ["", "-1", "2d", "First", "2026-02-29", "1960-01-01"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
