//! How a command fails: a sentence for people, an exit code for programs.

use std::error::Error;
use std::fmt;
use std::io;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// 1: what was asked for was tried, and is not so.
    Failed(String),
    /// 2: the command line cannot be meant.
    Usage(String),
    /// 3: there is no such thing.
    NotFound(String),
    /// 4: who asks is not known, or may not.
    Refused(String),
    /// 5: nobody answers there.
    Connect(String),
}

impl Failure {
    /// What the process ends with; 0 is success.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Failed(_) => 1,
            Failure::Usage(_) => 2,
            Failure::NotFound(_) => 3,
            Failure::Refused(_) => 4,
            Failure::Connect(_) => 5,
        }
    }

    /// The same, with one more line.
    #[must_use]
    pub fn with(self, more: &str) -> Failure {
        let text = format!("{self}\n{more}");
        match self {
            Failure::Failed(_) => Failure::Failed(text),
            Failure::Usage(_) => Failure::Usage(text),
            Failure::NotFound(_) => Failure::NotFound(text),
            Failure::Refused(_) => Failure::Refused(text),
            Failure::Connect(_) => Failure::Connect(text),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Failed(text)
            | Failure::Usage(text)
            | Failure::NotFound(text)
            | Failure::Refused(text)
            | Failure::Connect(text) => f.write_str(text),
        }
    }
}

impl Error for Failure {}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Failed(error.to_string())
    }
}

impl From<Box<dyn Error>> for Failure {
    fn from(error: Box<dyn Error>) -> Failure {
        Failure::Failed(error.to_string())
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure::Failed(text)
    }
}
