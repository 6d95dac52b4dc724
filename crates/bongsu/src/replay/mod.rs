//! `bongsu queue replay`: messages that a queue kept, or a stream has, published once more.
//!
//! A client of the running broker like any other, so it needs no door of its own: it
//! reads with `x-stream-offset` up to where `x-stream-until` lets the broker end it, and
//! publishes with confirms. What was confirmed it acknowledges, in order; so at any
//! moment everything below one offset has been replayed, and that offset is what a
//! replay that failed says to go on from.

mod client;

pub mod message;

pub mod place;

mod progress;

mod url;

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use bongsu_record::{Arguments, Value};
use clap::Args;
use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::listing::print_done;
pub use client::{Client, ClientError, Delivered, Event};
pub use progress::Progress;
pub use url::{Url, plain};

/// What the command line says of a replay.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The queue to read: a stream, or a queue with a retention.
    #[arg(value_name = "NAME")]
    queue: String,
    /// Where to begin: first, an offset, a span of time like 2h, or a time like
    /// 2026-11-21T13:05Z.
    #[arg(long, value_name = "PLACE", default_value = "first", value_parser = place::parse)]
    from: Value,
    /// Where to end, itself not included: as --from, or next for all there is now.
    #[arg(long, value_name = "PLACE", default_value = "next", value_parser = place::parse)]
    until: Value,
    /// The queue to publish to; without, the same queue.
    #[arg(long, value_name = "QUEUE")]
    to: Option<String>,
    /// Only messages with this header; may be given several times.
    #[arg(long, value_name = "HEADER=VALUE", value_parser = header)]
    filter: Vec<(String, String)>,
    /// Messages a second, at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Only count what would be replayed.
    #[arg(long)]
    dry_run: bool,
}

/// Replays, and says what was done.
///
/// # Errors
/// For people, with the offset to go on from.
pub fn run(options: &Options, url: &Url, is_json: bool) -> Result<(), Failure> {
    let mut replay = Replay::begin(options, url)?;
    match replay.go_on() {
        Ok(()) => {
            replay.progress.end();
            let (account, object) = (replay.account(), replay.json());
            replay.client.close()?;
            print_done(is_json, &account, &object)
        }
        Err(error) => {
            replay.progress.end();
            let next = replay.next.map_or_else(
                || "nothing was replayed".to_owned(),
                |next| format!("{}; go on with --from {next}", replay.account()),
            );
            Err(Failure::from(error).with(&next))
        }
    }
}

struct Replay<'a> {
    options: &'a Options,
    target: &'a str,
    client: Client,
    /// Read and not acknowledged, in order.
    open: VecDeque<Open>,
    /// Number of the last publish.
    published: u64,
    read_count: u64,
    replayed_count: u64,
    /// Everything below is replayed, or was not to be.
    next: Option<u64>,
    finished: bool,
    pace: Option<Pace>,
    progress: Progress,
}

struct Open {
    tag: u64,
    offset: u64,
    /// Of its publish, while that is not confirmed.
    number: Option<u64>,
}

