//! What is to become of one key. Pure; what it rests on never becomes wrong later (see the races in `lib.rs`).

use granary_domain::{BatchStatus, Generation, Hour, ObjectKey, Place};
use granary_ledger::integrity::BatchAtKey;

/// What is to become of what stands at a key, whatever its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// On record, or in the making, or not the sweep's business.
    Stays,
    /// Not ours by its name.
    Foreign,
    /// Ours by its name, and nobody knows its batch.
    Unknown,
    /// Above the generation of a completed batch: the next re-export meets it.
    Ahead,
    /// A data object that nobody recorded, and nobody will.
    Orphan,
    /// A manifest of what is no longer on record.
    OrphanManifest,
}

/// What the ledger knows of a key's batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Knowledge<'a> {
    /// It has a row.
    Known(&'a BatchAtKey),
    /// Its row was taken away when its hour was sealed.
    Sealed,
    /// None.
    Nothing,
}

pub(crate) fn fate_of(key: &ObjectKey, place: Option<Place>, knowledge: Knowledge<'_>) -> Fate {
    match (place, knowledge) {
        (None, _) => Fate::Foreign,
        (Some(Place::Quarantine | Place::NumberMark), _) | (Some(_), Knowledge::Sealed) => Fate::Stays,
        (Some(_), Knowledge::Nothing) => Fate::Unknown,
        (Some(Place::Object { hour, generation, .. }), Knowledge::Known(batch)) => {
            fate_of_object(key, hour, generation, batch)
        }
        (Some(Place::Manifest { day, generation, .. }), Knowledge::Known(batch)) => {
            fate_of_manifest(day, generation, batch)
        }
    }
}

fn fate_of_object(key: &ObjectKey, hour: Hour, generation: Generation, batch: &BatchAtKey) -> Fate {
    if batch.hour != hour {
        return Fate::Foreign;
    }
    if batch.named.as_ref() == Some(key) || batch.replaced.contains(&generation) {
        return Fate::Stays;
    }
    match batch.status {
        BatchStatus::Cancelled => Fate::Orphan,
        BatchStatus::Completed if generation > batch.generation => Fate::Ahead,
        BatchStatus::Completed => Fate::Orphan,
        // The next attempt may adopt what stands at the current generation, or come to a later one.
        BatchStatus::Pending | BatchStatus::InProgress | BatchStatus::Failed
            if generation < batch.generation =>
        {
            Fate::Orphan
        }
        BatchStatus::Pending | BatchStatus::InProgress | BatchStatus::Failed => Fate::Stays,
    }
}

