//! One page of objects and manifests.

use crate::fate::{Fate, Knowledge, fate_of};
use crate::{SweepArguments, SweepError, SweepReport, Sweeper};
use futures::stream::{self, StreamExt};
use granary_archive::{Removal, StoredObject};
use granary_domain::{BatchId, Hour, ObjectKey, Place, TimeRange};
use granary_ledger::BatchAtKey;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, HashMap};

const PARALLEL_REMOVALS: usize = 8;
/// Sealed rows of one day: an hour that is exported again and sealed again has another.
const SEALED_PER_DAY_MAX: u32 = 1_000;
/// A log line holds so many keys.
const KEYS_PER_LINE: usize = 100;

/// The sealed hours of the days that a page's unknown batches are filed under, with the last batch of each.
type Sealed = BTreeMap<Hour, Vec<(Hour, BatchId)>>;

impl Sweeper {
    /// Sweeps a page. Says after which key the next one begins; `None` after the last.
    pub(crate) async fn sweep_objects(
        &self,
        arguments: &SweepArguments,
        after: Option<&ObjectKey>,
        report: &mut SweepReport,
    ) -> Result<Option<ObjectKey>, SweepError> {
        let old_enough = self.old_enough(arguments).await?;
        let page = self.archive.list("", after).await?;
        let places: Vec<Option<Place>> = page
            .objects
            .iter()
            .map(|object| self.archive.layout().place_of(&object.key))
            .collect();
        let known = self.known(&places).await?;
        let sealed = self.sealed(&places, &known).await?;
        let mut doomed: Vec<(StoredObject, Fate)> = Vec::new();
        for (object, place) in page.objects.into_iter().zip(places) {
            report.looked_at += 1;
            report.bytes_looked_at += object.bytes;
            let mut fate = fate_of(&object.key, place, knowledge_of(place, &known, &sealed));
            if fate == Fate::Unknown && arguments.include_unknown {
                fate = orphan(place);
            }
            match sort(&object, fate, old_enough, report) {
                Sorted::Doomed => doomed.push((object, fate)),
                Sorted::Stays => {}
            }
        }
        self.remove(arguments, doomed, report).await?;
        Ok(page.next)
    }

    async fn known(&self, places: &[Option<Place>]) -> Result<HashMap<BatchId, BatchAtKey>, SweepError> {
        let mut batches: Vec<BatchId> = places.iter().flatten().filter_map(Place::batch).collect();
        batches.sort_unstable();
        batches.dedup();
        Ok(self.ledger.batches_at_keys(&batches).await?)
    }

    /// Asked after the batches: an hour is sealed before its batches are taken away.
    async fn sealed(
        &self,
        places: &[Option<Place>],
        known: &HashMap<BatchId, BatchAtKey>,
    ) -> Result<Sealed, SweepError> {
        let mut sealed = Sealed::new();
        for place in places.iter().flatten() {
            let (Some(day), Some(batch)) = (day_of(place), place.batch()) else {
                continue;
            };
            if known.contains_key(&batch) || sealed.contains_key(&day) {
                continue;
            }
            let next_day = day.start() + SignedDuration::from_hours(24);
            let ranges = match TimeRange::new(day.start(), next_day) {
                Ok(range) => self.ledger.sealed_ranges(range, SEALED_PER_DAY_MAX).await?,
                Err(_) => Vec::new(),
            };
            let hours = ranges
                .iter()
                .map(|sealed| (Hour::of(sealed.range.from()), sealed.last_batch));
            sealed.insert(day, hours.collect());
        }
        Ok(sealed)
    }

