//! Each note's bytes, and that what was written is read again.

use super::*;

fn committed() -> Committed {
    Committed {
        offset: 0x0102,
        leader_epoch: -1,
        metadata: Arc::from("m"),
        at_ms: 7,
        expires_ms: Some(9),
        order: 3,
    }
}

fn topic() -> Topic {
    Topic {
        id: TopicId(0xabcd),
        name: Arc::from("t"),
        partition_count: 0,
        denied: false,
    }
}

fn check(note: &Note, hex: &str) {
    let mut bytes = Vec::new();
    note.encode(&mut bytes);
    let written: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(written, hex.replace(' ', ""), "{note:?}");
    let mut rest = bytes.as_slice();
    assert_eq!(Note::decode(&mut rest).as_ref(), Ok(note));
    assert!(rest.is_empty());
    for end in 0..bytes.len() {
        let cut = Note::decode(&mut &bytes[..end]);
        assert_eq!(cut, Err(NoteMalformed::Short), "{note:?} cut at {end}");
    }
}

#[test]
fn bytes_are_golden() {
    let said = "0000000000000102 ffffffff 0001 6d 0000000000000007 0000000000000009 \
                0000000000000003";
    let id = "0000000000000000000000000000abcd";
    let classic = Note::Classic {
        generation: 5,
        protocol_type: Arc::from("consumer"),
        empty_since_ms: Some(16),
    };
    check(
        &classic,
        "01 00000005 0008 636f6e73756d6572 0000000000000010",
    );
    let offset = Note::Offset {
        topic: topic(),
        partition: 2,
        committed: committed(),
    };
    check(&offset, &format!("02 {id} 0001 74 00000002 {said}"));
    let pending = Note::Pending {
        producer_id: 4,
        topic: topic(),
        partition: 2,
        committed: committed(),
    };
    check(
        &pending,
        &format!("03 0000000000000004 {id} 0001 74 00000002 {said}"),
    );
    let completed = Note::Completed {
        producer_id: 4,
        commit: true,
    };
    check(&completed, "04 0000000000000004 01");
    let removed = Note::Removed {
        topic: TopicId(0xabcd),
        partition: 2,
    };
    check(&removed, &format!("05 {id} 00000002"));
    check(&Note::Vacant, "06");
}

#[test]
fn unknown_numbers_and_broken_texts_are_told() {
    assert_eq!(Note::decode(&mut &[99][..]), Err(NoteMalformed::Number(99)));
    let bytes = [1, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(Note::decode(&mut &bytes[..]), Err(NoteMalformed::Text));
}
