use super::*;

const MAX: usize = 64;

fn framed(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write(kind, 7, &mut out, |out| out.extend_from_slice(payload));
    out
}

#[test]
fn a_frame_comes_back_as_it_was_written_and_not_before_it_is_whole() {
    let bytes = framed(METHOD, b"payload");
    for end in 0..bytes.len() {
        assert_eq!(scan(&bytes[..end], MAX), Ok(None), "cut at {end}");
    }
    let frame = Frame {
        kind: METHOD,
        channel: 7,
        payload: b"payload",
    };
    assert_eq!(scan(&bytes, MAX), Ok(Some((frame, bytes.len()))));
}

#[test]
fn overhead_is_not_counted_against_the_limit() {
    assert!(scan(&framed(BODY, &[0; MAX]), MAX).is_ok());
    let too_large = FrameMalformed::TooLarge {
        kind: BODY,
        bytes: MAX + 1,
        bytes_max: MAX - OVERHEAD_BYTES,
    };
    // Judged by the first seven bytes alone.
    assert_eq!(scan(&framed(BODY, &[0; MAX + 1])[..7], MAX), Err(too_large));
}

#[test]
fn kind_and_end_are_checked() {
    assert_eq!(scan(b"\x04", MAX), Err(FrameMalformed::Kind(4)));
    let mut bytes = framed(METHOD, b"");
    *bytes.last_mut().unwrap() = 0x41;
    let end = FrameMalformed::End {
        kind: METHOD,
        found: 0x41,
    };
    assert_eq!(scan(&bytes, MAX), Err(end));
}
