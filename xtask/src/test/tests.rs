use super::*;

fn names(words: &str) -> Result<Vec<&'static str>, String> {
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    Request::parse(&words).map(|request| request.suites.iter().map(|row| row.name).collect())
}

#[test]
fn everything_is_the_default() {
    assert_eq!(names("").expect("parses").len(), suites::ALL.len());
    assert_eq!(names("").expect("parses")[0], "unit");
}

#[test]
fn groups_and_names_select() {
    assert_eq!(names("unit"), Ok(vec!["unit"]));
    assert_eq!(names("clients --only pika/reconnect"), Ok(vec!["pika"]));
    assert_eq!(names("--only kill"), Ok(vec!["kill"]));
    assert!(!names("clients").expect("parses").contains(&"unit"));
    for (words, one, other) in [
        ("--against kafka", "kafka-conformance", "pika"),
        ("--against rabbitmq", "pika", "kafka-conformance"),
    ] {
        let names = names(words).expect("parses");
        assert!(names.contains(&one) && !names.contains(&other));
    }
    assert!(
        !names("--against rabbitmq")
            .expect("parses")
            .contains(&"unit")
    );
}

#[test]
fn what_is_unknown_is_named() {
    assert_eq!(
        names("clients --only nobody"),
        Err("no suite is called nobody".into())
    );
    assert_eq!(
        names("--against nats"),
        Err("--against takes bongsu, rabbitmq or kafka, got nats".into())
    );
}

#[test]
fn closing_line_is_plain() {
    let mut tally = Tally {
        passed: 12,
        failed: 0,
        skipped: 0,
    };
    assert_eq!(closing_line(tally), "12 passed, 0 failed");
    tally.skipped = 2;
    assert_eq!(closing_line(tally), "12 passed, 0 failed, 2 skipped");
}

#[test]
fn results_are_read_from_cargo_and_pytest() {
    let text = "running 2 tests\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; \
                0 filtered out; finished in 0.00s\ntest result: FAILED. 3 passed; 1 failed; 0 \
                ignored; 0 measured; 0 filtered out; finished in 0.1s\n";
    let tally = suites::tally_of_cargo(text);
    assert_eq!((tally.passed, tally.failed, tally.skipped), (5, 1, 1));
    let tally = suites::tally_of_pytest("noise\n2 failed, 150 passed, 3 skipped, 1 error in 9.1s");
    assert_eq!((tally.passed, tally.failed, tally.skipped), (150, 3, 3));
}
