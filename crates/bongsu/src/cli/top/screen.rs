//! A terminal taken over: its other page, keys one by one, and all given back at the end.

use std::io::{self, Write as _};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};

/// The terminal while it is ours.
pub struct Screen {
    before: Termios,
}

/// What was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// q, Escape alone, Ctrl-C.
    Quit,
    /// A letter.
    Letter(char),
    /// Anything else.
    Other,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// There is none.
    pub fn open() -> io::Result<Screen> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        // Ctrl-C is a key too, so that the terminal is given back.
        raw.local_modes
            .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        raw.special_codes[SpecialCodeIndex::VMIN] = 0;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Flush, &raw)?;
        let screen = Screen { before };
        put("\x1b[?1049h\x1b[?25l")?;
        Ok(screen)
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        let size = tcgetwinsize(io::stdout());
        let size = size.map_or((0, 0), |size| (size.ws_col.into(), size.ws_row.into()));
        match size {
            (0, _) | (_, 0) => (80, 24),
            size => size,
        }
    }

    /// Shows as much of a text as fits, and a last line.
    ///
    /// # Errors
    /// The terminal's.
    pub fn show(&self, text: &str, last: &str, size: (usize, usize)) -> io::Result<()> {
        put(&framed(text, last, size))
    }

    /// Waits for a key.
    ///
    /// # Errors
    /// The terminal's.
    pub fn wait(&self, longest: Duration) -> io::Result<Option<Key>> {
        let stdin = io::stdin();
        let timeout = Timespec {
            tv_sec: i64::try_from(longest.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: 0,
        };
        let mut watched = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut watched, Some(&timeout)) {
            // The window's size changed.
            Err(rustix::io::Errno::INTR) | Ok(0) => return Ok(None),
            other => other?,
        };
        let mut bytes = [0; 16];
        let count = rustix::io::read(&stdin, &mut bytes)?;
        Ok(Some(key(&bytes[..count])))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = put("\x1b[?25h\x1b[?1049l");
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}

fn key(bytes: &[u8]) -> Key {
    match bytes {
        // Nothing to read: the terminal is gone.
        [] | [b'q' | b'Q' | 0x03 | 0x1b] => Key::Quit,
        [letter] if letter.is_ascii_alphabetic() => {
            Key::Letter(char::from(letter.to_ascii_lowercase()))
        }
        _ => Key::Other,
    }
}

/// A page from the top left, each line cut where the terminal ends.
fn framed(text: &str, last: &str, (columns, rows): (usize, usize)) -> String {
    let mut out = String::from("\x1b[H");
    let shown = text.lines().take(rows.saturating_sub(1));
    for line in shown {
        out.push_str(&cut(line, columns));
        out.push_str("\x1b[0m\x1b[K\r\n");
    }
    out.push_str("\x1b[J");
    out.push_str(&format!("\x1b[{rows};1H{}\x1b[K", cut(last, columns)));
    out
}

/// The front of a line that takes so many columns; marks for colours take none.
fn cut(line: &str, columns: usize) -> String {
    let (mut out, mut used, mut in_mark) = (String::new(), 0, false);
    for letter in line.chars() {
        if in_mark || letter == '\x1b' {
            in_mark = !(in_mark && letter.is_ascii_alphabetic());
        } else {
            used += super::super::listing::width_of(letter.encode_utf8(&mut [0; 4]));
            if used > columns {
                break;
            }
        }
        out.push(letter);
    }
    out
}

fn put(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_stays_within_the_terminal() {
        let text = "\x1b[1mbold line\x1b[0m\nsecond\nthird\nfourth";
        let page = framed(text, "a long last line", (6, 4));
        assert!(page.contains("\x1b[1mbold l\x1b[0m\x1b[K\r\n"), "{page:?}");
        assert!(page.contains("third") && !page.contains("fourth"));
        assert!(page.ends_with("\x1b[4;1Ha long\x1b[K"), "{page:?}");
        assert_eq!(cut("큐abc", 3), "큐a");
        assert_eq!(key(b"q"), Key::Quit);
        assert_eq!(key(b"R"), Key::Letter('r'));
        assert_eq!(key(b"\x1b[A"), Key::Other);
    }
}
