use super::*;

fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([command, family]);
    bytes.extend((rest.len() as u16).to_be_bytes());
    bytes.extend(rest);
    bytes
}

/// What comes of the bytes, read as from a socket, and how many of them are the header's.
fn read_of(bytes: &[u8]) -> Result<(Header, usize), Malformed> {
    let mut have = 12;
    while let Wants::More(more) = wants(&bytes[..have])? {
        have += more;
        assert!(have <= bytes.len(), "it wants more than there is");
    }
    Ok((parse(&bytes[..have])?, have))
}

fn client(source: &str, destination: &str) -> Header {
    Header::Client {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    }
}

#[test]
fn addresses_of_both_families_are_read() {
    let v4 = [203, 0, 113, 7, 192, 0, 2, 1, 0xc8, 0x22, 0x16, 0x28];
    let header = client("203.0.113.7:51234", "192.0.2.1:5672");
    assert_eq!(read_of(&binary(0x21, 0x11, &v4)), Ok((header, 28)));
    // What is added behind is not looked at, and what follows is not touched.
    let mut more = binary(0x21, 0x11, &[&v4[..], &[0x04, 0, 2, 1, 2]].concat());
    more.extend(b"AMQP");
    assert_eq!(read_of(&more), Ok((header, 33)));
    let mut v6 = vec![0x20, 1, 0x0d, 0xb8];
    v6.extend([0; 11]);
    v6.push(7);
    v6.extend([0xfd; 16]);
    v6.extend([0, 1, 0, 2]);
    let address = "fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd";
    let header = client("[2001:db8::7]:1", &format!("[{address}]:2"));
    assert_eq!(read_of(&binary(0x21, 0x21, &v6)), Ok((header, 52)));
}

#[test]
fn who_is_not_named_is_nobody() {
    assert_eq!(read_of(&binary(0x20, 0, &[])), Ok((Header::Local, 16)));
    // Whatever a proxy says of itself.
    let here = [127, 0, 0, 1, 127, 0, 0, 1, 0, 1, 0, 2];
    assert_eq!(read_of(&binary(0x20, 0x11, &here)), Ok((Header::Local, 28)));
    for family in [0x00, 0x12, 0x31] {
        let bytes = binary(0x21, family, &[0; 216]);
        assert_eq!(read_of(&bytes), Ok((Header::Unknown, 232)));
    }
}

#[test]
fn lines_are_read() {
    let line = b"PROXY TCP4 203.0.113.7 192.0.2.1 51234 5672\r\nAMQP";
    let header = client("203.0.113.7:51234", "192.0.2.1:5672");
    assert_eq!(read_of(line), Ok((header, line.len() - 4)));
    let line = b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n";
    let header = client("[2001:db8::7]:1", "[::1]:2");
    assert_eq!(read_of(line), Ok((header, line.len())));
    let unknown = b"PROXY UNKNOWN and what it likes\r\n";
    assert_eq!(read_of(unknown), Ok((Header::Unknown, unknown.len())));
}

#[test]
fn what_is_no_header_is_refused() {
    let v4 = [0; 12];
    for (bytes, why) in [
        (b"AMQP\0\0\x09\x01........".to_vec(), Malformed::Signature),
        (b"PROXYTCP4 1.2.3.4".to_vec(), Malformed::Signature),
        (binary(0x11, 0x11, &v4), Malformed::Command),
        (binary(0x22, 0x11, &v4), Malformed::Command),
        (binary(0x21, 0x11, &v4[..11]), Malformed::Addresses),
        (binary(0x21, 0x21, &[0; 35]), Malformed::Addresses),
        (binary(0x21, 0x41, &v4), Malformed::Addresses),
        (binary(0x21, 0x11, &[0; 16 * 1024 + 1]), Malformed::Length),
        (
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n".to_vec(),
            Malformed::Addresses,
        ),
        (
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n".to_vec(),
            Malformed::Addresses,
        ),
        (
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n".to_vec(),
            Malformed::Addresses,
        ),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec(), Malformed::Addresses),
        (
            b"PROXY TCP4 localhost 1.2.3.4 1 2\r\n".to_vec(),
            Malformed::Addresses,
        ),
        (b"PROXY UNIX a b 1 2\r\n".to_vec(), Malformed::Addresses),
        (
            [b"PROXY ".to_vec(), vec![b'x'; 200]].concat(),
            Malformed::Length,
        ),
    ] {
        assert_eq!(read_of(&bytes), Err(why), "{bytes:?}");
    }
}

#[test]
fn networks_hold_their_addresses() {
    let holds = |network: &str, address: &str| {
        let network: Network = network.parse().unwrap();
        network.contains(address.parse().unwrap())
    };
    assert!(holds("10.0.0.0/8", "10.255.0.1"));
    assert!(!holds("10.0.0.0/8", "11.0.0.1"));
    assert!(holds("10.1.2.3", "10.1.2.3"));
    assert!(!holds("10.1.2.3", "10.1.2.4"));
    assert!(holds("0.0.0.0/0", "203.0.113.7"));
    assert!(!holds("0.0.0.0/0", "2001:db8::7"));
    assert!(holds("fd00::/8", "fdff::1"));
    assert!(holds("10.0.0.0/8", "::ffff:10.0.0.1"));
    for bad in [
        "",
        "10.0.0.0/33",
        "10.0.0/8",
        "fd00::/129",
        "10.0.0.0/",
        "host",
    ] {
        assert_eq!(bad.parse::<Network>(), Err(()), "{bad}");
    }
}

/// Whatever comes: no panic, no want beyond the bound, no answer but of whole headers.
fn check(bytes: &[u8]) {
    if bytes.len() < 12 {
        return;
    }
    match wants(bytes) {
        Ok(Wants::More(more)) => assert!(bytes.len() + more <= HEADER_BYTES_MAX),
        Ok(Wants::Nothing) => {
            let _ = parse(bytes);
        }
        Err(_) => {}
    }
    let _ = parse(bytes);
}

#[test]
fn corpus_of_the_fuzzer_is_fine() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/proxy");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        count += 1;
        for end in 0..=bytes.len() {
            check(&bytes[..end]);
        }
    }
    assert!(count > 0);
}