/// A batch that is open again keeps all its manifests until it is settled: one of them accounts for what is on record.
fn fate_of_manifest(day: Hour, generation: Generation, batch: &BatchAtKey) -> Fate {
    if batch.hour.date() != day.date() {
        return Fate::Foreign;
    }
    if batch.replaced.contains(&generation) {
        return Fate::Stays;
    }
    match batch.status {
        BatchStatus::Pending | BatchStatus::InProgress | BatchStatus::Failed => Fate::Stays,
        // It was cancelled while it was exported again: the object that it names stays, and its manifest with it.
        BatchStatus::Cancelled if batch.named.is_some() => Fate::Stays,
        BatchStatus::Cancelled => Fate::OrphanManifest,
        BatchStatus::Completed if generation == batch.generation => Fate::Stays,
        BatchStatus::Completed if generation > batch.generation => Fate::Ahead,
        BatchStatus::Completed => Fate::OrphanManifest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use granary_domain::{BatchId, Compression, Format, Layout};

    fn layout() -> Layout {
        Layout::new("archive", "messages")
    }

    fn hour() -> Hour {
        Hour::of("2026-11-22T06:00:00Z".parse().unwrap())
    }

    fn object(generation: u32) -> ObjectKey {
        let form = (Format::Ndjson, Compression::Zstd);
        layout().object(hour(), BatchId(7), Generation(generation), form)
    }

    /// A batch in its third generation.
    fn batch(status: BatchStatus, named: Option<u32>) -> BatchAtKey {
        BatchAtKey {
            hour: hour(),
            status,
            generation: Generation(3),
            named: named.map(object),
            replaced: Vec::new(),
            is_held: status == BatchStatus::InProgress,
        }
    }

    fn fate(key: &ObjectKey, batch: &BatchAtKey) -> Fate {
        fate_of(key, layout().place_of(key), Knowledge::Known(batch))
    }

    /// The fates of what stands at generations 1 to 4.
    fn fates(batch: &BatchAtKey) -> [Fate; 4] {
        [1, 2, 3, 4].map(|generation| fate(&object(generation), batch))
    }

    #[test]
    fn what_a_next_attempt_may_adopt_is_never_swept() {
        use Fate::{Orphan, Stays};
        for status in [BatchStatus::Pending, BatchStatus::InProgress, BatchStatus::Failed] {
            assert_eq!(
                fates(&batch(status, None)),
                [Orphan, Orphan, Stays, Stays],
                "{status}"
            );
            // Exported again: the object on record stays until the new one is settled.
            assert_eq!(
                fates(&batch(status, Some(2))),
                [Orphan, Stays, Stays, Stays],
                "{status}"
            );
        }
    }

    #[test]
    fn of_a_completed_batch_only_what_it_names_and_what_it_has_not_come_to_stays() {
        use Fate::{Ahead, Orphan, Stays};
        let completed = batch(BatchStatus::Completed, Some(3));
        assert_eq!(fates(&completed), [Orphan, Orphan, Stays, Ahead]);
        let other_form = (Format::Ndjson, Compression::Gzip);
        let other_form = layout().object(hour(), BatchId(7), Generation(3), other_form);
        assert_eq!(fate(&other_form, &completed), Orphan);
        assert_eq!(
            fates(&batch(BatchStatus::Completed, None)),
            [Orphan, Orphan, Orphan, Ahead]
        );
    }

    #[test]
    fn of_a_cancelled_batch_only_what_it_names_stays() {
        use Fate::{Orphan, Stays};
        assert_eq!(fates(&batch(BatchStatus::Cancelled, None)), [Orphan; 4]);
        assert_eq!(
            fates(&batch(BatchStatus::Cancelled, Some(2))),
            [Orphan, Stays, Orphan, Orphan]
        );
    }

    #[test]
    fn what_was_replaced_is_left_to_those_who_compare_it_with_what_replaced_it() {
        use Fate::{Orphan, Stays};
        let completed = BatchAtKey {
            replaced: vec![Generation(2)],
            ..batch(BatchStatus::Completed, Some(3))
        };
        assert_eq!(fates(&completed)[..3], [Orphan, Stays, Stays]);
        let manifest = layout().manifest(hour(), BatchId(7), Generation(2));
        assert_eq!(fate(&manifest, &completed), Stays);
    }

    #[test]
    fn manifests_follow_their_batch() {
        use Fate::{Ahead, OrphanManifest, Stays};
        let fates = |batch: &BatchAtKey| {
            [2, 3, 4].map(|generation| {
                fate(
                    &layout().manifest(hour(), BatchId(7), Generation(generation)),
                    batch,
                )
            })
        };
        assert_eq!(
            fates(&batch(BatchStatus::Completed, Some(3))),
            [OrphanManifest, Stays, Ahead]
        );
        assert_eq!(fates(&batch(BatchStatus::Pending, None)), [Stays; 3]);
        assert_eq!(fates(&batch(BatchStatus::Cancelled, None)), [OrphanManifest; 3]);
        assert_eq!(fates(&batch(BatchStatus::Cancelled, Some(2))), [Stays; 3]);
    }

    #[test]
    fn what_is_not_surely_ours_is_never_swept() {
        let key = object(1);
        let place = layout().place_of(&key);
        assert_eq!(fate_of(&key, None, Knowledge::Nothing), Fate::Foreign);
        assert_eq!(fate_of(&key, place, Knowledge::Nothing), Fate::Unknown);
        assert_eq!(fate_of(&key, place, Knowledge::Sealed), Fate::Stays);
        assert_eq!(
            fate_of(&key, Some(Place::Quarantine), Knowledge::Nothing),
            Fate::Stays
        );
        // Another ledger's batch of the same number.
        let elsewhere = BatchAtKey {
            hour: hour().next(),
            ..batch(BatchStatus::Completed, None)
        };
        assert_eq!(fate(&key, &elsewhere), Fate::Foreign);
    }
}
