//! What a history's broker is asked to do: make and drop logs, append, settle, mark, note.

use super::*;

impl History {
    pub(super) fn create(&mut self) {
        if self.world.logs.len() >= 12 {
            return;
        }
        let id = self.next_log;
        let durability = *self.random.pick(&[
            Durability::Fsync,
            Durability::Fsync,
            Durability::Fsync,
            Durability::Os,
            Durability::Memory,
        ]);
        let recorded = self.broker().storage.record(&[EntryRef::Note {
            kind: kind::CREATE,
            id,
            bytes: &[durability as u8],
        }]);
        match recorded {
            Ok(lsn) => {
                self.next_log += 1;
                let broker = self.broker();
                let log = broker.storage.create_log(LogId(id), durability);
                let queue = Queue {
                    log,
                    settled: BTreeSet::new(),
                    next: 0,
                };
                broker.state.lock().queues.insert(id, queue);
                self.memory.insert(id, (0, Vec::new()));
                self.appended(lsn.0, vec![Effect::Create(id, durability)]);
            }
            Err(error) => self.refused(&error),
        }
    }

    pub(super) fn some_log(&mut self) -> Option<u64> {
        let ids: Vec<u64> = self.world.logs.keys().copied().collect();
        match ids.is_empty() {
            true => None,
            false => Some(*self.random.pick(&ids)),
        }
    }

    pub(super) fn remove(&mut self) {
        let Some(id) = self.some_log() else {
            return;
        };
        let recorded = self.broker().storage.record(&[EntryRef::Note {
            kind: kind::REMOVE,
            id,
            bytes: &[],
        }]);
        match recorded {
            Ok(lsn) => {
                let broker = self.broker();
                broker.state.lock().queues.remove(&id);
                broker.storage.remove_log(LogId(id));
                self.memory.remove(&id);
                self.appended(lsn.0, vec![Effect::Remove(id)]);
            }
            Err(error) => self.refused(&error),
        }
    }

