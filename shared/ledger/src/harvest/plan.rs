//! How a page is cut into batches: pure, before and after the ledger has said what of it is new.

use crate::harvest::SeenMessage;
use granary_domain::{BatchId, Hour, IdDigest};
use jiff::Timestamp;
use std::collections::HashSet;

/// A message of a page, and the planned batch that it is in.
pub(crate) struct PlannedRow<'a> {
    pub(crate) message: &'a SeenMessage,
    /// Of its id.
    pub(crate) hash: u128,
    pub(crate) batch: usize,
}

/// The first hit of each id, in the order of the page, and how many others there were.
pub(crate) fn distinct(messages: &[SeenMessage]) -> (Vec<PlannedRow<'_>>, u64) {
    let mut seen = HashSet::with_capacity(messages.len());
    let rows: Vec<_> = messages
        .iter()
        .filter(|message| seen.insert(message.message_id.as_str()))
        .map(|message| PlannedRow {
            message,
            hash: IdDigest::hash(message.message_id.as_str().as_bytes()),
            batch: 0,
        })
        .collect();
    let duplicates = (messages.len() - rows.len()) as u64;
    (rows, duplicates)
}

/// Groups a page into batches of one hour each, in order of event time.
pub(crate) fn plan(rows: &mut [PlannedRow<'_>], batch_size: u32) -> Vec<PlannedBatch> {
    let mut batches: Vec<PlannedBatch> = Vec::new();
    for row in rows {
        let hour = Hour::of(row.message.event_time);
        let fits = batches
            .last()
            .is_some_and(|batch| batch.hour == hour && batch.planned < batch_size);
        if !fits {
            batches.push(PlannedBatch::at(row.message.event_time));
        }
        row.batch = batches.len() - 1;
        if let Some(batch) = batches.last_mut() {
            batch.take(row);
        }
    }
    batches
}

/// How many batches a page asks for at most: what is left out of it, as a duplicate or as known, makes them fewer.
pub(crate) fn batches_at_most(messages: &[SeenMessage], batch_size: u32) -> usize {
    let (mut batches, mut planned, mut last) = (0, 0, None);
    for message in messages {
        let hour = Hour::of(message.event_time);
        if last != Some(hour) || planned == batch_size {
            (batches, planned, last) = (batches + 1, 0, Some(hour));
        }
        planned += 1;
    }
    batches
}

/// A batch that a page asks for. It becomes as large as the messages that turn out to be new.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlannedBatch {
    pub(crate) id: BatchId,
    pub(crate) hour: Hour,
    pub(crate) planned: u32,
    pub(crate) kept: u32,
    /// Of the planned messages' ids.
    pub(crate) digest: IdDigest,
    pub(crate) time_from: Timestamp,
    pub(crate) time_to: Timestamp,
    /// It was there before, and takes the planned messages in.
    pub(crate) is_joined: bool,
}

impl PlannedBatch {
    /// One of all these messages, which are of one hour. `None`: there are none.
    pub(crate) fn of(id: BatchId, rows: &[PlannedRow<'_>]) -> Option<Self> {
        let mut batch = Self::at(rows.first()?.message.event_time);
        batch.id = id;
        rows.iter().for_each(|row| batch.take(row));
        Some(batch)
    }

    fn at(time: Timestamp) -> Self {
        Self {
            id: BatchId(0),
            hour: Hour::of(time),
            planned: 0,
            kept: 0,
            digest: IdDigest::default(),
            time_from: time,
            time_to: time,
            is_joined: false,
        }
    }

    fn take(&mut self, row: &PlannedRow<'_>) {
        self.planned += 1;
        self.kept += 1;
        self.digest.add_hash(row.hash);
        self.time_from = self.time_from.min(row.message.event_time);
        self.time_to = self.time_to.max(row.message.event_time);
    }
}

/// Which batches go into which one. What is kept is moved along.
pub(crate) fn folds(batches: &mut [PlannedBatch], batch_size: u32) -> Vec<(BatchId, Vec<BatchId>)> {
    let mut folds: Vec<(BatchId, Vec<BatchId>)> = Vec::new();
    let mut target: Option<usize> = None;
    for place in 0..batches.len() {
        let PlannedBatch {
            id,
            hour,
            kept,
            is_joined,
            ..
        } = batches[place];
        if kept == 0 || is_joined {
            continue;
        }
        let fits = |at: &usize| batches[*at].hour == hour && batches[*at].kept + kept <= batch_size;
        let Some(into) = target.filter(fits) else {
            target = Some(place);
            continue;
        };
        batches[into].kept += kept;
        batches[place].kept = 0;
        match folds.last_mut() {
            Some((last, from)) if *last == batches[into].id => from.push(id),
            Some(_) | None => folds.push((batches[into].id, vec![id])),
        }
    }
    folds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(id: &str, time: &str) -> SeenMessage {
        SeenMessage {
            message_id: id.to_owned().try_into().unwrap(),
            doc_id: None,
            index: "messages".into(),
            routing: None,
            event_time: time.parse().unwrap(),
        }
    }

    #[test]
    fn a_batch_never_spans_two_hours_and_never_exceeds_its_size() {
        let times = ["10:00:00", "10:59:59", "11:00:00", "11:00:01", "11:00:02"];
        let messages: Vec<_> = times
            .iter()
            .enumerate()
            .map(|(number, time)| seen(&format!("m{number}"), &format!("2026-01-01T{time}Z")))
            .collect();
        let (mut rows, duplicates) = distinct(&messages);
        assert_eq!(batches_at_most(&messages, 2), 3);
        let sizes: Vec<u32> = plan(&mut rows, 2).iter().map(|batch| batch.planned).collect();
        assert_eq!((sizes, duplicates), (vec![2, 2, 1], 0));
    }

    #[test]
    fn batches_that_were_hardly_filled_fold_into_one_of_their_hour() {
        let hour = Hour::of("2026-01-01T10:00:00Z".parse().unwrap());
        let batch = |id, hour: Hour, kept| PlannedBatch {
            id: BatchId(id),
            planned: 10,
            kept,
            ..PlannedBatch::at(hour.start())
        };
        let mut batches = [
            batch(1, hour, 0),
            batch(2, hour, 3),
            batch(3, hour, 4),
            batch(4, hour, 3),
            batch(5, hour, 9),
            batch(6, hour.next(), 1),
        ];
        let folded = folds(&mut batches, 10);
        assert_eq!(folded, [(BatchId(2), vec![BatchId(3), BatchId(4)])]);
        assert_eq!(batches.map(|batch| batch.kept), [0, 10, 0, 0, 9, 1]);
    }

    #[test]
    fn the_second_hit_with_an_id_is_a_duplicate_and_twins_in_case_are_not() {
        let messages: Vec<_> = ["a", "A", "a", "a "]
            .iter()
            .map(|id| seen(id, "2026-01-01T00:00:00Z"))
            .collect();
        let (rows, duplicates) = distinct(&messages);
        assert_eq!((rows.len(), duplicates), (3, 1));
    }
}
