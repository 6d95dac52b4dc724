use super::*;

fn message(bytes: &[u8]) -> (usize, Option<Vec<u8>>, Vec<u8>) {
    match next(bytes).unwrap() {
        Some((used, Heard::Message(message))) => (
            used,
            message.reply.map(<[u8]>::to_vec),
            message.body.to_vec(),
        ),
        _ => panic!("no message"),
    }
}

#[test]
fn messages_have_a_reply_or_none_and_perhaps_a_header() {
    assert_eq!(
        message(b"MSG a 1 2\r\nhi\r\nMSG"),
        (15, None, b"hi".to_vec())
    );
    assert_eq!(
        message(b"MSG a 1 re.ply 2\r\n\r\n\r\n"),
        (22, Some(b"re.ply".to_vec()), b"\r\n".to_vec())
    );
    let (_, reply, body) = message(b"HMSG a 1 r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
    assert_eq!(reply, Some(b"r".to_vec()));
    assert_eq!(body, b"NATS/1.0\r\n\r\nhi");
}

#[test]
fn half_of_something_is_nothing_yet() {
    let whole = b"MSG a 1 2\r\nhi\r\n";
    for cut in 0..whole.len() {
        assert!(next(&whole[..cut]).unwrap().is_none(), "{cut}");
    }
}

#[test]
fn an_error_of_the_server_is_one() {
    assert!(next(b"-ERR 'no'\r\n").is_err());
}
