//! Whether what always holds still does: at each tick for a few batches, so that a defect is told within a minute where
//! it has just happened, and within a round where it lies.
//!
//! A tick looks at the batches whose attempts ended last, and at the next few of a round through all batches: some ten
//! statements of milliseconds, and two looks into the bucket for each batch on record. A million messages in batches of
//! a thousand take a round of an hour and a half; 20 million a little over a day. What doesn't hold is an alert, once
//! for each invariant and subject; a batch that was exported anew since is another subject. Nothing is repaired: whoever
//! repairs what he doesn't understand makes it worse.

use crate::reap::{Reaper, Tick};
use anyhow::Context;
use granary_domain::{BatchId, Generation, Invariant, Subject, Violation};
use granary_invariants::Depth;
use granary_ledger::integrity::Bounds;
use std::time::Duration;

/// What the alert's row says it is.
pub(crate) const ALERT: &str = "invariant";
const RECENT_BATCHES_PER_TICK_MAX: u32 = 12;
const ROUND_BATCHES_PER_TICK_MAX: u32 = 12;
/// A tick, and what it may come late.
const RECENT: Duration = Duration::from_secs(90);
/// The alert is raised with the parking; this is for rows that were changed by hand.
const UNTOLD_MAX: Duration = Duration::from_secs(300);
const ALERTS_PER_TICK_MAX: usize = 100;
/// A bucket that doesn't answer must not keep people from being told what else there is.
const INSPECTION_MAX: Duration = Duration::from_secs(10);

impl Reaper {
    /// Looks at a few batches, and writes an alert for what doesn't hold. What takes too long is left to the next tick.
    pub(crate) async fn inspect(&self, tick: &mut Tick) -> anyhow::Result<()> {
        tokio::time::timeout(INSPECTION_MAX, self.inspect_some(tick))
            .await
            .with_context(|| format!("not done within {} s", INSPECTION_MAX.as_secs()))?
    }

    async fn inspect_some(&self, tick: &mut Tick) -> anyhow::Result<()> {
        let bounds = Bounds {
            // Right after an operator lowered it, what waits for its next attempt may have had more already.
            attempts_max: (!tick.tuning.attempts_changed_lately)
                .then_some(self.retry.tuned(&tick.tuning).attempts_max),
            untold_max: UNTOLD_MAX,
        };
        let recent = self
            .ledger
            .slice_of_recent(RECENT, RECENT_BATCHES_PER_TICK_MAX)
            .await?;
        let mut violations = self.inspector.inspect(&recent, &bounds, Depth::Outside).await?;
        let at = self.ledger.inspected_up_to().await?;
        if let Some(slice) = self.ledger.slice_after(at, ROUND_BATCHES_PER_TICK_MAX).await? {
            violations.extend(self.inspector.inspect(&slice, &bounds, Depth::Outside).await?);
            let is_round = slice.last().0 == u64::MAX;
            let next = if is_round { BatchId(0) } else { slice.last() };
            if next != at {
                self.ledger.move_inspection(next).await?;
            }
        }
        // A batch may be one of the latest, and its turn may have come.
        violations.sort_by_key(subject_key);
        violations.dedup_by_key(|violation| subject_key(violation));
        tick.violations += violations.len() as u64;
        for violation in violations.iter().take(ALERTS_PER_TICK_MAX) {
            self.alarm(violation).await?;
        }
        Ok(())
    }

    async fn alarm(&self, violation: &Violation) -> anyhow::Result<()> {
        let invariant = violation.invariant;
        let generation = self.generation_of(violation).await?;
        let subject = alert_key(violation, generation);
        let text = violation.to_string();
        let is_new = self
            .ledger
            .raise_alert(ALERT, &subject, invariant.as_str(), &text)
            .await?;
        if is_new > 0 {
            tracing::error!(%invariant, "what always holds doesn't: {text}");
        }
        Ok(())
    }

    async fn generation_of(&self, violation: &Violation) -> anyhow::Result<Option<Generation>> {
        let Subject::Batch(batch) = violation.subject else {
            return Ok(None);
        };
        let row = self.ledger.batch(batch).await?;
        Ok(row.map(|row| row.generation))
    }
}

/// One alert for each invariant and subject, and for each export of a batch: what a repair made good may break again.
fn alert_key(violation: &Violation, generation: Option<Generation>) -> String {
    let subject = subject_key(violation);
    match generation {
        Some(generation) => format!("{subject}.{}", generation.0),
        None => subject,
    }
}

/// What a violation is about.
fn subject_key(violation: &Violation) -> String {
    let invariant: Invariant = violation.invariant;
    match violation.subject {
        Subject::Batch(batch) => format!("{invariant}.batch.{batch}"),
        Subject::Window(window) => format!("{invariant}.window.{window}"),
        Subject::Released => format!("{invariant}.released"),
        Subject::Archive => format!("{invariant}.archive"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_about_one_invariant_and_one_subject() {
        let violation = |invariant, subject| Violation::new(invariant, subject, "");
        let of_batch = violation(Invariant::NoStaleCompletion, Subject::Batch(BatchId(u64::MAX)));
        let key = alert_key(&of_batch, Some(Generation(u32::MAX)));
        assert_eq!(key, "no_stale_completion.batch.18446744073709551615.4294967295");
        assert!(key.len() <= 128);
        assert_eq!(
            alert_key(&violation(Invariant::OneStanding, Subject::Released), None),
            "one_standing.released"
        );
    }
}
