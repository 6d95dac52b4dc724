use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::logs;

mod any_text;

fn with(environment: &[(&str, &str)]) -> Result<Settings, SettingError> {
    let pairs = environment.iter();
    load(None, pairs.map(|(name, value)| (name.into(), value.into())))
}

/// Loads a file of this text, and shows a refusal without the file's name.
fn with_file(text: &str) -> Result<Settings, String> {
    static FILES: AtomicU32 = AtomicU32::new(0);
    let (process, file) = (std::process::id(), FILES.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(format!("bongsu-settings-{process}-{file}.toml"));
    std::fs::write(&path, text).expect("written");
    let settings = load(Some(&path), []);
    std::fs::remove_file(&path).expect("removed");
    let name = path.display().to_string();
    settings.map_err(|error| error.to_string().replace(&name, "FILE"))
}

#[test]
fn defaults_are_acceptable() {
    let settings = with(&[]).expect("the defaults");
    assert_eq!(settings.amqp_message_bytes_max, 16 << 20);
    assert_eq!(
        settings.amqp_listen,
        ["127.0.0.1:5672".parse().expect("it")]
    );
}

#[test]
fn environment_goes_before_the_file() {
    let path = std::env::temp_dir().join(format!("bongsu-settings-{}.toml", std::process::id()));
    std::fs::write(&path, "[amqp]\nlisten = \"127.0.0.1:1\"\nchannel_max = 7\n").expect("written");
    let environment = [("BONGSU_AMQP_LISTEN".into(), OsString::new())];
    let settings = load(Some(&path), environment).expect("both");
    std::fs::remove_file(&path).expect("removed");
    assert_eq!(settings.amqp_listen, []);
    assert_eq!(settings.amqp_channel_max, 7);
}

#[test]
fn unknown_and_ill_typed_settings_are_named() {
    let error = with(&[("BONGSU_AMQP_LISTN", "x")]).expect_err("unknown");
    assert_eq!(
        error.to_string(),
        "BONGSU_AMQP_LISTN = \"x\" (environment): no such setting; did you mean \
         BONGSU_AMQP_LISTEN? `bongsu config` lists all"
    );
    let error = with(&[("BONGSU_AMQP_CHANNEL_MAX", "0")]).expect_err("ill-typed");
    assert_eq!(
        error.to_string(),
        "BONGSU_AMQP_CHANNEL_MAX = \"0\" (environment): accepted is a number from 1 to 65535"
    );
}

#[test]
fn far_fetched_names_get_no_suggestion() {
    let error = with(&[("BONGSU_COLOUR", "red")]).expect_err("unknown");
    assert_eq!(
        error.to_string(),
        "BONGSU_COLOUR = \"red\" (environment): no such setting; `bongsu config` lists all"
    );
    assert!(with(&[("OTHER_AMQP_LISTEN", "x")]).is_ok(), "not ours");
}

#[test]
fn environment_that_is_not_text_is_refused() {
    let name: OsString = "BONGSU_DATA_DIR".into();
    let value = OsStr::from_bytes(b"/data/\xff").to_owned();
    let error = load(None, [(name, value)]).expect_err("no text");
    assert_eq!(
        error.to_string(),
        "BONGSU_DATA_DIR = \"/data/\\xFF\" (environment): accepted is a path"
    );
}

#[test]
fn file_values_have_their_type() {
    let settings = with_file("data.dir = '/d'\nlimits.cache_bytes = 2097152").expect("dotted");
    assert_eq!(settings.data_dir, PathBuf::from("/d"));
    assert_eq!(settings.limits_cache_bytes, 2 << 20);
    let check = |text: &str, expected: &str| assert_eq!(with_file(text), Err(expected.to_owned()));
    check("[data]\ndir = 5", "data.dir = 5 (FILE): accepted is a path");
    check("[data.dir]", "data.dir = {} (FILE): accepted is a path");
    check(
        "[log]\nlevel = true",
        &format!("log.level = true (FILE): accepted is {}", logs::accepted()),
    );
    check(
        "[log]\nlevel = \"loud\"",
        &format!(
            "log.level = \"loud\" (FILE): accepted is {}",
            logs::accepted()
        ),
    );
    check(
        "[amqp]\nheartbeat = 10",
        "amqp.heartbeat = 10 (FILE): accepted is a duration from 0s to 65535s in whole seconds, \
         as 10s",
    );
    check(
        "[amqp]\nlistn = \"x\"",
        "amqp.listn = \"x\" (FILE): no such setting; did you mean amqp.listen? \
         `bongsu config` lists all",
    );
    check(
        "listen = 1",
        "listen = 1 (FILE): no such setting; `bongsu config` lists all",
    );
    let error = with_file("[amqp").expect_err("no TOML");
    assert!(
        error.starts_with("FILE: TOML parse error at line 1"),
        "{error}"
    );
    let error = load(Some(std::path::Path::new("/nowhere.toml")), []).expect_err("none");
    assert!(
        error.to_string().starts_with("/nowhere.toml: No such file"),
        "{error}"
    );
}

#[test]
fn several_addresses_are_separated_by_commas() {
    let listen = |text| with(&[("BONGSU_AMQP_LISTEN", text)]).map(|found| found.amqp_listen.len());
    assert_eq!(listen("localhost:5672, [::1]:5672,0.0.0.0:5673"), Ok(3));
    assert_eq!(listen(""), Ok(0));
    for wrong in ["5672", "127.0.0.1", "127.0.0.1:70000", "example.org:5672"] {
        assert!(listen(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn sample_file_holds_the_defaults() {
    let sample = show::sample();
    assert_eq!(
        with_file(&sample),
        Ok(with(&[]).expect("defaults")),
        "as it is"
    );
    let rows = sample.lines().map(|line| match line.strip_prefix("# ") {
        Some(row) if row.contains(" = \"") => row,
        _ => line,
    });
    let all: Vec<&str> = rows.collect();
    assert_eq!(
        all.iter().filter(|row| row.contains(" = \"")).count(),
        TABLE.len()
    );
    let mut uncommented = with_file(&all.join("\n")).expect("accepted");
    uncommented.said.clear();
    assert_eq!(uncommented, with(&[]).expect("defaults"), "uncommented");
}

#[test]
fn every_setting_stands_in_the_table_shown() {
    let table = show::table();
    assert_eq!(table.lines().count(), TABLE.len() + 1);
    let meaning_at = table.find("MEANING").expect("a heading");
    for (line, row) in table.lines().skip(1).zip(TABLE) {
        assert!(
            line.starts_with(row.key) && line.contains(&environment_name(row.key)),
            "{line}"
        );
        let meaning: String = line.chars().skip(meaning_at).collect();
        assert_eq!(meaning, row.meaning, "aligned");
    }
}

#[test]
fn sizes_and_durations_have_units() {
    let kind = Kind::Bytes(0, u64::MAX);
    assert_eq!(kind.read("64 MiB"), Some(value::Value::Number(64 << 20)));
    assert_eq!(kind.read("4096"), Some(value::Value::Number(4096)));
    for wrong in ["", "MiB", "1.5 GiB", "-1", "99999999999 TiB", "1 mib"] {
        assert_eq!(kind.read(wrong), None, "{wrong}");
    }
    let kind = Kind::Duration(0, 600);
    let two_minutes = value::Value::Duration(Duration::from_secs(120));
    assert_eq!(kind.read("2m"), Some(two_minutes));
    assert_eq!(kind.read("120000ms"), kind.read("2m"));
    for wrong in ["120", "500ms", "601s", "1.5s", "s"] {
        assert_eq!(kind.read(wrong), None, "{wrong}");
    }
}

#[test]
fn places_for_spans_are_urls() {
    let read = |text: &str| match Kind::Url.read(text) {
        Some(value::Value::Text(url)) => Some(url),
        _ => None,
    };
    let usual = "http://127.0.0.1:4318/v1/traces";
    assert_eq!(read("http://127.0.0.1:4318").as_deref(), Some(usual));
    assert_eq!(read("http://127.0.0.1:4318/").as_deref(), Some(usual));
    assert_eq!(read(usual).as_deref(), Some(usual));
    assert_eq!(read("").as_deref(), Some(""));
    let own = "https://[::1]/otlp/spans";
    assert_eq!(read(own).as_deref(), Some(own));
    let wrong = [
        "127.0.0.1:4318",
        "ftp://there",
        "http://",
        "http://:4318",
        "http://there:0",
        "http://there:port",
        "http://user:word@there/",
        "http://there /v1",
    ];
    for text in wrong {
        assert_eq!(read(text), None, "{text}");
    }
    assert_eq!(Kind::Ratio.read("0.25"), Some(value::Value::Ratio(0.25)));
    for text in ["", "-0.1", "1.1", "NaN", "half"] {
        assert_eq!(Kind::Ratio.read(text), None, "{text}");
    }
}

#[test]
fn document_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    if std::env::var_os("BONGSU_BLESS").is_some() {
        std::fs::write(path, show::document()).expect("written");
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        there,
        show::document(),
        "BONGSU_BLESS=1 rewrites docs/configuration.md"
    );
}

#[test]
fn what_is_in_effect_is_told_as_it_was_said() {
    let said = [
        ("BONGSU_LIMITS_CONNECTIONS_MAX", "7"),
        ("BONGSU_AMQP_HEARTBEAT", "1m"),
    ];
    let shown = show::in_effect(&with(&said).expect("accepted"));
    assert_eq!(shown.len(), TABLE.len());
    let of = |key| {
        let found = shown.iter().find(|one| one.key == key).expect("known");
        (&*found.value, found.is_default)
    };
    assert_eq!(of("limits.connections_max"), ("7", false));
    assert_eq!(of("amqp.heartbeat"), ("1m", true), "what it is anyway");
    assert_eq!(of("amqp.channel_max"), ("2047", true));
}
