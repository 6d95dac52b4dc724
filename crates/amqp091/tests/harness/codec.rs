//! What every decoder promises, on one input.

use bongsu_amqp091::codec::content;
use bongsu_amqp091::codec::frame::{self, Frame};
use bongsu_amqp091::codec::method::Method;

/// No panic; and what was decoded is written again as it was.
pub fn decode(bytes: &[u8]) {
    payload(bytes);
    let mut rest = bytes;
    while let Ok(Some((frame, length))) = frame::scan(rest, 4096) {
        let mut out = Vec::new();
        frame::write(frame.kind, frame.channel, &mut out, |out| {
            out.extend_from_slice(frame.payload);
        });
        assert_eq!(out, &rest[..length]);
        rest = &rest[length..];
        payload(frame.payload);
    }
}

fn payload(payload: &[u8]) {
    if let Ok(method) = Method::decode(payload) {
        let mut out = Vec::new();
        method.write(1, &mut out);
        let again = Frame {
            kind: frame::METHOD,
            channel: 1,
            payload,
        };
        assert_eq!(
            frame::scan(&out, payload.len() + 8),
            Ok(Some((again, out.len())))
        );
    }
    if let Ok(header) = content::decode(payload) {
        assert!(payload.ends_with(header.block));
    }
}
