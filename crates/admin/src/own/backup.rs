//! `/bongsu/v1/backup`: a copy of the data directory while it is in use, as one archive.

use std::io;
use std::time::Duration;

use bongsu_broker::Pinned;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::route::{Answer, Context, Need, Route, boxed};

/// See the module's comment.
pub const ROUTES: &[Route] = &[Route {
    method: Method::POST,
    path: "/bongsu/v1/backup",
    need: Need::Administrator,
    summary: "A copy of the data directory as it is at this moment, as a tar archive; the broker goes on meanwhile.",
    query: &[],
    body: None,
    handler: |context| boxed(backup(context)),
}];

/// Bytes of the archive that follows.
pub const BYTES_HEADER: &str = "x-bongsu-backup-bytes";

async fn backup(context: Context) -> Result<Answer, Failure> {
    let user = context.operator()?.user().name.clone();
    let broker = context.broker().clone();
    let pinned = tokio::task::spawn_blocking(move || broker.pin()).await;
    let pinned = pinned.map_err(|error| failed(error.to_string()))?;
    let pinned = pinned.map_err(|error| failed(error.to_string()))?;
    let pinned = pinned.ok_or_else(|| Failure {
        status: StatusCode::CONFLICT,
        error: "busy",
        reason: "a backup is being made already".to_owned(),
    })?;
    let bytes = pinned.packed_bytes();
    tracing::info!(%user, bytes, "a backup begins");
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || send(&pinned, &sender, &handle));
    let answer = Answer::streamed("application/x-tar", receiver);
    let name = HeaderName::from_static(BYTES_HEADER);
    Ok(answer.with_header(name, HeaderValue::from(bytes)))
}

fn send(pinned: &Pinned, sender: &mpsc::Sender<io::Result<Bytes>>, handle: &Handle) {
    let mut take = |bytes: Bytes| {
        // Who does not take it keeps the disk from getting its room back.
        let sent = sender.send_timeout(Ok(bytes), TAKE_TIMEOUT);
        let sent = handle.block_on(sent);
        sent.map_err(|_| io::Error::other("who asked for it does not take it"))
    };
    match pinned.pack(&mut take) {
        Ok(()) => tracing::info!("the backup is made"),
        Err(error) => {
            tracing::warn!("the backup was given up: {error}");
            // Ends the connection, so that half an archive is not taken for a whole one.
            let _ = sender.try_send(Err(error));
        }
    }
}

fn failed(reason: String) -> Failure {
    Failure {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        error: "storage",
        reason,
    }
}

/// Read ahead of who takes it; each is at most a chunk of storage's.
const CHUNKS: usize = 4;
const TAKE_TIMEOUT: Duration = Duration::from_secs(60);
