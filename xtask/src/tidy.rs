//! What the compiler does not hold: dependency direction, purity by name, and that
//! documents speak of what is there. Part of the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The crates from below: each may depend on those before it in its row's list only.
const LAYERS: &[(&str, &[&str])] = &[
    ("record", &[]),
    ("engine", &["record"]),
    ("storage", &["record"]),
    ("amqp091", &["record", "engine"]),
    ("kafka", &["record", "engine"]),
    ("broker", &["record", "engine", "storage"]),
    ("net", &["record", "engine", "broker"]),
    ("admin", &["record", "engine", "broker", "net"]),
    ("sim", &["record", "storage"]),
    (
        "trial",
        &[
            "record", "engine", "storage", "amqp091", "kafka", "broker", "net", "admin", "sim",
        ],
    ),
    (
        "bongsu",
        &[
            "record", "engine", "storage", "amqp091", "kafka", "broker", "net", "admin",
        ],
    ),
];

/// Crates without clock, file, socket, task, lock or randomness.
const PURE: &[&str] = &["record", "engine", "amqp091", "kafka"];
const BANNED_WHERE_PURE: &[&str] = &[
    "tokio",
    "std::fs",
    "std::net",
    "Instant::now",
    "SystemTime",
    "std::thread",
];

/// A document is read in one sitting.
const ARCHITECTURE_LINES_MAX: usize = 250;
const SOURCE_LINES_MAX: usize = 800;

/// Prints what is not tidy; succeeds if all is.
pub(crate) fn run() -> ExitCode {
    let findings = findings();
    for finding in &findings {
        eprintln!("tidy: {finding}");
    }
    ExitCode::from(u8::from(!findings.is_empty()))
}

fn findings() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace");
    let mut findings = Vec::new();
    layers(root, &mut findings);
    sources(root, &mut findings);
    documents(root, &mut findings);
    findings
}

fn layers(root: &Path, findings: &mut Vec<String>) {
    for folder in folders(&root.join("crates")) {
        let Some((name, allowed)) = LAYERS.iter().find(|(name, _)| *name == folder) else {
            findings.push(format!(
                "crates/{folder} is in no layer of xtask/src/tidy.rs"
            ));
            continue;
        };
        let manifest = read(&root.join("crates").join(name).join("Cargo.toml"));
        let dependencies = manifest
            .split("[dev-dependencies]")
            .next()
            .unwrap_or_default();
        let used = dependencies.lines().filter_map(|line| {
            let name = line.strip_prefix("bongsu-")?;
            name.split(['.', ' ', '=']).next()
        });
        for used in used.filter(|used| !allowed.contains(used)) {
            findings.push(format!(
                "crates/{name} depends on {used}, which is not below it"
            ));
        }
    }
}

fn sources(root: &Path, findings: &mut Vec<String>) {
    for folder in folders(&root.join("crates")) {
        let mut files = Vec::new();
        rust_files(&root.join("crates").join(&folder).join("src"), &mut files);
        for file in files {
            let text = read(&file);
            let shown = file
                .strip_prefix(root)
                .unwrap_or(&file)
                .display()
                .to_string();
            let tests = ["tests.rs", "histories.rs"]
                .iter()
                .any(|end| shown.ends_with(end))
                || shown.contains("/tests/");
            if text.lines().count() > SOURCE_LINES_MAX {
                findings.push(format!("{shown} is longer than {SOURCE_LINES_MAX} lines"));
            }
            if PURE.contains(&folder.as_str()) && !tests {
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                let code = code
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"));
                let code: String = code.collect::<Vec<_>>().join("\n");
                for banned in BANNED_WHERE_PURE
                    .iter()
                    .filter(|banned| code.contains(**banned))
                {
                    findings.push(format!("{shown} names {banned}, and its crate is pure"));
                }
            }
        }
    }
}

fn documents(root: &Path, findings: &mut Vec<String>) {
    let architecture = read(&root.join("ARCHITECTURE.md"));
    for folder in folders(&root.join("crates")) {
        if !architecture.contains(&format!("**{folder}**")) {
            findings.push(format!("ARCHITECTURE.md does not speak of crates/{folder}"));
        }
    }
    if architecture.lines().count() > ARCHITECTURE_LINES_MAX {
        findings.push(format!(
            "ARCHITECTURE.md is longer than {ARCHITECTURE_LINES_MAX} lines"
        ));
    }
    for name in [
        "README.md",
        "README.ko.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "docs/performance.md",
    ] {
        let text = read(&root.join(name));
        for path in named_paths(&text) {
            if !root.join(path).exists() {
                findings.push(format!("{name} names {path}, which is not there"));
            }
        }
    }
    let headings = |text: &str| text.lines().filter(|line| line.starts_with('#')).count();
    let (english, korean) = (
        read(&root.join("README.md")),
        read(&root.join("README.ko.md")),
    );
    if headings(&english) != headings(&korean) {
        findings.push("README.md and README.ko.md differ in their headings".to_owned());
    }
}

/// Words in backticks or link targets that look like paths of this tree.
fn named_paths(text: &str) -> impl Iterator<Item = &str> {
    const ROOTS: &[&str] = &["crates/", "docs/", "tests/", "bench/", "xtask/", "fuzz/"];
    text.split(['`', '(', ')', ' ', '\n', ','])
        .filter(|word| ROOTS.iter().any(|root| word.starts_with(root)))
        .map(|word| word.trim_end_matches(['.', ':', ';']))
        .filter(|word| !word.contains(['*', '<', '{', '…']))
}

fn folders(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok())
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn rust_files(path: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn tree_is_tidy() {
        let findings = super::findings();
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    }

    #[test]
    fn paths_are_found_in_prose() {
        let text = "see `crates/engine/src`, (docs/a.md) and crates/*/b";
        let found: Vec<_> = super::named_paths(text).collect();
        assert_eq!(found, ["crates/engine/src", "docs/a.md"]);
    }
}
