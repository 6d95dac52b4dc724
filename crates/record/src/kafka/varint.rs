//! Zigzag varints.

/// Takes a 32-bit varint off the front; `None` if it is cut or has more than 32 bits.
pub fn take_i32(rest: &mut &[u8]) -> Option<i32> {
    // A 32-bit zigzag is the 64-bit zigzag of the same number, so one reader does.
    i32::try_from(take_i64(rest)?).ok()
}

/// Takes a 64-bit varint off the front; `None` if it is cut or has more than 64 bits.
pub fn take_i64(rest: &mut &[u8]) -> Option<i64> {
    let mut bits = 0_u64;
    for index in 0..VARINT_BYTES_MAX {
        let byte = *rest.get(index)?;
        // The tenth byte has room for one bit.
        if index == VARINT_BYTES_MAX - 1 && byte > 1 {
            return None;
        }
        bits |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *rest = &rest[index + 1..];
            return Some((bits >> 1) as i64 ^ -((bits & 1) as i64));
        }
    }
    None
}

/// Writes `value`; the encoding of an `i32` is that of the same `i64`.
pub fn put(value: i64, out: &mut impl bytes::BufMut) {
    let mut bits = zigzag(value);
    while bits >= 0x80 {
        out.put_u8(bits as u8 | 0x80);
        bits >>= 7;
    }
    out.put_u8(bits as u8);
}

/// Bytes that [`put`] writes.
pub fn size(value: i64) -> usize {
    let bits = u64::BITS - (zigzag(value) | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

const VARINT_BYTES_MAX: usize = 10;
