//! RESP, as little of it as is needed: commands out, and of what comes in where an answer ends.
//!
//! ```text
//! command    *COUNT\r\n ($BYTES\r\n bytes \r\n)…
//! answers    +text\r\n   -error\r\n   :number\r\n   $BYTES\r\n bytes \r\n   *-1\r\n
//! entries    *1 (*2 (stream, *COUNT (*2 (id, *2 (field, value)))…))
//! ```

use crate::Result;

/// A command of these words.
pub fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).into_bytes());
        bytes.extend(word.as_bytes());
        bytes.extend(b"\r\n");
    }
    bytes
}

/// How long the answer at the front is; nothing until all of it is there. An error is one.
pub fn answer(bytes: &[u8]) -> Result<Option<usize>> {
    let Some((kind, line, after)) = head(bytes) else {
        return Ok(None);
    };
    match kind {
        b'+' | b':' => Ok(Some(after)),
        b'$' => {
            let end = after + number(line)?.max(0) as usize + 2;
            Ok((bytes.len() >= end).then_some(end))
        }
        _ => Err(unexpected(bytes)),
    }
}

/// The entries of the answer to a read, as they come.
#[derive(Default)]
pub struct Entries {
    /// Of those that came.
    pub ids: Vec<String>,
    /// Strings still to come, and arrays of which they are counted: id, field, value.
    wanted: u64,
    begun: bool,
    /// Which string of an entry is next.
    at: u8,
}

impl Entries {
    /// Takes what is whole at the front of `bytes`: how much that was, and whether it was the last.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<(usize, bool)> {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            if !self.begun {
                // *1, *2, the stream's name and the number of entries come together or not yet.
                match begin(rest)? {
                    Begin::Incomplete => return Ok((used, false)),
                    Begin::Nothing(length) => return Ok((used + length, true)),
                    Begin::Entries(length, count) => {
                        used += length;
                        (self.begun, self.wanted, self.at) = (true, count, 0);
                    }
                }
                continue;
            }
            if self.wanted == 0 {
                self.begun = false;
                return Ok((used, true));
            }
            let Some((kind, line, after)) = head(rest) else {
                return Ok((used, false));
            };
            match kind {
                b'*' => used += after,
                b'$' => {
                    let length = number(line)?.max(0) as usize;
                    let Some(text) = rest.get(after..after + length + 2) else {
                        return Ok((used, false));
                    };
                    if self.at == 0 {
                        self.ids
                            .push(String::from_utf8_lossy(&text[..length]).into());
                    }
                    self.at += 1;
                    if self.at == 3 {
                        (self.at, self.wanted) = (0, self.wanted - 1);
                    }
                    used += after + length + 2;
                }
                _ => return Err(unexpected(rest)),
            }
        }
    }
}

enum Begin {
    Incomplete,
    /// So many bytes say that there is nothing.
    Nothing(usize),
    /// So many bytes, and then so many entries.
    Entries(usize, u64),
}

fn begin(bytes: &[u8]) -> Result<Begin> {
    let Some((kind, line, mut used)) = head(bytes) else {
        return Ok(Begin::Incomplete);
    };
    match kind {
        b'*' if line == b"-1" => return Ok(Begin::Nothing(used)),
        b'*' => {}
        _ => return Err(unexpected(bytes)),
    }
    let Some((_, _, after)) = head(&bytes[used..]) else {
        return Ok(Begin::Incomplete);
    };
    used += after;
    let Some(name) = answer(&bytes[used..])? else {
        return Ok(Begin::Incomplete);
    };
    used += name;
    let Some((_, line, after)) = head(&bytes[used..]) else {
        return Ok(Begin::Incomplete);
    };
    Ok(Begin::Entries(used + after, number(line)?.max(0) as u64))
}

/// The first line's kind and text, and where the next begins.
fn head(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let end = bytes.iter().position(|byte| *byte == b'\r')?;
    (bytes.len() > end + 1 && end > 0).then(|| (bytes[0], &bytes[1..end], end + 2))
}

fn number(line: &[u8]) -> Result<i64> {
    Ok(std::str::from_utf8(line)?.parse()?)
}

fn unexpected(bytes: &[u8]) -> Box<dyn std::error::Error + Send + Sync> {
    let said = &bytes[..bytes.len().min(200)];
    format!("the server said {:?}", String::from_utf8_lossy(said)).into()
}

#[cfg(test)]
mod tests;
