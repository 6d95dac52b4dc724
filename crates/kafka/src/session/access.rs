//! Users' credentials (SCRAM); rules of who may do what, in [`acls`]; how fast clients may
//! be, in [`quotas`].

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use kafka_protocol::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use kafka_protocol::messages::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse,
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
};
use kafka_protocol::protocol::StrBytes;

use bongsu_engine::access::request::{CredentialChange, CredentialRefused, Salted};
use bongsu_engine::access::scram::Mechanism;
use bongsu_engine::access::{Answer, Request};
use bongsu_engine::session::{Call, Close, Effects, Now, Reply};

use super::{Head, Malformed, Session, decoded};
use crate::errors::NONE;
use crate::errors::access::{UNSUPPORTED_SASL_MECHANISM, of_credential};

pub(crate) mod acls;

pub(crate) mod quotas;

pub(crate) fn describe_credentials(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: DescribeUserScramCredentialsRequest = decoded(&head, &mut body)?;
    // Of nobody in particular is of everybody.
    let users = request.users.filter(|users| !users.is_empty());
    let of_all = users.is_none();
    let users = users.map(|users| users.iter().map(|user| user.name.to_string()).collect());
    ask(
        session,
        effects,
        Request::DescribeCredentials { users },
        move |session, answer, effects| {
            let Answer::Credentials(credentials) = answer else {
                return false;
            };
            let denied = |result: &Result<_, CredentialRefused>| {
                matches!(result, Err(CredentialRefused::Access))
            };
            let response = DescribeUserScramCredentialsResponse::default();
            // Who may not know is told so as a whole.
            if !of_all && credentials.iter().all(|(_, result)| denied(result)) {
                let (code, says) = of_credential(CredentialRefused::Access);
                let response = response
                    .with_error_code(code)
                    .with_error_message(said(says));
                session.respond(&head, &response, effects);
                return true;
            }
            let results = credentials.into_iter().map(|(user, result)| {
                let told = DescribeUserScramCredentialsResult::default().with_user(text(&user));
                match result {
                    Ok(credentials) => {
                        let infos = credentials.into_iter().map(|(mechanism, iterations)| {
                            CredentialInfo::default()
                                .with_mechanism(mechanism_number(mechanism))
                                .with_iterations(i32::try_from(iterations).unwrap_or(i32::MAX))
                        });
                        told.with_credential_infos(infos.collect())
                    }
                    Err(refused) => {
                        let (code, says) = of_credential(refused);
                        told.with_error_code(code).with_error_message(said(says))
                    }
                }
            });
            let response = response.with_results(results.collect());
            session.respond(&head, &response, effects);
            true
        },
    );
    Ok(())
}

pub(crate) fn alter_credentials(
    session: &mut Session,
    head: Head,
    mut body: Bytes,
    _now: Now,
    effects: &mut Effects,
) -> Result<(), Malformed> {
    let request: AlterUserScramCredentialsRequest = decoded(&head, &mut body)?;
    let mut order: Vec<String> = Vec::new();
    let mut unknown: BTreeMap<String, ()> = BTreeMap::new();
    let mut changes = Vec::new();
    let deletions = request.deletions.iter();
    let deletions = deletions.map(|deletion| (&deletion.name, deletion.mechanism, None));
    let upsertions = request.upsertions.iter().map(|upsertion| {
        let salted = Salted {
            salt: upsertion.salt.to_vec(),
            iterations: i64::from(upsertion.iterations),
            salted_password: upsertion.salted_password.to_vec(),
        };
        (&upsertion.name, upsertion.mechanism, Some(salted))
    });
    for (name, mechanism, set) in deletions.chain(upsertions) {
        let user = name.to_string();
        match mechanism {
            1 | 2 => changes.push(CredentialChange {
                user: user.clone(),
                mechanism: match mechanism {
                    1 => Mechanism::Sha256,
                    _ => Mechanism::Sha512,
                },
                set,
            }),
            _ => {
                unknown.insert(user.clone(), ());
            }
        }
        order.push(user);
    }
    // Of a user, all or nothing changes.
    changes.retain(|change| !unknown.contains_key(&change.user));
    ask(
        session,
        effects,
        Request::AlterCredentials { changes },
        move |session, answer, effects| {
            let Answer::Altered(altered) = answer else {
                return false;
            };
            let mut altered: BTreeMap<String, _> = altered.into_iter().collect();
            let mut results = Vec::new();
            for user in order {
                let (code, says) = match altered.remove(&user) {
                    Some(Ok(())) => (NONE, None),
                    Some(Err(refused)) => {
                        let (code, says) = of_credential(refused);
                        (code, said(says))
                    }
                    None if unknown.remove(&user).is_some() => {
                        (UNSUPPORTED_SASL_MECHANISM, said("an unknown mechanism"))
                    }
                    // Answered already.
                    None => continue,
                };
                let result = AlterUserScramCredentialsResult::default()
                    .with_user(text(&user))
                    .with_error_code(code)
                    .with_error_message(says);
                results.push(result);
            }
            let response = AlterUserScramCredentialsResponse::default().with_results(results);
            session.respond(&head, &response, effects);
            true
        },
    );
    Ok(())
}

/// Asks the broker; `then` says whether the answer was one to the question.
fn ask(
    session: &mut Session,
    effects: &mut Effects,
    request: Request,
    then: impl FnOnce(&mut Session, Answer, &mut Effects) -> bool + Send + 'static,
) {
    let call = Call::Access(Box::new(request));
    session.call(effects, call, move |session, reply, _, effects| {
        let answered = match reply {
            Reply::Access(answer) => then(session, *answer, effects),
            _ => false,
        };
        if !answered {
            effects.close = Some(Close::Now);
        }
    });
}

fn mechanism_number(mechanism: Mechanism) -> i8 {
    match mechanism {
        Mechanism::Sha256 => 1,
        Mechanism::Sha512 => 2,
    }
}

fn said(text: &'static str) -> Option<StrBytes> {
    Some(StrBytes::from_static_str(text))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
