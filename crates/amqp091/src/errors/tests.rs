use bongsu_engine::Refused;
use bongsu_engine::refused::{Kind, Permission};

use super::*;

const QUEUE_DECLARE: MethodId = (50, 10);

fn say(refused: &Refused, method: MethodId) -> String {
    let of = Some((Kind::Queue, "q"));
    let vhost = "/";
    let exception = worded(refused, Asked { vhost, method, of });
    let scope = match exception.scope {
        Scope::Channel => "channel",
        Scope::Connection => "connection",
    };
    format!("{} {scope} {}", exception.code, exception.text)
}

fn named(name: &str) -> String {
    name.to_owned()
}

/// Every refusal there is, in RabbitMQ's words.
#[test]
fn every_refusal_has_its_words() {
    let denied = |permission, kind, name: &str| Refused::Denied {
        permission,
        kind,
        name: named(name),
        user: named("guest"),
    };
    let inequivalent = |argument: &str, requested: &str, current: &str| Refused::Inequivalent {
        kind: Kind::Queue,
        name: named("q"),
        argument: named(argument),
        requested: named(requested),
        current: named(current),
    };
    let invalid = |argument: &str, value: &str, accepted| Refused::InvalidArgument {
        argument: named(argument),
        value: named(value),
        accepted,
    };
    let table = [
        (
            Refused::Login { user: named("x") },
            "403 connection ACCESS_REFUSED - Login was refused using authentication mechanism \
             PLAIN. For details see the broker logfile.",
        ),
        (
            denied(Permission::Write, Kind::Exchange, ""),
            "403 channel ACCESS_REFUSED - access to exchange 'amq.default' in vhost '/' \
             refused for user 'guest'",
        ),
        (
            denied(Permission::Configure, Kind::Queue, "q"),
            "403 channel ACCESS_REFUSED - access to queue 'q' in vhost '/' refused for \
             user 'guest'",
        ),
        (
            denied(Permission::Read, Kind::Space, "v"),
            "530 connection NOT_ALLOWED - access to vhost 'v' refused for user 'guest'",
        ),
        (
            Refused::NotFound {
                kind: Kind::Space,
                name: named("v"),
            },
            "530 connection NOT_ALLOWED - vhost v not found",
        ),
        (
            Refused::NotFound {
                kind: Kind::Queue,
                name: named("x"),
            },
            "404 channel NOT_FOUND - no queue 'x' in vhost '/'",
        ),
        (
            Refused::NotFound {
                kind: Kind::Exchange,
                name: named("x"),
            },
            "404 channel NOT_FOUND - no exchange 'x' in vhost '/'",
        ),
        (
            inequivalent("durable", "'false'", "'true'"),
            "406 channel PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost \
             '/': received 'false' but current is 'true'",
        ),
        (
            inequivalent("durable", "false", "true"),
            "406 channel PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost \
             '/': received 'false' but current is 'true'",
        ),
        (
            inequivalent("x-max-length", "none", "the value '5' of type 'signedint'"),
            "406 channel PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in \
             vhost '/': received none but current is the value '5' of type 'signedint'",
        ),
        (
            Refused::Locked { queue: named("q") },
            "405 channel RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in \
             vhost '/'. It could be originally declared on another connection or the exclusive \
             property value does not match that of the original declaration.",
        ),
        (
            Refused::Reserved {
                kind: Kind::Exchange,
                name: named("amq.x"),
            },
            "403 channel ACCESS_REFUSED - exchange name 'amq.x' contains reserved prefix 'amq.*'",
        ),
        (
            Refused::Reserved {
                kind: Kind::Exchange,
                name: named(""),
            },
            "403 channel ACCESS_REFUSED - operation not permitted on the default exchange",
        ),
        (
            Refused::InUse {
                kind: Kind::Queue,
                name: named("q"),
            },
            "406 channel PRECONDITION_FAILED - queue 'q' in vhost '/' in use",
        ),
        (
            Refused::NotEmpty { queue: named("q") },
            "406 channel PRECONDITION_FAILED - queue 'q' in vhost '/' not empty",
        ),
        (
            Refused::PartOfTopic {
                queue: named("q/1"),
                topic: named("q"),
            },
            "406 channel PRECONDITION_FAILED - queue 'q/1' in vhost '/' is a partition of queue \
             'q' in vhost '/' and is deleted with it",
        ),
        (
            Refused::ExclusiveConsumer { queue: named("q") },
            "403 channel ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use",
        ),
        (
            invalid("x-match", "some", "all or any"),
            "406 channel PRECONDITION_FAILED - Invalid x-match field value <<\"some\">>; expected \
             all or any",
        ),
        (
            Refused::UnknownExchangeType {
                name: named("pigeon"),
            },
            "503 connection COMMAND_INVALID - unknown exchange type 'pigeon'",
        ),
        (
            Refused::Internal {
                exchange: named("e"),
            },
            "403 channel ACCESS_REFUSED - cannot publish to internal exchange 'e' in vhost '/'",
        ),
        (
            Refused::Unsupported {
                what: named("x-max-priority"),
            },
            "540 connection NOT_IMPLEMENTED - x-max-priority",
        ),
        (
            Refused::Storage {
                cause: named("disk full"),
            },
            "541 connection INTERNAL_ERROR - disk full",
        ),
    ];
    for (refused, words) in &table {
        assert_eq!(say(refused, QUEUE_DECLARE), *words, "{refused:?}");
    }
}

