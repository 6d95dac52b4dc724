//! FindCoordinator: every group, transaction and share of a group is this broker's.

use bytes::Bytes;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

use bongsu_engine::session::{Effects, Now};

use super::text;
use crate::errors::{Code, INVALID_REQUEST, NONE};
use crate::session::{Head, Malformed, Session, decoded};

/// From this version on, several are asked for at once.
const BATCHED_FROM: i16 = 4;
/// From this version on, there are share groups.
const SHARES_FROM: i16 = 6;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

pub(crate) fn handle(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: FindCoordinatorRequest = decoded(&head, &mut body)?;
    let settings = session.settings.clone();
    let judge = |key: &str| -> Code {
        match request.key_type {
            GROUP | TRANSACTION => NONE,
            SHARE if head.version >= SHARES_FROM && is_share(key) => NONE,
            _ => INVALID_REQUEST,
        }
    };
    let place = |code: Code| match code {
        NONE => (
            BrokerId(settings.node_id),
            text(&settings.advertised_host),
            i32::from(settings.advertised_port),
        ),
        _ => (BrokerId(-1), text(""), -1),
    };
    let response = if head.version >= BATCHED_FROM {
        let coordinators = request.coordinator_keys.iter().map(|key| {
            let code = judge(key);
            let (node_id, host, port) = place(code);
            Coordinator::default()
                .with_key(key.clone())
                .with_node_id(node_id)
                .with_host(host)
                .with_port(port)
                .with_error_code(code)
                .with_error_message(None)
        });
        FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
    } else {
        let code = judge(&request.key);
        let (node_id, host, port) = place(code);
        FindCoordinatorResponse::default()
            .with_node_id(node_id)
            .with_host(host)
            .with_port(port)
            .with_error_code(code)
            .with_error_message(None)
    };
    session.respond(&head, &response, effects);
    Ok(())
}

/// `group:topic id:partition`, of which a group's name may have more colons.
fn is_share(key: &str) -> bool {
    let mut parts = key.rsplitn(3, ':');
    let partition = parts.next().and_then(|text| text.parse::<u32>().ok());
    let topic = parts.next().filter(|id| !id.is_empty());
    let group = parts.next().filter(|group| !group.is_empty());
    partition.is_some() && topic.is_some() && group.is_some()
}
