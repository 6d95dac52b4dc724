//! What a run has of the machine: a directory, a small disk of its own, a network of its own.
//!
//! Disk and network need root. Without it the run goes on and the faults that need them are
//! skipped, with this module's reason. All is taken down at the end; what an interrupted run left
//! is taken down by the next.

use crate::soak::arguments::Size;
use std::fs::{self, File};
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(super) struct World {
    pub(super) directory: PathBuf,
    /// Where the broker keeps its data.
    pub(super) volume: PathBuf,
    pub(super) disk: Disk,
    pub(super) network: Result<Network, String>,
    /// Most files of one process; no root may raise it without the right to.
    pub(super) files_max: u64,
}

/// What the volume is.
pub(super) enum Disk {
    /// ext4 in a file: it can be full, and it can be frozen.
    Loop,
    /// It can be full.
    Memory(String),
    /// The machine's own, which is not ours to fill.
    Shared(String),
}

/// A namespace that is joined to us by one cable.
pub(super) struct Network {
    name: String,
    cable: String,
    /// Our end.
    pub(super) here: Ipv4Addr,
}

impl World {
    pub(super) fn create(target: &Path, size: Size) -> Result<Self, String> {
        let runs = target.join("soak");
        sweep(&runs);
        let id = std::process::id();
        let directory = runs.join(format!("run-{id}"));
        let volume = directory.join("volume");
        fs::create_dir_all(&volume).map_err(|error| format!("{}: {error}", volume.display()))?;
        let disk = mount(&directory, &volume, size);
        let limit = said("sh", &["-c", "ulimit -H -n"]).unwrap_or_default();
        Ok(Self {
            disk,
            network: Network::create(id),
            files_max: limit.trim().parse().unwrap_or(1_000_000),
            directory,
            volume,
        })
    }

    /// Bytes that are free on the volume.
    pub(super) fn free_bytes(&self) -> Result<u64, String> {
        let path = self.volume.display().to_string();
        let text = said("df", &["--output=avail", "-B1", &path])?;
        let number = text
            .lines()
            .nth(1)
            .and_then(|line| line.trim().parse().ok());
        number.ok_or_else(|| format!("df says {text:?}"))
    }

    /// A foreign file, so large that only so much is left.
    pub(super) fn fill_up_to(&self, left_bytes: u64) -> Result<(), String> {
        let free = self.free_bytes()?;
        // The file system needs some of it to say where the file is.
        let length = free.saturating_sub(left_bytes + (1 << 20));
        if length > 0 {
            let path = self.volume.join(format!("{FOREIGN}{length}"));
            said(
                "fallocate",
                &["-l", &length.to_string(), &path.display().to_string()],
            )?;
        }
        Ok(())
    }

    /// To the last byte that there is.
    pub(super) fn fill(&self) -> Result<(), String> {
        self.fill_up_to(0)?;
        let path = self.volume.join(format!("{FOREIGN}rest"));
        let mut rest = File::create(path).map_err(|error| format!("the last bytes: {error}"))?;
        while rest
            .write_all(&[0; 4096])
            .and_then(|()| rest.sync_data())
            .is_ok()
        {}
        Ok(())
    }

    pub(super) fn make_room(&self) {
        for entry in fs::read_dir(&self.volume).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(FOREIGN) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Nothing is written until the guard is dropped.
    pub(super) fn freeze(&self) -> Result<Frozen<'_>, String> {
        said("fsfreeze", &["-f", &self.volume.display().to_string()])?;
        Ok(Frozen(&self.volume))
    }

    /// Why the disk cannot be filled.
    pub(super) fn can_fill(&self) -> Result<(), String> {
        match &self.disk {
            Disk::Loop | Disk::Memory(_) => Ok(()),
            Disk::Shared(reason) => Err(reason.clone()),
        }
    }

    /// Why the disk cannot be stopped.
    pub(super) fn can_freeze(&self) -> Result<(), String> {
        match &self.disk {
            Disk::Loop => Ok(()),
            Disk::Memory(reason) | Disk::Shared(reason) => Err(reason.clone()),
        }
    }

    /// For the page.
    pub(super) fn disk_in_words(&self) -> String {
        match &self.disk {
            Disk::Loop => "ext4 of its own in a file".into(),
            Disk::Memory(reason) => format!("in memory: {reason}"),
            Disk::Shared(reason) => format!("the machine's own: {reason}"),
        }
    }

