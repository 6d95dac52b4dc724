use proptest::prelude::*;

use super::*;

/// Where arbitrary arguments come from.
pub(in crate::codec) struct Source<'a> {
    numbers: u64,
    text: &'a str,
    bytes: &'a [u8],
    table: &'a [u8],
}

pub(in crate::codec) trait Sample<'a> {
    fn sample(from: &mut Source<'a>) -> Self;
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl<'a> Sample<'a> for $type {
            fn sample(from: &mut Source<'a>) -> $type {
                from.numbers = from.numbers.rotate_left(13).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                from.numbers as $type
            }
        }
    )*};
}
numbers!(u8, u16, u32, u64);

impl<'a> Sample<'a> for &'a str {
    fn sample(from: &mut Source<'a>) -> &'a str {
        from.text
    }
}

impl<'a> Sample<'a> for Long<'a> {
    fn sample(from: &mut Source<'a>) -> Long<'a> {
        Long(from.bytes)
    }
}

impl<'a> Sample<'a> for Table<'a> {
    fn sample(from: &mut Source<'a>) -> Table<'a> {
        Table(from.table)
    }
}

fn table_of(content: &[u8]) -> Vec<u8> {
    let mut table = u32::try_from(content.len()).unwrap().to_be_bytes().to_vec();
    table.extend_from_slice(content);
    table
}

proptest! {
    #[test]
    fn every_method_survives_a_round_trip_and_no_cut_of_it_does(
        numbers in 1u64..,
        text in "\\PC{0,60}",
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let table = table_of(&bytes);
        let mut from = Source { numbers, text: &text, bytes: &bytes, table: &table };
        for row in 0..IDS.len() {
            let method = sample(row, &mut from);
            let mut out = Vec::new();
            method.write(9, &mut out);
            let (frame, length) = frame::scan(&out, 1 << 20).unwrap().unwrap();
            prop_assert_eq!(length, out.len());
            prop_assert_eq!(frame.channel, 9);
            prop_assert_eq!(Method::decode(frame.payload), Ok(method));
            for end in 0..frame.payload.len() {
                prop_assert!(Method::decode(&frame.payload[..end]).is_err());
            }
            let mut longer = frame.payload.to_vec();
            longer.push(0);
            prop_assert_eq!(Method::decode(&longer), Err(Malformed::Trailing));
        }
    }

    #[test]
    fn any_bytes_decode_or_are_malformed(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Method::decode(&bytes);
        let _ = frame::scan(&bytes, 4096);
        let _ = super::super::content::decode(&bytes);
    }
}

#[test]
fn numbers_of_methods_are_what_the_specification_says() {
    let spot = [
        (Method::ConnectionBlocked { reason: "" }, (10, 60)),
        (Method::ExchangeUnbindOk {}, (40, 51)),
        (Method::QueueUnbindOk {}, (50, 51)),
        (
            Method::BasicNack {
                delivery_tag: 0,
                bits: 0,
            },
            (60, 120),
        ),
        (Method::ConfirmSelectOk {}, (85, 11)),
        (Method::TxRollbackOk {}, (90, 31)),
    ];
    for (method, id) in spot {
        assert_eq!(method.id(), id, "{}", method.name());
    }
    assert_eq!(
        Method::decode(&[0, 50, 0, 99]),
        Err(Malformed::Method(50, 99))
    );
}
