//! The allocator, told to give memory back at once.
//!
//! A broker's large buffers come and go with its backlog. mimalloc keeps what was freed for
//! a second by default, which at a gigabyte a second is most of the memory a backlog takes;
//! giving it back at once costs no throughput that a benchmark shows.
#![allow(unsafe_code)]

use libmimalloc_sys::mi_option_set;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` in mimalloc.h of the pinned version (3.x): its place in the
/// enumeration, which the binding does not name.
const PURGE_DELAY: i32 = 15;

/// To be called first in `main`.
pub fn give_back_at_once() {
    // SAFETY: mi_option_set writes one integer of a static table and asks that no other
    // thread uses the options meanwhile; `main` calls this before it starts any thread.
    // An index beyond the table is checked by the callee and ignored.
    unsafe { mi_option_set(PURGE_DELAY, 0) };
}