    /// Removes what was written as well, unless it is of interest.
    pub(super) fn leave(self, keep: bool) {
        let Self {
            directory,
            volume,
            network,
            ..
        } = self;
        if let Ok(network) = network {
            network.remove();
        }
        unmount(&volume);
        if keep {
            println!("   kept until the next run: {}", directory.display());
            return;
        }
        let _ = fs::remove_dir_all(&directory);
    }
}

/// Thaws when dropped, come what may: who writes there waits.
pub(super) struct Frozen<'a>(&'a Path);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = said("fsfreeze", &["-u", &self.0.display().to_string()]);
    }
}

impl Network {
    fn create(id: u32) -> Result<Self, String> {
        let (name, cable) = (format!("bongsu-soak-{id}"), format!("bs{}", id % 100_000));
        let inside = format!("{cable}i");
        let third = (id % 250) as u8;
        let here = Ipv4Addr::new(10, 213, third, 1);
        let there = Ipv4Addr::new(10, 213, third, 2);
        let network = Self { name, cable, here };
        let steps = [
            format!("netns add {}", network.name),
            format!("link add {} type veth peer name {inside}", network.cable),
            format!("link set {inside} netns {}", network.name),
            format!("addr add {here}/30 dev {}", network.cable),
            format!("link set {} up", network.cable),
            format!("-n {} addr add {there}/30 dev {inside}", network.name),
            format!("-n {} link set {inside} up", network.name),
        ];
        for step in steps {
            if let Err(reason) = ip(&step) {
                network.remove();
                return Err(format!("a network of one's own is not to be had: {reason}"));
            }
        }
        Ok(network)
    }

    /// What runs a program at the other end.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Pulls the cable: what is sent from here on goes nowhere, and nobody is told.
    pub(super) fn cut(&self) -> Result<(), String> {
        ip(&format!("-n {} link set {}i down", self.name, self.cable)).map(drop)
    }

    pub(super) fn join(&self) -> Result<(), String> {
        ip(&format!("-n {} link set {}i up", self.name, self.cable)).map(drop)
    }

    fn remove(&self) {
        let _ = ip(&format!("link del {}", self.cable));
        let _ = ip(&format!("netns del {}", self.name));
    }
}

fn ip(words: &str) -> Result<String, String> {
    said("ip", &words.split(' ').collect::<Vec<_>>())
}

fn mount(directory: &Path, volume: &Path, size: Size) -> Disk {
    let image = directory.join("disk.img").display().to_string();
    let volume = volume.display().to_string();
    let bytes = size.of("4G", "1G");
    // Without a reserve for root, so that full is full.
    let looped = said("truncate", &["-s", bytes, &image])
        .and_then(|_| said("mkfs.ext4", &["-q", "-m", "0", &image]))
        .and_then(|_| said("mount", &["-o", "loop", &image, &volume]));
    let Err(reason) = looped else {
        return Disk::Loop;
    };
    let _ = fs::remove_file(&image);
    let reason = format!("a disk of one's own is not to be had: {reason}");
    let size = format!("size={bytes}");
    match said("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", &volume]) {
        Ok(_) => Disk::Memory(reason),
        Err(_) => Disk::Shared(reason),
    }
}

fn unmount(volume: &Path) {
    let volume = volume.display().to_string();
    let _ = said("umount", &[&volume]).or_else(|_| said("umount", &["-l", &volume]));
}

/// Takes down what runs left that are no more.
fn sweep(runs: &Path) {
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(id) = name
            .strip_prefix("run-")
            .and_then(|id| id.parse::<u32>().ok())
        else {
            continue;
        };
        if Path::new(&format!("/proc/{id}")).exists() {
            continue;
        }
        let volume = entry.path().join("volume");
        let _ = said("fsfreeze", &["-u", &volume.display().to_string()]);
        unmount(&volume);
        let _ = ip(&format!("link del bs{}", id % 100_000));
        let _ = ip(&format!("netns del bongsu-soak-{id}"));
        let _ = fs::remove_dir_all(entry.path());
    }
}

/// What files are called that take the broker's room.
const FOREIGN: &str = "foreign-";

/// What a command prints, or why it failed.
pub(super) fn said(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            let reason = String::from_utf8_lossy(&output.stderr)
                .trim()
                .replace('\n', " ");
            Err(format!("{program}: {reason}"))
        }
    }
}
