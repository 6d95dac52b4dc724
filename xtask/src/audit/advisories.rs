//! RustSec's advisories: the few lines of each that decide, one row of a table.

use std::path::Path;

use super::Result;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advisory {
    /// `RUSTSEC-YEAR-NUMBER`.
    pub id: String,
    /// Of what.
    pub package: String,
    /// How bad.
    pub severity: Severity,
    /// Version requirements, separated by `;`: which are not concerned any more.
    pub patched: String,
    /// The same: which never were.
    pub unaffected: String,
    /// In a sentence.
    pub title: String,
}

/// How bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It can be exploited, or is unsound.
    Vulnerability,
    /// Nobody keeps it any more.
    Unmaintained,
    /// Worth knowing.
    Notice,
}

/// The copy.
pub struct Known {
    /// Of which day.
    pub date: String,
    pub advisories: Vec<Advisory>,
}

impl Advisory {
    /// Whether this version has it.
    pub fn concerns(&self, version: &semver::Version) -> bool {
        let matches = |requirements: &str| {
            requirements
                .split(';')
                .filter(|one| !one.is_empty())
                .filter_map(|one| semver::VersionReq::parse(one).ok())
                .any(|one| one.matches(version))
        };
        !matches(&self.patched) && !matches(&self.unaffected)
    }
}

/// Reads the copy.
///
/// # Errors
/// It is not there, or not what we wrote.
pub fn read(path: &Path) -> Result<Known> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut lines = text.lines();
    let date = lines
        .next()
        .and_then(|line| line.strip_prefix("# advisory-db of "));
    let date = date.ok_or("supply/advisories.tsv does not say of which day it is")?;
    let advisories: Result<Vec<Advisory>> = lines.map(parse).collect();
    Ok(Known {
        date: date.to_owned(),
        advisories: advisories?,
    })
}

fn parse(line: &str) -> Result<Advisory> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [id, package, severity, patched, unaffected, title] = fields[..] else {
        return Err(format!("not a row of advisories: {line}").into());
    };
    let severity = match severity {
        "vulnerability" => Severity::Vulnerability,
        "unmaintained" => Severity::Unmaintained,
        "notice" => Severity::Notice,
        other => return Err(format!("{id}: what is {other}?").into()),
    };
    Ok(Advisory {
        id: id.to_owned(),
        package: package.to_owned(),
        severity,
        patched: patched.to_owned(),
        unaffected: unaffected.to_owned(),
        title: title.to_owned(),
    })
}

/// Makes the copy anew.
///
/// # Errors
/// The clone is none.
pub fn update(clone: &Path, copy: &Path) -> Result<String> {
    let git = |arguments: &[&str]| -> Result<String> {
        let output = std::process::Command::new("git")
            .arg("-C")
            .arg(clone)
            .args(arguments)
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(String::from_utf8(output.stdout)?)
    };
    let date = git(&["log", "-1", "--format=%cs", "HEAD"])?;
    let names = git(&["ls-tree", "-r", "--name-only", "HEAD", "crates"])?;
    let mut rows = Vec::new();
    for name in names.lines().filter(|name| name.ends_with(".md")) {
        let text = git(&["show", &format!("HEAD:{name}")])?;
        rows.extend(row(&text));
    }
    rows.sort();
    let count = rows.len();
    let text = format!("# advisory-db of {}\n{}\n", date.trim(), rows.join("\n"));
    std::fs::write(copy, text)?;
    Ok(format!("{count} advisories of {}", date.trim()))
}

/// The row of an advisory as RustSec writes it; none if it was withdrawn.
fn row(text: &str) -> Option<String> {
    let front = text.split("```").nth(1)?;
    let field = |name: &str| {
        front.lines().find_map(|line| {
            let value = line.strip_prefix(name)?.trim_start().strip_prefix('=')?;
            Some(value.trim().trim_matches('"').to_owned())
        })
    };
    if field("withdrawn").is_some() {
        return None;
    }
    let severity = match field("informational").as_deref() {
        None | Some("unsound") => "vulnerability",
        Some("unmaintained") => "unmaintained",
        Some(_) => "notice",
    };
    let title = text.lines().find_map(|line| line.strip_prefix("# "))?;
    let (id, package) = (field("id")?, field("package")?);
    let (patched, unaffected) = (list(front, "patched"), list(front, "unaffected"));
    Some([&id, &package, severity, &patched, &unaffected, title.trim()].join("\t"))
}

/// A list of texts, over as many lines as it takes.
fn list(front: &str, name: &str) -> String {
    let begins = |line: &str| {
        let rest = line.strip_prefix(name)?;
        rest.trim_start().strip_prefix('=').map(str::len)
    };
    let mut at = 0;
    for line in front.lines() {
        if begins(line).is_some() {
            let rest = &front[at..];
            let inside = rest
                .split_once('[')
                .and_then(|(_, rest)| rest.split_once(']'));
            let inside = inside.map_or("", |(inside, _)| inside);
            let texts = inside.split('"').skip(1).step_by(2);
            return texts.collect::<Vec<_>>().join(";");
        }
        at += line.len() + 1;
    }
    String::new()
}
