//! How far from what the machine can do: for each workload the shares that it uses of the disk, of
//! loopback and of the processors, of which the largest bounds it.

use super::super::table::{grouped, shown};
use super::columns::Column;
use super::gathered::Gathered;
use super::steps::WORKLOADS;

/// Both tables, or nothing without figures of the machine.
pub fn tables(gathered: &Gathered, columns: &[Column]) -> Option<String> {
    let limit = |key| gathered.limit(key).map(|median| median.value);
    let (disk, loopback) = (limit("disk_mb")?, limit("loopback_mb")?);
    let synced = limit("rewrite_4k_rate")?;
    let clock = limit("clock_mhz").unwrap_or(0.0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let mut text = String::from("| the machine's own | |\n| --- | ---: |\n");
    for (key, name, decimals) in LIMITS {
        if let Some(value) = gathered.limit(key) {
            text += &format!("| {name} | {} |\n", shown(value, *decimals));
        }
    }
    text += "\n| workload | broker | disk's bandwidth | loopback | processors | syncs, one at a time \
             | cycles a message |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n";
    for workload in WORKLOADS.iter().filter(|workload| !workload.backlog) {
        for column in columns {
            let figure = |key| {
                let median = gathered.median(workload.name, column.id, key);
                median.map(|median| median.value)
            };
            let (Some(rate), Some(out), Some(in_mb), Some(cpu_us)) = (
                figure("in_rate"),
                figure("out_rate"),
                figure("in_mb"),
                figure("cpu_us"),
            ) else {
                continue;
            };
            let body = in_mb / rate;
            let busy = rate * cpu_us / 1e6 + figure("own_cores").unwrap_or(0.0);
            let mut shares = vec![
                Some(in_mb / disk),
                Some((in_mb + out * body) / loopback),
                Some(busy / cores),
                // Only where each waits for the last is its rate the disk's.
                (workload.name == "one-in-flight").then_some(rate / synced),
            ];
            let most = shares
                .iter()
                .flatten()
                .fold(0.0_f64, |most, share| most.max(*share));
            let cells = shares.drain(..).map(|share| match share {
                Some(share) if share == most => format!("**{:.0} %**", share * 100.0),
                Some(share) => format!("{:.0} %", share * 100.0),
                None => "-".to_owned(),
            });
            text += &format!(
                "| {} | {} | {} | {} |\n",
                workload.name,
                column.title,
                cells.collect::<Vec<_>>().join(" | "),
                grouped(cpu_us * clock, 0)
            );
        }
    }
    Some(text)
}

const LIMITS: &[(&str, &str, usize)] = &[
    ("sync_4k_rate", "appends of 4 KiB, each synced, a second", 0),
    ("sync_4k_p99_ms", "one of them, p99, ms", 3),
    (
        "sync_256k_rate",
        "appends of 256 KiB, each synced, a second",
        0,
    ),
    (
        "rewrite_4k_rate",
        "the same 4 KiB into a file that is as long already",
        0,
    ),
    ("rewrite_4k_p99_ms", "one of them, p99, ms", 3),
    ("disk_mb", "written in a row, synced every 16 MiB, MB/s", 0),
    (
        "loopback_mb",
        "loopback, one connection, 64 KiB writes, MB/s",
        0,
    ),
    ("clock_mhz", "clock of the processor, MHz", 0),
];
