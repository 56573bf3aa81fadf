//! Messages that somebody names by their ids: those that the ledger doesn't know, or that nobody owns, are recorded as the
//! source shows them; those that are on record are left alone, or re-exported with their batches where that was said. Missing
//! and quarantined ones are recalled into a batch of their own instead, which costs their batches nothing.
//!
//! The source is asked first, the ledger after it, as a verification does. What is to be recorded goes hour by hour
//! through the account of a window of a migration of its own (`Ledger::record_found`); what is to be exported anew is
//! asked for as `anew.rs` does. Each step may be repeated: recorded twice is recorded once.
//!
//! A message that is too young is named and left to the harvest, which comes to it when it has settled.

use crate::anew::{Asking, BATCHES_PER_STEP_MAX, ReExportReport, ask_for};
use crate::slice::Turned;
use granary_domain::{BatchId, Fence, Hour, MessageId, MigrationId, Priority, TimeRange};
use granary_ledger::Ledger;
use granary_ledger::export::{Recall, Recalled, WhichExceptions};
use granary_ledger::harvest::SeenMessage;
use granary_ledger::integrity::{FoundAgain, RepairMigration, Standing};
use granary_verify::{ExportedAnew, Intent, Verifier, VerifyError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BulkArguments {
    /// The messages, at most 1,000.
    pub ids: Vec<MessageId>,
    /// What becomes of those that are on record already.
    pub known: KnownMessages,
    /// Messages in a batch at most.
    pub batch_size: u32,
    /// How urgent those are that are recorded.
    pub priority: Priority,
    /// Only look; write nothing.
    pub dry_run: bool,
    /// Why.
    pub reason: Option<String>,
    /// Who asked.
    pub requested_by: String,
}

/// What becomes of messages that are on record already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownMessages {
    /// They are left alone.
    Leave,
    /// Their batches are exported anew, as a whole.
    ReExport,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BulkProgress {
    /// What is to be recorded.
    wanted: Vec<MessageId>,
    /// The hours in which some of it is still to be recorded.
    hours: Vec<Hour>,
    /// Batches that are still to be exported anew, as they were seen.
    owners: Vec<(BatchId, Fence)>,
    /// Batches whose exceptions are still to be recalled, as they were seen.
    #[serde(default)]
    excepting: Vec<(BatchId, Fence)>,
    /// Under which it is recorded. It is made when it is needed.
    heir: RepairMigration,
    report: BulkReport,
}

/// What it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BulkReport {
    /// Whether it only looked: then the numbers are what would be done.
    pub dry_run: bool,
    /// Messages that were named.
    pub asked: u64,
    /// Those that neither the source nor the ledger has.
    pub not_found: Vec<MessageId>,
    /// Those that are too young: the harvest comes to them by itself.
    pub not_settled: Vec<MessageId>,
    /// Those that are on record already.
    pub known: Vec<KnownMessage>,
    /// Under which the others are recorded; `None`: there were none, or it only looked.
    pub migration_id: Option<MigrationId>,
    /// Messages that are in a batch of it now.
    pub recorded: u64,
    /// Messages that somebody else owns by now, or that lie in a sealed hour.
    pub left: u64,
    /// What became of the batches of known messages, where that was asked for.
    pub re_export: Option<ReExportReport>,
}

/// A message that is on record already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownMessage {
    /// Which one.
    pub id: MessageId,
    /// on_record, missing, quarantined or open.
    pub standing: String,
}

const HOURS_PER_STEP_MAX: usize = 25;
const REASON: &str = "somebody asked for some of its messages to be exported again";

/// Takes the next step.
pub(crate) async fn step(
    (ledger, verifier): (&Ledger, &Verifier),
    arguments: &BulkArguments,
    progress: Option<BulkProgress>,
) -> Result<Turned<BulkProgress, BulkReport>, VerifyError> {
    let Some(mut progress) = progress else {
        return begin(ledger, verifier, arguments).await.map(Turned::More);
    };
    if !progress.hours.is_empty() {
        record_some(verifier, &mut progress).await?;
        return Ok(Turned::More(progress));
    }
    if !progress.excepting.is_empty() {
        recall_some(ledger, arguments, &mut progress).await?;
        return Ok(Turned::More(progress));
    }
    let BulkProgress {
        owners, heir, report, ..
    } = &mut progress;
    if let (Some(re_export), false) = (&mut report.re_export, owners.is_empty()) {
        let rest = owners.split_off(owners.len().min(BATCHES_PER_STEP_MAX as usize));
        let in_hand = std::mem::replace(owners, rest);
        let asking = Asking {
            reason: arguments.reason.as_deref().unwrap_or(REASON),
            heir,
            intent: arguments.intent(),
        };
        re_export.batches += in_hand.len() as u64;
        ask_for(verifier, &in_hand, &asking, re_export).await?;
        return Ok(Turned::More(progress));
    }
    if !arguments.dry_run {
        let wanted = progress.wanted.len() as u64;
        progress.report.left = wanted.saturating_sub(progress.report.recorded);
    }
    Ok(Turned::Done(progress.report))
}

