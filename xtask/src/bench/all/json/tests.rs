use super::*;

#[test]
fn texts_are_escaped_and_figures_take_one_line() {
    let value = Json::Object(vec![
        ("a", Json::text("say \"yes\"\n\\")),
        (
            "b",
            Json::List(vec![Json::Number(1.5), Json::Number(f64::NAN)]),
        ),
        (
            "c",
            Json::Figures(vec![("x".into(), 1.0), ("y".into(), 2.25)]),
        ),
        ("d", Json::List(Vec::new())),
    ]);
    assert_eq!(
        value.to_string(),
        "{\n  \"a\": \"say \\\"yes\\\"\\n\\\\\",\n  \"b\": [\n    1.5,\n    null\n  ],\n  \
         \"c\": {\"x\": 1, \"y\": 2.25},\n  \"d\": []\n}"
    );
}
