//! `bongsu top`: the broker, live, in a terminal of any size; one look where there is none.

mod screen;

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::api::{Api, with_query};
use super::failure::Failure;
use super::listing::{Column, Shown, column, print_json, print_text, table};
use super::terminal::has_colours;
use super::{Asked, status};
use screen::{Key, Screen};

/// How it looks.
#[derive(Debug, Args)]
pub struct Options {
    /// Seconds between two looks.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 2,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    every: u64,
    /// One look, then end; also without a terminal.
    #[arg(long)]
    once: bool,
}

/// What queues are sorted by, and the key that says so.
const SORTS: &[(char, &str, &str)] = &[
    ('r', "ready", "depth.ready"),
    ('l', "leased", "depth.leased"),
    ('w', "waiting", "depth.waiting"),
    ('c', "consumers", "consumers"),
    ('b', "bytes", "bytes"),
];

const COLUMNS: &[Column] = &[
    column("SPACE", "space", Shown::Text),
    column("NAME", "name", Shown::Text),
    column("READY", "depth/ready", Shown::Count),
    column("LEASED", "depth/leased", Shown::Count),
    column("WAITING", "depth/waiting", Shown::Count),
    column("CONSUMERS", "consumers", Shown::Count),
    column("OLDEST", "oldest_age_ms", Shown::Span),
    column("BYTES", "bytes", Shown::Bytes),
];

/// Looks until somebody has seen enough.
pub fn run(asked: &Asked, options: &Options) -> Result<(), Failure> {
    let api = asked.api()?;
    let is_live = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    let mut sort = SORTS[0];
    if asked.is_json {
        let (overview, queues) = look(&api, sort.2, QUEUES_ONCE)?;
        return print_json(&json!({ "overview": overview, "queues": queues }));
    }
    if options.once || !is_live {
        let (overview, queues) = look(&api, sort.2, QUEUES_ONCE)?;
        return print_text(&page(&overview, &queues, has_colours()));
    }
    let screen = Screen::open()?;
    loop {
        let (columns, rows) = screen.size();
        let text = match look(&api, sort.2, rows.max(1)) {
            Ok((overview, queues)) => page(&overview, &queues, has_colours()),
            // A broker that restarts is looked for until it is there again.
            Err(failure @ Failure::Connect(_)) => format!("{failure}\n"),
            Err(failure) => return Err(failure),
        };
        let help = format!("q quit  by {}: {}", sort.1, keys());
        screen.show(&text, &help, (columns, rows))?;
        match screen.wait(Duration::from_secs(options.every))? {
            Some(Key::Quit) => return Ok(()),
            Some(Key::Letter(letter)) => {
                let found = SORTS.iter().find(|(key, ..)| *key == letter);
                sort = found.copied().unwrap_or(sort);
            }
            Some(Key::Other) | None => {}
        }
    }
}

fn keys() -> String {
    let keys = SORTS.iter().map(|(key, name, _)| format!("{key} {name}"));
    keys.collect::<Vec<_>>().join("  ")
}

fn look(api: &Api, sort: &str, count: usize) -> Result<(Value, Vec<Value>), Failure> {
    let overview = api.get("/bongsu/v1/overview")?;
    let size = count.clamp(1, 500).to_string();
    let query = [
        ("sort", sort),
        ("sort_reverse", "true"),
        ("page_size", &size),
    ];
    let found = api.get(&with_query("/bongsu/v1/queues", &query))?;
    let queues = found["items"].as_array().cloned().unwrap_or_default();
    Ok((overview, queues))
}

fn page(overview: &Value, queues: &[Value], has_colours: bool) -> String {
    let mut text = status::lines(overview, has_colours);
    text.push('\n');
    text.push_str(&table(COLUMNS, queues, has_colours));
    text
}

const QUEUES_ONCE: usize = 20;
