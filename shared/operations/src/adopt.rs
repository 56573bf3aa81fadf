//! Giving a batch to messages that nobody owns: those that a cancellation released, and that nobody has asked for since.
//!
//! Hour by hour, through the account of a window of a migration of its own, as a repair does it
//! (`Ledger::record_found`). What somebody owns by now, and what lies in a sealed hour, is left alone. Where a slice dies
//! between a page and its progress, the page's messages are owned already and aren't counted a second time, nor at all.
//!
//! Not responsible for whether their documents are still there: the export finds out.

use crate::slice::Turned;
use granary_domain::{BatchId, Hour, MessageId, MigrationId, Priority, TimeRange};
use granary_ledger::Ledger;
use granary_ledger::harvest::SeenMessage;
use granary_ledger::integrity::{FoundAgain, RepairMigration};
use granary_verify::{Verifier, VerifyError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdoptArguments {
    /// Of event times from here on.
    pub from: Option<Timestamp>,
    /// Of event times before it.
    pub to: Option<Timestamp>,
    /// Messages in a batch at most.
    pub batch_size: u32,
    /// Messages at most.
    pub limit: u64,
    /// Only look; write nothing.
    pub dry_run: bool,
    /// Why.
    pub reason: Option<String>,
    /// Who asked.
    pub requested_by: String,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AdoptProgress {
    /// What is still to be looked at.
    rest: TimeRange,
    /// The hour that was begun, and the last message of it that was looked at, with the cancelled batch that it was in.
    hour: Option<(TimeRange, Option<(BatchId, MessageId)>)>,
    /// Under which they are recorded. It is made when it is needed.
    heir: RepairMigration,
    report: AdoptReport,
}

/// What it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdoptReport {
    /// Whether it only looked: then nobody owns them still.
    pub dry_run: bool,
    /// Under which they are recorded; `None`: there was none, or it only looked.
    pub migration_id: Option<MigrationId>,
    /// Messages that nobody owned.
    pub found: u64,
    /// Of those, the ones that are in a batch now.
    pub adopted: u64,
    /// Of those, the ones that somebody else owns by now, or that lie in a sealed hour.
    pub left: u64,
    /// Messages that nobody owned, by day of event time.
    pub per_day: BTreeMap<String, u64>,
    /// Whether there are more than were allowed.
    pub has_more: bool,
}

const MESSAGES_PER_STEP_MAX: u32 = 10_000;

/// Takes the next step: one hour looked for, or one page of it.
pub(crate) async fn step(
    (ledger, verifier): (&Ledger, &Verifier),
    arguments: &AdoptArguments,
    progress: Option<AdoptProgress>,
) -> Result<Turned<AdoptProgress, AdoptReport>, VerifyError> {
    let mut progress = match progress {
        Some(progress) => progress,
        None => match begin(ledger, arguments).await? {
            Some(progress) => progress,
            None => return Ok(Turned::Done(AdoptReport::new(arguments))),
        },
    };
    if progress.report.found >= arguments.limit {
        progress.report.has_more = has_more(ledger, &progress).await?;
        return Ok(Turned::Done(progress.report));
    }
    let Some((hour, after)) = progress.hour.take() else {
        return Ok(match find_hour(ledger, &progress).await? {
            Some(hour) => {
                progress.hour = Some((hour, None));
                Turned::More(progress)
            }
            None => Turned::Done(progress.report),
        });
    };
    if arguments.dry_run {
        let found = ledger.count_unowned(hour).await?;
        progress.count(hour, found);
        return Ok(progress.behind(hour));
    }
    adopt_page((ledger, verifier), arguments, progress, (hour, after)).await
}

/// One page of an hour. An empty one is the hour's end.
async fn adopt_page(
    (ledger, verifier): (&Ledger, &Verifier),
    arguments: &AdoptArguments,
    mut progress: AdoptProgress,
    (hour, after): (TimeRange, Option<(BatchId, MessageId)>),
) -> Result<Turned<AdoptProgress, AdoptReport>, VerifyError> {
    let allowed = arguments.limit.saturating_sub(progress.report.found);
    let limit = u32::try_from(allowed)
        .unwrap_or(u32::MAX)
        .min(MESSAGES_PER_STEP_MAX);
    let last_seen = after.as_ref().map(|(batch, id)| (*batch, id));
    let unowned = ledger.unowned_in(hour, last_seen, limit).await?;
    let Some(last) = unowned.last() else {
        return Ok(progress.behind(hour));
    };
    let last = (last.batch, last.message.message_id.clone());
    let messages: Vec<SeenMessage> = unowned.into_iter().map(|unowned| unowned.message).collect();
    let found = messages.len() as u64;
    let adopted = match verifier.record_found(&progress.heir, hour, &messages).await? {
        FoundAgain::Recorded { messages } => messages,
        FoundAgain::Refused => 0,
    };
    progress.count(hour, found);
    progress.report.migration_id = Some(progress.heir.id);
    progress.report.adopted += adopted;
    progress.report.left += found.saturating_sub(adopted);
    progress.hour = Some((hour, Some(last)));
    Ok(Turned::More(progress))
}

async fn begin(ledger: &Ledger, arguments: &AdoptArguments) -> Result<Option<AdoptProgress>, VerifyError> {
    let hours = ledger.hours_of_unowned(arguments.from, arguments.to).await?;
    Ok(hours.map(|hours| {
        let from = arguments.from.unwrap_or(hours.from());
        let to = arguments.to.unwrap_or(hours.to());
        let wanted = TimeRange::new(from, to).ok();
        AdoptProgress {
            rest: wanted
                .and_then(|wanted| wanted.intersection(&hours))
                .unwrap_or(hours),
            hour: None,
            heir: RepairMigration {
                id: MigrationId::new(),
                range: hours,
                batch_size: arguments.batch_size,
                priority: Priority::NORMAL,
                requested_by: arguments.requested_by.clone(),
            },
            report: AdoptReport::new(arguments),
        }
    }))
}

/// Whether there are messages behind those that were looked at.
async fn has_more(ledger: &Ledger, progress: &AdoptProgress) -> Result<bool, VerifyError> {
    let Some((hour, after)) = &progress.hour else {
        return Ok(ledger.first_unowned(progress.rest).await?.is_some());
    };
    let last_seen = after.as_ref().map(|(batch, id)| (*batch, id));
    if !ledger.unowned_in(*hour, last_seen, 1).await?.is_empty() {
        return Ok(true);
    }
    match TimeRange::new(hour.to(), progress.rest.to()) {
        Ok(rest) => Ok(ledger.first_unowned(rest).await?.is_some()),
        Err(_) => Ok(false),
    }
}

/// The next hour that has such messages, as far as it lies in what is wanted.
async fn find_hour(ledger: &Ledger, progress: &AdoptProgress) -> Result<Option<TimeRange>, VerifyError> {
    let first = ledger.first_unowned(progress.rest).await?;
    Ok(first.and_then(|first| first.range().intersection(&progress.rest)))
}

impl AdoptProgress {
    fn count(&mut self, hour: TimeRange, found: u64) {
        self.report.found += found;
        if found > 0 {
            let day = Hour::of(hour.from()).date();
            *self.report.per_day.entry(day).or_default() += found;
        }
    }

    /// Goes on behind an hour, if anything is wanted there.
    fn behind(mut self, hour: TimeRange) -> Turned<Self, AdoptReport> {
        match TimeRange::new(hour.to(), self.rest.to()) {
            Ok(rest) => {
                self.rest = rest;
                Turned::More(self)
            }
            Err(_) => Turned::Done(self.report),
        }
    }
}

impl AdoptReport {
    fn new(arguments: &AdoptArguments) -> Self {
        Self {
            dry_run: arguments.dry_run,
            migration_id: None,
            found: 0,
            adopted: 0,
            left: 0,
            per_day: BTreeMap::new(),
            has_more: false,
        }
    }
}
