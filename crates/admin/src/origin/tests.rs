use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect()
}

#[test]
fn tools_send_no_origin() {
    let headers = headers(&[("host", "broker:15672")]);
    assert!(check(&Method::PUT, &headers).is_ok());
}

#[test]
fn our_pages_may_change_and_others_may_not() {
    let cases: [(&[(&str, &str)], bool); 6] = [
        (&[("host", "b:1"), ("origin", "http://b:1")], true),
        (&[("host", "b:1"), ("origin", "http://b:2")], false),
        (&[("host", "b:1"), ("origin", "null")], false),
        (&[("host", "b:1"), ("sec-fetch-site", "cross-site")], false),
        (&[("host", "b:1"), ("sec-fetch-site", "same-site")], false),
        (&[("host", "b:1"), ("sec-fetch-site", "same-origin")], true),
    ];
    for (pairs, may) in cases {
        let pairs: Vec<(&'static str, &'static str)> = pairs.to_vec();
        assert_eq!(
            check(&Method::POST, &headers(&pairs)).is_ok(),
            may,
            "{pairs:?}"
        );
        assert!(check(&Method::GET, &headers(&pairs)).is_ok());
    }
}

#[test]
fn a_cookie_alone_changes_nothing() {
    assert!(check_cookie(&Method::DELETE, &headers(&[])).is_err());
    assert!(check_cookie(&Method::GET, &headers(&[])).is_ok());
    assert!(check_cookie(&Method::DELETE, &headers(&[("x-bongsu-console", "1")])).is_ok());
}
