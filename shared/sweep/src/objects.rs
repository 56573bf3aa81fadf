//! One page of objects and manifests: what is to become of each, and where the next page begins.

use crate::fate::{Fate, Knowledge, fate_of};
use crate::removal::Doomed;
use crate::{SweepArguments, SweepError, SweepReport, Sweeper};
use granary_archive::StoredObject;
use granary_domain::{BatchId, Hour, ObjectKey, Place, TimeRange};
use granary_ledger::integrity::BatchAtKey;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, HashMap};

/// Each is read back with the objects that have its messages, so a handful takes a second or two.
const DOOMED_PER_STEP_MAX: usize = 20;
/// Sealed rows of one day: an hour that is exported again and sealed again has another.
const SEALED_PER_DAY_MAX: u32 = 1_000;

/// The sealed hours of the days that a page's unknown batches are filed under, with the last batch of each.
type Sealed = BTreeMap<Hour, Vec<(Hour, BatchId)>>;

/// Where a step has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reached {
    /// There is more behind this key.
    Behind(Option<ObjectKey>),
    /// The same, and no more may be deleted in this tick.
    Allowance(Option<ObjectKey>),
    /// The end of the listing.
    End,
}

/// What stays and what may go, of the part of a page that one step looks at.
struct Sorted {
    doomed: Vec<Doomed>,
    reached: Reached,
}

impl Sweeper {
    /// Sweeps a page, or as much of it as one step may delete.
    pub(crate) async fn sweep_objects(
        &self,
        arguments: &SweepArguments,
        after: Option<&ObjectKey>,
        report: &mut SweepReport,
    ) -> Result<Reached, SweepError> {
        let old_enough = self.old_enough(arguments).await?;
        let page = self.archive.list("", after).await?;
        let places: Vec<Option<Place>> = page
            .objects
            .iter()
            .map(|object| self.archive.layout().place_of(&object.key))
            .collect();
        let known = self.known(&places).await?;
        let sealed = self.sealed(&places, &known).await?;
        let mut sorted = Sorted {
            doomed: Vec::new(),
            reached: page.next.map_or(Reached::End, |next| Reached::Behind(Some(next))),
        };
        let allowed = self.allowed(arguments);
        let mut last = after.cloned();
        for (object, place) in page.objects.into_iter().zip(places) {
            if place == Some(Place::NumberMark) {
                continue;
            }
            let knowledge = knowledge_of(place, &known, &sealed);
            let mut fate = fate_of(&object.key, place, knowledge);
            if fate == Fate::Unknown && arguments.include_unknown {
                fate = if_unknown(place);
            }
            let is_doomed =
                matches!(fate, Fate::Orphan | Fate::OrphanManifest) && object.last_modified <= old_enough;
            if is_doomed && sorted.doomed.len() == allowed {
                let is_out = allowed == 0;
                sorted.reached = if is_out {
                    Reached::Allowance(last)
                } else {
                    Reached::Behind(last)
                };
                break;
            }
            report.looked_at += 1;
            report.bytes_looked_at += object.bytes;
            last = Some(object.key.clone());
            match place {
                Some(place) if is_doomed => sorted.doomed.push(Doomed::new(object, place, knowledge)),
                Some(_) | None => stays(&object, fate, report),
            }
        }
        self.remove_all(arguments, &sorted.doomed, report).await?;
        Ok(sorted.reached)
    }

    fn allowed(&self, arguments: &SweepArguments) -> usize {
        if !arguments.apply {
            return DOOMED_PER_STEP_MAX;
        }
        let left = usize::try_from(self.allowance.left()).unwrap_or(usize::MAX);
        DOOMED_PER_STEP_MAX.min(left)
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
}

/// Names what stays and why.
fn stays(object: &StoredObject, fate: Fate, report: &mut SweepReport) {
    let pile = match fate {
        Fate::Stays => return,
        // Old ones are looked into.
        Fate::Orphan | Fate::OrphanManifest => &mut report.young,
        Fate::Foreign => &mut report.foreign,
        Fate::Unknown => &mut report.unknown,
        Fate::Ahead => &mut report.ahead,
    };
    pile.add(&object.key, object.bytes);
}

/// A manifest of an unknown batch goes with its object only: its hour can't be told from its key.
fn if_unknown(place: Option<Place>) -> Fate {
    match place {
        Some(Place::Object { .. }) => Fate::Orphan,
        Some(Place::Manifest { .. } | Place::Quarantine | Place::NumberMark) | None => Fate::Unknown,
    }
}

fn day_of(place: &Place) -> Option<Hour> {
    let instant = match place {
        Place::Object { hour, .. } => hour.start(),
        Place::Manifest { day, .. } => day.start(),
        Place::Quarantine | Place::NumberMark => return None,
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
            Place::Manifest { .. } | Place::Quarantine | Place::NumberMark => true,
        };
        is_its_hour && batch <= *last
    });
    if is_sealed {
        Knowledge::Sealed
    } else {
        Knowledge::Nothing
    }
}
