//! The part of `POST /migrate/retry-failed` that is about exceptions: missing and quarantined messages of completed batches
//! are recalled into batches of their own, which the reaper sends at its next tick.
//!
//! Each batch is one transaction that holds for the batch as it was found, and writes its own audit entry. A request that
//! dies in the middle leaves the rest as it was; the next one finds it.

use crate::web::fields::Fields;
use crate::web::problem::Problem;
use granary_domain::{BatchId, MigrationId, Outcome, Priority, TimeRange};
use granary_ledger::Ledger;
use granary_ledger::export::{BatchWithExceptions, ExceptionFilter, Recall, Recalled, WhichExceptions};
use granary_ledger::integrity::RepairMigration;
use granary_ledger::reports::BatchFilter;
use granary_numbering::Numbering;
use serde::Serialize;
use std::time::{Duration, Instant};
use utoipa::ToSchema;

/// How long somebody is kept waiting. A transaction that has begun goes on to its end.
const WORK_SECS_MAX: u64 = 7;
/// Of the heir, which records nothing.
const BATCH_SIZE: u32 = 1_000;

/// Exceptions that are recalled.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecalledExceptions {
    /// Completed batches that were found with such messages, as many as `limit` allows.
    found_batches: usize,
    /// Their missing messages.
    missing: u64,
    /// Their quarantined messages.
    quarantined: u64,
    /// Messages that wait for another export now.
    recalled: u64,
    /// The numbers of the batches that these are in.
    batches: Vec<u64>,
}

/// Exceptions that are meant, as they were found.
#[derive(Debug, Default)]
pub(crate) struct Excepted {
    outcome: Option<Outcome>,
    batches: Vec<BatchWithExceptions>,
    pub(crate) has_more: bool,
}

/// Why, and for whom.
pub(crate) struct Asker {
    pub(crate) by: String,
    pub(crate) reason: Option<String>,
}

/// The outcome that `cause` names, if it names one.
pub(crate) fn outcome_in(fields: &Fields) -> Result<Option<Outcome>, Problem> {
    Ok(fields.text("cause")?.and_then(|cause| cause.parse().ok()))
}

impl Excepted {
    /// Finds the batches with exceptions of a migration and hours.
    pub(crate) async fn find(
        ledger: &Ledger,
        outcome: Option<Outcome>,
        within: &BatchFilter,
        limit: u32,
    ) -> Result<Self, Problem> {
        let filter = ExceptionFilter {
            outcome,
            migration: within.migration,
            from: within.from,
            to: within.to,
        };
        let mut batches = ledger
            .batches_with_exceptions(&filter, BatchId(0), limit.saturating_add(1))
            .await?;
        let has_more = batches.len() > limit as usize;
        batches.truncate(limit as usize);
        Ok(Self {
            outcome,
            batches,
            has_more,
        })
    }

    /// What was found, none of it recalled.
    pub(crate) fn foretold(&self) -> RecalledExceptions {
        let sum = |number: fn(&BatchWithExceptions) -> u64| self.batches.iter().map(number).sum::<u64>();
        let of = |outcome| self.outcome.is_none_or(|wanted| wanted == outcome);
        RecalledExceptions {
            found_batches: self.batches.len(),
            missing: if of(Outcome::Missing) {
                sum(|found| found.missing)
            } else {
                0
            },
            quarantined: if of(Outcome::Quarantined) {
                sum(|found| found.quarantined)
            } else {
                0
            },
            ..RecalledExceptions::default()
        }
    }

    /// Recalls what was found, as far as there is time for it.
    pub(crate) async fn recall(
        &mut self,
        (ledger, numbering): (&Ledger, &Numbering),
        asker: &Asker,
    ) -> Result<RecalledExceptions, Problem> {
        let mut recalled = self.foretold();
        let Some(heir) = self.heir(asker) else {
            return Ok(recalled);
        };
        let until = Instant::now() + Duration::from_secs(WORK_SECS_MAX);
        for found in &self.batches {
            if Instant::now() >= until {
                self.has_more = true;
                break;
            }
            let wanted = Recall {
                batch: found.batch,
                fence: found.fence,
                which: self.outcome.map_or(WhichExceptions::All, WhichExceptions::Of),
                reason: asker.reason.as_deref().unwrap_or("retried by an operator"),
                heir: &heir,
            };
            let made = loop {
                let made = ledger.recall(&wanted).await;
                if let Some(made) = numbering.unless_out(made).await? {
                    break made;
                }
            };
            if let Recalled::Asked {
                batch,
                missing,
                quarantined,
            } = made
            {
                recalled.recalled += missing + quarantined;
                recalled.batches.push(batch.0);
            }
        }
        Ok(recalled)
    }

    /// Who takes over what a cancelled migration gave up. It is made when it is needed.
    fn heir(&self, asker: &Asker) -> Option<RepairMigration> {
        let hours = || self.batches.iter().map(|found| found.hour);
        let range = TimeRange::new(hours().min()?.start(), hours().max()?.next().start());
        Some(RepairMigration {
            id: MigrationId::new(),
            range: range.ok()?,
            batch_size: BATCH_SIZE,
            priority: Priority::NORMAL,
            requested_by: asker.by.clone(),
        })
    }
}
