//! `bongsu repair`: checks a data directory that no broker uses, and mends what can be.
//!
//! It is looked through twice: first on paper, then, once somebody has said yes, for good.
//! A broker is started on it in the end without a door to anybody, because only that knows
//! which queue a log belongs to, and takes the checkpoint that the mended state needs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bongsu_broker::{Broker, Limits};
use bongsu_storage::disk::{Disk, LocalDisk};
use bongsu_storage::repair::overlay::Overlay;
use bongsu_storage::repair::{Repaired, repair};
use bongsu_storage::{Durability, Error, Options as StorageOptions};
use clap::Args;
use serde_json::{Value, json};

use super::failure::Failure;
use super::listing::{bytes_text, harmless, print_json, print_text};
use super::terminal::confirm_aloud;

/// What to check.
#[derive(Debug, Args)]
pub struct Options {
    /// The data directory. Its broker must not run.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Only say what is damaged and what would be done; exit code 1 if anything is.
    #[arg(long)]
    dry_run: bool,
}

/// Checks, asks, mends.
pub fn run((is_json, is_sure): (bool, bool), options: &Options) -> Result<(), Failure> {
    let dir = &options.data;
    if !dir.join("data").is_dir() || !dir.join("lanes").is_dir() {
        let what = format!("{} is no data directory", dir.display());
        return Err(Failure::NotFound(what));
    }
    let storage = StorageOptions::new(dir);
    let local: Arc<dyn Disk> = Arc::new(LocalDisk);
    let paper: Arc<dyn Disk> = Arc::new(Overlay::new(Arc::clone(&local)));
    let found = repair(&paper, &storage);
    let names = names(&paper, &storage);
    drop(paper);
    let found = found.map_err(|(found, error)| cannot(is_json, &found, &names, &error))?;
    if found.damages.is_empty() {
        show(is_json, "sound", &found, &names)?;
        return Ok(());
    }
    if options.dry_run {
        show(is_json, "damaged", &found, &names)?;
        return Err(Failure::Failed("the data directory is damaged".to_owned()));
    }
    if !is_json {
        print_text(&lines("damaged", &found, &names))?;
    }
    confirm_aloud(is_sure, &format!("mend {}", dir.display()))?;
    let done = repair(&local, &storage);
    let done = done.map_err(|(done, error)| cannot(is_json, &done, &names, &error))?;
    settle(&local, &storage)?;
    show(is_json, "mended", &done, &names)
}

/// Starts on what was mended, and stops: the checkpoint that comes of it no longer knows of
/// anything that is gone.
fn settle(disk: &Arc<dyn Disk>, storage: &StorageOptions) -> Result<(), Failure> {
    let failed = |error: Error| {
        let what = format!(
            "the files are mended, but a broker still does not start: {error}; restore a backup, \
             or put the copies in damaged/ back"
        );
        Failure::Failed(what)
    };
    let opened = Broker::open(
        Arc::clone(disk),
        storage.clone(),
        Durability::Fsync,
        Limits::default(),
    );
    let (broker, _) = opened.map_err(failed)?;
    while broker.step_commit().map_err(failed)? {}
    broker.close().map_err(failed)
}

/// The queues by the numbers of their logs, as far as that can be told.
fn names(disk: &Arc<dyn Disk>, storage: &StorageOptions) -> BTreeMap<u64, String> {
    let opened = Broker::open(
        Arc::clone(disk),
        storage.clone(),
        Durability::Fsync,
        Limits::default(),
    );
    match opened {
        Ok((broker, _)) => broker.names_of_logs(),
        Err(_) => BTreeMap::new(),
    }
}

fn cannot(
    is_json: bool,
    found: &Repaired,
    names: &BTreeMap<u64, String>,
    error: &Error,
) -> Failure {
    if let Error::Locked { .. } = error {
        return Failure::Refused(error.to_string());
    }
    match show(is_json, "damaged", found, names) {
        Err(failure) => failure,
        Ok(()) => Failure::Failed(format!("{error}\nthat cannot be mended: restore a backup")),
    }
}

fn show(
    is_json: bool,
    state: &str,
    found: &Repaired,
    names: &BTreeMap<u64, String>,
) -> Result<(), Failure> {
    match is_json {
        true => print_json(&told(state, found, names)),
        false => print_text(&lines(state, found, names)),
    }
}

fn told(state: &str, found: &Repaired, names: &BTreeMap<u64, String>) -> Value {
    let damages = found.damages.iter().map(|damage| {
        json!({
            "file": damage.path.display().to_string(),
            "position": damage.position,
            "what": damage.what,
            "mend": damage.mend,
        })
    });
    let lost = found.lost.iter().map(|lost| {
        json!({
            "queue": names.get(&lost.log.0),
            "log": lost.log.0,
            "from": lost.offsets.start.0,
            "to": lost.offsets.end.0,
        })
    });
    let aside = found
        .set_aside
        .iter()
        .map(|path| path.display().to_string());
    json!({
        "state": state,
        "segments": found.segment_count,
        "damages": damages.collect::<Vec<_>>(),
        "lost": lost.collect::<Vec<_>>(),
        "lost_changes": found.lost_note_count,
        "unreadable_bytes": found.unreadable_bytes,
        "set_aside": aside.collect::<Vec<_>>(),
    })
}

fn lines(state: &str, found: &Repaired, names: &BTreeMap<u64, String>) -> String {
    let mut out = format!("{state}: {} segments read\n", found.segment_count);
    let mends = match state {
        "mended" => "mended",
        _ => "can be mended",
    };
    for damage in &found.damages {
        let (what, mend) = (harmless(&damage.what), &damage.mend);
        let (path, at) = (damage.path.display(), damage.position);
        out.push_str(&format!("{path} at byte {at}: {what}\n  {mends}: {mend}\n"));
    }
    for lost in &found.lost {
        let (from, last) = (lost.offsets.start, lost.offsets.end.0 - 1);
        let of = match names.get(&lost.log.0) {
            Some(name) => format!("queue {}", harmless(name)),
            None => format!("log {}", lost.log),
        };
        out.push_str(&format!("lost: {of}, offsets {from} to {last}\n"));
    }
    if found.lost_note_count > 0 {
        let count = found.lost_note_count;
        out.push_str(&format!(
            "lost: {count} changes to queues, users or groups\n"
        ));
    }
    if found.unreadable_bytes > 0 {
        let bytes = bytes_text(found.unreadable_bytes as f64);
        out.push_str(&format!(
            "lost: {bytes} at the end of the lane, of which nothing can be said\n"
        ));
    }
    for path in &found.set_aside {
        out.push_str(&format!("kept: {}\n", path.display()));
    }
    out
}
