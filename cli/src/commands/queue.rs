//! `granary queue`: what is in the queues, who works on it, and whether it could go its way.

use super::{Listing, Session, consumers, database, probing, purging};
use crate::cli::{Change, Page, Queue};
use crate::ending::Ending;
use crate::sheet::{Cell, Field, Kind, Sheet, items};
use crate::wish::Wish;
use serde_json::{Value, json};

/// The names in the API's answers, and those that people type.
const QUEUES: [(&str, &str); 4] = [
    ("batches", "batches"),
    ("batchesPriority", "batches-priority"),
    ("batchesDeadLetters", "dead-letters"),
    ("batchesPriorityDeadLetters", "dead-letters-priority"),
];
const DEPTHS: &[Field] = &[
    Field("QUEUE", "/queue", Kind::Text),
    Field("WAITING", "/waiting", Kind::Count),
    Field("IN FLIGHT", "/inFlight", Kind::Count),
    Field("DELAYED", "/delayed", Kind::Count),
];
const CHECKS: &[Field] = &[
    Field("CHECK", "/check", Kind::Text),
    Field("STATUS", "/status", Kind::State),
    Field("REASON", "/reason", Kind::Text),
];
const STATS: &[Field] = &[
    Field("parked batches", "/parked", Kind::Count),
    Field("stored", "/bytesStored", Kind::Bytes),
];
const MONITORING: &[Field] = &[
    Field("attempts in flight", "/attempts/inFlight", Kind::Count),
    Field("overdue", "/attempts/overdue", Kind::Count),
    Field("oldest since", "/attempts/oldestSince", Kind::Time),
    Field("batches a minute", "/rates/batchesPerMinute", Kind::Count),
    Field("messages a minute", "/rates/messagesPerMinute", Kind::Count),
    Field("of the last minutes", "/rates/minutes", Kind::Number),
    Field("oldest unsent batch", "/oldestUnsent/batchId", Kind::Number),
    Field("its age", "/oldestUnsent/ageSeconds", Kind::Seconds),
    Field("restart", "/restart/phase", Kind::State),
];
pub(super) const PROBES: &[Field] = &[
    Field("PROBE", "/probeId", Kind::Text),
    Field("QUEUE", "/queue", Kind::Text),
    Field("STATUS", "/status", Kind::State),
    Field("SENT", "/sentAt", Kind::Time),
    Field("ROUND TRIP", "/roundTripMs", Kind::Milliseconds),
];
const WORKERS: Listing = Listing {
    member: "workers",
    fields: &[
        Field("BATCH", "/batchId", Kind::Number),
        Field("ATTEMPT", "/attempt", Kind::Number),
        Field("MESSAGES", "/messages", Kind::Count),
        Field("SINCE", "/since", Kind::Time),
        Field("LEASE UNTIL", "/leaseUntil", Kind::Time),
        Field("OVERDUE", "/isOverdue", Kind::Text),
        Field("WORKER", "/worker", Kind::Text),
    ],
    nothing: "nobody works on a batch now",
};
const COUNTER: &[Field] = &[
    Field("attempts ended since", "/since", Kind::Time),
    Field("completed", "/completed", Kind::Count),
    Field("failed", "/failed", Kind::Count),
    Field("deferred", "/deferred", Kind::Count),
    Field("handed back", "/handed_back", Kind::Count),
    Field("taken back", "/reaped", Kind::Count),
    Field("cancelled", "/cancelled", Kind::Count),
];

pub(super) async fn run(session: &Session, command: Queue) -> anyhow::Result<Ending> {
    match command {
        Queue::Stats => session.look_at("/queue/stats", stats).await,
        Queue::Health => health(session, "/queue/health").await,
        Queue::Monitoring => session.look_at("/queue/monitoring", monitoring).await,
        Queue::Workers {
            page,
            reset_counter,
            change,
        } => {
            if reset_counter {
                count_anew(session, &change).await
            } else {
                workers(session, &page).await
            }
        }
        Queue::Purge {
            queue,
            all: _,
            change,
            yes,
        } => purging::run(session, queue, &change, yes).await,
        Queue::Probe(options) => probing::run(session, &options).await,
        Queue::Consumers(command) => consumers::run(session, command).await,
    }
}

