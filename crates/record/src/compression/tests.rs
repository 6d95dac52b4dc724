use proptest::prelude::*;

use super::*;

const CODECS: [Codec; 5] = [
    Codec::None,
    Codec::Gzip,
    Codec::Snappy,
    Codec::Lz4,
    Codec::Zstd,
];

fn snappy_block(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new()
        .compress_vec(bytes)
        .expect("small")
}

fn xerial(chunks: &[&[u8]]) -> Vec<u8> {
    let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for chunk in chunks {
        let block = snappy_block(chunk);
        out.extend_from_slice(&(block.len() as u32).to_be_bytes());
        out.extend_from_slice(&block);
    }
    out
}

#[test]
fn xerial_chunks_are_joined() {
    let framed = xerial(&[b"signal ", b"", b"fire"]);
    assert_eq!(
        decompress(Codec::Snappy, &framed, 100),
        Ok(b"signal fire".to_vec())
    );
    for end in 0..framed.len() {
        let cut = decompress(Codec::Snappy, &framed[..end], 100);
        assert_ne!(cut, Ok(b"signal fire".to_vec()), "{end}");
    }
}

#[test]
fn bombs_stop_at_the_limit_and_name_both_values() {
    let zeros = vec![0; 8 << 20];
    for codec in CODECS {
        let bomb = compress(codec, &zeros);
        assert_eq!(
            decompress(codec, &bomb, zeros.len()).map(|out| out.len()),
            Ok(zeros.len())
        );
        for limit_bytes in [0, 1, 1 << 20, zeros.len() - 1] {
            match decompress(codec, &bomb, limit_bytes) {
                Err(DecompressError::TooLarge {
                    found_bytes,
                    limit_bytes: named,
                }) => {
                    assert_eq!(named, limit_bytes);
                    assert!(found_bytes > limit_bytes as u64, "{codec:?}");
                }
                other => panic!("{codec:?}: {:?}", other.map(|out| out.len())),
            }
        }
    }
    let block: &[u8] = &zeros[..1 << 20];
    assert!(matches!(
        decompress(Codec::Snappy, &xerial(&[block, block]), (2 << 20) - 1),
        Err(DecompressError::TooLarge {
            found_bytes: 0x20_0000,
            ..
        })
    ));
}

#[test]
fn announced_lengths_alone_make_no_room() {
    // A snappy block of five bytes that announces 4 GiB - 1, then one that fits the limit.
    let lie = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let large = DecompressError::TooLarge {
        found_bytes: u64::from(u32::MAX),
        limit_bytes: 1 << 20,
    };
    assert_eq!(decompress(Codec::Snappy, &lie, 1 << 20), Err(large));
    let malformed = Err(DecompressError::Malformed(Codec::Snappy));
    assert_eq!(decompress(Codec::Snappy, &lie, usize::MAX), malformed);
    // A zstd frame header that announces 2^62 bytes.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1100_0000, 0x80];
    frame.extend_from_slice(&(1_u64 << 62).to_le_bytes());
    frame.extend_from_slice(&[1, 0, 0]);
    let large = DecompressError::TooLarge {
        found_bytes: 1 << 62,
        limit_bytes: 1 << 20,
    };
    assert_eq!(decompress(Codec::Zstd, &frame, 1 << 20), Err(large));
}

/// Level 22 asks for a window of 128 MiB, which a limit of 1 MiB must not refuse.
#[test]
fn window_of_the_highest_level_is_no_obstacle() {
    let text: Vec<u8> = (0..200_000_u32).map(|at| (at / 7 % 251) as u8).collect();
    let folded = zstd::stream::encode_all(&text[..], 22).expect("memory");
    assert_eq!(decompress(Codec::Zstd, &folded, 1 << 20), Ok(text));
}

#[test]
fn several_members_and_frames_are_one_payload() {
    for codec in [Codec::Gzip, Codec::Zstd] {
        let mut both = compress(codec, b"one ");
        both.extend_from_slice(&compress(codec, &[b'x'; 10_000]));
        let out = decompress(codec, &both, 1 << 20).expect("both");
        assert_eq!((out.len(), &out[..5]), (10_004, &b"one x"[..]), "{codec:?}");
        assert!(decompress(codec, &both, 10_003).is_err());
    }
}

#[test]
fn bytes_behind_the_payload_are_refused() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut longer = compress(codec, b"signal fire");
        longer.extend_from_slice(b"more");
        let malformed = Err(DecompressError::Malformed(codec));
        assert_eq!(decompress(codec, &longer, 1 << 20), malformed);
    }
}

#[test]
fn legacy_lz4_is_refused() {
    // One legacy block, of the literal "a".
    let legacy = b"\x02\x21\x4c\x18\x02\0\0\0\x10a";
    let malformed = Err(DecompressError::Malformed(Codec::Lz4));
    assert_eq!(decompress(Codec::Lz4, legacy, 1 << 20), malformed);
}

#[test]
fn unused_codec_numbers_are_refused() {
    for (number, codec) in CODECS.into_iter().enumerate() {
        assert_eq!(Codec::of(number as i16 | !COMPRESSION), Ok(codec));
    }
    for number in 5..8 {
        assert_eq!(Codec::of(number), Err(DecompressError::Codec(number as u8)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_compressed_comes_back(
        bytes in proptest::collection::vec(0..4_u8, 0..100_000),
        codec in proptest::sample::select(&CODECS[..]),
    ) {
        let folded = compress(codec, &bytes);
        prop_assert_eq!(decompress(codec, &folded, bytes.len()), Ok(bytes));
    }

    #[test]
    fn noise_and_damage_stay_below_the_limit(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        damage in proptest::collection::vec((any::<u16>(), any::<u8>()), 0..4),
        codec in proptest::sample::select(&CODECS[..]),
        compressed: bool,
    ) {
        let mut bytes = if compressed { compress(codec, &bytes) } else { bytes };
        for (at, with) in damage {
            let length = bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(usize::from(at) % length) {
                *byte ^= with;
            }
        }
        if let Ok(out) = decompress(codec, &bytes, 4096) {
            prop_assert!(out.len() <= 4096 && out.capacity() <= 3 * 4096);
        }
    }
}
