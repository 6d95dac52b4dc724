//! Buffers for reading ahead, used again and again.
//!
//! A fresh buffer of a megabyte has to be made zero, and its pages to be found by the kernel,
//! which costs half as much as reading into it. A reader that catches up uses the same few
//! instead: a buffer comes back once the last batch that lies in it is sent.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::Error;

#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<Vec<Vec<u8>>>,
}

/// A buffer on loan.
struct Loan {
    buffer: Vec<u8>,
    bytes: usize,
    pool: Weak<Pool>,
}

impl Pool {
    /// A buffer of `bytes` bytes, filled by `read`.
    pub fn filled(
        self: &Arc<Self>,
        bytes: usize,
        read: impl FnOnce(&mut [u8]) -> Result<(), Error>,
    ) -> Result<Bytes, Error> {
        let mut loan = Loan {
            buffer: self.take(bytes),
            bytes,
            pool: Arc::downgrade(self),
        };
        read(&mut loan.buffer[..bytes])?;
        Ok(Bytes::from_owner(loan))
    }

    /// One that is large enough and not four times too large; what is in it means nothing.
    fn take(&self, bytes: usize) -> Vec<u8> {
        let mut idle = self.idle.lock();
        let fits = |buffer: &Vec<u8>| (bytes..=bytes.saturating_mul(4)).contains(&buffer.len());
        match idle.iter().position(fits) {
            Some(at) => idle.swap_remove(at),
            None => {
                drop(idle);
                vec![0; bytes.next_multiple_of(ROUND_BYTES)]
            }
        }
    }

    fn give_back(&self, buffer: Vec<u8>) {
        if buffer.len() > KEPT_BYTES_MAX {
            return;
        }
        let mut idle = self.idle.lock();
        idle.push(buffer);
        let mut bytes: usize = idle.iter().map(Vec::len).sum();
        while bytes > IDLE_BYTES_MAX {
            bytes -= idle.remove(0).len();
        }
    }
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.bytes]
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.give_back(std::mem::take(&mut self.buffer));
        }
    }
}

/// Of all idle buffers together.
const IDLE_BYTES_MAX: usize = 8 << 20;
/// Larger ones are not kept.
const KEPT_BYTES_MAX: usize = 1 << 20;
const ROUND_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pool: &Arc<Pool>, bytes: usize, with: u8) -> Bytes {
        let fill = |buffer: &mut [u8]| {
            buffer.fill(with);
            Ok(())
        };
        pool.filled(bytes, fill).unwrap()
    }

    #[test]
    fn a_buffer_comes_back_with_its_last_slice_and_shows_nothing_of_its_past() {
        let pool = Arc::new(Pool::default());
        let first = filled(&pool, 100_000, 1);
        let slice = first.slice(10..20);
        let place = first.as_ptr();
        drop(first);
        assert!(pool.idle.lock().is_empty());
        let second = filled(&pool, 100_000, 2);
        assert_ne!(second.as_ptr(), place);
        drop(slice);
        let third = filled(&pool, 90_000, 3);
        assert_eq!(third.as_ptr(), place);
        assert!(third.len() == 90_000 && third.iter().all(|byte| *byte == 3));
        // Small ones do not hold large ones.
        drop(third);
        assert_ne!(filled(&pool, 10_000, 4).as_ptr(), place);
    }

    #[test]
    fn what_lies_idle_is_bounded() {
        let pool = Arc::new(Pool::default());
        let many: Vec<Bytes> = (0..30).map(|_| filled(&pool, 1 << 20, 1)).collect();
        let large = filled(&pool, 3 << 20, 1);
        drop((many, large));
        let idle = pool.idle.lock();
        assert_eq!(idle.len(), IDLE_BYTES_MAX >> 20);
        assert!(idle.iter().all(|buffer| buffer.len() <= KEPT_BYTES_MAX));
    }
}
