use super::*;

#[test]
fn parts_of_paths_decode_once() {
    assert_eq!(decode("%2F").as_deref(), Some("/"));
    assert_eq!(decode("a%252Fb+c").as_deref(), Some("a%2Fb+c"));
    assert_eq!(decode("%ED%81%90").as_deref(), Some("큐"));
    for bad in ["%", "%2", "%zz", "%FF"] {
        assert_eq!(decode(bad), None, "{bad}");
    }
}

#[test]
fn queries_are_forms() {
    let query = query("a=1&b=x+y%26&flag&a=2").unwrap();
    let query: std::collections::BTreeMap<String, String> = query.into_iter().collect();
    assert_eq!(query["a"], "2");
    assert_eq!(query["b"], "x y&");
    assert_eq!(query["flag"], "");
    assert_eq!(super::query("a=%f"), None);
}

#[test]
fn keys_of_bindings_encode_as_rabbitmq_has_it() {
    assert_eq!(encode_form("a b/c"), "a+b%2Fc");
    assert_eq!(encode_form("a.#~"), "a.%23%7E");
}
