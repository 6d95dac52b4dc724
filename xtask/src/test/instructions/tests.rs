use super::*;

fn count(name: &str, instructions: u64) -> Count {
    Count {
        name: name.to_owned(),
        messages: 100,
        instructions,
    }
}

#[test]
fn growth_beyond_its_bound_fails_and_tells_both() {
    let known = count("a", 10_000);
    assert!(judged(&count("a", 10_499), Some(&known)).is_ok());
    let line = judged(&count("a", 10_600), Some(&known)).unwrap_err();
    assert!(
        line.contains("106.0 a message, 100.0 before (+6.0 %)"),
        "{line}"
    );
    assert!(judged(&count("a", 5_000), Some(&known)).is_ok_and(|line| line.contains("hold on")));
    assert!(judged(&count("b", 1), None).is_err());
}

#[test]
fn what_is_written_is_read() {
    let counts = [count("amqp-publish", 123), count("queue", 4_567_890)];
    assert_eq!(parse(&shown(&counts)), Ok(counts.to_vec()));
    assert!(parse("a 1\n").is_err());
}
