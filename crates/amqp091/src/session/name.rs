//! Names that the server makes up for consumers.

/// `amq.ctag-` and 22 characters, as RabbitMQ's look: one for each session's seed, channel
/// and count.
pub(super) fn made_tag(seed: u64, number: u16, made: u64) -> String {
    let mut tag = String::with_capacity(31);
    tag.push_str("amq.ctag-");
    let low = (u64::from(number) << 48) ^ made;
    let token = u128::from(mixed(seed)) << 64 | u128::from(mixed(low ^ mixed(!seed)));
    for index in 0..22 {
        let shift = 6 * index;
        tag.push(BASE64_URL[(token >> shift) as usize & 63] as char);
    }
    tag
}

/// Spreads neighbours apart, one to one (the finalizer of splitmix64).
fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::made_tag;

    #[test]
    fn no_two_consumers_of_a_session_share_a_name() {
        let mut tags = BTreeSet::new();
        for number in [1, 2, 2047] {
            for made in 1..1000 {
                assert!(tags.insert(made_tag(7, number, made)));
            }
        }
        assert!(tags.iter().all(|tag| tag.len() == 31));
    }
}
