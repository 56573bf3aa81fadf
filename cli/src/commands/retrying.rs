//! What gets batches going that stand still: `granary migrate retry`, `process-all`, `complete-processing`, `fix-stuck`, and
//! `granary failures retry`.
//!
//! The API does so much at a time and says whether there is more; a bulk action goes on here until there is none.

use super::{Session, jobs};
use crate::cli::{Change, RetryFailed};
use crate::ending::Ending;
use crate::progress::say;
use crate::sheet::{Cell, Field, Kind, Sheet, items};
use crate::wish::Wish;
use serde_json::Value;

const RETRIED: &[Field] = &[
    Field("parked batches found", "/found", Kind::Count),
    Field("batches retried", "/retried", Kind::Count),
    Field("missing messages found", "/exceptions/missing", Kind::Count),
    Field(
        "quarantined messages found",
        "/exceptions/quarantined",
        Kind::Count,
    ),
    Field("messages recalled", "/exceptions/recalled", Kind::Count),
];
const TAKEN_BACK: &[Field] = &[
    Field("found", "/found", Kind::Count),
    Field("taken back", "/takenBack", Kind::Count),
];
const PROCESSED: &[Field] = &[
    Field("not sent", "/found/unsent", Kind::Count),
    Field("held by dead workers", "/found/deadWorkers", Kind::Count),
    Field("failed, due", "/found/failedDue", Kind::Count),
    Field("failed, waiting", "/found/failedWaiting", Kind::Count),
    Field("parked", "/found/parked", Kind::Count),
    Field("sent now", "/sent", Kind::Count),
    Field("taken back now", "/takenBack", Kind::Count),
    Field("retried now", "/retried", Kind::Count),
];
const FIXED: &[Field] = &[
    Field("windows handed back", "/windowsHandedBack", Kind::Count),
    Field("migrations drained", "/drained", Kind::Count),
    Field("migrations completed", "/completed", Kind::Count),
    Field("batches released", "/released/batches", Kind::Count),
    Field("messages released", "/released/messages", Kind::Count),
];

pub(super) async fn retry(session: &Session, options: &RetryFailed) -> anyhow::Result<Ending> {
    let body = Wish::new()
        .with_text("cause", options.cause.as_ref())
        .with_text("migrationId", options.migration.as_ref())
        .span(&options.span)
        .with("limit", options.limit)
        .change(&options.change)
        .body();
    let answer = session.api.post("/migrate/retry-failed", &body).await?;
    session.say_what_became(&answer);
    if answer["hasMore"] == true {
        say("there are more: repeat the command once these are exported");
    }
    session.show(&answer, |answer| {
        jobs::named(Sheet::new().values(answer, RETRIED), answer)
    })
}

pub(super) async fn complete_processing(session: &Session, change: &Change) -> anyhow::Result<Ending> {
    act(session, "/migrate/complete-processing", change, |answer| {
        jobs::named(Sheet::new().values(answer, TAKEN_BACK), answer)
    })
    .await
}

pub(super) async fn process_all(session: &Session, change: &Change) -> anyhow::Result<Ending> {
    act(session, "/migrate/process-all", change, |answer| {
        Sheet::new().values(answer, PROCESSED)
    })
    .await
}

pub(super) async fn fix_stuck(session: &Session, change: &Change) -> anyhow::Result<Ending> {
    act(session, "/migrate/fix-stuck-jobs", change, fixed).await
}

async fn act(
    session: &Session,
    path: &str,
    change: &Change,
    sheet: fn(&Value) -> Sheet,
) -> anyhow::Result<Ending> {
    let body = Wish::new().change(change).body();
    let answer = session.api.post(path, &body).await?;
    session.say_what_became(&answer);
    if answer["isComplete"] == false {
        say("it isn't complete yet: ask again");
    }
    session.show(&answer, sheet)
}

fn fixed(answer: &Value) -> Sheet {
    let found = &answer["found"];
    let stuck = [
        ("windows", "stuck windows"),
        ("toDrain", "migrations to drain"),
        ("toComplete", "migrations to complete"),
    ];
    let mut sheet = Sheet::new();
    for (member, name) in stuck {
        let count = items(&found[member]).len();
        sheet = sheet.pairs(vec![(name, Cell::of(&Value::from(count), Kind::Count))]);
    }
    sheet.values(answer, FIXED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;
    use serde_json::json;

    #[test]
    fn what_was_found_and_what_was_done_stand_side_by_side() {
        let answer = json!({"found": {"unsent": 3, "deadWorkers": 1, "failedDue": 2, "failedWaiting": 0, "parked": 1},
            "sent": 3, "takenBack": 1, "retried": 2, "isComplete": true});
        insta::assert_snapshot!(Sheet::new().values(&answer, PROCESSED).render(Format::People), @r"
        not sent              3
        held by dead workers  1
        failed, due           2
        failed, waiting       0
        parked                1
        sent now              3
        taken back now        1
        retried now           2
        ");
        let answer = json!({"found": {"windows": [3], "toDrain": [], "toComplete": ["m"]}, "windowsHandedBack": 1,
            "drained": 0, "completed": 1, "released": {"batches": 0, "messages": 0}});
        insta::assert_snapshot!(fixed(&answer).render(Format::People), @r"
        stuck windows           1
        migrations to drain     0
        migrations to complete  1
        windows handed back     1
        migrations drained      0
        migrations completed    1
        batches released        0
        messages released       0
        ");
    }
}
