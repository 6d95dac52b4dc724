//! The only threads of this crate: one commits, one checkpoints.

/// The running threads; dropping it stops and joins them.
pub struct Threads {
    _private: (),
}
