//! What a record says of the trace it is part of: W3C Trace Context.
//!
//! ```text
//! traceparent  version "-" trace-id "-" parent-id "-" trace-flags     lower case hex
//!              00          32 digits    16 digits     2 digits, bit 0: sampled
//! tracestate   what vendors add: passed on, not looked at
//! ```

use std::sync::Arc;

use bongsu_record::message::Message;

/// A trace, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) trace: [u8; 16],
    /// The span that caused what is done with this context.
    pub(crate) parent: Option<[u8; 8]>,
    /// As vendors want it passed on.
    pub(crate) state: Option<Arc<str>>,
}

/// Whether a record is traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Its publisher wants it.
    Traced(Context),
    /// Its publisher does not.
    Untraced,
    /// Its publisher says nothing, or nothing that can be read.
    Undecided,
}

/// What the message says.
pub(crate) fn decision(message: &Message<'_>) -> Decision {
    let Some(parent) = message.text_header(TRACEPARENT).and_then(parse) else {
        return Decision::Undecided;
    };
    if !parent.sampled {
        return Decision::Untraced;
    }
    let state = message.text_header(TRACESTATE);
    let state = state.filter(|state| !state.is_empty() && state.len() <= STATE_BYTES_MAX);
    let state = state.and_then(|state| std::str::from_utf8(state).ok());
    Decision::Traced(Context {
        trace: parent.trace,
        parent: Some(parent.span),
        state: state.map(Arc::from),
    })
}

/// A `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parent {
    trace: [u8; 16],
    span: [u8; 8],
    sampled: bool,
}

/// Of a later version, what is known of it is read (2.2.4 there).
fn parse(text: &[u8]) -> Option<Parent> {
    let known = text.get(..PARENT_BYTES)?;
    let version: [u8; 1] = hex(&known[..2])?;
    let ends = match text.get(PARENT_BYTES) {
        None => true,
        Some(next) => version[0] > 0 && *next == b'-',
    };
    let dashes = [2, 35, 52].iter().all(|at| known[*at] == b'-');
    let parent = Parent {
        trace: hex(&known[3..35])?,
        span: hex(&known[36..52])?,
        sampled: hex::<1>(&known[53..])?[0] & SAMPLED != 0,
    };
    let valid = version[0] != 0xff && parent.trace != [0; 16] && parent.span != [0; 8];
    (ends && dashes && valid).then_some(parent)
}

/// Lower case only, as the specification says.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

const TRACEPARENT: &[u8] = b"traceparent";
const TRACESTATE: &[u8] = b"tracestate";
/// Of version 00.
const PARENT_BYTES: usize = 55;
const SAMPLED: u8 = 1;
/// What the specification asks everybody to pass on, at least.
const STATE_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_read_as_the_specification_says() {
        let text = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let parent = parse(text).expect("the specification's example");
        assert_eq!(parent.trace[..2], [0x0a, 0xf7]);
        assert_eq!(parent.span[6..], [0x33, 0x31]);
        assert!(parent.sampled);
        let of_flags = |flags: &str| {
            let mut text = text.to_vec();
            text.splice(53.., flags.bytes());
            parse(&text).map(|parent| parent.sampled)
        };
        assert_eq!(of_flags("00"), Some(false));
        assert_eq!(of_flags("03"), Some(true), "other flags are passed over");
        assert_eq!(of_flags("0x"), None);
        assert_eq!(of_flags("011"), None);
        let later = b"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more";
        assert!(parse(later).is_some_and(|parent| parent.sampled));
        let wrong: [&[u8]; 8] = [
            b"",
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            b"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            b"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            b"00-00000000000000000000000000000000-b7ad6b7169203331-01",
            b"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            b"00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ];
        for text in wrong {
            assert_eq!(parse(text), None, "{}", String::from_utf8_lossy(text));
        }
    }
}