/// Each check by itself. For an exit code there are `granary doctor` and `granary health`.
pub(super) async fn health(session: &Session, path: &str) -> anyhow::Result<Ending> {
    session
        .look_at(path, |answer| {
            Sheet::new().table(items(&answer["checks"]), CHECKS)
        })
        .await
}

fn depths(sheet: Sheet, answer: &Value) -> Sheet {
    let rows: Vec<Value> = QUEUES
        .iter()
        .map(|(name, typed)| {
            let mut row = answer["queues"][*name].clone();
            if !row.is_object() {
                row = json!({});
            }
            row["queue"] = (*typed).into();
            row
        })
        .collect();
    sheet.table(&rows, DEPTHS)
}

fn stats(answer: &Value) -> Sheet {
    stats_on(Sheet::new(), answer)
}

/// The same after something else.
pub(super) fn stats_on(sheet: Sheet, answer: &Value) -> Sheet {
    depths(database::by_status(sheet, answer).values(answer, STATS), answer)
}

fn monitoring(answer: &Value) -> Sheet {
    let sheet = depths(Sheet::new().values(answer, MONITORING), answer);
    sheet.table(items(&answer["probes"]), PROBES)
}

async fn workers(session: &Session, page: &Page) -> anyhow::Result<Ending> {
    let path = Wish::new().page(page).of_path("/queue/workers/stats");
    session.list(&path, WORKERS).await
}

async fn count_anew(session: &Session, change: &Change) -> anyhow::Result<Ending> {
    let body = Wish::new().change(change).body();
    session
        .change("/queue/workers/reset-counter", &body, |answer| {
            Sheet::new()
                .pairs(vec![("counted", Cell::text("before"))])
                .values(&answer["before"], COUNTER)
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;

    #[test]
    fn the_queues_are_told_by_the_names_that_people_type() {
        let answer = json!({"batches": {"pending": 3}, "messages": {"pending": 3_000}, "parked": 1, "bytesStored": 2_048,
            "queues": {"batches": {"waiting": 3, "inFlight": 0, "delayed": 0}, "batchesPriority": {"waiting": 0, "inFlight": 0,
            "delayed": 0}, "batchesDeadLetters": null}});
        insta::assert_snapshot!(stats(&answer).render(Format::People), @r"
        STATUS      BATCHES  MESSAGES
        pending           3     3,000
        processing        0         0
        success           0         0
        failed            0         0
        cancelled         0         0

         parked batches  1
         stored          2.0 KiB

        QUEUE                  WAITING  IN FLIGHT  DELAYED
        batches                      3          0        0
        batches-priority             0          0        0
        dead-letters                 -          -        -
        dead-letters-priority        -          -        -
        ");
    }

    #[test]
    fn monitoring_has_rates_and_probes() {
        let answer = json!({"queues": {}, "attempts": {"inFlight": 2, "overdue": 0}, "rates": {"minutes": 60,
            "batchesPerMinute": 2.5, "messagesPerMinute": 2_000.0}, "oldestUnsent": null, "restart": null,
            "probes": [{"probeId": "p", "queue": "batches", "status": "arrived", "sentAt": "2026-11-22T10:00:00Z",
                        "roundTripMs": 143}]});
        insta::assert_snapshot!(monitoring(&answer).render(Format::Plain).replace('\t', "|"), @r"
        attempts in flight|2
        overdue|0
        oldest since|
        batches a minute|2.5
        messages a minute|2000.0
        of the last minutes|60
        oldest unsent batch|
        its age|
        restart|

        QUEUE|WAITING|IN FLIGHT|DELAYED
        batches|||
        batches-priority|||
        dead-letters|||
        dead-letters-priority|||

        PROBE|QUEUE|STATUS|SENT|ROUND TRIP
        p|batches|arrived|2026-11-22T10:00:00Z|143
        ");
    }
}