    pub(super) fn append(&mut self) {
        let ids: Vec<u64> = self.world.logs.keys().copied().collect();
        if ids.is_empty() {
            return self.create();
        }
        let (targets, bytes) = match self.random.below(10) {
            0..=5 => (1, self.random.below(300)),
            6 | 7 => (1 + self.random.below(4), self.random.below(300)),
            8 => (1, self.random.below(9_000)),
            _ => (1 + self.random.below(2), self.random.below(3_000)),
        };
        let mut chosen = BTreeSet::new();
        for _ in 0..targets {
            chosen.insert(*self.random.pick(&ids));
        }
        let publishes = 1 + u64::from(self.random.chance(1, 8));
        let mut batches = Vec::new();
        for _ in 0..publishes {
            let count = 1 + self.random.below(4);
            let numbers: Vec<u64> = (self.next_record..self.next_record + count).collect();
            self.next_record += count;
            batches.push((batch(&numbers, bytes as usize), numbers));
        }
        // Now and then a settle elsewhere goes along, as dead-lettering does.
        let settle = match self.random.chance(1, 6) {
            true => self.choose_settle(),
            false => None,
        };
        let ranges = settle.as_ref().map(|(_, offsets)| ranges(offsets));
        let more: Vec<EntryRef<'_>> = match (&settle, &ranges) {
            (Some((log, _)), Some(ranges)) => vec![EntryRef::Settle {
                log: LogId(*log),
                ranges,
            }],
            _ => Vec::new(),
        };
        let broker = self.broker.as_ref().expect("it runs");
        let mut state = broker.state.lock();
        let logs: Vec<_> = chosen
            .iter()
            .map(|id| Arc::clone(&state.queues[id].log))
            .collect();
        let mut ends: Vec<u64> = logs.iter().map(|log| log.end().0).collect();
        let mut all_targets = Vec::new();
        for (batch, _) in &batches {
            let targets: Vec<_> = logs
                .iter()
                .zip(&ends)
                .map(|(l, e)| (l, Offset(*e)))
                .collect();
            all_targets.push(targets);
            let count = u64::from(batch.record_count());
            ends.iter_mut().for_each(|end| *end += count);
        }
        let publish: Vec<Publish<'_>> = batches
            .iter()
            .zip(&all_targets)
            .map(|((batch, _), targets)| Publish { targets, batch })
            .collect();
        let direct = publish.len() == 1
            && chosen.len() == 1
            && batches[0].0.len() >= self.options.direct_bytes_min;
        match broker.storage.append_all(&publish, &more) {
            Ok(appended) => {
                if let Some((log, offsets)) = &settle {
                    let queue = state.queues.get_mut(log).expect("chosen from these");
                    queue.settled.extend(offsets);
                    queue.trim();
                }
                drop(state);
                self.tally.direct += u64::from(direct);
                let mut effects = Vec::new();
                for (_, numbers) in &batches {
                    for id in &chosen {
                        let durability = self.world.logs[id].durability;
                        match durability {
                            Durability::Memory => {
                                let memory = self.memory.get_mut(id).expect("made with it");
                                memory.1.extend(numbers);
                            }
                            _ => {
                                effects.push(Effect::Append(*id, numbers.clone()));
                            }
                        }
                    }
                }
                if let Some((log, offsets)) = settle {
                    effects.push(Effect::Settle(log, offsets));
                }
                if appended.lsn.0 > 0 {
                    self.appended(appended.lsn.0, effects);
                }
            }
            Err(error) => {
                drop(state);
                self.refused(&error);
            }
        }
    }

    pub(super) fn choose_settle(&mut self) -> Option<(u64, Vec<u64>)> {
        let id = self.some_log()?;
        let broker = self.broker.as_ref().expect("it runs");
        let state = broker.state.lock();
        let queue = &state.queues[&id];
        if queue.log.durability() == Durability::Memory {
            return None;
        }
        let (start, end) = (queue.log.start().0, queue.log.end().0);
        let open: Vec<u64> = (start..end)
            .filter(|o| !queue.settled.contains(o))
            .collect();
        if open.is_empty() {
            return None;
        }
        let offsets = match self.random.below(4) {
            // In order from the front, as queues mostly go; now and then all.
            0 => open,
            1 | 2 => {
                let count = 1 + self.random.below(8) as usize;
                open.into_iter().take(count).collect()
            }
            _ => {
                let first = self.random.below(open.len() as u64) as usize;
                let count = 1 + self.random.below(3) as usize;
                open.into_iter().skip(first).take(count).collect()
            }
        };
        Some((id, offsets))
    }

    pub(super) fn settle(&mut self) {
        if let Some((id, offsets)) = self.choose_settle() {
            let ranges = ranges(&offsets);
            let recorded = self.broker().storage.record(&[EntryRef::Settle {
                log: LogId(id),
                ranges: &ranges,
            }]);
            match recorded {
                Ok(lsn) => {
                    let mut state = self.broker().state.lock();
                    let queue = state.queues.get_mut(&id).expect("chosen from these");
                    queue.settled.extend(&offsets);
                    queue.trim();
                    drop(state);
                    self.appended(lsn.0, vec![Effect::Settle(id, offsets)]);
                }
                Err(error) => self.refused(&error),
            }
            return;
        }
        // A memory log's settles are between the queue and itself.
        let Some(id) = self.some_log() else {
            return;
        };
        let mut state = self.broker().state.lock();
        if let Some(queue) = state.queues.get_mut(&id)
            && queue.log.durability() == Durability::Memory
        {
            let (start, end) = (queue.log.start().0, queue.log.end().0);
            queue.settled.extend(start..start + (end - start) / 2);
            queue.trim();
        }
    }

    pub(super) fn mark(&mut self) {
        let Some(id) = self.some_log() else {
            return;
        };
        if self.world.logs[&id].durability == Durability::Memory {
            return;
        }
        let next = self
            .random
            .below(self.world.logs[&id].records.len() as u64 + 1);
        let recorded = self.broker().storage.record(&[EntryRef::Mark {
            log: LogId(id),
            next: Offset(next),
        }]);
        match recorded {
            Ok(lsn) => {
                let mut state = self.broker().state.lock();
                let queue = state.queues.get_mut(&id).expect("chosen from these");
                queue.next = queue.next.max(next);
                drop(state);
                self.appended(lsn.0, vec![Effect::Mark(id, next)]);
            }
            Err(error) => self.refused(&error),
        }
    }

    /// Takes records whose key has a later one, below a bound that is durable.
    pub(super) fn compact(&mut self) {
        let Some(id) = self.some_log() else {
            return;
        };
        let broker = self.broker.as_ref().expect("it runs");
        let log = Arc::clone(&broker.state.lock().queues[&id].log);
        let durable_end = log.bounds(broker.storage.durable()).durable_end;
        if self.random.chance(1, 2)
            && let Err(error) = log.seal()
        {
            return self.refused(&error);
        }
        let below = self.random.below(durable_end.0 / 2 + 1);
        let bound = durable_end.0 - below;
        let options = CompactOptions {
            bound: Offset(bound),
            now_ms: 0,
            delete_retention_ms: 0,
            map_bytes_max: *self.random.pick(&[1, 1 << 20]),
            decompressed_bytes_max: 1 << 20,
            is_aborted: &|_, _| false,
            go_on: &|| true,
        };
        let known = self.compacted.entry(id).or_default();
        *known = bound.max(*known);
        let compacted = log.compact(&options);
        self.say(|| format!("compact log {id} below {bound}: {compacted:?}"));
        match compacted {
            Ok(done) => self.tally.compacted += done.dropped_count,
            Err(error) => self.refused(&error),
        }
    }

    pub(super) fn note(&mut self) {
        let id = self.random.below(5);
        let bytes = vec![self.random.number() as u8; self.random.below(40) as usize];
        let recorded = self.broker().storage.record(&[EntryRef::Note {
            kind: kind::KEEP,
            id,
            bytes: &bytes,
        }]);
        match recorded {
            Ok(lsn) => {
                self.broker().state.lock().notes.insert(id, bytes.clone());
                self.appended(lsn.0, vec![Effect::Note(id, bytes)]);
            }
            Err(error) => self.refused(&error),
        }
    }
}