    async fn remove(
        &self,
        arguments: &SweepArguments,
        doomed: Vec<(StoredObject, Fate)>,
        report: &mut SweepReport,
    ) -> Result<(), SweepError> {
        if !arguments.apply {
            doomed
                .iter()
                .for_each(|(object, fate)| pile(object, *fate, report));
            return Ok(());
        }
        let mut removed = Vec::new();
        let mut removals = stream::iter(doomed)
            .map(|(object, fate)| async move {
                let removal = self.archive.remove_unchanged(&object).await;
                (object, fate, removal)
            })
            .buffered(PARALLEL_REMOVALS);
        let mut outcome = Ok(());
        while let Some((object, fate, removal)) = removals.next().await {
            match removal {
                Ok(Removal::Done) => {
                    pile(&object, fate, report);
                    removed.push(object.key);
                }
                Ok(outcome @ (Removal::WasGone | Removal::Changed)) => {
                    tracing::info!(key = %object.key, ?outcome, "what was to be swept isn't what it was");
                    report.overtaken += 1;
                }
                Err(error) if error.fault_of_object().is_some() => {
                    tracing::warn!(key = %object.key, "{error}");
                    report.refused.add(&object.key, object.bytes);
                }
                Err(error) => {
                    outcome = Err(error.into());
                    break;
                }
            }
        }
        for keys in removed.chunks(KEYS_PER_LINE) {
            let keys: Vec<&str> = keys.iter().map(ObjectKey::as_str).collect();
            tracing::info!(count = keys.len(), ?keys, "swept objects that nobody recorded");
        }
        outcome
    }
}

enum Sorted {
    Doomed,
    Stays,
}

/// Names what stays and why; says what is to go.
fn sort(object: &StoredObject, fate: Fate, old_enough: Timestamp, report: &mut SweepReport) -> Sorted {
    let pile = match fate {
        Fate::Stays => return Sorted::Stays,
        Fate::Orphan | Fate::OrphanManifest if object.last_modified <= old_enough => return Sorted::Doomed,
        Fate::Orphan | Fate::OrphanManifest => &mut report.young,
        Fate::Foreign => &mut report.foreign,
        Fate::Unknown => &mut report.unknown,
        Fate::Ahead => &mut report.ahead,
    };
    pile.add(&object.key, object.bytes);
    Sorted::Stays
}

fn pile(object: &StoredObject, fate: Fate, report: &mut SweepReport) {
    let pile = match fate {
        Fate::OrphanManifest => &mut report.manifests,
        Fate::Orphan | Fate::Stays | Fate::Foreign | Fate::Unknown | Fate::Ahead => &mut report.orphans,
    };
    pile.add(&object.key, object.bytes);
}

fn orphan(place: Option<Place>) -> Fate {
    match place {
        Some(Place::Manifest { .. }) => Fate::OrphanManifest,
        Some(Place::Object { .. } | Place::Quarantine) | None => Fate::Orphan,
    }
}

fn day_of(place: &Place) -> Option<Hour> {
    let instant = match place {
        Place::Object { hour, .. } => hour.start(),
        Place::Manifest { day, .. } => day.start(),
        Place::Quarantine => return None,
    };
    let seconds = instant.as_second();
    let midnight = Timestamp::from_second(seconds - seconds.rem_euclid(86_400)).ok()?;
    Some(Hour::of(midnight))
}

fn knowledge_of<'a>(
    place: Option<Place>,
    known: &'a HashMap<BatchId, BatchAtKey>,
    sealed: &Sealed,
) -> Knowledge<'a> {
    let Some((place, batch)) = place.and_then(|place| Some((place, place.batch()?))) else {
        return Knowledge::Nothing;
    };
    if let Some(known) = known.get(&batch) {
        return Knowledge::Known(known);
    }
    let hours = day_of(&place).and_then(|day| sealed.get(&day));
    let is_sealed = hours.into_iter().flatten().any(|(hour, last)| {
        let is_its_hour = match place {
            Place::Object { hour: filed, .. } => filed == *hour,
            Place::Manifest { .. } | Place::Quarantine => true,
        };
        is_its_hour && batch <= *last
    });
    if is_sealed {
        Knowledge::Sealed
    } else {
        Knowledge::Nothing
    }
}
