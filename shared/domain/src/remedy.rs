//! What people can do about it: one text for each cause, each outcome and each kind of alert, so that an alert, the API and the
//! dashboard say the same.
//!
//! Not here: whom to tell and when (the reaper decides), nor how things stand. A name that this version doesn't know has a
//! text as well: it was written by a newer one.

use crate::{Cause, Outcome, Stall, resolved_kind};

const LOOK: &str = "look at the reason above, and into the log of the harvester and the exporter.";

impl Cause {
    /// What people can do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::SourceUnavailable => {
                "see whether Elasticsearch is up, reachable and not overloaded (fewer exporters load it less: \
                 ExporterConcurrency). Work continues by itself when it answers; no attempt is used up meanwhile."
            }
            Self::SourceRefused => {
                "Elasticsearch refuses what it is asked: the reason above names it. Look at blocks, privileges, closed \
                 indices, mappings and GRANARY_SOURCE_INDEX. Work continues by itself when it no longer does; no attempt is \
                 used up meanwhile."
            }
            Self::SourceLogin => {
                "see whether the credential in the secret of GRANARY_ES_SECRET_ARN is the one that Elasticsearch takes. Granary reads \
                 the secret again by itself, after 10 minutes at the latest, and no attempt is used up meanwhile."
            }
            Self::ArchiveUnavailable => {
                "see whether S3 is reachable and not throttling. Work continues by itself when it answers; no attempt is \
                 used up meanwhile."
            }
            Self::ArchiveRefused => {
                "S3 refuses the request: the reason above names its code and what to allow or correct (permissions on the \
                 prefix, bucket, region). Work continues by itself when it no longer does; no attempt is used up meanwhile."
            }
            Self::MostlyMissing => {
                "see whether an index of the source was deleted, restored or renamed by mistake. In 15 minutes each batch is \
                 looked for once more; what is missing then is recorded as missing. Pause the export (granary pause \
                 export) if you need more time."
            }
            Self::ArchiveConflict => {
                "the object at the batch's key is not this batch's: find out who else writes to the bucket. The batch \
                 moves on to a new key by itself."
            }
            Self::LedgerUnavailable => {
                "see whether MySQL is overloaded, or short of connections. Work continues by itself when it answers; no attempt \
                 is used up meanwhile."
            }
            Self::Spool => {
                "these batches don't fit into the exporter's temp directory. A batch that is too large twice is split in two \
                 by itself; one message, and what is re-exported, can't be split: give the exporter more ephemeral storage. \
                 Smaller batches (GRANARY_BATCH_SIZE, or batchSize of POST /tune) spare the attempts, for windows to come."
            }
            Self::TempDir => {
                "the exporter's temp directory can't be written to, or other files fill it: look at its permissions and at what \
                 else writes there. Work continues by itself when it can be used; no attempt is used up meanwhile."
            }
            Self::Deadline => {
                "these batches don't fit into one invocation of the exporter. One that runs out of time twice is split in two by \
                 itself, if anything of it was fetched. See whether Elasticsearch or S3 is slow, make the exporter's timeout \
                 longer, or batches smaller (GRANARY_BATCH_SIZE, for new migrations)."
            }
            Self::WorkerDied => {
                "look for what ended the exporter (out of memory, a crash, a lease lost to a slow ledger) in its log, by the \
                 worker's id. From the third attempt on messages are fetched one by one, and one that kills is set aside."
            }
            Self::Miscount => {
                "this is a defect, or the ledger or bucket was changed by hand: pause the export, and look at the batch before \
                 anything else is changed."
            }
            Self::Shutdown | Self::LeaseLost | Self::Unexpected => LOOK,
        }
    }

    /// What people can do about a cause by its name, also one of a later version.
    pub fn remedy_of(name: &str) -> &'static str {
        name.parse().map_or(LOOK, Self::remedy)
    }
}

impl Outcome {
    /// What people can do about a message that isn't in its batch's object.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Missing => {
                "nothing, if it was meant to be deleted: it was gone at the source when it was to be exported. Deletions by \
                 a retention rule mean that exports come too late for it. Where it is back at the source: granary failures \
                 retry --cause missing."
            }
            Self::Quarantined => {
                "read the reason, mend the document at the source, then granary failures retry --cause quarantined: it gets \
                 a batch of its own. What Elasticsearch gave of it is kept under _quarantine in the bucket."
            }
        }
    }
}