/// What RabbitMQ says after `invalid arg '…' for queue 'q' in vhost '/'`.
#[test]
fn invalid_arguments_have_their_words() {
    let value = |argument: &str, value: &str, accepted| Refused::InvalidArgument {
        argument: named(argument),
        value: named(value),
        accepted,
    };
    let count = |argument: &str, int: &str| value(argument, int, "an integer from 1 to 255");
    let found = |argument: &str, found, accepted| Refused::ArgumentType {
        argument: named(argument),
        found,
        accepted,
    };
    let table = [
        (count("x-max-length", "-1"), ": {value_negative,-1}"),
        (count("x-expires", "0"), ": {value_zero,0}"),
        (count("x-max-priority", "256"), ": {max_value_exceeded,256}"),
        (
            count("x-expires", "315360000001"),
            ": {value_too_large,315360000001}",
        ),
        (
            count("x-queue-version", "3"),
            ": \"unsupported queue version '3'\"",
        ),
        (
            value("x-queue-type", "pigeon", "classic or quorum"),
            ": \"unsupported queue type 'pigeon'\"",
        ),
        (
            value("x-queue-mode", "x", "default"),
            ": \"unsupported queue mode 'x'\"",
        ),
        (value("x-overflow", "x", "drop-head"), ": invalid_overflow"),
        (
            value("x-dead-letter-strategy", "x", "…"),
            ": invalid_dlx_strategy",
        ),
        (value("x-max-age", "x", "…"), ": invalid_max_age"),
        (
            value("x-queue-leader-locator", "x", "…"),
            ": invalid_queue_locator_arg",
        ),
        (
            value("x-stream-offset", "x", "…"),
            ": {invalid_stream_offset_arg,{longstr,<<\"x\">>}}",
        ),
        (value("x-durability", "x", "fsync"), ": 'x' is not fsync"),
        (
            found("x-max-length", "longstr", "an integer"),
            ": \"expected integer, got longstr\"",
        ),
        (
            found("x-overflow", "signedint", "a text"),
            ": {unacceptable_type,signedint}",
        ),
        (
            Refused::ArgumentAlone {
                argument: named("x-dead-letter-routing-key"),
                needs: "x-dead-letter-exchange",
            },
            ": routing_key_but_no_dlx_defined",
        ),
        (
            Refused::NotForStreams {
                argument: named("x-expires"),
            },
            " of queue type rabbit_stream_queue",
        ),
        (
            Refused::OnlyForReaders {
                argument: named("x-stream-offset"),
            },
            " of queue type rabbit_classic_queue",
        ),
    ];
    for (refused, words) in &table {
        let said = say(refused, QUEUE_DECLARE);
        let expected = format!("for queue 'q' in vhost '/'{words}");
        assert!(said.ends_with(&expected), "{said}");
        assert!(said.starts_with("406 channel PRECONDITION_FAILED - invalid arg 'x-"));
    }
}

