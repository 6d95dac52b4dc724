//! What it ran on: a figure without its machine says nothing.

use std::fs;
use std::process::Command;

use super::super::root;
use super::json::Json;

/// Cores, processor, memory, kernel, the most files a process may open, and what else was running.
pub fn described() -> Json {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    Json::Object(vec![
        ("cores", Json::Number(cores as f64)),
        ("processor", Json::text(processor())),
        (
            "memory_kb",
            Json::Number(number("/proc/meminfo", "MemTotal:")),
        ),
        ("kernel", Json::text(said("uname", &["-sr"]))),
        ("filesystem", Json::text(filesystem())),
        (
            "open_files_max",
            Json::Number(number("/proc/self/limits", "Max open files")),
        ),
        ("load_before", Json::text(load())),
    ])
}

/// Cores and processor, for people.
pub fn sentence() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{cores} cores ({}), {}",
        processor(),
        said("uname", &["-sr"])
    )
}

/// The load of the last minutes.
pub fn load() -> String {
    let loads = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    loads
        .split_whitespace()
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Now, in Universal Time.
pub fn now() -> String {
    said("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"])
}

/// The commit that was built, and whether something was changed since.
pub fn commit() -> String {
    said("git", &["describe", "--always", "--dirty", "--abbrev=10"])
}

fn processor() -> String {
    let facts = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = facts.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split(':').nth(1));
    name.map_or("unknown", str::trim).to_owned()
}

fn filesystem() -> String {
    said("stat", &["-f", "-c", "%T", "."])
}

/// The first number behind `key`; 0 where there is none.
fn number(file: &str, key: &str) -> f64 {
    let facts = fs::read_to_string(file).unwrap_or_default();
    let line = facts.lines().find_map(|line| line.strip_prefix(key));
    let word = line.and_then(|rest| rest.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_owned()
}
