//! docs/kafka.md says what clients are told.

#[test]
fn document_is_the_table() {
    let (requests, features) = bongsu_kafka::api::told();
    let mut table = String::from("\n\n| key | request | versions told |\n|---:|---|---|\n");
    for (key, name, min, max) in requests {
        let versions = match min == max {
            true => min.to_string(),
            false => format!("{min}–{max}"),
        };
        table += &format!("| {key} | {name} | {versions} |\n");
    }
    for (name, level) in features {
        table += &format!("| | feature `{name}` | {level} |\n");
    }
    table += "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/kafka.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (before, rest) = document.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    if std::env::var_os("BONGSU_BLESS").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(found, table, "BONGSU_BLESS=1 rewrites docs/kafka.md");
    }
}

const BEGIN: &str = "<!-- requests -->";
const END: &str = "<!-- until here -->";
