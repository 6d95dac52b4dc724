use super::*;
use crate::content::Content;
use http::Response;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path as FilePath;

fn walk(folder: &FilePath, prefix: &str, into: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let entry = entry.expect("it can be read");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            walk(&entry.path(), &format!("{name}/"), into);
        } else {
            into.insert(name);
        }
    }
}

fn served(path: &str, request: &HeaderMap) -> Response<Content> {
    serve(path, request).expect("it is there").into()
}

fn request(headers: &[(HeaderName, &'static str)]) -> HeaderMap {
    let headers = headers.iter().cloned();
    headers
        .map(|(name, value)| (name, HeaderValue::from_static(value)))
        .collect()
}

#[test]
fn every_file_of_the_folder_is_embedded() {
    let mut there = BTreeSet::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../console");
    walk(FilePath::new(folder), "", &mut there);
    let embedded: BTreeSet<_> = FILES_EMBEDDED
        .iter()
        .map(|(path, _)| (*path).to_owned())
        .collect();
    assert_eq!(embedded, there);
}

#[test]
fn every_file_has_a_type_and_is_found() {
    for (path, bytes) in FILES_EMBEDDED {
        let response = served(path, &HeaderMap::new());
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let content_type = &response.headers()[header::CONTENT_TYPE];
        assert_ne!(content_type, "application/octet-stream", "{path}");
        assert_eq!(files()[path].plain, bytes);
    }
    let missing = serve("../Cargo.toml", &HeaderMap::new()).expect_err("it is no file of ours");
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[test]
fn what_the_browser_has_is_not_sent_again() {
    let first = served("app.js", &HeaderMap::new());
    let mut again = HeaderMap::new();
    again.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
    let second = served("app.js", &again);
    assert_eq!(second.status(), StatusCode::NOT_MODIFIED);
    let other = request(&[(header::IF_NONE_MATCH, "\"another\"")]);
    assert_eq!(served("app.js", &other).status(), StatusCode::OK);
}

#[test]
fn compressed_only_for_who_takes_it() {
    let encoded = |accept| {
        let response = served("app.js", &request(&[(header::ACCEPT_ENCODING, accept)]));
        response.headers().contains_key(header::CONTENT_ENCODING)
    };
    assert!(encoded("br;q=1.0, gzip;q=0.8"));
    assert!(!encoded("br"));
    assert!(!encoded("gzip;q=0"));
}

#[test]
fn the_page_is_guarded_and_not_kept() {
    let response = served(PAGE, &HeaderMap::new());
    let headers = response.headers();
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(headers[header::X_FRAME_OPTIONS], "DENY");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    let policy = headers[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .expect("it is text");
    assert!(policy.starts_with("default-src 'self';"));
    assert!(!policy.contains("unsafe"));
}
