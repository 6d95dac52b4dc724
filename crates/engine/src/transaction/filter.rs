//! Which transactions an operator wants listed.

use fancy_regex::Regex;

use super::call::Filter;
use super::{State, Transaction, TransactionRefused};

/// A [`Filter`] ready to be used.
#[derive(Debug)]
pub struct Listing<'a> {
    filter: &'a Filter,
    pattern: Option<Regex>,
}

impl Filter {
    /// Ready to be used.
    ///
    /// # Errors
    /// The pattern is no regular expression.
    pub fn compiled(&self) -> Result<Listing<'_>, TransactionRefused> {
        let pattern = self.id_pattern.as_ref().filter(|text| !text.is_empty());
        let pattern = pattern
            .map(|text| Regex::new(&format!("^(?:{text})$")))
            .transpose()
            .map_err(|_| TransactionRefused::Pattern)?;
        Ok(Listing {
            filter: self,
            pattern,
        })
    }

    /// States that are asked for and that there are none of.
    pub fn unknown_states(&self) -> Vec<String> {
        let unknown = |state: &&String| !STATES.contains(&state.as_str());
        self.states.iter().filter(unknown).cloned().collect()
    }
}

impl Listing<'_> {
    /// Whether it is listed.
    pub fn lists(&self, transactional_id: &str, transaction: &Transaction, now_ms: u64) -> bool {
        let filter = self.filter;
        let open_for_ms = match transaction.state() {
            State::Ongoing(open) => Some(now_ms.saturating_sub(open.since_ms)),
            _ => None,
        };
        let long = match u64::try_from(filter.open_for_ms) {
            Ok(least_ms) => open_for_ms.is_some_and(|ms| ms > least_ms),
            Err(_) => true,
        };
        let id = transaction.producer().id;
        let state = transaction.state().name();
        // One that takes too long to tell does not match.
        let matches = |pattern: &Regex| pattern.is_match(transactional_id).unwrap_or(false);
        long && (filter.producer_ids.is_empty() || filter.producer_ids.contains(&id))
            && (filter.states.is_empty() || filter.states.iter().any(|known| known == state))
            && self.pattern.as_ref().is_none_or(matches)
    }
}

/// Kafka's; some last no time here.
const STATES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::{Input, Producer};

    #[test]
    fn every_condition_must_hold() {
        let mut transaction = Transaction::new(3);
        let init = Input::Init {
            timeout_ms: 100,
            expected: None,
        };
        let mut effects = Vec::new();
        transaction.handle(init, &mut || None, 10, &mut effects);
        let lists = |transaction: &Transaction, filter: &Filter| {
            filter.compiled().unwrap().lists("app-1", transaction, 50)
        };
        let all = Filter {
            open_for_ms: -1,
            ..Filter::default()
        };
        assert!(lists(&transaction, &all));
        let open = Filter::default();
        assert!(!lists(&transaction, &open), "none is open");
        let join = Input::Join {
            producer: Producer { id: 3, epoch: 0 },
            partitions: &[crate::router::QueueId(1)],
            group: None,
        };
        transaction.handle(join, &mut || None, 10, &mut effects);
        let wanted = Filter {
            states: vec!["Ongoing".to_owned(), "Lost".to_owned()],
            producer_ids: vec![3],
            open_for_ms: 39,
            id_pattern: Some("app-.".to_owned()),
        };
        assert!(lists(&transaction, &wanted));
        assert_eq!(wanted.unknown_states(), ["Lost"]);
        let others = [
            Filter {
                states: vec!["Empty".to_owned()],
                ..wanted.clone()
            },
            Filter {
                producer_ids: vec![4],
                ..wanted.clone()
            },
            Filter {
                open_for_ms: 40,
                ..wanted.clone()
            },
            Filter {
                id_pattern: Some("pp-1".to_owned()),
                ..wanted.clone()
            },
        ];
        for filter in &others {
            assert!(!lists(&transaction, filter), "{filter:?}");
        }
        let broken = Filter {
            id_pattern: Some("(".to_owned()),
            ..all
        };
        let refused = broken.compiled().err();
        assert_eq!(refused, Some(TransactionRefused::Pattern));
    }
}
