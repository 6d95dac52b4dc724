//! Conversations as text: what the client says, and behind `----` what came of it.
//! `BONGSU_BLESS=1` rewrites the answers; the diff is the review.
//!
//! Lines of the client are in `client.rs`, the broker's rules in `world.rs`. A line that
//! begins with `+` arrives in one read with the next. Beside them:
//!
//!     connected                        # header to open-ok, without a word
//!     deliver LINK START END [redelivered] | durable LSN | link-closed LINK
//!     blocked REASON | unblocked | stop | evict REASON | wait SECONDS

use std::fmt::Write;
use std::time::Duration;

use bongsu_engine::session::{Input, LinkId};
use bongsu_record::Lsn;

use super::client::said;
use super::world::{World, told};

fn run(text: &str) -> String {
    let mut world = World::new();
    let mut written = String::new();
    let mut joined = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with("----")) {
        writeln!(written, "{line}").unwrap();
        let words = line.split('#').next().unwrap_or_default().trim();
        if let Some(words) = words.strip_prefix('+') {
            joined.extend(said(words));
            continue;
        }
        let read = std::mem::take(&mut joined);
        let done = world.seen.len();
        match *words.split_whitespace().collect::<Vec<_>>() {
            [] => continue,
            ["connected"] => {
                for words in ["header", "start-ok", "tune-ok 4096", "open /"] {
                    world.read(&said(words));
                }
                world.seen.clear();
                continue;
            }
            ["deliver", link, start, end, ref rest @ ..] => {
                let number = |text: &str| text.parse::<u64>().unwrap();
                let redelivered = !rest.is_empty();
                world.deliver(
                    link.parse().unwrap(),
                    number(start),
                    number(end),
                    redelivered,
                );
            }
            ["durable", lsn] => drop(world.input(Input::Durable(Lsn(lsn.parse().unwrap())))),
            ["link-closed", link] => {
                let link = LinkId(link.parse().unwrap());
                world.input(Input::LinkClosed(link));
            }
            ["blocked", ref reason @ ..] => {
                world.input(Input::Blocked(Some(&reason.join(" "))));
            }
            ["unblocked"] => drop(world.input(Input::Blocked(None))),
            ["stop"] => drop(world.input(Input::Stop)),
            ["evict", ref reason @ ..] => {
                world.input(Input::Evict(&reason.join(" ")));
            }
            ["wait", seconds] => world.wait(Duration::from_secs(seconds.parse().unwrap())),
            _ => world.read(&[read, said(words)].concat()),
        }
        for seen in &world.seen[done..] {
            for line in told(seen) {
                writeln!(written, "---- {line}").unwrap();
            }
        }
    }
    written
}

#[test]
fn histories() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/session/histories");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let answered = run(&text);
        if std::env::var_os("BONGSU_BLESS").is_some() {
            std::fs::write(&file, &answered).unwrap();
            continue;
        }
        assert_eq!(answered, text, "{}", file.display());
    }
}
