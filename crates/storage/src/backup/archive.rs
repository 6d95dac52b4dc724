//! How a copy travels: a tar archive (POSIX ustar), so that any tar can look into it.
//!
//! ```text
//! header   0  name         100 bytes, ends with zeros
//!        100  mode         8   octal text
//!        108  uid, gid     16
//!        124  size         12  octal text; from 8 GiB on, base 256 with the top bit set
//!        136  mtime        12
//!        148  checksum     8   of the header, with spaces in its own place
//!        156  type         1   '0'
//!        257  magic        8   "ustar", zero, "00"
//! then the bytes, filled up to 512; at the end two blocks of zeros.
//! ```

/// What everything is filled up to.
pub const BLOCK_BYTES: usize = 512;

/// The header of one file.
pub fn header(name: &str, bytes: u64) -> Vec<u8> {
    let mut out = vec![0; BLOCK_BYTES];
    let mut put = |at: usize, text: &[u8]| out[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000600");
    put(108, b"0000000");
    put(116, b"0000000");
    if bytes < 1 << 33 {
        put(124, format!("{bytes:011o}").as_bytes());
    } else {
        put(124, &[0x80]);
        put(128, &bytes.to_be_bytes());
    }
    put(136, b"00000000000");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum = checksum(&out);
    out[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out
}

/// What fills a file of so many bytes up.
pub fn padding(bytes: u64) -> Vec<u8> {
    let over = (bytes % BLOCK_BYTES as u64) as usize;
    vec![0; (BLOCK_BYTES - over) % BLOCK_BYTES]
}

/// The end of an archive.
pub fn end() -> Vec<u8> {
    vec![0; 2 * BLOCK_BYTES]
}

/// Reads a header: the name and the size; `None` is the end.
///
/// # Errors
/// What is wrong with it.
pub fn read(header: &[u8; BLOCK_BYTES]) -> Result<Option<(String, u64)>, String> {
    if header.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let said = octal(&header[148..156]);
    if said != Some(checksum(header)) {
        return Err("the checksum of an entry does not hold".to_owned());
    }
    let name = header[..100].split(|byte| *byte == 0).next();
    let name = String::from_utf8(name.unwrap_or_default().to_vec());
    let name = name.map_err(|_| "an entry's name is not text".to_owned())?;
    let is_file = header[156] == b'0' || header[156] == 0;
    if !is_file || header[345] != 0 {
        return Err(format!("'{name}' is not a plain file"));
    }
    let bytes = match header[124] & 0x80 {
        0 => octal(&header[124..136]),
        _ => header[128..136].try_into().ok().map(u64::from_be_bytes),
    };
    let bytes = bytes.ok_or_else(|| format!("the size of '{name}' cannot be read"))?;
    Ok(Some((name, bytes)))
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let text = text.trim_matches(|c| c == '\0' || c == ' ');
    u64::from_str_radix(text, 8).ok()
}

fn checksum(header: &[u8]) -> u64 {
    let own = 148..156;
    let bytes = header.iter().enumerate();
    let bytes = bytes.map(|(at, byte)| if own.contains(&at) { b' ' } else { *byte });
    bytes.map(u64::from).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (name, bytes) in [("register", 0), ("data/x", 511), ("lanes/y", 1 << 40)] {
            let header: [u8; BLOCK_BYTES] = header(name, bytes).try_into().unwrap();
            assert_eq!(read(&header), Ok(Some((name.to_owned(), bytes))));
            let mut damaged = header;
            damaged[3] ^= 1;
            assert!(read(&damaged).is_err());
        }
        assert_eq!(read(&[0; BLOCK_BYTES]), Ok(None));
        let sizes = [(0, 0), (1, 511), (512, 0), (513, 511)];
        assert!(
            sizes
                .iter()
                .all(|(bytes, more)| padding(*bytes).len() == *more)
        );
    }
}
