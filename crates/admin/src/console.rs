//! The console's files, in the executable: `/` is its page, `/console/…` what the page asks for.
//!
//! They are public, as nothing in them is secret: what the page shows it asks of the API, with
//! the session of who has logged in. Each file is kept once as it is and once compressed, made
//! when it is first asked for; its `ETag` is its content's hash, so a browser asks again after an
//! update and is otherwise told "304" in a few bytes. The policy sent with the page lets nothing
//! run, load or frame it that is not of this origin.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;
use crate::route::{Answer, Context, Handling, Need, Route, boxed};

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    route("/", |context| answer(context, &[])),
    route("/console/{file}", |context| answer(context, &["file"])),
    route("/console/{folder}/{file}", |context| {
        answer(context, &["folder", "file"])
    }),
    route("/console/{folder}/{part}/{file}", |context| {
        answer(context, &["folder", "part", "file"])
    }),
];

const fn route(path: &'static str, handler: fn(Context) -> Handling) -> Route {
    Route {
        method: Method::GET,
        path,
        need: Need::Nobody,
        summary: "The console's files.",
        query: &[],
        body: None,
        handler,
    }
}

fn answer(context: Context, parts: &'static [&'static str]) -> Handling {
    boxed(async move {
        let named: Vec<&str> = parts.iter().map(|part| context.part(part)).collect();
        match named.as_slice() {
            [] => serve(PAGE, &context.headers),
            named => serve(&named.join("/"), &context.headers),
        }
    })
}

/// One file as it is sent.
struct File {
    content_type: &'static str,
    etag: HeaderValue,
    plain: Bytes,
    /// Only where it is smaller.
    gzip: Option<Bytes>,
}

fn serve(path: &str, request: &HeaderMap) -> Result<Answer, Failure> {
    let Some(file) = files().get(path) else {
        let reason = format!("the console has no file '{path}'");
        return Err(Failure::not_found(reason));
    };
    let mut answer = if holds(request, &file.etag) {
        Answer::empty(StatusCode::NOT_MODIFIED)
    } else {
        match file.gzip.as_ref().filter(|_| takes_gzip(request)) {
            Some(zipped) => Answer::of(file.content_type, zipped.clone())
                .with_header(header::CONTENT_ENCODING, HeaderValue::from_static("gzip")),
            None => Answer::of(file.content_type, file.plain.clone()),
        }
    };
    for (name, value) in POLICY {
        answer = answer.with_header(name, HeaderValue::from_static(value));
    }
    // The page names the others, so only it must be new for all to be.
    let cache = if path == PAGE { "no-store" } else { "no-cache" };
    Ok(answer
        .with_header(header::ETAG, file.etag.clone())
        .with_header(header::CACHE_CONTROL, HeaderValue::from_static(cache)))
}

/// Whether the browser says that it has this one.
fn holds(request: &HeaderMap, etag: &HeaderValue) -> bool {
    let listed = request.get_all(header::IF_NONE_MATCH).iter();
    listed
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|one| one.trim().trim_start_matches("W/").as_bytes() == etag.as_bytes())
}

fn takes_gzip(request: &HeaderMap) -> bool {
    let listed = request
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|list| list.to_str().ok());
    listed.flat_map(|list| list.split(',')).any(|one| {
        let mut words = one.split(';').map(str::trim);
        words.next() == Some("gzip") && !words.any(|word| word == "q=0")
    })
}

fn files() -> &'static BTreeMap<&'static str, File> {
    static FILES: OnceLock<BTreeMap<&'static str, File>> = OnceLock::new();
    FILES.get_or_init(|| {
        let made = FILES_EMBEDDED
            .iter()
            .map(|&(path, bytes)| (path, prepare(path, bytes)));
        made.collect()
    })
}

fn prepare(path: &str, bytes: &'static [u8]) -> File {
    let hash = Sha256::digest(bytes);
    let hash: String = hash[..12]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let etag = HeaderValue::from_str(&format!("\"{hash}\"")).expect("digits in quotes");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let zipped = encoder.write_all(bytes).and_then(|()| encoder.finish());
    let zipped = zipped.expect("a vector takes what is written to it");
    File {
        content_type: content_type(path),
        etag,
        plain: Bytes::from_static(bytes),
        gzip: (zipped.len() < bytes.len()).then(|| zipped.into()),
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

/// The page itself.
const PAGE: &str = "index.html";

/// Sent with every file. Trusted types: no text becomes markup or code in the page, whatever a
/// queue is called.
const POLICY: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
         object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (header::VARY, "accept-encoding"),
];

macro_rules! embedded {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!("../../../console/", $path)))),*]
    };
}

/// Every file of the folder; a test sees that none is missing.
const FILES_EMBEDDED: &[(&str, &[u8])] = embedded![
    "app.js",
    "icon.svg",
    "index.html",
    "lib/api.js",
    "lib/chart.js",
    "lib/dialog.js",
    "lib/dom.js",
    "lib/format.js",
    "lib/i18n.js",
    "lib/keys.js",
    "lib/parts.js",
    "lib/poll.js",
    "lib/session.js",
    "lib/shell.js",
    "lib/table.js",
    "lib/theme.js",
    "locales/en.json",
    "locales/ko.json",
    "pages/connections.js",
    "pages/exchange.js",
    "pages/exchanges.js",
    "pages/graph.js",
    "pages/group.js",
    "pages/groups.js",
    "pages/login.js",
    "pages/overview.js",
    "pages/policies.js",
    "pages/queue.js",
    "pages/queue/consumers.js",
    "pages/queue/dead.js",
    "pages/queue/job.js",
    "pages/queue/overview.js",
    "pages/queue/publish.js",
    "pages/queue/record.js",
    "pages/queue/records.js",
    "pages/queue/replay.js",
    "pages/queue/schedule.js",
    "pages/queue/why.js",
    "pages/queues.js",
    "pages/settings.js",
    "pages/spaces.js",
    "pages/streams.js",
    "pages/users.js",
    "style/base.css",
    "style/parts.css",
    "style/shell.css",
];

#[cfg(test)]
mod tests;
