//! Becomes another program that the kernel kills when its parent dies, however the parent dies.
//! So a comparison stopped by Ctrl-C leaves no broker behind.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::Result;
use crate::process::raise_file_limit;

/// Replaces this process by `command`. Returns only if that fails.
pub fn become_child(command: &[OsString]) -> Result<()> {
    let (program, arguments) = command.split_first().ok_or("no program given")?;
    let parent = getppid();
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before the line above.
    if getppid() != parent {
        return Err("the parent is gone".into());
    }
    raise_file_limit();
    let error = Command::new(program).args(arguments).exec();
    Err(format!("{}: {error}", program.to_string_lossy()).into())
}

/// Waits until the parent is gone, which closes this process's input, and removes the directory: what
/// brokers that died with it left. They may be writing still.
pub fn remove_after_parent(directory: &Path) -> Result<()> {
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    for _ in 0..TRIES {
        match std::fs::remove_dir_all(directory) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
    Err(format!("{} could not be removed", directory.display()).into())
}

const TRIES: u32 = 50;
