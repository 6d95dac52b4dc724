//! What the tests need, brought to a machine that has nothing but compilers.
//!
//! Each ecosystem installs into an ignored folder beside its manifest. A stamp there holds the
//! manifest it was made from, so that a second run installs nothing.

use super::Context;
use super::broker::{Product, rabbitmq_is_here};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A language with its package manager.
#[derive(Clone, Copy)]
pub(crate) enum Ecosystem {
    Python,
    Node,
    /// Node, and Debian's Chromium to be driven by it.
    Browser,
    Go,
    Rust,
    Java,
    /// With its libraries from Debian, as is PHP: their versions are the release's.
    Ruby,
    Php,
}

/// Installs or builds what `directory` pins.
pub(crate) fn prepare(ecosystem: Ecosystem, directory: &Path) -> Result<(), String> {
    match ecosystem {
        Ecosystem::Python => {
            need(&["python3", "-c", "import ensurepip, venv"], "python3-venv")?;
            once(directory, "requirements.txt", ".venv", || {
                quiet(directory, "python3", &["-m", "venv", ".venv"])?;
                let pip = ["-m", "pip", "install", "--quiet", "--no-deps"];
                let pip = [&pip[..], &["--requirement", "requirements.txt"]].concat();
                quiet(directory, ".venv/bin/python", &pip)
            })
        }
        Ecosystem::Node => {
            need(&["node", "--version"], "nodejs")?;
            need(&["npm", "--version"], "npm")?;
            once(directory, "package-lock.json", "node_modules", || {
                quiet(directory, "npm", &["ci", "--no-audit", "--no-fund"])
            })
        }
        Ecosystem::Browser => {
            need(&["chromium", "--version"], "chromium")?;
            prepare(Ecosystem::Node, directory)
        }
        Ecosystem::Go => {
            need(&["go", "version"], "golang-go")?;
            quiet(directory, "go", &["build", "-o", "bin/client", "."])
        }
        Ecosystem::Rust => quiet(
            directory,
            "cargo",
            &["build", "--quiet", "--locked", "--target-dir", "target"],
        ),
        Ecosystem::Ruby => {
            need(&["ruby", "--version"], "ruby")?;
            need(&["ruby", "-e", "require 'bunny'"], "ruby-bunny")
        }
        Ecosystem::Php => {
            need(&["php", "--version"], "php-cli")?;
            let probe = "require '/usr/share/php/PhpAmqpLib/autoload.php';";
            need(&["php", "-r", probe], "php-amqplib")
        }
        Ecosystem::Java => {
            need(&["javac", "-version"], "default-jdk-headless")?;
            need(&["mvn", "--version"], "maven")?;
            // The sources are part of it: Maven takes seconds to find out that nothing is to do.
            once(directory, "", "target", || {
                quiet(
                    directory,
                    "mvn",
                    &[
                        "-q",
                        "-B",
                        "clean",
                        "compile",
                        "dependency:copy-dependencies",
                    ],
                )
            })
        }
    }
}

/// Python alone, for programs that use nothing but its standard library.
pub(super) fn need_python() -> Result<(), String> {
    need(&["python3", "--version"], "python3")
}

/// The broker's executable: ours built in release mode, the judge's from Debian.
pub(super) fn prepare_broker(context: &Context) -> Result<(), String> {
    let prepare = || match context.product {
        Product::Bongsu => build_bongsu(&context.root),
        Product::RabbitMq if rabbitmq_is_here() => Ok(()),
        Product::RabbitMq => install("rabbitmq-server"),
        Product::Kafka => prepare_kafka(context),
    };
    context.broker.get_or_init(prepare).clone()
}

/// Apache Kafka's jars: the judge, the standard tools and the definitions of all messages.
pub(super) fn prepare_kafka(context: &Context) -> Result<(), String> {
    let directory = context.root.join("tests/clients/kafka-broker");
    prepare(Ecosystem::Java, &directory)
}

/// kcat, whose librdkafka is years behind the one in Python's wheel.
pub(super) fn need_kcat() -> Result<(), String> {
    need(&["kcat", "-V"], "kcat")
}

/// What makes a program's clock jump.
pub(crate) fn need_faketime() -> Result<(), String> {
    need(&["faketime", "--version"], "faketime")
}

/// RabbitMQ's tool for its management API, as Debian ships it.
pub(super) fn need_rabbitmqadmin() -> Result<(), String> {
    need(&["test", "-x", "/usr/bin/rabbitmqadmin"], "rabbitmq-server")
}

/// With cargo's own words on the terminal: it takes minutes the first time.
pub(crate) fn build_bongsu(root: &Path) -> Result<(), String> {
    let status = Command::new("cargo")
        .args(["build", "--release", "--package", "bongsu"])
        .current_dir(root)
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("starting cargo: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err("bongsu does not build, see above".into())
    }
}

/// Runs `make` unless the stamp in `into` says that it was made from the same inputs.
fn once(
    directory: &Path,
    manifest: &str,
    into: &str,
    make: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let mut inputs = String::new();
    if manifest.is_empty() {
        read_all(&directory.join("pom.xml"), &mut inputs)?;
        read_all(&directory.join("src"), &mut inputs)?;
    } else {
        read_all(&directory.join(manifest), &mut inputs)?;
    }
    // An environment is bound to the place it was made in.
    inputs += &directory.display().to_string();
    let stamp = directory.join(into).join(".made-from");
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == inputs) {
        return Ok(());
    }
    make()?;
    fs::write(&stamp, inputs).map_err(|error| format!("writing {}: {error}", stamp.display()))
}

fn read_all(path: &Path, into: &mut String) -> Result<(), String> {
    let failed = |error| format!("reading {}: {error}", path.display());
    if path.is_dir() {
        let mut entries: Vec<PathBuf> = fs::read_dir(path)
            .map_err(failed)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        entries.sort();
        entries.iter().try_for_each(|entry| read_all(entry, into))
    } else {
        into.push_str(&fs::read_to_string(path).map_err(failed)?);
        Ok(())
    }
}

/// The compiler for static binaries, and what packs them.
pub(super) fn need_musl() -> Result<(), String> {
    need(&["musl-gcc", "--version"], "musl-tools")?;
    need(&["dpkg-deb", "--version"], "dpkg")
}

/// What counts instructions.
pub(super) fn need_valgrind() -> Result<(), String> {
    need(&["valgrind", "--version"], "valgrind")
}

/// Makes sure that a tool answers, installing Debian's package where that is possible.
fn need(probe: &[&str], package: &str) -> Result<(), String> {
    let answers = || {
        Command::new(probe[0])
            .args(&probe[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    if answers() {
        return Ok(());
    }
    install(package)?;
    if answers() {
        Ok(())
    } else {
        Err(format!(
            "`{}` fails even with {package} installed",
            probe.join(" ")
        ))
    }
}

fn install(package: &str) -> Result<(), String> {
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    if !root {
        return Err(format!(
            "{package} is missing: install it, or run once as root on Debian"
        ));
    }
    println!("   installing Debian's {package}");
    let here = Path::new("/");
    quiet(here, "apt-get", &["update", "-qq"])?;
    quiet(
        here,
        // Runlevel 1 keeps Debian from starting the service it has just unpacked.
        "env",
        &[
            "RUNLEVEL=1",
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "install",
            "-y",
            "-qq",
            "--no-install-recommends",
            package,
        ],
    )
}

/// Runs a command whose output is of interest only when it fails.
fn quiet(directory: &Path, program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("starting {program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "`{program} {}` left with {}\n{}{}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}
