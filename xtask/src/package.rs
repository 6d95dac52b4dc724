//! `cargo xtask package`: one static binary, and a Debian package around it.
//!
//! What is in the package is written here and in `packaging/`; the sample settings come from
//! the binary itself. The result is in `target/package/`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// The files that are made.
pub(crate) struct Packaged {
    /// The binary.
    pub(crate) binary: PathBuf,
    /// The Debian package.
    pub(crate) debian: PathBuf,
}

/// Makes both and says how large they are.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    if let Some(argument) = arguments.first() {
        eprintln!("cargo xtask package takes no arguments, got {argument}\n\n{USAGE}");
        return ExitCode::from(2);
    }
    let root = crate::root();
    match package(&root, &crate::target(&root)) {
        Ok(packaged) => {
            for path in [&packaged.binary, &packaged.debian] {
                let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
                println!("{:6.1} MB  {}", bytes as f64 / 1e6, path.display());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Builds the binary, checks it, and packs it.
pub(crate) fn package(root: &Path, target: &Path) -> Result<Packaged, String> {
    let out = target.join("package");
    fs::create_dir_all(&out).map_err(|error| format!("creating {}: {error}", out.display()))?;
    let built = build(root, target)?;
    let binary = out.join("bongsu");
    copy(&built, &binary, 0o755)?;
    check(&binary)?;
    let debian = debian(root, &out, &binary)?;
    Ok(Packaged { binary, debian })
}

/// Adds Rust's part for static binaries where rustup has it in hand.
///
/// # Errors
/// It is not there and not to be had.
pub(crate) fn need_target() -> Result<(), String> {
    match output(Command::new("rustup").args(["target", "list", "--installed"])) {
        Ok(installed) if !installed.lines().any(|line| line == MUSL) => {
            run_quietly(Command::new("rustup").args(["target", "add", MUSL]))
        }
        // Without rustup, cargo says whether it is there.
        _ => Ok(()),
    }
}

fn build(root: &Path, target: &Path) -> Result<PathBuf, String> {
    need_target()?;
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--locked", "--quiet", "--package", "bongsu"])
        .args(["--profile", "dist", "--target", MUSL])
        .env("CARGO_TARGET_DIR", target)
        .current_dir(root);
    run_quietly(&mut cargo)?;
    Ok(target.join(MUSL).join("dist/bongsu"))
}

/// Refuses a binary that needs a loader, or is too large to be sent around.
fn check(binary: &Path) -> Result<(), String> {
    let bytes = fs::read(binary).map_err(|error| format!("{}: {error}", binary.display()))?;
    if has_interpreter(&bytes) {
        return Err(format!("{} asks for a dynamic loader", binary.display()));
    }
    if bytes.len() > BINARY_BYTES_MAX {
        return Err(format!(
            "{} has {} bytes, more than {BINARY_BYTES_MAX}",
            binary.display(),
            bytes.len()
        ));
    }
    Ok(())
}

/// Whether an ELF file (64 bits, little endian) has a program header of type PT_INTERP.
fn has_interpreter(elf: &[u8]) -> bool {
    let number = |at: usize, count: usize| {
        let bytes = elf.get(at..at + count).unwrap_or_default();
        bytes
            .iter()
            .rev()
            .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    const PT_INTERP: usize = 3;
    (0..count).any(|index| number(table + index * size, 4) == PT_INTERP)
}

fn debian(root: &Path, out: &Path, binary: &Path) -> Result<PathBuf, String> {
    let version = output(Command::new(binary).arg("--version"))?;
    let version = version.trim().rsplit(' ').next().unwrap_or("0").to_owned();
    let tree = out.join("debian");
    let _ = fs::remove_dir_all(&tree);
    let packaging = root.join("packaging");
    copy(binary, &tree.join("usr/bin/bongsu"), 0o755)?;
    let unit = tree.join("lib/systemd/system/bongsu.service");
    copy(&packaging.join("bongsu.service"), &unit, 0o644)?;
    let documents = tree.join("usr/share/doc/bongsu");
    copy(
        &packaging.join("debian/copyright"),
        &documents.join("copyright"),
        0o644,
    )?;
    copy(&root.join("README.md"), &documents.join("README.md"), 0o644)?;
    let sample = output(Command::new(binary).args(["config", "--toml"]))?;
    let settings = installed_settings(&sample)?;
    write(&tree.join("etc/bongsu/bongsu.toml"), &settings, 0o644)?;
    for (shell, path) in COMPLETIONS {
        let text = output(Command::new(binary).args(["completion", shell]))?;
        write(&tree.join(path), &text, 0o644)?;
    }
    let bytes = fs::metadata(binary).map_or(0, |metadata| metadata.len());
    let control = fs::read_to_string(packaging.join("debian/control"))
        .map_err(|error| format!("packaging/debian/control: {error}"))?
        .replace("@VERSION@", &version)
        .replace("@INSTALLED_KIB@", &bytes.div_ceil(1024).to_string());
    write(&tree.join("DEBIAN/control"), &control, 0o644)?;
    copy(
        &packaging.join("debian/conffiles"),
        &tree.join("DEBIAN/conffiles"),
        0o644,
    )?;
    for script in ["postinst", "prerm", "postrm"] {
        let from = packaging.join("debian").join(script);
        copy(&from, &tree.join("DEBIAN").join(script), 0o755)?;
    }
    let debian = out.join(format!("bongsu_{version}_amd64.deb"));
    let mut pack = Command::new("dpkg-deb");
    pack.args(["--root-owner-group", "--build"])
        .arg(&tree)
        .arg(&debian);
    run_quietly(&mut pack)?;
    Ok(debian)
}

/// The sample, with the one setting that an installed broker must not leave to its working
/// directory.
fn installed_settings(sample: &str) -> Result<String, String> {
    const LINE: &str = "# dir = \"./bongsu-data\"";
    if !sample.contains(LINE) {
        return Err(format!("the sample settings have no line {LINE}"));
    }
    Ok(sample.replacen(LINE, "dir = \"/var/lib/bongsu\"", 1))
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<(), String> {
    let bytes = fs::read(from).map_err(|error| format!("{}: {error}", from.display()))?;
    write(to, bytes, mode)
}

fn write(to: &Path, bytes: impl AsRef<[u8]>, mode: u32) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", to.display());
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(to, bytes).map_err(failed)?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).map_err(failed)
}

fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().display().to_string();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} left with {}: {said}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{program}: not text"))
}

fn run_quietly(command: &mut Command) -> Result<(), String> {
    output(command).map(drop)
}

const MUSL: &str = "x86_64-unknown-linux-musl";
const BINARY_BYTES_MAX: usize = 30_000_000;
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/bongsu"),
    ("zsh", "usr/share/zsh/vendor-completions/_bongsu"),
    ("fish", "usr/share/fish/vendor_completions.d/bongsu.fish"),
];
const USAGE: &str = "\
usage: cargo xtask package

Builds the static binary (musl) and a Debian package into target/package/. Needs musl-tools and dpkg-deb.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_broker_keeps_its_data_where_the_unit_lets_it() {
        let sample = "[data]\n# where\n# dir = \"./bongsu-data\"\n# durability = \"fsync\"\n";
        let settings = installed_settings(sample).expect("the line is there");
        assert_eq!(
            settings,
            "[data]\n# where\ndir = \"/var/lib/bongsu\"\n# durability = \"fsync\"\n"
        );
        assert!(installed_settings("[data]\n").is_err());
    }

    #[test]
    fn a_program_with_a_loader_is_found_out() {
        let shell = fs::read("/bin/sh").expect("there is always a shell");
        assert!(has_interpreter(&shell));
        assert!(!has_interpreter(b""));
    }
}
