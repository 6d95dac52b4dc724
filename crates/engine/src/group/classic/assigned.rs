//! What a consumer's share says: the partitions, where members of the classic kind share out
//! partitions among themselves as Kafka's consumers do.
//!
//! ```text
//! i16 version, i32 count of topics, each: i16 length, name, i32 count, each: i32 partition
//! ```
//! All big-endian; what follows is the members' own.

/// A topic and partitions of it.
pub type TopicPartitions = (String, Vec<i32>);

/// Reads a share; `None`: it is something else.
pub fn partitions(share: &[u8]) -> Option<Vec<TopicPartitions>> {
    let mut rest = share;
    let _version = take::<2>(&mut rest)?;
    let topics = count(&mut rest, 6)?;
    let mut assigned = Vec::with_capacity(topics);
    for _ in 0..topics {
        let length = usize::try_from(i16::from_be_bytes(take(&mut rest)?)).ok()?;
        let (name, behind) = rest.split_at_checked(length)?;
        rest = behind;
        let name = String::from_utf8(name.to_vec()).ok()?;
        let partitions = count(&mut rest, 4)?;
        let mut of_topic = Vec::with_capacity(partitions);
        for _ in 0..partitions {
            of_topic.push(i32::from_be_bytes(take(&mut rest)?));
        }
        assigned.push((name, of_topic));
    }
    Some(assigned)
}

/// How many follow, of at least so many bytes each: never more than the bytes hold.
fn count(rest: &mut &[u8], bytes_each: usize) -> Option<usize> {
    let count = usize::try_from(i32::from_be_bytes(take(rest)?)).ok()?;
    (count <= rest.len() / bytes_each).then_some(count)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_consumers_are_read_and_others_are_not() {
        let mut share = vec![0, 1, 0, 0, 0, 1, 0, 2, b't', b'1', 0, 0, 0, 2];
        share.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 7]);
        let expected = vec![("t1".to_owned(), vec![0, 7])];
        assert_eq!(partitions(&share), Some(expected.clone()));
        for cut in 0..share.len() {
            assert_eq!(partitions(&share[..cut]), None, "{cut}");
        }
        share.extend_from_slice(&[0, 0, 0, 0]);
        assert_eq!(partitions(&share), Some(expected));
        assert_eq!(partitions(&[0, 0, 0x7f, 0xff, 0xff, 0xff]), None);
        assert_eq!(partitions(&[0, 0, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(partitions(&[0, 0, 0, 0, 0, 0]), Some(Vec::new()));
    }
}
