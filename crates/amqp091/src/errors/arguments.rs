//! What RabbitMQ says of an argument it does not take: the reason is an Erlang term, and
//! which one depends on the argument.

use super::{Asked, Exception};

/// A value out of range.
pub(super) fn invalid_value(
    asked: Asked<'_>,
    argument: &str,
    value: &str,
    accepted: &str,
) -> Exception {
    let sentence = match (argument, accepted) {
        ("x-match", _) => {
            format!("Invalid x-match field value <<\"{value}\">>; expected {accepted}")
        }
        ("x-stream-max-segment-size-bytes", _) if !value.starts_with('-') => {
            format!("Exceeded max value for {argument}")
        }
        ("routing_key", "an integer from 1 up") if value.parse::<i64>().is_ok() => {
            "The binding key must be greater than 0".to_owned()
        }
        ("routing_key", "an integer from 1 up") if value.is_empty() => {
            "The binding key must be an integer: <<>>".to_owned()
        }
        ("routing_key", "an integer from 1 up") => {
            format!("The binding key must be an integer: <<{value:?}>>")
        }
        ("routing_key", "empty") => format!("Non empty binding '{value}' key not permitted"),
        ("hash-property", _) => format!("Unsupported property: {value}"),
        ("x-delayed-type", "another exchange type") => {
            format!("Invalid argument, '{value}' can't be used for '{argument}'")
        }
        _ => String::new(),
    };
    if !sentence.is_empty() {
        return Exception::new(406, asked.method, sentence);
    }
    if let Some(exception) = of_plugin(asked, argument) {
        return exception;
    }
    let is_int = accepted.starts_with("an integer");
    let what = match (argument, value.parse::<i64>()) {
        ("x-stream-offset", _) => {
            format!("{{invalid_stream_offset_arg,{{longstr,<<{value:?}>>}}}}")
        }
        (_, Ok(int)) if is_int && int < 0 => format!("{{value_negative,{int}}}"),
        ("x-queue-version", Ok(int)) => format!("\"unsupported queue version '{int}'\""),
        (_, Ok(0)) if is_int => "{value_zero,0}".to_owned(),
        ("x-max-priority", Ok(int)) => format!("{{max_value_exceeded,{int}}}"),
        (_, Ok(int)) if is_int => format!("{{value_too_large,{int}}}"),
        ("x-overflow", _) => "invalid_overflow".to_owned(),
        ("x-dead-letter-strategy", _) => "invalid_dlx_strategy".to_owned(),
        ("x-max-age", _) => "invalid_max_age".to_owned(),
        ("x-queue-leader-locator", _) => "invalid_queue_locator_arg".to_owned(),
        ("x-queue-mode", _) => format!("\"unsupported queue mode '{value}'\""),
        ("x-queue-type", _) => format!("\"unsupported queue type '{value}'\""),
        _ => format!("'{value}' is not {accepted}"),
    };
    invalid(asked, argument, &what)
}

/// A value of another type.
pub(super) fn wrong_type(
    asked: Asked<'_>,
    argument: &str,
    found: &str,
    accepted: &str,
) -> Exception {
    if let ("x-dead-letter-exchange" | "alternate-exchange", Some((kind, name))) =
        (argument, asked.of)
    {
        let thing = asked.thing(kind, name);
        let text = format_args!("invalid type '{found}' for arg '{argument}' in {thing}");
        return Exception::new(406, asked.method, text);
    }
    if let Some(exception) = of_plugin(asked, argument) {
        return exception;
    }
    let what = if accepted.starts_with("an integer") {
        format!("\"expected integer, got {found}\"")
    } else {
        format!("{{unacceptable_type,{found}}}")
    };
    invalid(asked, argument, &what)
}

/// What a reason is put into.
pub(super) fn invalid(asked: Asked<'_>, argument: &str, what: &str) -> Exception {
    let text = match asked.of {
        Some((kind, name)) => {
            let thing = asked.thing(kind, name);
            format!("invalid arg '{argument}' for {thing}: {what}")
        }
        None => format!("invalid arg '{argument}': {what}"),
    };
    Exception::new(406, asked.method, text)
}

/// The words of the plugin that brought these arguments.
fn of_plugin(asked: Asked<'_>, argument: &str) -> Option<Exception> {
    let text = match argument {
        "x-cache-size" => {
            "Missing or invalid argument, 'x-cache-size' must be an integer greater than 0"
        }
        "x-cache-ttl" => "Invalid argument, 'x-cache-ttl' must be an integer greater than 0",
        "x-cache-persistence" => {
            "Invalid argument, 'x-cache-persistence' must be either 'disk' or 'memory'"
        }
        "x-delayed-type" => "Invalid argument, 'x-delayed-type' must be an existing exchange type",
        _ => return None,
    };
    Some(Exception::new(406, asked.method, text))
}
