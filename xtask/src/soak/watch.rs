//! What is seen of a run: how the clients fare and what the broker takes, ten times a second.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

/// Whose ledger.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Amqp,
    Kafka,
}

impl Who {
    pub(super) const BOTH: [Self; 2] = [Self::Amqp, Self::Kafka];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Amqp => "AMQP",
            Self::Kafka => "Kafka",
        }
    }

    pub(super) const fn program(self) -> &'static str {
        match self {
            Self::Amqp => "amqp.py",
            Self::Kafka => "kafka.py",
        }
    }
}

/// What a ledger has come to.
#[derive(Clone, Copy, Default)]
pub(super) struct Moved {
    pub(super) confirmed: u64,
    pub(super) delivered: u64,
    pub(super) again: u64,
    pub(super) behind: u64,
    /// Publishers that were told to wait.
    pub(super) blocked: u64,
}

impl Moved {
    pub(super) fn parse(counts: &str) -> Self {
        let mut moved = Self::default();
        for (name, count) in counts.split(' ').filter_map(|one| one.split_once('=')) {
            let count = count.parse::<i64>().unwrap_or(0).max(0) as u64;
            match name {
                "confirmed" => moved.confirmed = count,
                "delivered" => moved.delivered = count,
                "again" => moved.again = count,
                "behind" => moved.behind = count,
                "blocked" => moved.blocked = count,
                _ => {}
            }
        }
        moved
    }
}

/// One reading.
#[derive(Clone, Copy, Default)]
pub(super) struct Sample {
    pub(super) at_s: f64,
    /// Of the two ledgers, as in [`Who::BOTH`].
    pub(super) moved: [Moved; 2],
    pub(super) memory_bytes: u64,
    pub(super) file_count: u64,
    /// Of one core.
    pub(super) cpu: f64,
}

/// When which fault was on.
#[derive(Clone)]
pub(super) struct Band {
    pub(super) name: &'static str,
    pub(super) from_s: f64,
    pub(super) until_s: f64,
}

pub(super) struct Watch {
    begun: Instant,
    seen: Mutex<Seen>,
    ended: AtomicBool,
}

#[derive(Default)]
struct Seen {
    moved: [Moved; 2],
    /// When confirms and deliveries of each last moved, and the longest that they did not: since
    /// the mark, and since the band began.
    still: [[Still; 2]; 2],
    still_in_band: [[Still; 2]; 2],
    samples: Vec<Sample>,
    bands: Vec<Band>,
    violations: Vec<String>,
    memory_peak_bytes: u64,
}

#[derive(Clone, Copy, Default)]
struct Still {
    since: Option<Instant>,
    moved: bool,
    longest: Duration,
}

impl Still {
    fn anew() -> Self {
        Self {
            since: Some(Instant::now()),
            ..Self::default()
        }
    }
}

/// Confirms, or deliveries.
#[derive(Clone, Copy)]
pub(super) enum What {
    Confirms,
    Deliveries,
}

