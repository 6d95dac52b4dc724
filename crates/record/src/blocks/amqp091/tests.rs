use proptest::prelude::*;

use super::*;

fn headers(names: &[(&str, Value)]) -> Arguments {
    let owned = names.iter();
    owned
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect()
}

#[test]
fn headers_are_added_and_the_rest_is_copied() {
    // Content type, a header of a width we do not write, delivery mode, expiration, app id.
    let block = b"\xb1\x08\x02ct\0\0\0\x08\x01as\0\x01\x01bV\x02\x0260\x02ai";
    let delivered = [("x", &Value::Int(2)), ("b", &Value::Bool(true))];
    assert_eq!(
        with_headers(block, &delivered),
        Ok(b"\xb1\x08\x02ct\0\0\0\x14\x01as\0\x01\x01xl\0\0\0\0\0\0\0\x02\x01bt\x01\x02\x0260\x02ai".to_vec())
    );
}

#[test]
fn a_block_without_headers_gets_some() {
    assert_eq!(
        with_headers(b"\x10\0\x02", &[("n", &Value::Nothing)]),
        Ok(b"\x30\0\0\0\0\x03\x01nV\x02".to_vec())
    );
    // A second word of flags without any is not copied.
    assert_eq!(
        with_headers(b"\0\x01\0\0", &[("n", &Value::Nothing)]),
        Ok(b"\x20\0\0\0\0\x03\x01nV".to_vec())
    );
}

#[test]
fn malformed_blocks_get_no_headers() {
    let block = b"\xb1\x08\x02ct\0\0\0\x08\x01as\0\x01\x01bV\x02\x0260\x02ai";
    for length in 0..block.len() {
        assert!(
            with_headers(&block[..length], &[]).is_err(),
            "{length} bytes"
        );
    }
    let mut unknown = *block;
    unknown[11] = b'?';
    assert_eq!(
        with_headers(&unknown, &[]),
        Err(BlockMalformed::Table(TableMalformed::Type(b'?')))
    );
    let mut beyond = *block;
    beyond[11] = b'S';
    assert_eq!(
        with_headers(&beyond, &[]),
        Err(BlockMalformed::Table(TableMalformed::Short))
    );
}

proptest! {
    #[test]
    fn new_headers_win_and_nothing_else_changes(
        old in prop::collection::btree_map("[a-f]{0,2}", any::<i64>(), 0..6),
        new in prop::collection::btree_map("[a-f]{0,2}", any::<bool>(), 0..4),
        texts in prop::collection::vec(prop::option::of("[a-z]{0,9}"), 4),
        expiration_ms in prop::option::of(any::<u32>()),
        persistent in any::<bool>(),
    ) {
        let text = |index: usize| texts[index].as_ref().map(|text| text.as_bytes());
        let properties = Properties {
            content_type: text(0),
            content_encoding: text(1),
            reply_to: text(2),
            app_id: text(3),
            expiration: expiration_ms.map(|ms| std::time::Duration::from_millis(u64::from(ms))),
            ..Properties::default()
        };
        let old: Vec<_> = old.iter().map(|(name, int)| (name.as_str(), Value::Int(*int))).collect();
        let new: Vec<_> = new.iter().map(|(name, on)| (name.as_str(), Value::Bool(*on))).collect();
        let mut block = Vec::new();
        encode(properties, headers(&old), persistent, &mut block);
        let borrowed: Vec<_> = new.iter().map(|(name, value)| (*name, value)).collect();
        let changed = with_headers(&block, &borrowed).expect("an encoder's block");
        let before = read(&block).expect("an encoder's block");
        let after = read(&changed).expect("a block");
        prop_assert_eq!(after.properties, before.properties);
        prop_assert_eq!(after.delivery_mode, before.delivery_mode);
        let mut expected = headers(&old);
        expected.extend(headers(&new));
        prop_assert_eq!(after.headers(), Ok(expected));
    }

    #[test]
    fn any_bytes_are_refused_or_stay_a_block(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(changed) = with_headers(&bytes, &[("a", &Value::Int(1))]) {
            prop_assert!(read(&changed).is_ok());
        }
    }
}