#[test]
fn what_streams_do_not_do_is_said_as_rabbitmq_says_it() {
    let queue = || named("q");
    let refused = |operation| Refused::NotWithStreams {
        queue: queue(),
        operation,
    };
    let not_supported = "not supported by stream queues queue 'q' in vhost '/'";
    for (operation, what) in [
        (StreamOperation::Get, "basic.get"),
        (StreamOperation::Purge, "queue.purge"),
        (StreamOperation::AutoSettle, "automatic acknowledgement"),
    ] {
        let said = say(&refused(operation), QUEUE_DECLARE);
        let expected = format!("540 connection NOT_IMPLEMENTED - {what} {not_supported}");
        assert_eq!(said, expected);
    }
    assert_eq!(
        say(&Refused::NoCredit { queue: queue() }, QUEUE_DECLARE),
        "406 channel PRECONDITION_FAILED - consumer prefetch count is not set for 'queue 'q' in vhost '/''"
    );
}

#[test]
fn some_arguments_have_a_sentence_of_their_own() {
    let invalid = |argument: &str, value: &str, accepted| Refused::InvalidArgument {
        argument: named(argument),
        value: named(value),
        accepted,
    };
    let table = [
        (
            invalid("routing_key", "0", "an integer from 1 up"),
            "The binding key must be greater than 0",
        ),
        (
            invalid("routing_key", "k", "an integer from 1 up"),
            "The binding key must be an integer: <<\"k\">>",
        ),
        (
            invalid("routing_key", "", "an integer from 1 up"),
            "The binding key must be an integer: <<>>",
        ),
        (
            invalid("routing_key", "k", "empty"),
            "Non empty binding 'k' key not permitted",
        ),
        (
            invalid("hash-property", "weight", "message_id"),
            "Unsupported property: weight",
        ),
        (
            invalid("x-delayed-type", "", "an exchange type"),
            "Invalid argument, 'x-delayed-type' must be an existing exchange type",
        ),
        (
            invalid(
                "x-delayed-type",
                "x-delayed-message",
                "another exchange type",
            ),
            "Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'",
        ),
        (
            Refused::ArgumentType {
                argument: named("x-dead-letter-exchange"),
                found: "signedint",
                accepted: "a text",
            },
            "invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'",
        ),
        (
            Refused::ArgumentsExclude {
                one: "hash-header",
                other: "hash-property",
            },
            "hash-header and hash-property are mutually exclusive",
        ),
        (
            Refused::StreamProperty {
                queue: named("q"),
                property: "non-durable",
            },
            "invalid property 'non-durable' for queue 'q' in vhost '/'",
        ),
        (
            invalid(
                "x-stream-max-segment-size-bytes",
                "3000000001",
                "an integer from 0 up",
            ),
            "Exceeded max value for x-stream-max-segment-size-bytes",
        ),
        (
            invalid("x-cache-size", "0", "an integer greater than 0"),
            "Missing or invalid argument, 'x-cache-size' must be an integer greater than 0",
        ),
    ];
    for (refused, words) in &table {
        let said = say(refused, QUEUE_DECLARE);
        assert_eq!(said, format!("406 channel PRECONDITION_FAILED - {words}"));
    }
}

#[test]
fn deleting_a_system_exchange_has_words_of_its_own() {
    let kind = Kind::Exchange;
    let name = named("amq.direct");
    assert_eq!(
        say(&Refused::Reserved { kind, name }, EXCHANGE_DELETE),
        "403 channel ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not \
         allowed"
    );
}

#[test]
fn malformed_bytes_have_their_words() {
    let end = frame_malformed(FrameMalformed::End { kind: 1, found: 65 });
    assert_eq!(
        end.text,
        "FRAME_ERROR - type 1, all octets = <<>>: {invalid_frame_end_marker,65}"
    );
    let cut = method_malformed(Malformed::Short, &[0, 50, 0, 10, 1, 2]);
    assert_eq!(cut.text, "FRAME_ERROR - cannot decode <<1,2>>");
    assert_eq!((cut.code, cut.about), (501, QUEUE_DECLARE));
    let long = method_malformed(Malformed::Trailing, &[0; 100]);
    assert!(long.text.ends_with(",0,...>>"), "{}", long.text);
    let unknown = method_malformed(Malformed::Method(50, 99), &[0, 50, 0, 99]);
    assert_eq!(unknown.text, "NOT_IMPLEMENTED - unknown method {50,99}");
}

#[test]
fn texts_are_cut_between_characters() {
    let exception = Exception::new(404, (0, 0), "봉".repeat(200));
    assert!(exception.text.len() <= 255);
    assert!(exception.text.ends_with('봉'));
}
