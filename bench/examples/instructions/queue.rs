//! The queue's decisions: records appended, lent to two consumers, settled a hundred at a time.

use std::ops::Range;
use std::sync::Arc;

use bongsu_engine::queue::links::Open;
use bongsu_engine::queue::{Effect, Fact, FactRun, Input, Link, LinkKey, Properties, Queue};
use bongsu_engine::session::Outcome;
use bongsu_record::Offset;

/// Offsets alone decide.
pub fn lend() -> Box<dyn FnMut()> {
    worked(Properties::default(), |_| Vec::new())
}

/// Ten priorities in turn.
pub fn priorities() -> Box<dyn FnMut()> {
    let properties = Properties {
        priority_max: Some(10),
        ..Properties::default()
    };
    worked(properties, |records| {
        records
            .map(|offset| FactRun {
                records: offset..offset + 1,
                fact: Fact {
                    priority: (offset % 10) as u8,
                    ..Fact::default()
                },
            })
            .collect()
    })
}

fn worked(
    properties: Properties,
    facts: impl Fn(Range<u64>) -> Vec<FactRun> + 'static,
) -> Box<dyn FnMut()> {
    let mut queue = Queue::new(Arc::new(properties), NOW_MS);
    let mut effects = Vec::new();
    for key in [1, 2] {
        let key = LinkKey(key);
        let link = Link {
            credit: 400,
            priority: 0,
            exclusive: false,
            timeout_ms: None,
        };
        queue.handle(Input::Attach { key, link }, NOW_MS, &Open, &mut effects);
    }
    let mut end = 0;
    let mut leases = Vec::new();
    Box::new(move || {
        let facts = facts(end..end + COUNT);
        let appended = Input::Append {
            count: COUNT,
            facts: &facts,
        };
        end += COUNT;
        queue.handle(appended, NOW_MS, &Open, &mut effects);
        let mut settled = 0;
        while settled < COUNT {
            for effect in effects.drain(..) {
                if let Effect::Lease { key, records, .. } = effect {
                    leases.push((key, records));
                }
            }
            let (key, records) = leases.pop().expect("what is ready is lent");
            settled += records.end.0 - records.start.0;
            let mut from = records.start.0;
            while from < records.end.0 {
                let to = records.end.0.min(from + 100);
                let range = Offset(from)..Offset(to);
                let settle = Input::Settle {
                    key,
                    ranges: std::slice::from_ref(&range),
                    outcome: Outcome::Accept,
                };
                queue.handle(settle, NOW_MS, &Open, &mut effects);
                from = to;
            }
        }
    })
}

/// Records each time.
pub const COUNT: u64 = 1000;
const NOW_MS: u64 = 1_700_000_000_000;
