use bongsu_engine::session::Outcome;

use super::*;

#[test]
fn what_the_exchange_refused_is_blamed_on_the_publish() {
    let name = "logs".to_owned();
    let of = |kind| Refused::NotFound {
        kind,
        name: name.clone(),
    };
    assert_eq!(to_blame(&of(Kind::Exchange)), PUBLISH);
    assert_eq!(to_blame(&of(Kind::Link)), COMMIT);
    let exchange = name.clone();
    assert_eq!(to_blame(&Refused::Internal { exchange }), PUBLISH);
    let cause = "disk full".to_owned();
    assert_eq!(to_blame(&Refused::Storage { cause }), COMMIT);
}

#[test]
fn answers_keep_their_order() {
    let mut tx = Transaction::default();
    tx.answers.push_back((Lsn(2), Answer::Commit));
    tx.answers.push_back((Lsn(0), Answer::Rollback));
    let mut out = Vec::new();
    assert!(tx.answer(1, Lsn(1), &mut out));
    assert!(out.is_empty());
    assert!(!tx.answer(1, Lsn(2), &mut out));
    let mut expected = Vec::new();
    Method::TxCommitOk {}.write(1, &mut expected);
    Method::TxRollbackOk {}.write(1, &mut expected);
    assert_eq!(out, expected);
}

#[test]
fn outcomes_sort_apart() {
    let outcomes = [
        Outcome::Accept,
        Outcome::Release,
        Outcome::Fail,
        Outcome::Reject,
    ];
    let mut numbers = outcomes.map(|outcome| outcome as u8).to_vec();
    numbers.dedup();
    assert_eq!(numbers.len(), outcomes.len());
}
