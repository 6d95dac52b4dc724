//! What a user may do in a space, as RabbitMQ means it: three patterns, for what may be
//! configured (made, changed, deleted), written to and read from.
//!
//! A pattern is a regular expression that is found anywhere in a name; the empty one permits
//! nothing. It is tried with bounded effort: a name that takes longer is not permitted.

use std::sync::Arc;

use fancy_regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::refused::Permission;

/// See the module's comment. Compared by its text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Pattern {
    text: Arc<str>,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    All,
    Nothing,
    Regex(Arc<Regex>),
    /// Ready only when it is known for whom.
    Open,
}

impl Pattern {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn new(text: &str) -> Result<Pattern, String> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(format!(
                "it has {} bytes, at most {PATTERN_BYTES_MAX} are taken",
                text.len()
            ));
        }
        let matcher = match text {
            "" => Matcher::Nothing,
            ".*" | "^.*" | "^.*$" => Matcher::All,
            text if VARIABLES.iter().any(|variable| text.contains(variable)) => {
                // That it can be read at all is known now.
                compile(&filled(text, "user", "space"))?;
                Matcher::Open
            }
            text => Matcher::Regex(Arc::new(compile(text)?)),
        };
        let text = Arc::from(text);
        Ok(Pattern { text, matcher })
    }

    /// As it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is found in the name. What stands for user and space stands for itself.
    pub fn permits(&self, name: &str) -> bool {
        match &self.matcher {
            Matcher::All => true,
            Matcher::Nothing => false,
            Matcher::Regex(regex) => regex.is_match(name).unwrap_or(false),
            Matcher::Open => {
                compile(&self.text).is_ok_and(|regex| regex.is_match(name).unwrap_or(false))
            }
        }
    }

    /// As [`Pattern::permits`], with `{username}` and `{vhost}` filled in: literally, so
    /// that a name which looks like a pattern is none.
    pub fn permits_for(&self, name: &str, user: &str, space: &str) -> bool {
        match &self.matcher {
            Matcher::Open => {
                let filled = filled(&self.text, user, space);
                compile(&filled).is_ok_and(|regex| regex.is_match(name).unwrap_or(false))
            }
            _ => self.permits(name),
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.text == other.text
    }
}

impl From<String> for Pattern {
    /// One that another version of this broker took, and this one cannot read, permits
    /// nothing.
    fn from(text: String) -> Pattern {
        Pattern::new(&text).unwrap_or(Pattern {
            text: Arc::from(text),
            matcher: Matcher::Nothing,
        })
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.text.to_string()
    }
}

/// Of one user in one space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Permissions {
    /// What may be made, changed and deleted.
    pub configure: Pattern,
    /// What may be written to.
    pub write: Pattern,
    /// What may be read from.
    pub read: Pattern,
}

impl Permissions {
    /// Reads three patterns.
    ///
    /// # Errors
    /// Which one cannot be read, and why.
    pub fn new(
        configure: &str,
        write: &str,
        read: &str,
    ) -> Result<Permissions, (&'static str, String)> {
        let pattern = |which, text| Pattern::new(text).map_err(|cause| (which, cause));
        Ok(Permissions {
            configure: pattern("configure", configure)?,
            write: pattern("write", write)?,
            read: pattern("read", read)?,
        })
    }

    /// Everything.
    pub fn all() -> Permissions {
        let all = || Pattern {
            text: Arc::from(".*"),
            matcher: Matcher::All,
        };
        Permissions {
            configure: all(),
            write: all(),
            read: all(),
        }
    }

    /// Whether it may be done to the thing of that name.
    pub fn permit(&self, permission: Permission, name: &str) -> bool {
        let pattern = match permission {
            Permission::Configure => &self.configure,
            Permission::Write => &self.write,
            Permission::Read => &self.read,
        };
        pattern.permits(name)
    }

    /// Whether anything may be done to it: then it may be seen.
    pub fn permit_any(&self, name: &str) -> bool {
        use Permission::{Configure, Read, Write};
        let all = [Read, Write, Configure];
        all.iter().any(|one| self.permit(*one, name))
    }
}

/// Which routing keys of one topic exchange a user may write, and bind to. A user without
/// one for an exchange may use all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopicPermissions {
    /// Of what is published.
    pub write: Pattern,
    /// Of what is bound.
    pub read: Pattern,
}

impl TopicPermissions {
    /// Reads two patterns.
    ///
    /// # Errors
    /// Which one cannot be read, and why.
    pub fn new(write: &str, read: &str) -> Result<TopicPermissions, (&'static str, String)> {
        let pattern = |which, text| Pattern::new(text).map_err(|cause| (which, cause));
        Ok(TopicPermissions {
            write: pattern("write", write)?,
            read: pattern("read", read)?,
        })
    }
}

fn filled(text: &str, user: &str, space: &str) -> String {
    let [of_user, of_space] = VARIABLES;
    text.replace(of_user, &regex::escape(user))
        .replace(of_space, &regex::escape(space))
}

fn compile(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text)
        .delegate_size_limit(COMPILED_BYTES_MAX)
        .max_prog_size(STEPS_MAX)
        .backtrack_limit(BACKTRACK_COUNT_MAX)
        .build()
        .map_err(|error| error.to_string())
}

const VARIABLES: [&str; 2] = ["{username}", "{vhost}"];
const PATTERN_BYTES_MAX: usize = 4096;
const COMPILED_BYTES_MAX: usize = 1024 * 1024;
const STEPS_MAX: usize = 64 * 1024;
const BACKTRACK_COUNT_MAX: usize = 100_000;

#[cfg(test)]
mod tests;
