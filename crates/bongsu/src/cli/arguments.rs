//! Values of the command line.

use serde_json::{Map, Value};

/// `NAME=VALUE`; the value is JSON if it reads as a number, `true`, `false`, a list or an
/// object, else a text.
pub fn pair(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| "expected NAME=VALUE".to_owned())?;
    let json: Option<Value> = serde_json::from_str(value).ok();
    let json = json.filter(|json| !json.is_string() && !json.is_null());
    let value = json.unwrap_or_else(|| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

/// Pairs as an object.
pub fn object(pairs: &[(String, Value)]) -> Value {
    Value::Object(pairs.iter().cloned().collect::<Map<_, _>>())
}

/// `NAME=VALUE` of texts.
pub fn text_pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "expected NAME=VALUE".to_owned())
}

/// A span of time like `30s`, `5m` or `1500ms`, in milliseconds.
pub fn span_ms(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let factor = match &text[digits..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("expected a span like 1500ms, 30s, 5m or 2h".to_owned()),
    };
    let number: Option<u64> = text[..digits].parse().ok();
    let span = number.and_then(|number| number.checked_mul(factor));
    span.ok_or_else(|| "expected a span like 30s".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_what_they_look_like() {
        let of = |text| pair(text).map(|(_, value)| value);
        assert_eq!(of("x-max-length=10"), Ok(json!(10)));
        assert_eq!(of("x-queue-type=quorum"), Ok(json!("quorum")));
        assert_eq!(of("x-lazy=true"), Ok(json!(true)));
        assert_eq!(of("a=b=c"), Ok(json!("b=c")));
        assert_eq!(of("a="), Ok(json!("")));
        assert_eq!(of("a=\"7\""), Ok(json!("\"7\"")));
        assert!(pair("a").is_err() && pair("=a").is_err());
        assert_eq!(span_ms("2m"), Ok(120_000));
        assert!(span_ms("2").is_err() && span_ms("s").is_err() && span_ms("-1s").is_err());
    }
}
