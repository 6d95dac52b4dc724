//! What the kernel says of this process.

/// See the module's comment; 0 where it does not say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// Files and sockets.
    pub open_files: u64,
    /// How many there may be.
    pub open_files_max: u64,
}

impl Process {
    /// As it is.
    pub fn read() -> Process {
        let open = std::fs::read_dir("/proc/self/fd");
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"));
        let most = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
        Process {
            open_files: open.map_or(0, |entries| entries.count() as u64),
            open_files_max: most.unwrap_or(0),
        }
    }
}
