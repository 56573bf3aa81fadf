//! Careful mode: a batch that keeps failing is fetched message by message, so that what it fails over has a name.
//!
//! It begins with the third attempt, or as soon as a suspect is known. The message is put on record before it is
//! touched. So where the worker dies, the next one knows over which message, and sets it aside without touching it: each
//! death costs one message at most, and with five attempts a batch outlives two such messages. A third parks it, and
//! whoever sends it again finds all three set aside. A panic is a death like any other.
//!
//! One by one takes time. What a careful worker had behind it when its time was over is fetched together again by the
//! next one, which goes on one by one from there: so a large batch comes to its end.
//!
//! From there on one message is in memory at a time. The lines are written by the same functions as in any other attempt.

use crate::blame::Flaw;
use crate::failure::{ledger_failure, unless_lost};
use crate::fetch::BatchFetch;
use granary_domain::{Failure, Fence, MessageId, Outcome};
use granary_ledger::Ledger;
use granary_ledger::export::{CarefulRecord, ClaimedBatch, OwnedMessage};
use std::collections::HashMap;

/// One death may be the platform's, and so may be two; but a third attempt that only repeats them is wasted.
const CAREFUL_FROM_ATTEMPT: u32 = 3;

/// What earlier careful workers of a batch have left. A first claim has none, and asks nobody.
pub(crate) async fn record_of(ledger: &Ledger, batch: &ClaimedBatch) -> Result<CarefulRecord, Failure> {
    if batch.fence == Fence(1) {
        return Ok(CarefulRecord::default());
    }
    ledger.careful_record_of(batch).await.map_err(ledger_failure)
}

/// Whether the messages of a batch are to be fetched one by one.
pub(crate) fn is_called_for(batch: &ClaimedBatch, earlier: &CarefulRecord) -> bool {
    batch.attempts >= CAREFUL_FROM_ATTEMPT || !earlier.suspects.is_empty()
}

/// A worker that lost its batch but is alive takes its suspicion back. Where it can't, the next one quarantines the
/// message, and people see it.
pub(crate) async fn withdraw_suspicion(ledger: &Ledger, batch: &ClaimedBatch) {
    if batch.fence == Fence(1) {
        return;
    }
    if let Err(error) = ledger.clear_suspect(batch).await {
        tracing::warn!(batch = batch.id.0, "a suspicion can't be taken back: {error}");
    }
}

impl BatchFetch<'_> {
    /// Fetches the messages of a batch one by one, all but the suspects and what is known to do no harm.
    pub(crate) async fn fetch_carefully(
        &mut self,
        ledger: &Ledger,
        earlier: &CarefulRecord,
    ) -> Result<(), Failure> {
        let (batch, messages) = (self.batch, self.messages);
        let harmless = reached(messages, earlier);
        tracing::warn!(
            batch = batch.id.0,
            suspects = earlier.suspects.len(),
            harmless,
            "messages are fetched one by one"
        );
        let suspects = earlier.suspects.iter();
        let deaths: HashMap<&MessageId, Fence> = suspects
            .map(|suspect| (&suspect.message_id, suspect.attempt))
            .collect();
        let is_suspect = |place: &usize| deaths.contains_key(&messages[*place].message_id);
        let mut place = 0;
        while let Some(message) = messages.get(place) {
            if let Some(attempt) = deaths.get(&message.message_id) {
                let flaw = Flaw::KilledItsWorker { attempt: *attempt };
                self.draft.except(message, Outcome::Quarantined, flaw.reason());
                place += 1;
                continue;
            }
            if place < harmless {
                let end = (place..harmless).find(is_suspect).unwrap_or(harmless);
                self.fetch(place..end).await?;
                place = end;
                continue;
            }
            unless_lost(ledger.suspect(batch, &message.message_id).await)?;
            self.fetch(place..place + 1).await?;
            place += 1;
        }
        ledger.clear_suspect(batch).await.map_err(ledger_failure)
    }
}

/// How many messages, from the first on, were behind a careful worker whose time was over.
fn reached(messages: &[OwnedMessage], earlier: &CarefulRecord) -> usize {
    messages
        .iter()
        .rposition(|message| earlier.reached.contains(&message.message_id))
        .unwrap_or(0)
}