/// The kinds of alerts that this version raises, each with its first line. The runbook has a section for each.
pub const ALERT_HEADLINES: [(&str, &str); 35] = [
    ("parked", "batches are parked"),
    ("parked_over", "no batch is parked"),
    (
        "exceptions",
        "batches are completed without some of their messages",
    ),
    (
        "exceptions_over",
        "no further batch is completed without some of its messages",
    ),
    ("failure_rate", "too many attempts fail"),
    ("failure_rate_over", "attempts succeed again"),
    ("deferred", "work is waiting"),
    ("deferred_over", "work continues"),
    ("export_stalled", "the export is stalled"),
    ("export_stalled_over", "the export continues"),
    ("documents_late", "many documents are late"),
    ("documents_late_over", "few documents are late"),
    (
        "documents_without_time",
        "the source has documents without an event time",
    ),
    ("documents_without_time_over", "all documents have an event time"),
    (
        "documents_in_future",
        "the source has documents with a future event time",
    ),
    ("documents_in_future_over", "no document has a future event time"),
    (
        "documents_too_early",
        "the source has documents before the first window",
    ),
    (
        "documents_too_early_over",
        "no document lies before the first window",
    ),
    ("source_problem", "the source has a problem"),
    ("source_problem_over", "a problem of the source is gone"),
    ("unproven", "windows are not proven"),
    ("unproven_over", "no window fails its verification"),
    ("consumers_off", "a restart of the consumers is not done"),
    ("consumers_off_over", "the restart of the consumers is done"),
    ("ledger_login", "the ledger refuses the login"),
    ("ledger_login_over", "the ledger accepts the login"),
    (
        "ledger_restored",
        "the ledger was restored from a backup, or emptied",
    ),
    ("ledger_identity", "the ledger belongs to another deployment"),
    (
        "ledger_identity_over",
        "every function has the settings of the ledger",
    ),
    ("invariant", "the ledger contradicts itself"),
    (
        "archive_conflict",
        "an object in the archive is not the expected one",
    ),
    ("unreadable_message", "a message in the queue can't be read"),
    (
        "unproven_object",
        "an unrecorded object may be the only copy of messages",
    ),
    (
        "replaced_object_kept",
        "an object was replaced, and both were kept",
    ),
    ("test", "this is a test"),
];

/// The first line of an alert. A kind of a newer version is its own.
pub fn alert_headline(kind: &str) -> &str {
    let known = ALERT_HEADLINES.iter().find(|(known, _)| *known == kind);
    known.map_or(kind, |(_, headline)| headline)
}

const INDEX_LEFT_OUT: &str = "repair the indices as described above. Granary then re-reads the windows that lack them. \
     Or accept that they are not archived: granary exceptions accept --kind left_out --index NAME --max 1.";

const LEDGER_LOGIN: &str = "see whether user and password in the secret of GRANARY_LEDGER_SECRET_ARN (or in GRANARY_LEDGER_URL) \
     are those that the server takes. Nothing is harvested, exported or reaped meanwhile, and nothing is lost. The secret is read \
     again by itself, after 10 minutes at the latest.";

const CONSUMERS_OFF: &str = "look at GET /queue/consumers/status: each call continues the restart, and says what it waits for. \
     POST /queue/consumers/start ends it and switches the consumers on. Nothing is lost, and nothing is exported meanwhile.";

