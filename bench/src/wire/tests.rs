use super::*;

/// Feeds `bytes` in pieces of `step` and returns the kinds and payload lengths that came out.
fn scan(bytes: &[u8], step: usize) -> Result<Vec<(u8, usize)>, Malformed> {
    let mut input = Input::new(2 * FRAME_BYTES_MAX as usize);
    let mut seen = Vec::new();
    for piece in bytes.chunks(step) {
        input.space()[..piece.len()].copy_from_slice(piece);
        input.filled(piece.len());
        while let Some(frame) = input.next_frame()? {
            seen.push((frame.kind, frame.payload.len()));
        }
    }
    Ok(seen)
}

#[test]
fn method_frame_has_the_specified_bytes() {
    let frame = Method::new(1, QUEUE_DECLARE)
        .short(0)
        .shortstr("q")
        .octet(0b10)
        .empty_table()
        .finish();
    let expected =
        b"\x01\x00\x01\x00\x00\x00\x0d\x00\x32\x00\x0a\x00\x00\x01q\x02\x00\x00\x00\x00\xce";
    assert_eq!(frame, expected);
}

#[test]
fn content_has_the_specified_bytes() {
    let mut out = Vec::new();
    push_content(&mut out, 1, &PLAIN, b"hi");
    let header = b"\x02\x00\x01\x00\x00\x00\x0f\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x10\x00\x02\xce";
    assert_eq!(&out[..header.len()], header);
    assert_eq!(&out[header.len()..], b"\x03\x00\x01\x00\x00\x00\x02hi\xce");
}

#[test]
fn headers_and_priority_stand_where_the_specification_puts_them() {
    let mut out = Vec::new();
    let properties = Properties {
        persistent: true,
        priority: Some(9),
        headers: &[("g", Value::Text("ab")), ("d", Value::Short(-1))],
    };
    push_content(&mut out, 1, &properties, b"");
    let header =
        b"\x02\x00\x01\x00\x00\x00\x24\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x38\x00\
        \x00\x00\x00\x10\x01gS\x00\x00\x00\x02ab\x01dI\xff\xff\xff\xff\x02\x09\xce";
    assert_eq!(out, header);
}

#[test]
fn body_over_the_frame_limit_is_split() {
    let mut out = Vec::new();
    push_content(&mut out, 1, &PLAIN, &vec![0; 200_000]);
    assert_eq!(
        scan(&out, 50_000).unwrap(),
        [(HEADER, 15), (BODY, 131_064), (BODY, 68_936)]
    );
}

#[test]
fn frames_cut_anywhere_come_out_whole() {
    let mut out = Method::new(1, BASIC_ACK).longlong(7).octet(1).finish();
    push_content(&mut out, 1, &PLAIN, &[0; 100]);
    for step in 1..=out.len() {
        assert_eq!(
            scan(&out, step).unwrap(),
            [(METHOD, 13), (HEADER, 15), (BODY, 100)],
            "{step}"
        );
    }
}

#[test]
fn wrong_end_octet_and_huge_size_are_malformed() {
    assert_eq!(
        scan(b"\x01\x00\x01\x00\x00\x00\x01\x00\x00", 9),
        Err(Malformed::FrameEnd(0))
    );
    assert_eq!(
        scan(b"HTTP/1.1 400 Bad", 16),
        Err(Malformed::FrameSize(0x502f_312e))
    );
}

const PLAIN: Properties<'_> = Properties {
    persistent: true,
    priority: None,
    headers: &[],
};
