//! Where the broker is and who asks: the options that every command has.
//!
//! What the command line does not say, the environment does, then the credentials file,
//! then the broker's defaults. A password on the command line is seen by everybody on the
//! machine, so there are four other ways: a file, the environment, the credentials file,
//! and a question on the terminal.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use super::terminal;

/// Variables of the environment that are the command line's: no settings of the broker.
pub const VARIABLES: &[&str] = &[
    "BONGSU_URL",
    "BONGSU_USER",
    "BONGSU_PASSWORD",
    "BONGSU_SPACE",
    "BONGSU_CA_FILE",
];

/// The options.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Reaching the broker")]
pub struct Reach {
    /// The broker's HTTP port [else BONGSU_URL, else http://127.0.0.1:15672]; for commands that
    /// speak AMQP also amqp://user:password@host:port/space.
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// Who asks [else BONGSU_USER, else guest].
    #[arg(long, global = true, value_name = "NAME")]
    user: Option<String>,
    /// The password; others on this machine can see it. Better: --password-file,
    /// BONGSU_PASSWORD or the file ~/.config/bongsu/credentials.
    #[arg(long, global = true, value_name = "PASSWORD")]
    password: Option<String>,
    /// A file whose first line is the password; - is the standard input.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "password")]
    password_file: Option<PathBuf>,
    /// The space (virtual host) that is meant [else BONGSU_SPACE, else /].
    #[arg(long, short = 's', global = true, value_name = "SPACE")]
    space: Option<String>,
    /// Certificates to trust for https, PEM [else BONGSU_CA_FILE, else the usual authorities].
    #[arg(long, global = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Longest that an answer may take, in seconds.
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    timeout: u64,
    /// Print JSON, for programs.
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
    /// Do not ask before something is lost.
    #[arg(long, short = 'y', global = true, help_heading = "Output")]
    pub yes: bool,
}

/// All that is known of where and who.
#[derive(Clone, Debug)]
pub struct Place {
    /// `http://host:port`, `https://…` or `amqp://…`, without a login and a path's end.
    pub url: String,
    /// Who asks.
    pub user: String,
    /// Their password.
    pub password: String,
    /// The space.
    pub space: String,
    /// PEM certificates.
    pub ca_file: Option<PathBuf>,
    /// Of one request.
    pub timeout: Duration,
}

impl Reach {
    /// Gathers what command line, environment and file say.
    ///
    /// # Errors
    /// A file that cannot be read, or a credentials file that others may read.
    pub fn place(&self) -> Result<Place, Failure> {
        let kept = Credentials::find()?;
        self.place_with(|name| std::env::var(name).ok(), kept)
    }

    fn place_with(
        &self,
        variable: impl Fn(&str) -> Option<String>,
        kept: Credentials,
    ) -> Result<Place, Failure> {
        let url = (self.url.clone())
            .or_else(|| variable("BONGSU_URL"))
            .or(kept.url)
            .unwrap_or_else(|| URL_USUAL.to_owned());
        let (url, login) = split_login(&url)?;
        let (said_user, said_password) = match login {
            Some((user, password)) => (Some(user), password),
            None => (None, None),
        };
        let user = self.user.clone().or(said_user);
        let user = user.or_else(|| variable("BONGSU_USER")).or(kept.user);
        let password = match &self.password_file {
            Some(path) => Some(password_of(path)?),
            None => self.password.clone().or(said_password),
        };
        let password = password.or_else(|| variable("BONGSU_PASSWORD"));
        let password = match (password.or(kept.password), &user) {
            (Some(password), _) => password,
            (None, None) => GUEST.to_owned(),
            (None, Some(user)) => terminal::ask_secret(&format!("Password of {user}: "))?,
        };
        let ca_file = self.ca_file.clone();
        let ca_file = ca_file.or_else(|| variable("BONGSU_CA_FILE").map(PathBuf::from));
        let space = self.space.clone().or_else(|| variable("BONGSU_SPACE"));
        Ok(Place {
            url,
            user: user.unwrap_or_else(|| GUEST.to_owned()),
            password,
            space: space.unwrap_or_else(|| "/".to_owned()),
            ca_file: ca_file.or(kept.ca_file),
            timeout: Duration::from_secs(self.timeout.max(1)),
        })
    }

