use super::arguments::Request;
use super::faults;
use super::random::Random;
use super::report::{Row, Summary, page_of};
use super::watch::{Band, Moved, Sample};
use super::{picture, wire};
use std::time::Duration;

fn parse(words: &str) -> Result<Request, String> {
    let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
    Request::parse(&words)
}

#[test]
fn a_run_takes_a_quarter_of_an_hour_unless_told() {
    let request = parse("--seed 7").expect("parses");
    assert_eq!(request.time, Duration::from_secs(900));
    assert_eq!(request.command(), "cargo xtask soak --seed 7");
    let request = parse("--minutes 120 --only kill,clock").expect("parses");
    assert_eq!(request.time, Duration::from_secs(7200));
    assert!(request.wants("clock") && !request.wants("idle"));
    // Whoever repeats it needs the seed.
    assert!(request.command().contains(" --seed "));
}

#[test]
fn what_is_not_understood_is_named() {
    for (words, named) in [
        ("--minutes 0", "got 0"),
        ("--minutes many", "\"many\""),
        ("--only kill,thunder", "\"thunder\""),
        ("--hours 2", "\"--hours\""),
        ("--seed", "--seed needs"),
    ] {
        let reason = parse(words).err().expect("refused");
        assert!(reason.contains(named), "{words}: {reason}");
    }
}

#[test]
fn a_seed_is_an_order() {
    let order = |seed| {
        let mut names: Vec<_> = faults::ALL.iter().map(|fault| fault.name).collect();
        Random(seed).shuffle(&mut names);
        names
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
}

#[test]
fn a_ledger_that_reads_ahead_of_its_confirms_is_not_behind() {
    let moved = Moved::parse("confirmed=12 delivered=15 again=1 behind=-2 unknown=3");
    assert_eq!(
        (moved.confirmed, moved.delivered, moved.again, moved.behind),
        (12, 15, 1, 0)
    );
}

#[test]
fn a_publish_is_three_frames() {
    let bytes = wire::publish("q", b"body");
    let mut kinds = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let size = u32::from_be_bytes(bytes[at + 3..at + 7].try_into().expect("four bytes"));
        kinds.push(bytes[at]);
        at += size as usize + 8;
        assert_eq!(bytes[at - 1], 0xCE);
    }
    assert_eq!(kinds, [1, 2, 3]);
}

#[test]
fn the_page_says_what_did_not_hold_and_its_tables_align() {
    let row = |name| Row {
        name,
        must: "hold",
        at_s: 12.0,
        seconds: 20.0,
        facts: vec!["it did".into()],
        standstills: [Duration::from_millis(1500); 2],
        recovery: None,
        memory_peak_bytes: 64 << 20,
        warnings: 3,
    };
    let summary = Summary {
        command: "cargo xtask soak --seed 1".into(),
        seconds: 60.0,
        disk: "ext4".into(),
        calm: "30 MiB".into(),
        rows: vec![row("kill"), row("descriptors")],
        skipped: vec![("clock", "no libfaketime".into())],
        sums: vec!["1 sent".into()],
        violations: vec!["at 13.0 s, during kill: message a:1 is lost".into()],
        samples: (0..50)
            .map(|at| Sample {
                at_s: f64::from(at),
                memory_bytes: 1 << 25,
                ..Sample::default()
            })
            .collect(),
        bands: vec![Band {
            name: "kill",
            from_s: 12.0,
            until_s: f64::INFINITY,
        }],
    };
    let page = page_of(&summary, "report.svg");
    for wanted in [
        "**1 violations**",
        "- at 13.0 s, during kill",
        "- clock: no libfaketime",
        "never",
    ] {
        assert!(page.contains(wanted), "{wanted:?} is not in\n{page}");
    }
    let table: Vec<_> = page.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(table.len(), 4);
    assert!(
        table.iter().all(|line| line.len() == table[0].len()),
        "{table:#?}"
    );
    let svg = picture::draw(&summary);
    assert!(svg.ends_with("</svg>\n") && svg.contains(">kill</text>") && !svg.contains("NaN"));
}
