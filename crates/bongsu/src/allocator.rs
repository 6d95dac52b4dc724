//! The allocator, told to give memory back soon.
//!
//! A broker's large buffers come and go with its backlog. mimalloc keeps what was freed for
//! a second by default, which at a gigabyte a second is most of the memory a backlog takes.
//! Given back at once, each large message is written into memory that the kernel has to map
//! and clear anew: a quarter to a third of the processor time from 64 KiB on.
#![allow(unsafe_code)]

use libmimalloc_sys::mi_option_set;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` in mimalloc.h of the pinned version (3.x): its place in the
/// enumeration, which the binding does not name.
const PURGE_DELAY: i32 = 15;
/// How long what was freed is kept.
const KEPT_MS: std::ffi::c_long = 100;

/// To be called first in `main`.
pub fn give_back_soon() {
    // SAFETY: mi_option_set writes one integer of a static table and asks that no other
    // thread uses the options meanwhile; `main` calls this before it starts any thread.
    // An index beyond the table is checked by the callee and ignored.
    unsafe { mi_option_set(PURGE_DELAY, KEPT_MS) };
}
