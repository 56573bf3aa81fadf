//! `granary migrate jobs` and `batch`: batches, and the attempts at one.

use super::{Listing, Session};
use crate::cli::Jobs;
use crate::ending::Ending;
use crate::sheet::{Cell, Field, Kind, Sheet, items};
use crate::wish::Wish;
use serde_json::Value;

const JOBS: Listing = Listing {
    member: "jobs",
    fields: &[
        Field("BATCH", "/id", Kind::Number),
        Field("STATUS", "/status", Kind::State),
        Field("PARKED", "/parked", Kind::Text),
        Field("HOUR", "/hour", Kind::Time),
        Field("MESSAGES", "/messages", Kind::Count),
        Field("ATTEMPTS", "/attempts", Kind::Count),
        Field("STORED", "/object/bytesStored", Kind::Bytes),
        Field("CAUSE", "/errorCode", Kind::Text),
        Field("ERROR", "/error", Kind::Text),
    ],
    nothing: "there is no such batch",
};

const BATCH: &[Field] = &[
    Field("batch", "/id", Kind::Number),
    Field("status", "/status", Kind::State),
    Field("parked since", "/parkedAt", Kind::Time),
    Field("migration", "/migrationId", Kind::Text),
    Field("kind", "/jobType", Kind::Text),
    Field("window", "/windowId", Kind::Number),
    Field("hour", "/hour", Kind::Time),
    Field("priority", "/priority", Kind::Number),
    Field("messages", "/messages", Kind::Count),
    Field("exported", "/exported", Kind::Count),
    Field("gone at the source", "/missing", Kind::Count),
    Field("can't be exported", "/quarantined", Kind::Count),
    Field("attempts", "/attempts", Kind::Count),
    Field("retries asked for", "/retryCount", Kind::Count),
    Field("generation", "/generation", Kind::Number),
    Field("sent", "/enqueuedAt", Kind::Time),
    Field("worker", "/worker", Kind::Text),
    Field("lease until", "/leaseUntil", Kind::Time),
    Field("not before", "/notBefore", Kind::Time),
    Field("deferrals", "/deferrals", Kind::Count),
    Field("took", "/processingDuration", Kind::Milliseconds),
    Field("object", "/object/key", Kind::Text),
    Field("its sha256", "/object/sha256", Kind::Text),
    Field("its bytes", "/object/bytesStored", Kind::Bytes),
    Field("unpacked", "/object/bytesRaw", Kind::Bytes),
    Field("cause", "/errorCode", Kind::Text),
    Field("error", "/error", Kind::Text),
    Field("what to do", "/remedy", Kind::Text),
    Field("created", "/createdAt", Kind::Time),
    Field("settled", "/settledAt", Kind::Time),
];

pub(super) const ATTEMPTS: &[Field] = &[
    Field("ATTEMPT", "/number", Kind::Number),
    Field("STARTED", "/startedAt", Kind::Time),
    Field("TOOK", "/durationMs", Kind::Milliseconds),
    Field("OUTCOME", "/outcome", Kind::State),
    Field("WORKER", "/worker", Kind::Text),
    Field("CAUSE", "/errorCode", Kind::Text),
    Field("ERROR", "/error", Kind::Text),
];

pub(super) async fn list(session: &Session, options: &Jobs) -> anyhow::Result<Ending> {
    let path = Wish::new()
        .with_text("status", options.status.as_ref())
        .with_text("jobType", options.job_type.as_ref())
        .with_text("parentJobId", options.migration.as_ref())
        .with_text("cause", options.cause.as_ref())
        .span(&options.span)
        .page(&options.page)
        .of_path("/migrate/jobs");
    session.list(&path, JOBS).await
}

pub(super) async fn show(session: &Session, id: u64) -> anyhow::Result<Ending> {
    session.look_at(&format!("/migrate/batch/{id}"), described).await
}

fn described(answer: &Value) -> Sheet {
    let sheet = Sheet::new()
        .values(&answer["batch"], BATCH)
        .table(items(&answer["attempts"]), ATTEMPTS);
    if answer["hasMoreAttempts"] == true {
        sheet.line("  and attempts before these")
    } else {
        sheet
    }
}

/// The batches that a change named, where there are any.
pub(super) fn named(sheet: Sheet, answer: &Value) -> Sheet {
    let numbers: Vec<String> = items(&answer["batches"]).iter().map(Value::to_string).collect();
    if numbers.is_empty() {
        return sheet;
    }
    sheet.pairs(vec![("batches", Cell::text(numbers.join(", ")))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;
    use serde_json::json;

    fn batch() -> Value {
        json!({"id": 7, "migrationId": "m", "jobType": "continuous", "windowId": 3, "hour": "2026-11-22T10:00:00Z",
            "status": "failed", "parked": true, "priority": 0, "messages": 1_000, "attempts": 5, "retryCount": 1,
            "generation": 1, "worker": null, "object": null, "errorCode": "spool", "error": "the disk is full",
            "parkedAt": "2026-11-22T11:00:00Z", "createdAt": "2026-11-22T10:05:00Z", "processingDuration": 1_234})
    }

    #[test]
    fn a_batch_is_shown_with_its_attempts() {
        let answer = json!({"batch": batch(), "attempts": [{"number": 5, "worker": "w", "startedAt": "2026-11-22T10:59:59Z",
            "durationMs": 812, "outcome": "failed", "errorCode": "spool", "error": "the disk is full"}],
            "hasMoreAttempts": true});
        insta::assert_snapshot!(described(&answer).render(Format::People), @r"
         batch              7
         status             failed
         parked since       2026-11-22 11:00:00Z
         migration          m
         kind               continuous
         window             3
         hour               2026-11-22 10:00:00Z
         priority           0
         messages           1,000
         attempts           5
         retries asked for  1
         generation         1
         took               1234 ms
         cause              spool
         error              the disk is full
         created            2026-11-22 10:05:00Z

        ATTEMPT  STARTED                 TOOK  OUTCOME  WORKER  CAUSE  ERROR
              5  2026-11-22 10:59:59Z  812 ms  failed   w       spool  the disk is full

         and attempts before these
        ");
    }

    #[test]
    fn batches_are_rows() {
        let sheet = Sheet::new().table(&[batch()], JOBS.fields);
        insta::assert_snapshot!(sheet.render(Format::People), @r"
        BATCH  STATUS  PARKED  HOUR                  MESSAGES  ATTEMPTS  STORED  CAUSE  ERROR
            7  failed  true    2026-11-22 10:00:00Z     1,000         5       -  spool  the disk is full
        ");
        insta::assert_snapshot!(sheet.render(Format::Plain).replace('\t', "|"), @r"
        BATCH|STATUS|PARKED|HOUR|MESSAGES|ATTEMPTS|STORED|CAUSE|ERROR
        7|failed|true|2026-11-22T10:00:00Z|1000|5||spool|the disk is full
        ");
    }
}
