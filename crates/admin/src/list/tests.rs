use super::*;

#[test]
fn columns_lead_into_objects() {
    let columns = |text: &str| {
        let path = |column: &str| column.split('.').map(str::to_owned).collect();
        Columns(text.split(',').map(path).collect())
    };
    let item = json!({"name": "q", "a": {"b": 1, "c": 2}, "x": 3});
    let picked = columns("name,a.b,nope").pick(item.clone());
    assert_eq!(picked, json!({"name": "q", "a": {"b": 1}}));
    let picked = columns("a.b,a.c").pick(item.clone());
    assert_eq!(picked, json!({"a": {"b": 1, "c": 2}}));
    assert_eq!(Columns(Vec::new()).pick(item.clone()), item);
}

#[test]
fn what_is_not_there_sorts_first() {
    let mut values = vec![
        json!("b"),
        json!(10),
        json!(9.5),
        json!(null),
        json!("a"),
        json!(true),
    ];
    values.sort_by(compare);
    let sorted = [
        json!(null),
        json!(true),
        json!(9.5),
        json!(10),
        json!("a"),
        json!("b"),
    ];
    assert_eq!(values, sorted);
}