/// What people can do about an alert of a kind, for a cause.
pub fn alert_remedy(kind: &str, cause: &str) -> String {
    let text = match kind {
        "parked" => return parked_remedy(cause),
        "exceptions" => return exceptions_remedy(cause),
        "ledger_identity" => return identity_remedy(cause),
        "failure_rate" => {
            "look at the causes in the exporter's log or at GET /failures; failed batches are retried by themselves."
        }
        "deferred" => Cause::remedy_of(cause),
        "export_stalled" => cause.parse().map_or(LOOK, Stall::remedy),
        "documents_late" => {
            "set GRANARY_HARVEST_LAG_SECONDS (or harvestLagSeconds of POST /tune) to what is named above, if that is worth \
             waiting for; nothing is lost meanwhile."
        }
        "documents_without_time" => {
            "correct them at the source, or exclude them with GRANARY_SOURCE_FILTER; `granary status` counts them."
        }
        "unproven" => {
            "read the report (granary verify --list), remove the cause, then granary verify --from … --to … --repair; the \
             schedule verifies them again, and the alert ends by itself."
        }
        "documents_in_future" => {
            "correct their event times at the source, or exclude them with GRANARY_SOURCE_FILTER; `granary status` counts them. \
             Otherwise they are archived when their time has come."
        }
        "documents_too_early" => {
            "archive them with `granary migrate start` (without --from it begins with the first message), correct their event \
             times at the source, or exclude them with GRANARY_SOURCE_FILTER; `granary status` counts them."
        }
        over if resolved_kind(over).is_some() => remedy_of_end(over),
        "test" => "nothing. Alerts reach you.",
        "source_problem" if cause == "refused" => {
            "do what is said above; until then no id is read (of metadata: no batch is exported), and nothing is lost. \
             `granary doctor` shows whether it helped."
        }
        "source_problem" if cause == "left_out" => INDEX_LEFT_OUT,
        "source_problem" => {
            "decide whether that matters. The harvest continues; `granary doctor` lists the indices that are concerned now."
        }
        "invariant" => {
            "this is a defect, or the ledger or bucket was changed by hand: pause the export, and look at what is named above \
             before anything else is changed."
        }
        "archive_conflict" => {
            "nothing at once: the batch has a new object. Find out who wrote the other one."
        }
        "unreadable_message" => {
            "look at the dead-letter queue: who else sends to this queue, or was a newer version rolled back?"
        }
        "ledger_restored" => {
            "find out whether the ledger was restored, and from which time. Verify what was archived since then, and adopt what \
             the ledger lost (granary sweep, granary sweep adopt KEY). Then granary sweep confirm-restored --reason TEXT: \
             sweeps continue."
        }
        "unproven_object" => {
            "look at it, then decide: `granary sweep adopt KEY` puts the messages on record that no other object holds, \
             `granary sweep discard KEY --reason` removes it. It stays until then, and every sweep names it."
        }
        "replaced_object_kept" => {
            "look at both objects: what only the old one holds is gone at the source. Delete the one that you don't want \
             in S3; queries see both meanwhile."
        }
        "ledger_login" => LEDGER_LOGIN,
        "consumers_off" => CONSUMERS_OFF,
        _ => "look into the ledger's alert table and the functions' logs.",
    };
    text.to_owned()
}

fn parked_remedy(cause: &str) -> String {
    let remedy = Cause::remedy_of(cause);
    format!(
        "read the cause above, remove it, then granary failures retry --cause {cause}. Nothing is lost meanwhile. {cause}: {remedy}"
    )
}

/// Of an alert about messages of one outcome. A cause that isn't an outcome is a later version's.
fn exceptions_remedy(cause: &str) -> String {
    let remedy = cause.parse().map_or(LOOK, Outcome::remedy);
    format!(
        "{cause}: {remedy} GET /failures counts and names such messages; verify --repair retries what the source shows."
    )
}

/// Of an alert about a setting that isn't the ledger's.
fn identity_remedy(setting: &str) -> String {
    format!(
        "restore the setting, or give the deployment that has it a ledger of its own. If the change is meant: granary ledger adopt \
         --setting {setting} --reason TEXT. Functions with this setting do no work meanwhile, and nothing is lost."
    )
}

/// What is left to do when an alert is resolved.
fn remedy_of_end(kind: &str) -> &'static str {
    match kind {
        "parked_over" | "exceptions_over" => "nothing more than the alert it resolves asked for.",
        "failure_rate_over" => {
            "look whether batches were parked meanwhile (granary failures), and retry them."
        }
        "documents_without_time_over" => {
            "if some had no time for longer than GRANARY_RESCAN_DAYS: granary verify --from … --to … --repair."
        }
        "ledger_login_over" => {
            "look into the dead-letter queues (granary redrive --dry-run): messages that were returned too often are there."
        }
        "source_problem_over" => {
            "nothing, unless an index was deleted before its messages were archived: granary proof shows such windows."
        }
        _ => "nothing.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e8_an_alert_about_exceptions_says_how_they_are_retried() {
        for cause in ["missing", "quarantined"] {
            let text = alert_remedy("exceptions", cause);
            assert!(
                text.contains(&format!("granary failures retry --cause {cause}")),
                "{text}"
            );
        }
    }

    #[test]
    fn e9_people_are_told_what_to_do_about_batches_that_do_not_fit() {
        assert!(Cause::remedy_of("deadline").contains("GRANARY_BATCH_SIZE"));
        assert!(Cause::remedy_of("source_unavailable").contains("by itself"));
        assert!(Cause::remedy_of("a cause of a later version").contains("log"));
    }

    #[test]
    fn a_parked_batch_is_told_with_the_remedy_of_its_cause() {
        let text = alert_remedy("parked", "spool");
        assert!(
            text.contains("granary failures retry --cause spool") && text.contains(Cause::Spool.remedy()),
            "{text}"
        );
    }

    #[test]
    fn the_end_of_a_condition_asks_for_nothing() {
        for kind in ["deferred_over", "documents_late_over"] {
            assert_eq!(alert_remedy(kind, "x"), "nothing.");
        }
    }
}
