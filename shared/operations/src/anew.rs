//! Exporting batches anew because somebody asked: those of a list, of a migration or of some hours, one small handful
//! after the other.
//!
//! A handful is written down with the fences under which it was seen before anything is done to it, so a slice that dies
//! in the middle repeats it, and what it asked for before counts as under way. What a new export would lose is named and
//! left alone (`granary_verify`), and so is whatever isn't as it was seen any more.
//!
//! Not responsible for exporting: the batches are pending then, and go the way of every batch.

use crate::slice::Turned;
use granary_domain::{BatchId, Fence, MigrationId, Priority};
use granary_ledger::Ledger;
use granary_ledger::export::{ReExport, ReExportSelection};
use granary_ledger::integrity::RepairMigration;
use granary_verify::{ExportedAnew, Intent, Verifier, VerifyError};
use serde::{Deserialize, Serialize};

/// What somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReExportArguments {
    /// Which batches.
    pub selection: ReExportSelection,
    /// How many of them at most.
    pub limit: u32,
    /// Only look; write nothing.
    pub dry_run: bool,
    /// Why. It stands with each object that is replaced.
    pub reason: String,
    /// Who asked.
    pub requested_by: String,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReExportProgress {
    /// Batches up to this number were looked at.
    after: BatchId,
    /// Batches that are being asked for, as they were seen.
    in_hand: Vec<(BatchId, Fence)>,
    /// Who takes over the batches of cancelled migrations. It is made when it is needed.
    heir: RepairMigration,
    report: ReExportReport,
}

/// What it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReExportReport {
    /// Whether it only looked: then the numbers are what would be done.
    pub dry_run: bool,
    /// Why it was asked for.
    pub reason: String,
    /// Batches that were looked at.
    pub batches: u64,
    /// Messages in them.
    pub messages: u64,
    /// Bytes of the objects that they have on record.
    pub bytes_stored: u64,
    /// Batches that wait to be exported anew.
    pub asked: u64,
    /// Batches for which the same was asked before.
    pub under_way: u64,
    /// Batches that weren't as they were seen any more.
    pub changed: u64,
    /// Batches that are left alone, since a new object would lack messages.
    pub would_lose_batches: u64,
    /// The first 100 of them.
    pub would_lose: Vec<WouldLose>,
    /// Of a list, those that are neither completed nor parked, or sealed, or not known.
    pub skipped: u64,
    /// Whether there are more than were allowed.
    pub has_more: bool,
}

/// A batch that is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WouldLose {
    /// Which one.
    pub batch: BatchId,
    /// Messages of its object that the source no longer has.
    pub messages: u64,
}

/// Each is read back from the bucket and looked for at the source, so a handful takes a second or two.
pub(crate) const BATCHES_PER_STEP_MAX: u32 = 10;
const NAMED_MAX: usize = 100;
/// Of the heir, which records nothing.
const BATCH_SIZE: u32 = 1_000;

impl ReExportArguments {
    fn intent(&self) -> Intent {
        if self.dry_run { Intent::Look } else { Intent::Do }
    }
}

impl ReExportReport {
    pub(crate) fn new(intent: Intent, reason: &str) -> Self {
        Self {
            dry_run: intent == Intent::Look,
            reason: reason.to_owned(),
            batches: 0,
            messages: 0,
            bytes_stored: 0,
            asked: 0,
            under_way: 0,
            changed: 0,
            would_lose_batches: 0,
            would_lose: Vec::new(),
            skipped: 0,
            has_more: false,
        }
    }

    pub(crate) fn count(&mut self, batch: BatchId, became: ExportedAnew) {
        match became {
            ExportedAnew::Asked => self.asked += 1,
            ExportedAnew::UnderWay => self.under_way += 1,
            ExportedAnew::Changed => self.changed += 1,
            ExportedAnew::WouldLose { messages } => {
                self.would_lose_batches += 1;
                if self.would_lose.len() < NAMED_MAX {
                    self.would_lose.push(WouldLose { batch, messages });
                }
            }
        }
    }
}

/// Takes the next step.
pub(crate) async fn step(
    (ledger, verifier): (&Ledger, &Verifier),
    arguments: &ReExportArguments,
    progress: Option<ReExportProgress>,
) -> Result<Turned<ReExportProgress, ReExportReport>, VerifyError> {
    let mut progress = match progress {
        Some(progress) => progress,
        None => match begin(ledger, arguments).await? {
            Some(progress) => progress,
            None => {
                let report = ReExportReport::new(arguments.intent(), &arguments.reason);
                return Ok(Turned::Done(concluded(report, arguments)));
            }
        },
    };
    if !progress.in_hand.is_empty() {
        let in_hand = std::mem::take(&mut progress.in_hand);
        let asking = Asking {
            reason: &arguments.reason,
            heir: &progress.heir,
            intent: arguments.intent(),
        };
        ask_for(verifier, &in_hand, &asking, &mut progress.report).await?;
        return Ok(Turned::More(progress));
    }
    let allowed = u64::from(arguments.limit).saturating_sub(progress.report.batches);
    let wanted = u64::from(BATCHES_PER_STEP_MAX).min(allowed);
    // One more than is allowed shows whether there are more.
    let limit = u32::try_from(wanted).unwrap_or(BATCHES_PER_STEP_MAX).max(1);
    let found = ledger
        .batches_to_re_export(&arguments.selection, progress.after, limit)
        .await?;
    if found.is_empty() || allowed == 0 {
        progress.report.has_more = !found.is_empty();
        return Ok(Turned::Done(concluded(progress.report, arguments)));
    }
    for batch in found {
        progress.after = batch.batch;
        progress.in_hand.push((batch.batch, batch.fence));
        progress.report.batches += 1;
        progress.report.messages += batch.messages;
        progress.report.bytes_stored += batch.bytes_stored;
    }
    Ok(Turned::More(progress))
}

/// What is the same for all batches of a handful.
pub(crate) struct Asking<'a> {
    pub(crate) reason: &'a str,
    pub(crate) heir: &'a RepairMigration,
    pub(crate) intent: Intent,
}

/// Asks for each of a handful of batches, as they were seen.
pub(crate) async fn ask_for(
    verifier: &Verifier,
    batches: &[(BatchId, Fence)],
    asking: &Asking<'_>,
    report: &mut ReExportReport,
) -> Result<(), VerifyError> {
    for (batch, fence) in batches {
        let wanted = ReExport {
            batch: *batch,
            fence: *fence,
            reason: asking.reason,
            heir: asking.heir,
        };
        report.count(*batch, verifier.export_anew(&wanted, asking.intent).await?);
    }
    Ok(())
}

async fn begin(
    ledger: &Ledger,
    arguments: &ReExportArguments,
) -> Result<Option<ReExportProgress>, VerifyError> {
    let hours = ledger.hours_to_re_export(&arguments.selection).await?;
    Ok(hours.map(|range| ReExportProgress {
        after: BatchId(0),
        in_hand: Vec::new(),
        heir: RepairMigration {
            id: MigrationId::new(),
            range,
            batch_size: BATCH_SIZE,
            priority: Priority::NORMAL,
            requested_by: arguments.requested_by.clone(),
        },
        report: ReExportReport::new(arguments.intent(), &arguments.reason),
    }))
}

fn concluded(mut report: ReExportReport, arguments: &ReExportArguments) -> ReExportReport {
    if let ReExportSelection::Batches(batches) = &arguments.selection
        && !report.has_more
    {
        report.skipped = (batches.len() as u64).saturating_sub(report.batches);
    }
    report
}