    /// Whether a space was named on the command line.
    pub fn names_space(&self) -> bool {
        self.space.is_some() || std::env::var_os("BONGSU_SPACE").is_some()
    }
}

/// `~/.config/bongsu/credentials`: TOML with `url`, `user`, `password`, `ca_file`.
#[derive(Debug, Default)]
struct Credentials {
    url: Option<String>,
    user: Option<String>,
    password: Option<String>,
    ca_file: Option<PathBuf>,
}

impl Credentials {
    fn find() -> Result<Credentials, Failure> {
        let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
        match config.filter(|path| path.is_absolute()).or_else(home) {
            Some(folder) => Credentials::read(&folder.join("bongsu").join("credentials")),
            None => Ok(Credentials::default()),
        }
    }

    fn read(path: &Path) -> Result<Credentials, Failure> {
        let wrong = |what: String| Failure::Usage(format!("{}: {what}", path.display()));
        let Ok(about) = std::fs::metadata(path) else {
            return Ok(Credentials::default());
        };
        let mode = about.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let what = format!("others may read it (mode {mode:o}); `chmod 600` it");
            return Err(wrong(what));
        }
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        // The error of a TOML parser quotes the line, which may be the password's.
        let table: toml::Table = text
            .parse()
            .map_err(|_| wrong("it is no TOML".to_owned()))?;
        let mut found = Credentials::default();
        for (key, value) in table {
            let text = value.as_str().map(str::to_owned);
            let text = text.ok_or_else(|| wrong(format!("{key}: expected a text in quotes")))?;
            match key.as_str() {
                "url" => found.url = Some(text),
                "user" => found.user = Some(text),
                "password" => found.password = Some(text),
                "ca_file" => found.ca_file = Some(text.into()),
                _ => {
                    let what = format!("{key}: expected url, user, password or ca_file");
                    return Err(wrong(what));
                }
            }
        }
        Ok(found)
    }
}

/// The first line of a file.
///
/// # Errors
/// It cannot be read.
pub fn password_of(path: &Path) -> Result<String, Failure> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    let wrong = |error| Failure::Usage(format!("{}: {error}", path.display()));
    let text = text.map_err(wrong)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

type Login = (String, Option<String>);

/// Takes a login out of a URL, and checks its scheme.
fn split_login(url: &str) -> Result<(String, Option<Login>), Failure> {
    let known = ["http", "https", "amqp"];
    let Some((scheme, rest)) = url
        .split_once("://")
        .filter(|(scheme, _)| known.contains(scheme))
    else {
        let what = format!("the URL '{url}' does not begin with http://, https:// or amqp://");
        return Err(Failure::Usage(what));
    };
    if scheme == "amqp" {
        return Ok((url.to_owned(), None));
    }
    let rest = rest.trim_end_matches('/');
    let (login, place) = match rest.rsplit_once('@') {
        Some((login, place)) => (Some(login), place),
        None => (None, rest),
    };
    if place.is_empty() || place.starts_with(':') {
        return Err(Failure::Usage("the URL names no host".to_owned()));
    }
    let login = login.map(|login| match login.split_once(':') {
        Some((user, password)) => (plain(user), Some(plain(password))),
        None => (plain(login), None),
    });
    Ok((format!("{scheme}://{place}"), login))
}

fn plain(text: &str) -> String {
    crate::replay::plain(text).unwrap_or_else(|_| text.to_owned())
}

const URL_USUAL: &str = "http://127.0.0.1:15672";
const GUEST: &str = "guest";

#[cfg(test)]
mod tests;
