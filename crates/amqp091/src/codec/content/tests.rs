use super::*;

fn header(flags: u16, properties: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 60, 0, 0];
    bytes.extend_from_slice(&5_u64.to_be_bytes());
    bytes.extend_from_slice(&flags.to_be_bytes());
    bytes.extend_from_slice(properties);
    bytes
}

/// Every property there is, one byte or one element each.
fn all() -> (u16, Vec<u8>) {
    let mut bytes = b"\x01a\x01b".to_vec();
    bytes.extend_from_slice(b"\x00\x00\x00\x04\x01kt\x01");
    bytes.extend_from_slice(b"\x02\x09\x01c\x01d\x0260\x01e");
    bytes.extend_from_slice(&7_u64.to_be_bytes());
    bytes.extend_from_slice(b"\x01t\x05guest\x01p\x01i");
    (0xFFFC, bytes)
}

#[test]
fn properties_with_rules_are_found_and_the_block_is_kept() {
    let (flags, properties) = all();
    let bytes = header(flags, &properties);
    let found = decode(&bytes).unwrap();
    assert_eq!(found.body_bytes, 5);
    assert_eq!(found.block, &bytes[12..]);
    assert_eq!(found.delivery_mode, Some(2));
    assert_eq!(found.priority, Some(9));
    assert_eq!(found.expiration, Some(&b"60"[..]));
    assert_eq!(found.user_id, Some(&b"guest"[..]));
}

#[test]
fn a_block_cut_anywhere_or_with_bytes_behind_is_malformed() {
    let (flags, properties) = all();
    let whole = header(flags, &properties);
    for end in 0..whole.len() {
        assert!(decode(&whole[..end]).is_err(), "cut at {end}");
    }
    let mut longer = whole;
    longer.push(0);
    assert_eq!(decode(&longer), Err(Malformed::Properties));
}

#[test]
fn flags_that_no_property_stands_for_are_malformed() {
    assert_eq!(decode(&header(1, b"")), Err(Malformed::Properties));
    assert_eq!(decode(&header(2, b"")), Err(Malformed::Properties));
}

#[test]
fn what_is_accepted_here_is_accepted_by_the_reader_of_headers() {
    let (flags, properties) = all();
    let bytes = header(flags, &properties);
    let block = decode(&bytes).unwrap().block;
    assert!(bongsu_record::blocks::amqp091::read(block).is_ok());
}

#[test]
fn headers_with_rules_are_found_at_the_top_only() {
    let with = |table: &[u8]| {
        let mut properties = u32::try_from(table.len()).unwrap().to_be_bytes().to_vec();
        properties.extend_from_slice(table);
        decode(&header(0x2000, &properties)).map(|found| found.ruled.is_some())
    };
    assert_eq!(with(b"\x02CCA\0\0\0\0"), Ok(true));
    assert_eq!(with(b"\x01at\x01\x03BCCA\0\0\0\0"), Ok(true));
    assert_eq!(with(b"\x0cx-deliver-atI\0\0\0\0"), Ok(true));
    assert_eq!(with(b"\x01aS\0\0\0\x03\x02CC"), Ok(false));
    assert_eq!(with(b"\x01a?"), Err(Malformed::Properties));
    assert_eq!(with(b"\x01aS\0\0\0\x04\x02CC"), Err(Malformed::Short));
}
