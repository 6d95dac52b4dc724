//! What a process and its descendants used: CPU time and resident memory, from /proc.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use crate::Result;

/// A process and all it started, looked up anew at each question.
#[derive(Clone, Copy)]
pub struct Tree {
    root: u32,
}

impl Tree {
    /// The tree under `root`, which must run.
    pub fn new(root: u32) -> Result<Self> {
        Stat::of(root).ok_or_else(|| format!("process {root} does not run"))?;
        Ok(Self { root })
    }

    /// The generator itself.
    pub fn own() -> Self {
        Self {
            root: std::process::id(),
        }
    }

    /// User and system time of every living member.
    pub fn cpu(&self) -> Duration {
        let ticks: u64 = self
            .members()
            .iter()
            .filter_map(|pid| Stat::of(*pid))
            .map(|s| s.ticks)
            .sum();
        Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Resident bytes of every member, summed.
    pub fn resident_bytes(&self) -> u64 {
        self.status_sum("VmRSS:")
    }

    /// The peak of resident bytes of each member since `forget_peak`, summed.
    pub fn peak_bytes(&self) -> u64 {
        self.status_sum("VmHWM:")
    }

    /// Lets the peaks start anew at what is resident. Where the kernel refuses (another user's
    /// process), peaks include the time before.
    pub fn forget_peak(&self) {
        for pid in self.members() {
            let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
    }

    fn status_sum(&self, key: &str) -> u64 {
        let kilobytes = |pid: &u32| -> Option<u64> {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse().ok()
        };
        self.members().iter().filter_map(kilobytes).sum::<u64>() * 1024
    }

    fn members(&self) -> Vec<u32> {
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            if let Some((pid, stat)) = pid.and_then(|pid| Some((pid, Stat::of(pid)?))) {
                children.entry(stat.parent).or_default().push(pid);
            }
        }
        let mut members = vec![self.root];
        let mut at = 0;
        while at < members.len() {
            members.extend(children.remove(&members[at]).unwrap_or_default());
            at += 1;
        }
        members
    }
}

struct Stat {
    parent: u32,
    ticks: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// proc(5): the name in parentheses may hold anything, also parentheses and spaces, so fields
    /// are counted after the last one. From there: state, parent, .., user and system ticks.
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line[line.rfind(')')? + 1..].split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            ticks: number(11)? + number(12)?,
        })
    }
}

/// Lets this process and its children open as many files as the system allows it.
pub fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Refused only by a kernel with stricter rules; then opening the files fails, and says so.
    let _ = setrlimit(Resource::Nofile, limit);
}

#[cfg(test)]
mod tests;