/// Asks the source, then the ledger, and sorts what was named.
async fn begin(
    ledger: &Ledger,
    verifier: &Verifier,
    arguments: &BulkArguments,
) -> Result<BulkProgress, VerifyError> {
    let shown = verifier.look_for(&arguments.ids).await?;
    let ids: Vec<&MessageId> = arguments.ids.iter().collect();
    let standings: HashMap<MessageId, Standing> = ledger.standings_of_ids(&ids).await?.into_iter().collect();
    let mut settled: HashMap<&MessageId, Hour> = HashMap::new();
    for message in &shown.settled {
        // Of two documents the earlier one is recorded, as the harvest does.
        let hour = Hour::of(message.event_time);
        settled.entry(&message.message_id).or_insert(hour);
    }
    let too_young: HashSet<&MessageId> = shown.too_young.iter().collect();
    let mut report = BulkReport::new(arguments);
    let (mut wanted, mut hours, mut known) = (Vec::new(), BTreeSet::new(), Vec::new());
    for id in &arguments.ids {
        if let Some(standing) = standings.get(id).copied().and_then(name_of) {
            known.push(id.clone());
            report.known.push(KnownMessage {
                id: id.clone(),
                standing: standing.to_owned(),
            });
        } else if let Some(hour) = settled.get(id) {
            wanted.push(id.clone());
            hours.insert(*hour);
        } else if too_young.contains(id) {
            report.not_settled.push(id.clone());
        } else {
            report.not_found.push(id.clone());
        }
    }
    let is_excepted = |id: &MessageId| {
        let standing = standings.get(id);
        matches!(standing, Some(Standing::Missing | Standing::Quarantined))
    };
    let (excepted, exported): (Vec<MessageId>, Vec<MessageId>) = known.into_iter().partition(is_excepted);
    let (owners, excepting) = match arguments.known {
        KnownMessages::Leave => (Vec::new(), Vec::new()),
        KnownMessages::ReExport => (
            ledger.completed_owners_of(&exported).await?,
            ledger.completed_owners_of(&excepted).await?,
        ),
    };
    let first = hours.first().copied();
    let range = match (first, hours.last()) {
        (Some(first), Some(last)) => TimeRange::new(first.start(), last.next().start())?,
        // It only takes batches over, if anything.
        _ => Hour::of(ledger.now().await?).range(),
    };
    if arguments.dry_run {
        report.recorded = wanted.len() as u64;
        hours.clear();
    }
    Ok(BulkProgress {
        wanted,
        hours: hours.into_iter().collect(),
        owners,
        excepting,
        heir: RepairMigration {
            id: MigrationId::new(),
            range,
            batch_size: arguments.batch_size,
            priority: arguments.priority,
            requested_by: arguments.requested_by.clone(),
        },
        report,
    })
}

/// Recalls the exceptions among the named messages of a handful of batches.
async fn recall_some(
    ledger: &Ledger,
    arguments: &BulkArguments,
    progress: &mut BulkProgress,
) -> Result<(), VerifyError> {
    let rest = progress
        .excepting
        .split_off(progress.excepting.len().min(BATCHES_PER_STEP_MAX as usize));
    for (batch, fence) in std::mem::replace(&mut progress.excepting, rest) {
        let wanted = Recall {
            batch,
            fence,
            which: WhichExceptions::These(&arguments.ids),
            reason: arguments.reason.as_deref().unwrap_or(REASON),
            heir: &progress.heir,
        };
        let became = if arguments.dry_run {
            ExportedAnew::Asked
        } else {
            match ledger.recall(&wanted).await? {
                Recalled::Asked { .. } => ExportedAnew::Asked,
                Recalled::NothingLeft => ExportedAnew::UnderWay,
                Recalled::Changed => ExportedAnew::Changed,
            }
        };
        if let Some(re_export) = &mut progress.report.re_export {
            re_export.batches += 1;
            re_export.count(batch, became);
        }
    }
    Ok(())
}

/// Records what is wanted of some hours, each in a window of its own.
async fn record_some(verifier: &Verifier, progress: &mut BulkProgress) -> Result<(), VerifyError> {
    let rest = progress
        .hours
        .split_off(progress.hours.len().min(HOURS_PER_STEP_MAX));
    let in_hand = std::mem::replace(&mut progress.hours, rest);
    let mut messages: BTreeMap<Hour, Vec<SeenMessage>> = BTreeMap::new();
    let mut seen: HashSet<MessageId> = HashSet::new();
    for message in verifier.look_for(&progress.wanted).await?.settled {
        if seen.insert(message.message_id.clone()) {
            let hour = Hour::of(message.event_time);
            messages.entry(hour).or_default().push(message);
        }
    }
    for hour in in_hand {
        let Some(messages) = messages.get(&hour) else {
            continue;
        };
        let found = verifier
            .record_found(&progress.heir, hour.range(), messages)
            .await?;
        if let FoundAgain::Recorded { messages } = found {
            progress.report.recorded += messages;
            progress.report.migration_id = Some(progress.heir.id);
        }
    }
    Ok(())
}

/// How a message stands that somebody owns; `None`: nobody does.
fn name_of(standing: Standing) -> Option<&'static str> {
    match standing {
        Standing::OnRecord => Some("on_record"),
        Standing::Missing => Some("missing"),
        Standing::Quarantined => Some("quarantined"),
        Standing::Open => Some("open"),
        Standing::Released => None,
    }
}

impl BulkArguments {
    fn intent(&self) -> Intent {
        if self.dry_run { Intent::Look } else { Intent::Do }
    }
}

impl BulkReport {
    fn new(arguments: &BulkArguments) -> Self {
        let reason = arguments.reason.as_deref().unwrap_or(REASON);
        let re_export = match arguments.known {
            KnownMessages::Leave => None,
            KnownMessages::ReExport => Some(ReExportReport::new(arguments.intent(), reason)),
        };
        Self {
            dry_run: arguments.dry_run,
            asked: arguments.ids.len() as u64,
            not_found: Vec::new(),
            not_settled: Vec::new(),
            known: Vec::new(),
            migration_id: None,
            recorded: 0,
            left: 0,
            re_export,
        }
    }
}
