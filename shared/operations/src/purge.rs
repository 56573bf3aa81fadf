//! Purging the ledger, hour by hour: an hour that has come to its end is sealed, and its rows are taken away.
//!
//! Whether an hour may be sealed the ledger decides (`Ledger::seal_hour`), and besides its archive has to be in order as
//! long as there are rows to hold it against. What can't be sealed is named with every reason and left as it is.
//! A step is one hour looked at, or one chunk of rows; dying in between repeats a step, which finds its own work done.
//!
//! Not responsible for the objects: they stay, and nothing here writes to the bucket.

use granary_domain::{Hour, TimeRange};
use granary_ledger::Ledger;
use granary_ledger::integrity::{Seal, SealIntent};
use granary_verify::{Verifier, VerifyError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PurgeArguments {
    /// Hours of event time that end here or earlier.
    pub before: Timestamp,
    /// Only look; write nothing.
    pub dry_run: bool,
    /// How long an hour has to be over: as long as windows are read again for late messages.
    pub horizon_secs: u64,
    /// Who asked; it stands with what was sealed.
    pub requested_by: String,
}

/// How far a purge is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PurgeProgress {
    /// Every hour before it was looked at.
    next: Timestamp,
    /// A sealed hour whose rows are being taken away.
    in_hand: Option<Hour>,
    report: PurgeReport,
}

/// What a purge came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PurgeReport {
    /// What was asked for.
    pub before: Timestamp,
    /// Whether it only looked: then the numbers are what would be done.
    pub dry_run: bool,
    /// Hours that were sealed.
    pub hours: u64,
    /// Messages in them.
    pub messages: u64,
    /// Batches in them.
    pub batches: u64,
    /// Objects of theirs, which stay.
    pub objects: u64,
    /// The objects' bytes.
    pub bytes_stored: u64,
    /// Message rows that were taken away, also of hours that an earlier purge had sealed.
    pub rows_removed: u64,
    /// Hours that stay as they are.
    pub refused_hours: u64,
    /// The first 100 of them.
    pub refused: Vec<RefusedHour>,
}

/// An hour that stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedHour {
    /// The hour.
    pub hour: Hour,
    /// Why, for people.
    pub reasons: Vec<String>,
}

/// What one step came to.
pub(crate) enum PurgeStep {
    More(Box<PurgeProgress>),
    Done(Box<PurgeReport>),
}

const REFUSED_NAMED_MAX: usize = 100;
const REASONS_MAX: usize = 5;

impl PurgeProgress {
    fn new(arguments: &PurgeArguments) -> Self {
        Self {
            next: TimeRange::EVER.from(),
            in_hand: None,
            report: PurgeReport {
                before: arguments.before,
                dry_run: arguments.dry_run,
                hours: 0,
                messages: 0,
                batches: 0,
                objects: 0,
                bytes_stored: 0,
                rows_removed: 0,
                refused_hours: 0,
                refused: Vec::new(),
            },
        }
    }

    fn refuse(&mut self, hour: Hour, mut reasons: Vec<String>) {
        self.report.refused_hours += 1;
        reasons.truncate(REASONS_MAX);
        if self.report.refused.len() < REFUSED_NAMED_MAX {
            self.report.refused.push(RefusedHour { hour, reasons });
        }
    }
}

/// Takes the next step.
pub(crate) async fn step(
    (ledger, verifier): (&Ledger, &Verifier),
    arguments: &PurgeArguments,
    progress: Option<PurgeProgress>,
) -> Result<PurgeStep, VerifyError> {
    let mut progress = progress.unwrap_or_else(|| PurgeProgress::new(arguments));
    if let Some(hour) = progress.in_hand {
        match ledger.purge_batches(hour).await? {
            Some(purged) => progress.report.rows_removed += purged.messages,
            None => {
                progress.in_hand = None;
                progress.next = hour.next().start();
            }
        }
        return Ok(PurgeStep::More(Box::new(progress)));
    }
    let hour = match TimeRange::new(progress.next, arguments.before) {
        Ok(rest) => ledger.next_hour_to_purge(rest).await?,
        Err(_) => None,
    };
    match hour.filter(|hour| hour.next().start() <= arguments.before) {
        Some(hour) => {
            look_at(ledger, verifier, arguments, hour, &mut progress).await?;
            Ok(PurgeStep::More(Box::new(progress)))
        }
        None => Ok(PurgeStep::Done(Box::new(progress.report))),
    }
}

async fn look_at(
    ledger: &Ledger,
    verifier: &Verifier,
    arguments: &PurgeArguments,
    hour: Hour,
    progress: &mut PurgeProgress,
) -> Result<(), VerifyError> {
    progress.next = hour.next().start();
    let horizon = Duration::from_secs(arguments.horizon_secs);
    let mut seal = ledger.seal_hour(hour, horizon, &SealIntent::Look).await?;
    if let Seal::Sealable { .. } = seal {
        let findings = verifier.before_sealing(hour).await?;
        let sealed = if !findings.is_empty() {
            let reasons = findings.into_iter().map(|finding| match finding.key {
                Some(key) => format!("{key}: {}", finding.text),
                None => finding.text,
            });
            Seal::Refused {
                reasons: reasons.collect(),
            }
        } else if arguments.dry_run {
            seal.clone()
        } else {
            let by = arguments.requested_by.clone();
            ledger.seal_hour(hour, horizon, &SealIntent::Seal { by }).await?
        };
        // Sealed already is what a repetition finds: the numbers are those of the look.
        if let Seal::Refused { .. } = sealed {
            seal = sealed;
        }
    }
    match seal {
        Seal::Refused { reasons } => progress.refuse(hour, reasons),
        Seal::Already => progress.in_hand = (!arguments.dry_run).then_some(hour),
        Seal::Sealable {
            messages,
            batches,
            objects,
            bytes_stored,
        } => {
            let report = &mut progress.report;
            report.hours += 1;
            report.messages += messages;
            report.batches += batches;
            report.objects += objects;
            report.bytes_stored += bytes_stored;
            progress.in_hand = (!arguments.dry_run).then_some(hour);
        }
    }
    Ok(())
}
