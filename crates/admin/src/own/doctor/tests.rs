use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[tokio::test]
async fn who_asks_at_once_is_told_what_one_look_found() {
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let doctor = Arc::new(Doctor::new(move || {
        let look = counted.fetch_add(1, Ordering::SeqCst);
        vec![Check::warn("disk", format!("look {look}"), "make room")]
    }));
    let (first, second) = tokio::join!(doctor.clone().checks(), doctor.clone().checks());
    let first = first.expect("it looks");
    assert_eq!(first, second.expect("it is told"));
    assert_eq!(first[0].found, "look 0");
    assert_eq!(looks.load(Ordering::SeqCst), 1);
    // What is old is looked at again.
    let mut last = doctor.last.lock().await;
    last.as_mut().expect("found").since -= KEPT;
    drop(last);
    let again = doctor.checks().await.expect("it looks again");
    assert_eq!(again[0].found, "look 1");
}

#[test]
fn states_are_words_of_programs() {
    let words = [State::Ok, State::Warn, State::Fail].map(|state| json!(state));
    assert_eq!(words, ["OK", "WARN", "FAIL"].map(|word| json!(word)));
}
