//! What real clients said, whole and cut short and bent, to a whole broker.

use std::path::Path;

use bongsu_sim::Random;
use bongsu_trial::host::Protocol;
use bongsu_trial::hostile::{check, check_http, stored, tokens};
use bongsu_trial::plan::Plan;
use bongsu_trial::run::run_on;

/// Conversations of the fuzz targets' corpora.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .collect();
    files.sort();
    let read = |path| std::fs::read(path).expect("readable");
    files.into_iter().map(read).collect()
}

fn conversations(target: &str, check: impl Fn(&[u8])) {
    let corpus = corpus(target);
    assert!(corpus.len() > 3, "{target}");
    let mut random = Random::new(6);
    for bytes in &corpus {
        check(bytes);
        for _ in 0..6 {
            let mut bent = bytes.clone();
            for _ in 0..1 + random.below(6) {
                let at = random.below(bent.len() as u64) as usize;
                bent[at] = random.number() as u8;
            }
            bent.truncate(1 + random.below(2 * bent.len() as u64) as usize);
            check(&bent);
        }
    }
}

#[test]
fn clients_of_amqp() {
    conversations("session", |bytes| check(Protocol::Amqp, bytes));
}

#[test]
fn clients_of_kafka() {
    conversations("kafka_frame", |bytes| check(Protocol::Kafka, bytes));
}

#[test]
fn tools_of_http() {
    conversations("http", |bytes| drop(check_http(bytes)));
    let mut well = 0;
    for bytes in corpus("http") {
        let said = check_http(&bytes);
        well += usize::from(said.starts_with(b"HTTP/1.1 2"));
    }
    assert!(well > 5, "{well} are answered as they were meant");
}

#[test]
fn clients_of_the_other_protocol() {
    for bytes in corpus("session") {
        check(Protocol::Kafka, &bytes);
    }
    for bytes in corpus("kafka_frame") {
        check(Protocol::Amqp, &bytes);
    }
}

/// What a broker has left behind, its checksums made anew over bent content: a start refuses it
/// by name, or serves.
#[test]
fn content_of_data_directories() {
    let mut random = Random::new(9);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/stored");
    for seed in 0..8 {
        let mut plan = Plan::of_seed(seed);
        plan.faults.clear();
        let (_, disk) = run_on(&plan);
        let bytes = stored::of(&disk);
        assert!(bytes.len() > 1000);
        if std::env::var_os("BONGSU_BLESS").is_some() {
            std::fs::write(folder.join(format!("trial-{seed}.bin")), &bytes).expect("written");
        }
        stored::check(&bytes);
        for _ in 0..40 {
            let mut bent = bytes.clone();
            for _ in 0..1 + random.below(8) {
                let at = random.below(bent.len() as u64) as usize;
                bent[at] = random.number() as u8;
            }
            stored::check(&bent);
        }
    }
    for bytes in corpus("stored") {
        stored::check(&bytes);
    }
}

#[test]
fn what_issuers_sign_and_what_they_do_not() {
    conversations("tokens", |bytes| {
        tokens::check(bytes);
    });
    let let_in = corpus("tokens")
        .iter()
        .filter(|bytes| tokens::check(bytes))
        .count();
    assert_eq!(let_in, 4, "of those that are meant to be good");
}
