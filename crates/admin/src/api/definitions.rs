//! `/api/definitions`: all that was declared, out and in; see [`crate::definitions`].

use http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;

use crate::definitions;
use crate::failure::Failure;
use crate::list;
use crate::route::{Answer, Context, Need, Parameter, Route, boxed};

/// See the module's comment.
pub const ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/api/definitions",
        need: Need::Administrator,
        summary: "All that was declared.",
        query: DOWNLOAD,
        body: None,
        handler: |context| boxed(export(context)),
    },
    Route {
        method: Method::POST,
        path: "/api/definitions",
        need: Need::Administrator,
        summary: "Declares all that a document names; 200 if there is something to warn of.",
        query: &[],
        body: BODY,
        handler: |context| boxed(import(context)),
    },
    Route {
        method: Method::GET,
        path: "/api/definitions/{vhost}",
        need: Need::Policymaker,
        summary: "All that was declared in a virtual host.",
        query: DOWNLOAD,
        body: None,
        handler: |context| boxed(export(context)),
    },
    Route {
        method: Method::POST,
        path: "/api/definitions/{vhost}",
        need: Need::Administrator,
        summary: "Declares in a virtual host what a document names.",
        query: &[],
        body: BODY,
        handler: |context| boxed(import(context)),
    },
];

const BODY: Option<&str> = Some(r#"{"type":"object"}"#);
const DOWNLOAD: &[Parameter] = &[Parameter {
    name: "download",
    summary: "Name of the file that a browser shall keep it as.",
}];

async fn export(context: Context) -> Result<Answer, Failure> {
    let download = context.query("download").map(str::to_owned);
    let exported = tokio::task::spawn_blocking(move || {
        let document = match &context.space {
            Some(space) => definitions::write_space(context.broker(), space),
            None => definitions::write_all(context.broker()),
        };
        list::one(&context, document)
    });
    let answer = exported
        .await
        .map_err(|_| Failure::bad_request("the document could not be made"))?;
    let name = download.map(|name| {
        let plain = |letter: &char| letter.is_ascii_alphanumeric() || "-_.".contains(*letter);
        name.chars().filter(plain).take(100).collect::<String>()
    });
    let attached = name.map(|name| format!("attachment; filename=\"{name}\""));
    let attached = attached.and_then(|text| HeaderValue::from_str(&text).ok());
    Ok(match attached {
        Some(attached) => answer.with_header(header::CONTENT_DISPOSITION, attached),
        None => answer,
    })
}

async fn import(context: Context) -> Result<Answer, Failure> {
    let only = context.path.get("vhost").cloned();
    if let Some(space) = &only
        && context.broker().space_named(space).is_none()
    {
        return Err(Failure::no_space());
    }
    let operator = context.operator()?.clone();
    let read = tokio::task::spawn_blocking(move || {
        let document = document(&context)?;
        definitions::read(context.broker(), document, only.as_deref())
    });
    let read = read
        .await
        .unwrap_or_else(|_| Err(Failure::bad_request("the document could not be read")))?;
    for warning in &read.warnings {
        tracing::warn!("definitions: {warning}");
    }
    // A large import takes as long as it takes: the client may give up, it goes on.
    let imported = tokio::spawn(async move { operator.import(read.plan).await }).await;
    match imported {
        Ok(Ok(())) => {}
        Ok(Err(failed)) => return Err(definitions::failed(failed)),
        Err(_) => return Err(Failure::bad_request("the import failed")),
    }
    Ok(match read.warnings.is_empty() {
        true => Answer::empty(StatusCode::NO_CONTENT),
        false => Answer::json(&json!({ "warnings": read.warnings })),
    })
}

/// The document itself, or the file of a form that a browser sends.
fn document(context: &Context) -> Result<&[u8], Failure> {
    let content_type = context.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let boundary = content_type
        .filter(|value| value.starts_with("multipart/form-data"))
        .and_then(|value| value.split("boundary=").nth(1))
        .map(|boundary| boundary.trim().trim_matches('"'));
    let Some(boundary) = boundary else {
        return Ok(&context.body);
    };
    file(&context.body, boundary)
        .ok_or_else(|| Failure::bad_request("the form has no part named file"))
}

/// The part named `file` of a form (RFC 7578).
fn file<'a>(body: &'a [u8], boundary: &str) -> Option<&'a [u8]> {
    let line = format!("--{boundary}");
    let ends = format!("\r\n{line}");
    let mut rest = &body[find(body, line.as_bytes())? + line.len()..];
    loop {
        rest = rest.strip_prefix(b"\r\n")?;
        let head_end = find(rest, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&rest[..head_end]).to_ascii_lowercase();
        let content = &rest[head_end + 4..];
        let end = find(content, ends.as_bytes())?;
        if head.contains("name=\"file\"") {
            return Some(&content[..end]);
        }
        rest = &content[end + ends.len()..];
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_its_file() {
        let body = b"--xx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--xx\r\n\
            Content-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{}\r\n--xx--\r\n";
        assert_eq!(file(body, "xx"), Some(&b"{}"[..]));
        assert_eq!(file(body, "yy"), None);
        assert_eq!(file(b"--xx", "xx"), None);
        assert_eq!(file(b"--xx--\r\n", "xx"), None);
    }
}
