use super::*;

fn refusal(expiration: &str) -> String {
    match expiration_ms(expiration.as_bytes()) {
        Ok(ms) => ms.to_string(),
        Err(exception) => exception.text,
    }
}

#[test]
fn an_expiration_is_milliseconds_in_digits_and_refused_in_rabbitmqs_words() {
    let front = "PRECONDITION_FAILED - invalid expiration";
    for (expiration, said) in [
        ("0", "0".to_owned()),
        ("-0", "0".to_owned()),
        ("0060000", "60000".to_owned()),
        ("+5", "5".to_owned()),
        ("315360000000", "315360000000".to_owned()),
        (
            "315360000001",
            format!("{front} '315360000001': {{value_too_large,315360000001}}"),
        ),
        (
            "99999999999999999999999",
            format!(
                "{front} '99999999999999999999999': {{value_too_large,99999999999999999999999}}"
            ),
        ),
        ("-07", format!("{front} '-07': {{value_negative,-7}}")),
        ("", format!("{front} '': no_integer")),
        ("soon", format!("{front} 'soon': no_integer")),
        ("+", format!("{front} '+': no_integer")),
        (
            "60 s",
            format!("{front} '60 s': {{leftover_string,\" s\"}}"),
        ),
    ] {
        assert_eq!(refusal(expiration), said);
    }
}

fn header(letter: u8, value: &[u8]) -> Header<'_> {
    let (name, bytes) = (&b""[..], 0);
    Header {
        name,
        letter,
        value,
        bytes,
    }
}

#[test]
fn a_time_of_delivery_is_an_integer_or_a_timestamp() {
    let at = |letter, value: &[u8]| unix_ms("x-deliver-at", &header(letter, value)).ok();
    let now = 1_700_000_000_123_u64;
    assert_eq!(at(b'l', &now.to_be_bytes()), Some(now));
    assert_eq!(
        at(b'T', &1_700_000_000_u64.to_be_bytes()),
        Some(1_700_000_000_000)
    );
    assert_eq!(at(b'T', &u64::MAX.to_be_bytes()), Some(u64::MAX));
    assert_eq!(at(b'i', &u32::MAX.to_be_bytes()), Some(u64::from(u32::MAX)));
    assert_eq!(at(b'I', &(-1_i32).to_be_bytes()), Some(0));
    assert_eq!(at(b'b', &[200]), Some(0));
    assert_eq!(at(b'B', &[200]), Some(200));
    for letter in b"SDFAdftxV" {
        assert_eq!(at(*letter, &[0; 8]), None, "{letter}");
    }
}

#[test]
fn keys_are_the_strings_of_an_array() {
    let array = b"S\0\0\0\x01aI\0\0\0\x07S\0\0\0\x02\xFF\xFES\0\0\0\x01b";
    assert_eq!(keys("CC", &header(b'A', array)).unwrap(), ["a", "b"]);
    let refused = keys("CC", &header(b'S', b"a")).unwrap_err();
    let text =
        "PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,\"CC\",longstr}";
    assert_eq!((refused.code, refused.text.as_str()), (406, text));
}
