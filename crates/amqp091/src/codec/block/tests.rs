use super::*;
use bongsu_record::blocks::amqp091::read;
use bongsu_record::{Arguments, Value, table};

/// content-type `t`, the headers, delivery mode 2, reply-to `r`, message-id `m`.
fn block(entries: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = vec![0x92, 0x80, 1, b't'];
    if let Some(entries) = entries {
        bytes[0] |= 0x20;
        bytes.extend_from_slice(&u32::try_from(entries.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(entries);
    }
    bytes.extend_from_slice(b"\x02\x01r\x01m");
    bytes
}

#[test]
fn a_header_goes_and_all_else_stays() {
    let with = block(Some(
        b"\x01at\x01\x03BCCA\0\0\0\x06S\0\0\0\x01q\x01zI\0\0\0\x07",
    ));
    let without = block(Some(b"\x01at\x01\x01zI\0\0\0\x07"));
    assert_eq!(without_header(&with, "BCC"), without);
    assert_eq!(without_header(&without, "BCC"), without);
    assert_eq!(without_header(&block(None), "BCC"), block(None));
}

#[test]
fn the_last_header_leaves_an_empty_table() {
    let with = block(Some(b"\x03BCCA\0\0\0\0"));
    assert_eq!(without_header(&with, "BCC"), block(Some(b"")));
}

#[test]
fn the_reply_address_is_replaced() {
    let with = with_reply_to(&block(Some(b"\x01at\x01")), "amq.rabbitmq.reply-to.x");
    let properties = read(&with).unwrap().properties;
    assert_eq!(properties.reply_to, Some(&b"amq.rabbitmq.reply-to.x"[..]));
    assert_eq!(properties.message_id, Some(&b"m"[..]));
    assert_eq!(with_reply_to(&[0, 0], "x"), [0, 0]);
}

#[test]
fn headers_and_elements_are_told_as_they_stand() {
    let mut table_bytes = Vec::new();
    let list = vec![Value::Text("a".to_owned()), Value::Int(1)];
    let arguments = Arguments::from([
        ("CC".to_owned(), Value::List(list)),
        ("n".to_owned(), Value::Nothing),
    ]);
    table::encode(&arguments, &mut table_bytes);
    let found: Vec<_> = headers(&table_bytes).collect();
    assert_eq!((found[0].name, found[0].letter), (&b"CC"[..], b'A'));
    assert_eq!((found[1].name, found[1].letter), (&b"n"[..], b'V'));
    let bytes: usize = found.iter().map(|header| header.bytes).sum();
    assert_eq!(bytes + 4, table_bytes.len());
    let one = 1_i64.to_be_bytes();
    let expected: [(u8, &[u8]); 2] = [(b'S', b"a"), (b'l', &one)];
    assert_eq!(elements(found[0].value).collect::<Vec<_>>(), expected);
    assert_eq!(headers(&table_bytes[..table_bytes.len() - 1]).count(), 1);
    assert_eq!(elements(b"S\0\0\0\x09a").count(), 0);
}
