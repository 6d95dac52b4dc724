use super::*;

fn found(method: &Method, path: &str) -> String {
    match find(method, path) {
        Found::Route(route, parts) => format!("{} {} {parts:?}", route.method, route.path),
        Found::Methods(methods) => format!("{methods:?}"),
        Found::Nothing => "nothing".to_owned(),
        Found::Malformed => "malformed".to_owned(),
    }
}

#[test]
fn names_may_have_slashes_and_be_empty() {
    assert_eq!(
        found(&Method::GET, "/api/queues/%2F/a%2Fb"),
        r#"GET /api/queues/{vhost}/{name} {"name": "a/b", "vhost": "/"}"#
    );
    assert_eq!(
        found(&Method::POST, "/api/bindings/%2F/e//q/x"),
        r#"POST /api/bindings/{vhost}/e/{source}/q/{destination} {"destination": "x", "source": "", "vhost": "/"}"#
    );
    assert!(found(&Method::GET, "/api/queues/").starts_with("GET /api/queues {}"));
}

#[test]
fn what_is_not_there_is_told_apart() {
    assert_eq!(found(&Method::GET, "/api/nope"), "nothing");
    assert_eq!(found(&Method::GET, "/api/queues/%"), "malformed");
    assert_eq!(found(&Method::PATCH, "/api/whoami"), "[GET]");
    assert!(found(&Method::HEAD, "/api/whoami").starts_with("GET "));
}

#[test]
fn no_path_has_a_method_twice() {
    let mut seen = std::collections::BTreeSet::new();
    for route in route::all() {
        let key = (route.path, route.method.to_string());
        assert!(seen.insert(key), "{} {}", route.method, route.path);
    }
}
