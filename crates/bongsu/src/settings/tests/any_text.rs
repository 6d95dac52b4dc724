//! Whatever somebody writes is taken or refused by name.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// What a value may look like, and what it should not.
fn text() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<u64>().prop_map(|number| number.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        (0u32..64).prop_map(|bits| (1u64 << bits).to_string()),
        (0u64..200_000).prop_map(|number| number.to_string()),
    ];
    let units = select(vec![
        "", "ms", "s", "m", "h", " KiB", " MiB", "GiB", "%", "/8",
    ]);
    let addresses = vec!["[::1]:0", "localhost:5672", ":", "10.0.0.0/33", ",", "::/0"];
    let level = vec!["info", "debug,net=trace", "=", "net=", "off", "required"];
    prop_oneof![
        any::<String>(),
        (number, units).prop_map(|(number, unit)| format!("{number}{unit}")),
        select(addresses).prop_map(str::to_owned),
        select(level).prop_map(str::to_owned),
        "(http|https|ftp)://[a-z0-9.:@/\\[\\]]{0,20}",
    ]
}

proptest! {
    #[test]
    fn a_value_is_taken_or_refused_by_name(row in 0..TABLE.len(), value in text()) {
        let row = &TABLE[row];
        let name = environment_name(row.key);
        match with(&[(&name, &value)]) {
            Ok(settings) => {
                let told = show::in_effect(&settings);
                prop_assert!(told.iter().any(|one| one.key == row.key));
            }
            Err(SettingError::Invalid { key, .. }) => prop_assert_eq!(key, name),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn a_file_is_taken_or_refused(
        row in 0..TABLE.len(),
        value in text(),
        quoted in any::<bool>(),
        noise in "[\\[\\]={}\"'#.,\n a-z0-9_-]{0,40}",
    ) {
        let key = TABLE[row].key;
        let value = if quoted { format!("{value:?}") } else { value };
        let _ = with_file(&format!("{key} = {value}\n{noise}"));
        let _ = with_file(&noise);
    }
}

#[test]
fn a_file_nested_deep_is_refused() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let deep = format!(
            "data.dir = {}1{}",
            open.repeat(50_000),
            close.repeat(50_000)
        );
        with_file(&deep).expect_err("too deep");
    }
    with_file(&format!("a{} = 1", ".a".repeat(50_000))).expect_err("too deep");
}
