//! Licences of all we link, build with and test with.

use super::Result;

/// Holds each against what is allowed; how many were looked at.
///
/// # Errors
/// cargo does not tell.
pub fn check(wrong: &mut Vec<String>) -> Result<usize> {
    let output = crate::cargo()
        .args(["tree", "--workspace", "--locked", "--prefix", "none"])
        .args(["--format", "{p}|{l}"])
        .current_dir(crate::root())
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let text = String::from_utf8(output.stdout)?;
    let mut lines: Vec<&str> = text
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .collect();
    lines.sort_unstable();
    lines.dedup();
    let mut count = 0;
    for line in lines {
        let Some((package, licence)) = line.split_once('|') else {
            continue;
        };
        count += 1;
        if !is_allowed(licence) {
            let named = if licence.is_empty() {
                "no licence"
            } else {
                licence
            };
            wrong.push(format!("{package} has {named}, which is not on the list"));
        }
    }
    Ok(count)
}

/// Whether we may choose licences of the list. `OR`, `AND`, brackets, and the old `/` for `OR`.
pub fn is_allowed(expression: &str) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ")
        // With an exception it allows more than without.
        .replace(" WITH LLVM-exception", "");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = &words[..];
    let allowed = any(&mut rest);
    allowed && rest.is_empty() && !words.is_empty()
}

fn any(rest: &mut &[&str]) -> bool {
    let mut allowed = all(rest);
    while let ["OR", behind @ ..] = rest {
        *rest = behind;
        allowed |= all(rest);
    }
    allowed
}

fn all(rest: &mut &[&str]) -> bool {
    let mut allowed = one(rest);
    while let ["AND", behind @ ..] = rest {
        *rest = behind;
        allowed &= one(rest);
    }
    allowed
}

fn one(rest: &mut &[&str]) -> bool {
    match rest {
        ["(", behind @ ..] => {
            *rest = behind;
            let allowed = any(rest);
            if let [")", behind @ ..] = rest {
                *rest = behind;
                return allowed;
            }
            false
        }
        [licence, behind @ ..] => {
            let allowed = ALLOWED.contains(licence);
            *rest = behind;
            allowed
        }
        [] => false,
    }
}

/// What goes with Apache-2.0, ours.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];
