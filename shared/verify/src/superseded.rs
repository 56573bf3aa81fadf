//! Taking away what was replaced: once a batch that was exported again is settled, its old object is on record no more,
//! and queries over the bucket would show its messages twice.
//!
//! **No object is removed that holds a message which is on record nowhere else**: its documents may be gone at the
//! source, and it is the only copy then. So the old object is read back first, and its ids are looked up. One that holds
//! more, or that S3 refuses to give or to remove, is kept, beside its replacement, and people are told once, with both keys: that queries show some messages twice
//! can be put right later, a message that is gone can't. It is looked at again every hour, for what it holds may be on
//! record by then, or somebody may have taken it away.
//!
//! First the object goes, then its manifest, then the row that says so. Dying in between repeats; an object that isn't
//! there is gone already. The sweep leaves all of these alone.

use crate::{Verifier, VerifyError};
use granary_archive::{ArchiveError, ObjectFault};
use granary_domain::{BatchId, Fence, MessageId, ObjectKey};
use granary_ledger::{Standing, Superseded};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

const SUPERSEDED_PAGE: u32 = 100;
/// The kind of the alert about an object that is kept.
const KEPT_ALERT: &str = "replaced_object_kept";

/// Before the first of all.
const FIRST: (BatchId, Fence) = (BatchId(0), Fence(0));

/// Where the round through all replaced objects is. Only in memory: a new process begins a new round.
#[derive(Debug, Default)]
pub(crate) struct Round(Mutex<Option<(BatchId, Fence)>>);

impl Round {
    fn at(&self) -> (BatchId, Fence) {
        let place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        place.unwrap_or(FIRST)
    }

    fn move_to(&self, place: (BatchId, Fence)) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
    }
}

/// Whether a replaced object may go.
enum Loss {
    /// All that it holds is on record.
    None,
    /// What it holds is on record or waits for its export: it is looked at again soon.
    NotYetKnown,
    /// It holds messages that are on record nowhere else, or may hold some; the text says which.
    Some(String),
}

impl Verifier {
    /// Removes the objects and manifests of exports that were replaced, as far as all that they hold is on record, until
    /// none is left or the time is over. Says how many. A call begins behind the object that the last one looked at, so
    /// that objects whose messages wait for their export don't hold up those behind them.
    pub async fn remove_superseded(&self, until: Instant) -> Result<u64, VerifyError> {
        let begin = self.round.at();
        let (mut removed, mut after, mut has_turned) = (0, begin, begin == FIRST);
        loop {
            let superseded = self.ledger.superseded(after, SUPERSEDED_PAGE).await?;
            let place = |old: &Superseded| (old.batch, old.fence);
            let Some(last) = superseded.last().map(place) else {
                self.round.move_to(FIRST);
                if has_turned {
                    return Ok(removed);
                }
                (after, has_turned) = (FIRST, true);
                continue;
            };
            after = last;
            for old in &superseded {
                let is_round = has_turned && begin != FIRST && place(old) > begin;
                if is_round || Instant::now() >= until {
                    return Ok(removed);
                }
                removed += self.remove_or_keep(old).await?;
                self.round.move_to(place(old));
            }
        }
    }

    /// Says how many were removed: one or none. What S3 refuses concerns this one alone.
    async fn remove_or_keep(&self, old: &Superseded) -> Result<u64, VerifyError> {
        match self.loss_without(old).await? {
            Loss::None => {}
            Loss::NotYetKnown => return Ok(0),
            Loss::Some(text) => {
                self.keep(old, &text).await?;
                return Ok(0);
            }
        }
        match self.remove(old).await {
            Ok(()) => {
                self.ledger.forget_superseded(old.batch, old.fence).await?;
                Ok(1)
            }
            Err(error) => match error.fault_of_object() {
                Some(fault) => {
                    let text = format!("it can't be removed ({})", fault.into_reason());
                    self.keep(old, &text).await?;
                    Ok(0)
                }
                None => Err(error.into()),
            },
        }
    }

    async fn remove(&self, old: &Superseded) -> Result<(), ArchiveError> {
        if let Some(key) = &old.object {
            self.archive.delete(key).await?;
        }
        let layout = self.archive.layout();
        let manifest = layout.manifest(old.hour, old.batch, old.generation);
        self.archive.delete(&manifest).await
    }

    async fn keep(&self, old: &Superseded, text: &str) -> Result<(), VerifyError> {
        let key = |key: &Option<ObjectKey>| key.as_ref().map_or("no object", ObjectKey::as_str).to_owned();
        let (kept, replacement) = (key(&old.object), key(&old.replacement));
        let text = format!(
            "batch {} was exported again, and its old object {kept} is kept beside its new one, {replacement}: {text}. Queries \
             over the bucket show what both hold twice. Decide which is to stay; granary verify names it until then",
            old.batch
        );
        let subject = format!("{}.{}", old.batch, old.generation);
        self.ledger
            .raise_alert(KEPT_ALERT, &subject, KEPT_ALERT, &text)
            .await?;
        Ok(self.ledger.keep_superseded(old.batch, old.fence).await?)
    }

    /// What would be lost if a replaced object were removed.
    async fn loss_without(&self, old: &Superseded) -> Result<Loss, VerifyError> {
        let Some(key) = &old.object else {
            return Ok(Loss::None);
        };
        let mut ids: Vec<MessageId> = Vec::new();
        match self.archive.read_ids(key, |id| ids.push(id.clone())).await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(Loss::None),
            Err(error) => return loss_of_unread(old, error),
        }
        let wanted: Vec<&MessageId> = ids.iter().collect();
        let known = self.ledger.standings_of_ids(&wanted).await?;
        let of = |wanted| known.iter().filter(|(_, standing)| *standing == wanted).count();
        let (on_record, open) = (of(Standing::OnRecord), of(Standing::Open));
        // Each line is an id of its own, or the object isn't one of ours: then it is kept, too.
        Ok(match ids.len().saturating_sub(on_record) {
            0 => Loss::None,
            rest if rest == open => Loss::NotYetKnown,
            rest => Loss::Some(format!(
                "it holds {} messages that no other object holds",
                rest - open
            )),
        })
    }
}

/// What would be lost with a replaced object that can't be read to its end.
fn loss_of_unread(old: &Superseded, error: ArchiveError) -> Result<Loss, VerifyError> {
    match error.fault_of_object() {
        // What can still be read of it can't be told. If all that it held is in the new one, it isn't needed.
        Some(ObjectFault::Corrupt(_)) if old.exported_anew >= old.exported => Ok(Loss::None),
        Some(ObjectFault::Corrupt(_)) => {
            let (before, now) = (old.exported, old.exported_anew);
            Ok(Loss::Some(format!(
                "it is damaged, but it held {before} messages, and the new one holds {now}"
            )))
        }
        Some(ObjectFault::Denied(reason) | ObjectFault::Locked(reason)) => {
            Ok(Loss::Some(format!("it can't be read ({reason})")))
        }
        None => Err(error.into()),
    }
}
