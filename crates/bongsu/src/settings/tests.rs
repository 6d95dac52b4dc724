use super::*;

fn with(environment: &[(&str, &str)]) -> Result<Settings, SettingError> {
    let pairs = environment.iter();
    load(None, pairs.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
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
    let environment = [("BONGSU_AMQP_LISTEN".to_owned(), String::new())];
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
    assert_eq!(kind.read("120"), None);
}

#[test]
fn document_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, show::document()).expect("written");
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        there,
        show::document(),
        "BLESS=1 rewrites docs/configuration.md"
    );
}