impl<'a> Replay<'a> {
    fn begin(options: &'a Options, url: &Url) -> Result<Replay<'a>, ClientError> {
        let target = options.to.as_deref().unwrap_or(&options.queue);
        let mut client = Client::connect(url)?;
        if !options.dry_run {
            client.find_queue(target)?;
            client.confirm()?;
        }
        let credit = options.rate.map_or(CREDIT, |rate| {
            u16::try_from(rate).unwrap_or(CREDIT).min(CREDIT)
        });
        let arguments = Arguments::from([
            ("x-stream-offset".to_owned(), options.from.clone()),
            ("x-stream-until".to_owned(), options.until.clone()),
        ]);
        client.consume(&options.queue, credit, &arguments)?;
        Ok(Replay {
            options,
            target,
            client,
            open: VecDeque::new(),
            published: 0,
            read_count: 0,
            replayed_count: 0,
            next: None,
            finished: false,
            pace: options.rate.map(Pace::new),
            progress: Progress::new(),
        })
    }

    fn go_on(&mut self) -> Result<(), ClientError> {
        while !self.finished || !self.open.is_empty() {
            match self.client.next()? {
                Event::Deliver(delivered) => self.take(&delivered)?,
                Event::Finished => self.finished = true,
                Event::Confirmed { number, multiple } => self.confirmed(number, multiple),
                Event::Unconfirmed => {
                    let what = format!("a refusal to take a message into queue '{}'", self.target);
                    return Err(ClientError::Unexpected(what));
                }
                Event::Returned(code, text) => return Err(ClientError::Refused(code, text)),
            }
            if self.progress.is_due() {
                self.progress.show(&self.account_of(self.next));
            }
        }
        self.client.flush()
    }

    fn take(&mut self, delivered: &Delivered) -> Result<(), ClientError> {
        let headers = message::headers(&delivered.block);
        // A reader of a stream is told each record's offset. Without, this is a queue that
        // lends: what it lent goes back to it with the connection.
        let offset = message::offset(&headers)
            .ok_or_else(|| ClientError::Unexpected("a message without an offset".to_owned()))?;
        let wanted = message::matches(&headers, &self.options.filter);
        self.read_count += 1;
        let mut open = Open {
            tag: delivered.tag,
            offset,
            number: None,
        };
        if wanted && self.options.dry_run {
            self.replayed_count += 1;
        } else if wanted {
            if let Some(pace) = &mut self.pace
                && let Some(wait) = pace.next(Instant::now())
            {
                self.client.flush()?;
                thread::sleep(wait);
            }
            let block = message::fresh(&delivered.block, &headers);
            self.client.publish(self.target, &block, &delivered.body);
            self.published += 1;
            open.number = Some(self.published);
            if self.client.is_full() {
                self.client.flush()?;
            }
        }
        self.open.push_back(open);
        self.acknowledge();
        Ok(())
    }

    fn confirmed(&mut self, number: u64, multiple: bool) {
        let is_confirmed = |open: &Open| match open.number {
            Some(own) if multiple => own <= number,
            own => own == Some(number),
        };
        for open in self.open.iter_mut() {
            if open.number.is_some_and(|own| own > number) {
                break;
            }
            if is_confirmed(open) {
                open.number = None;
                self.replayed_count += 1;
            }
        }
        self.acknowledge();
    }

    /// Acknowledges what is done, from the front.
    fn acknowledge(&mut self) {
        let mut last = None;
        while let Some(done) = self.open.pop_front_if(|open| open.number.is_none()) {
            self.next = Some(done.offset + 1);
            last = Some(done.tag);
        }
        if let Some(tag) = last {
            self.client.acknowledge(tag);
        }
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "queue": self.options.queue,
            "to": self.target,
            "read": self.read_count,
            "replayed": self.replayed_count,
            "dry_run": self.options.dry_run,
        })
    }

    fn account(&self) -> String {
        self.account_of(None)
    }

    fn account_of(&self, next: Option<u64>) -> String {
        let done = match self.options.dry_run {
            true => "would replay",
            false => "replayed",
        };
        let at = next.map_or_else(String::new, |next| format!(", at offset {next}"));
        format!(
            "{done} {} of {} messages of queue '{}' into queue '{}'{at}",
            self.replayed_count, self.read_count, self.options.queue, self.target
        )
    }
}

/// When the next message may go.
struct Pace {
    each: Duration,
    next: Option<Instant>,
}

impl Pace {
    fn new(rate: u32) -> Pace {
        Pace {
            each: Duration::from_secs(1) / rate,
            next: None,
        }
    }

    /// How long to wait before the next. Time that passed unused is not made up for.
    fn next(&mut self, now: Instant) -> Option<Duration> {
        let at = self.next.map_or(now, |next| next.max(now));
        self.next = Some(at + self.each);
        (at > now).then(|| at - now)
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| "expected HEADER=VALUE".to_owned())?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Messages read ahead of what is confirmed.
const CREDIT: u16 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_kept_and_not_made_up_for() {
        let mut pace = Pace::new(10);
        let start = Instant::now();
        let each = Duration::from_millis(100);
        assert_eq!(pace.next(start), None);
        assert_eq!(pace.next(start), Some(each));
        assert_eq!(pace.next(start + each), Some(each));
        assert_eq!(pace.next(start + 9 * each), None);
        assert_eq!(pace.next(start + 9 * each), Some(each));
    }

    #[test]
    fn filters_have_a_name() {
        let of = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(header("kind=a=b"), of("kind", "a=b"));
        assert_eq!(header("kind="), of("kind", ""));
        assert!(header("kind").is_err() && header("=a").is_err());
    }
}
