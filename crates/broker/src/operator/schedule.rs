//! What of a queue waits for a time, and for which.

use bongsu_engine::Refused;
use bongsu_engine::queue::schedule::Span;
use bongsu_record::Offset;

use super::Operator;

/// What waits in a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScheduleSeen {
    /// How many records.
    pub count: u64,
    /// When the first is due, or the span begins in which it is: Unix milliseconds.
    pub next_ms: Option<u64>,
    /// How many are due when, in the order of time.
    pub spans: Vec<Span>,
    /// The first of them with their times; not of those whose time is only known roughly.
    pub first: Vec<(u64, Offset)>,
}

impl Operator {
    /// What waits in a queue for its time; `first`: how many are told one by one.
    ///
    /// # Errors
    /// [`Refused::NotFound`], [`Refused::Denied`].
    pub fn schedule(&self, space: &str, name: &str, first: usize) -> Result<ScheduleSeen, Refused> {
        let found = self.find_queue(space, name)?;
        let state = found.cell.lock();
        let count = state.machine.cursor().waiting();
        let Some(schedule) = state.machine.schedule().filter(|_| count > 0) else {
            return Ok(ScheduleSeen {
                count,
                ..ScheduleSeen::default()
            });
        };
        let due = schedule.first_due(first).into_iter();
        Ok(ScheduleSeen {
            count,
            next_ms: schedule.next_due_ms(),
            spans: schedule.spans(SPANS_MAX),
            first: due.map(|(at_ms, offset)| (at_ms, Offset(offset))).collect(),
        })
    }
}

/// Spans folded into buckets of equal width, from the first time to the last: each count goes
/// where its span lies, one that lies in several buckets to each in proportion. Their counts
/// add up to the spans'.
pub fn buckets(spans: &[Span], most: u64) -> Vec<Span> {
    let (Some(first), Some(end_ms)) = (spans.first(), spans.iter().map(|span| span.end_ms).max())
    else {
        return Vec::new();
    };
    let start_ms = first.start_ms;
    let whole = (end_ms - start_ms).max(1);
    let most = most.clamp(1, whole);
    let edge =
        |index: u64| start_ms + (u128::from(whole) * u128::from(index) / u128::from(most)) as u64;
    let mut buckets: Vec<Span> = (0..most)
        .map(|index| Span {
            start_ms: edge(index),
            end_ms: edge(index + 1),
            count: 0,
        })
        .collect();
    for span in spans {
        let width = u128::from((span.end_ms - span.start_ms).max(1));
        let mut given = 0;
        let within = buckets.partition_point(|bucket| bucket.end_ms <= span.start_ms);
        for bucket in &mut buckets[within..] {
            if bucket.start_ms >= span.end_ms {
                break;
            }
            // What lies up to the end of this bucket, less what lies before it.
            let upto = u128::from(bucket.end_ms.min(span.end_ms) - span.start_ms);
            let upto = (u128::from(span.count) * upto / width) as u64;
            bucket.count += upto - given;
            given = upto;
        }
    }
    buckets
}

/// Exact times that are told apart.
const SPANS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start_ms: u64, end_ms: u64, count: u64) -> Span {
        Span {
            start_ms,
            end_ms,
            count,
        }
    }

    #[test]
    fn no_record_is_lost_or_counted_twice() {
        let spans = [
            span(10, 11, 3),
            span(12, 20, 7),
            span(15, 16, 1),
            span(90, 110, 10),
        ];
        for most in [1, 2, 3, 7, 50, 1_000] {
            let buckets = buckets(&spans, most);
            assert!(buckets.len() as u64 <= most);
            assert_eq!(buckets.iter().map(|bucket| bucket.count).sum::<u64>(), 21);
            assert_eq!(
                (buckets[0].start_ms, buckets.last().map(|b| b.end_ms)),
                (10, Some(110))
            );
            assert!(
                buckets
                    .windows(2)
                    .all(|two| two[0].end_ms == two[1].start_ms)
            );
        }
    }

    #[test]
    fn counts_go_where_their_times_are() {
        let spans = [span(0, 1, 4), span(99, 100, 6)];
        let told: Vec<u64> = buckets(&spans, 4)
            .iter()
            .map(|bucket| bucket.count)
            .collect();
        assert_eq!(told, [4, 0, 0, 6]);
        let told: Vec<u64> = buckets(&[span(0, 100, 10)], 4)
            .iter()
            .map(|b| b.count)
            .collect();
        assert_eq!(told, [2, 3, 2, 3]);
        assert!(buckets(&[], 4).is_empty());
        assert_eq!(buckets(&[span(5, 6, 2)], 4), [span(5, 6, 2)]);
    }
}
