use super::*;

fn parse(line: &[&str]) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from([&["bongsu"], line].concat())
}

#[test]
fn command_line_is_sound() {
    Arguments::command().debug_assert();
    assert!(parse(&[]).expect("serves").command.is_none());
    assert!(matches!(
        parse(&["serve", "--config", "bongsu.toml"]).expect("it").command,
        Some(Command::Serve { config: Some(path), data: None }) if path.ends_with("bongsu.toml")
    ));
    assert!(matches!(
        parse(&["config", "--toml"]).expect("it").command,
        Some(Command::Config { toml: true })
    ));
    assert!(parse(&["srve"]).is_err());
}

#[test]
fn options_stand_anywhere() {
    let arguments = parse(&["queue", "--json", "list", "--url", "http://h", "-y"]).expect("it");
    assert!(arguments.reach.json && arguments.reach.yes);
    assert_eq!(arguments.reach.place().expect("a place").url, "http://h");
}

#[test]
fn commands_say_what_they_need() {
    let right: &[&[&str]] = &[
        &[
            "queue",
            "replay",
            "orders",
            "--from",
            "2h",
            "--until",
            "2026-11-21",
            "--to",
            "retry",
            "--filter",
            "kind=a",
            "--filter",
            "n=1",
            "--rate",
            "50",
            "--dry-run",
        ],
        &["queue", "replay", "orders"],
        &[
            "queue",
            "declare",
            "q",
            "-a",
            "x-max-length=10",
            "--type",
            "quorum",
        ],
        &[
            "queue", "redrive", "dlq", "--all", "--reason", "expired", "--to", "/q",
        ],
        &["queue", "leases", "q", "--extend", "7", "--by", "30s"],
        &["group", "move", "g", "--topic", "t", "--to", "first"],
        &["user", "limits", "u", "--max-connections", "-1"],
        &["exchange", "unbind", "x", "q", "-k", "a.*"],
        &["completion", "fish"],
    ];
    for line in right {
        if let Err(error) = parse(line) {
            panic!("{line:?}: {error}");
        }
    }
    let wrong: &[&[&str]] = &[
        &["queue", "replay"],
        &["queue", "replay", "orders", "--from", "then"],
        &["queue", "replay", "orders", "--filter", "kind"],
        &["queue", "replay", "orders", "--rate", "0"],
        &["queue", "redrive", "dlq"],
        &["queue", "redrive", "dlq", "--all", "--offset", "1"],
        &["queue", "redrive", "dlq", "--all", "--to", "q"],
        &["queue", "leases", "q", "--extend", "7"],
        &["queue", "list", "--sort", "colour"],
        &["group", "move", "g", "--to", "first"],
        &["publish"],
        &["publish", "q", "text", "--file", "f"],
        &["completion", "csh"],
        &["status", "--timeout", "0"],
        &["status", "--password", "a", "--password-file", "b"],
    ];
    for line in wrong {
        let error = parse(line).expect_err("not acceptable");
        assert_eq!(error.exit_code(), 2, "{line:?}");
    }
}
