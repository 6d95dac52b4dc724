use super::advisories::{Advisory, Severity};
use super::licences::is_allowed;
use super::{Package, of_package, packages};

fn advisory() -> Advisory {
    Advisory {
        id: "RUSTSEC-2024-0399".to_owned(),
        package: "rustls".to_owned(),
        severity: Severity::Vulnerability,
        patched: ">= 0.23.18".to_owned(),
        unaffected: ">= 0.23, < 0.23.13;< 0.23".to_owned(),
        title: "panic".to_owned(),
    }
}

#[test]
fn versions_are_concerned_or_not() {
    for (version, concerned) in [
        ("0.23.18", false),
        ("0.23.17", true),
        ("0.23.13", true),
        ("0.23.12", false),
        ("0.22.4", false),
    ] {
        let version = version.parse().expect("a version");
        assert_eq!(advisory().concerns(&version), concerned, "{version}");
    }
}

#[test]
fn a_vulnerable_package_is_named() {
    let lock = "version = 4\n\n[[package]]\nname = \"rustls\"\nversion = \"0.23.15\"\n\
                source = \"git+https://example.org/rustls\"\n\n[[package]]\nname = \"openssl-sys\"\n\
                version = \"0.9.1\"\n";
    let all: Vec<Package<'_>> = packages(lock).collect();
    assert_eq!(all.len(), 2);
    let wrong = of_package(&all[0], "Cargo.lock", &[advisory()]).expect("a version");
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(wrong[1].contains("RUSTSEC-2024-0399"), "{wrong:?}");
    let wrong = of_package(&all[1], "Cargo.lock", &[advisory()]).expect("a version");
    assert_eq!(wrong.len(), 1, "{wrong:?}");
}

#[test]
fn licences_are_chosen() {
    for (expression, allowed) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("(MIT OR GPL-3.0) AND Unicode-3.0", true),
        ("(MIT OR GPL-3.0) AND GPL-2.0", false),
        ("Apache-2.0 WITH LLVM-exception OR GPL-3.0", true),
        ("", false),
        ("(MIT", false),
    ] {
        assert_eq!(is_allowed(expression), allowed, "{expression}");
    }
}

#[test]
fn nothing_we_are_made_of_is_known_to_be_bad() {
    let said = super::audit();
    assert!(said.is_ok(), "{}", said.unwrap_err());
}