impl Watch {
    /// Watches the process that `id` is, until [`Watch::end`].
    pub(super) fn begin(id: Arc<AtomicU32>) -> (Arc<Self>, JoinHandle<()>) {
        let watch = Arc::new(Self {
            begun: Instant::now(),
            seen: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let ours = watch.clone();
        let thread = thread::spawn(move || ours.sample(&id));
        (watch, thread)
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    pub(super) fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    pub(super) fn moved(&self, who: Who, moved: Moved) {
        let mut seen = self.seen();
        let before = std::mem::replace(&mut seen.moved[who as usize], moved);
        let moves = [
            moved.confirmed > before.confirmed,
            moved.delivered > before.delivered,
        ];
        let seen = &mut *seen;
        for all in [&mut seen.still, &mut seen.still_in_band] {
            for (still, moves) in all[who as usize].iter_mut().zip(moves) {
                let now = Instant::now();
                let since = *still.since.get_or_insert(now);
                still.longest = still.longest.max(now - since);
                if moves {
                    still.since = Some(now);
                    still.moved = true;
                }
            }
        }
    }

    /// As last told.
    pub(super) fn now(&self, who: Who) -> Moved {
        self.seen().moved[who as usize]
    }

    /// Begins to look for standstills anew.
    pub(super) fn mark(&self) {
        self.seen().still = [[Still::anew(); 2]; 2];
    }

    /// Whether there was a confirm and a delivery since the mark.
    pub(super) fn has_moved(&self, who: Who) -> bool {
        self.seen().still[who as usize]
            .iter()
            .all(|still| still.moved)
    }

    /// The longest that nothing moved since the mark, up to now.
    pub(super) fn standstill(&self, who: Who, what: What) -> Duration {
        let still = self.seen().still[who as usize][what as usize];
        let current = still.since.map_or(Duration::ZERO, |since| since.elapsed());
        still.longest.max(current)
    }

    /// The longest that either ledger had none, since the band began.
    pub(super) fn worst_in_band(&self, what: What) -> Duration {
        let still = self.seen().still_in_band;
        let all = still.map(|of| of[what as usize]);
        let longest = all.map(|one| {
            let current = one.since.map_or(Duration::ZERO, |since| since.elapsed());
            one.longest.max(current)
        });
        longest[0].max(longest[1])
    }

    /// Most memory since the band began.
    pub(super) fn memory_peak_bytes(&self) -> u64 {
        self.seen().memory_peak_bytes
    }

    pub(super) fn last(&self) -> Sample {
        self.seen().samples.last().copied().unwrap_or_default()
    }

    /// The share of a core that the broker took over so long.
    pub(super) fn cpu_over(&self, time: Duration) -> f64 {
        let before = self.seen().samples.len();
        sleep(time);
        let seen = self.seen();
        let new = &seen.samples[before.min(seen.samples.len())..];
        new.iter().map(|sample| sample.cpu).sum::<f64>() / (new.len().max(1)) as f64
    }

    pub(super) fn begin_band(&self, name: &'static str) {
        let from_s = self.seconds();
        self.mark();
        let mut seen = self.seen();
        seen.still_in_band = [[Still::anew(); 2]; 2];
        seen.memory_peak_bytes = 0;
        seen.bands.push(Band {
            name,
            from_s,
            until_s: f64::INFINITY,
        });
    }

    pub(super) fn end_band(&self) {
        let until_s = self.seconds();
        if let Some(band) = self.seen().bands.last_mut() {
            band.until_s = until_s;
        }
    }

    /// Notes it with the fault that was on, or was the last.
    pub(super) fn violated(&self, text: &str) {
        let at_s = self.seconds();
        let mut seen = self.seen();
        let when = match seen.bands.last() {
            Some(band) if band.until_s.is_infinite() => format!("during {}", band.name),
            Some(band) => format!("{:.0} s after {}", at_s - band.until_s, band.name),
            None => "before any fault".into(),
        };
        let line = format!("at {at_s:.1} s, {when}: {text}");
        eprintln!("   VIOLATION {line}");
        seen.violations.push(line);
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.seen().violations.clone()
    }

    pub(super) fn history(&self) -> (Vec<Sample>, Vec<Band>) {
        let seen = self.seen();
        (seen.samples.clone(), seen.bands.clone())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("nobody panics with it")
    }

    fn sample(&self, id: &AtomicU32) {
        let mut before = (0, 0, 0.0);
        while !self.ended.load(Ordering::Relaxed) {
            sleep(INTERVAL);
            let id = id.load(Ordering::Relaxed);
            let at_s = self.seconds();
            let ticks = cpu_ticks(id);
            let mut sample = Sample {
                at_s,
                memory_bytes: memory_bytes(id),
                file_count: file_count(id),
                ..Sample::default()
            };
            if before.0 == id && at_s > before.2 {
                let ticks = ticks.saturating_sub(before.1) as f64;
                sample.cpu = ticks / TICKS_A_SECOND / (at_s - before.2);
            }
            before = (id, ticks, at_s);
            let mut seen = self.seen();
            sample.moved = seen.moved;
            seen.memory_peak_bytes = seen.memory_peak_bytes.max(sample.memory_bytes);
            seen.samples.push(sample);
            if seen.samples.len() > SAMPLES_MAX {
                // Hours: half as fine, which a picture does not show.
                let mut at = 0;
                seen.samples.retain(|_| {
                    at += 1;
                    at % 2 == 0
                });
            }
        }
    }
}

fn memory_bytes(id: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/statm")).unwrap_or_default();
    let pages = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

/// Newer kernels say it as the folder's size; of older ones it is counted.
fn file_count(id: u32) -> u64 {
    let path = format!("/proc/{id}/fd");
    match fs::metadata(&path).map_or(0, |folder| folder.len()) {
        0 => fs::read_dir(&path).map_or(0, |all| all.count() as u64),
        count => count,
    }
}

/// Of the process, in user mode and in the kernel.
fn cpu_ticks(id: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // Its name is in brackets and may hold anything.
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let numbers = rest.split_whitespace().skip(11).take(2);
    numbers
        .filter_map(|number| number.parse::<u64>().ok())
        .sum()
}

const INTERVAL: Duration = Duration::from_millis(200);
const SAMPLES_MAX: usize = 40_000;
const TICKS_A_SECOND: f64 = 100.0;
