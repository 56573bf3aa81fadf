//! What is done to migrations and batches. What became of them, the ledger says; the clock stands still meanwhile.

use super::{Desk, PrivateHour, Ticks, until};
use serde_json::{Value, json};

/// A batch's row: status, parked or not, how often people retried it, and its generation.
type Batch = (String, bool, u32, u32);

/// A migration, as SQL has it.
pub(super) fn sql_id(migration: &str) -> String {
    format!("UNHEX('{}')", migration.replace('-', ""))
}

async fn batch_of(desk: &Desk, migration: &str) -> Batch {
    let query = format!(
        "SELECT status, parked_at IS NOT NULL, retry_count, generation FROM batch WHERE migration_id = {}",
        sql_id(migration)
    );
    desk.deployment.rows(&query).await.pop().expect("it has a batch")
}

pub(super) async fn state_of(desk: &Desk, migration: &str) -> String {
    let query = format!("SELECT state FROM migration WHERE id = {}", sql_id(migration));
    desk.deployment.rows(&query).await.pop().expect("it is on record")
}

pub(super) async fn work_on_batches(desk: &Desk, hour: &PrivateHour<'_>) {
    a_dry_run_makes_nothing(desk, hour).await;
    batches_are_as_large_as_asked_for(desk).await;
    desk.ask(
        "POST /pause",
        &[],
        json!({ "stage": "export", "reason": "a test" }),
    )
    .await;
    let waiting = PrivateHour::with_messages(&desk.deployment, 3).await;
    let migration = asked_for(desk, &waiting).await;
    a_dead_worker_is_taken_back(desk, &migration).await;
    a_parked_batch_is_retried(desk, &migration).await;
    let adopted_by = released_messages_are_adopted(desk, &waiting, &migration).await;
    desk.ask("POST /resume", &[], json!({})).await;
    what_is_pending_is_sent(desk, &adopted_by).await;
    a_stuck_migration_is_closed(desk, &adopted_by).await;
    a_batch_is_exported_anew(desk, hour).await;
    messages_are_asked_for_by_name(desk).await;
}

/// A migration of an hour, recorded.
async fn asked_for(desk: &Desk, hour: &PrivateHour<'_>) -> String {
    let asked = desk.ask("POST /migrate", &[], hour.asked_for()).await;
    let migration = asked["migrationId"]
        .as_str()
        .expect("a migration has an id")
        .to_owned();
    let recorded = format!(
        "SELECT COUNT(*) FROM batch WHERE migration_id = {}",
        sql_id(&migration)
    );
    until("its batch is recorded", async || {
        desk.deployment.invoke("harvester", &json!({})).await;
        (desk.count(&recorded).await == 1).then_some(())
    })
    .await;
    migration
}

async fn a_dry_run_makes_nothing(desk: &Desk, hour: &PrivateHour<'_>) {
    let migrations = "SELECT COUNT(*) FROM migration";
    let before = desk.count(migrations).await;
    let mut body = hour.asked_for();
    body["dryRun"] = json!(true);
    let foretold = desk.ask("POST /migrate", &[], body).await;
    assert_eq!(
        (&foretold["inSource"], &foretold["estimate"]["messages"]),
        (&json!(12), &json!(0))
    );
    assert_eq!(desk.count(migrations).await, before);
}

async fn batches_are_as_large_as_asked_for(desk: &Desk) {
    let hour = PrivateHour::with_messages(&desk.deployment, 10).await;
    let asked = desk
        .ask("POST /migrate/batch/{size}", &["5"], hour.asked_for())
        .await;
    let migration = asked["migrationId"].as_str().expect("a migration has an id");
    let size = format!(
        "SELECT CAST(batch_size AS UNSIGNED) FROM migration WHERE id = {}",
        sql_id(migration)
    );
    assert_eq!(desk.count(&size).await, 5);
    desk.deployment.finish(migration, Ticks::ByHand).await;
    assert_eq!(hour.batches().await.len(), 2);
}

async fn a_dead_worker_is_taken_back(desk: &Desk, migration: &str) {
    desk.sql(&format!(
        "UPDATE batch SET status = 'in_progress', holder = 'nobody', attempts = 1, fence = fence + 1, \
         claimed_at = UTC_TIMESTAMP(6) - INTERVAL 1 HOUR, lease_until = UTC_TIMESTAMP(6) - INTERVAL 1 MINUTE \
         WHERE migration_id = {}",
        sql_id(migration)
    ))
    .await;
    desk.sql(&format!(
        "INSERT INTO attempt (batch_id, number, generation, worker, started_at) \
         SELECT id, fence, generation, holder, claimed_at FROM batch WHERE migration_id = {}",
        sql_id(migration)
    ))
    .await;
    let taken = desk
        .ask(
            "POST /migrate/complete-processing",
            &[],
            json!({ "reason": "a test" }),
        )
        .await;
    assert!(taken["takenBack"].as_u64() >= Some(1), "{taken}");
    assert_eq!(batch_of(desk, migration).await.0, "failed");
}

async fn a_parked_batch_is_retried(desk: &Desk, migration: &str) {
    desk.sql(&format!(
        "UPDATE batch SET parked_at = UTC_TIMESTAMP(6), not_before = NULL, attempts = 5 WHERE migration_id = {}",
        sql_id(migration)
    ))
    .await;
    let body = json!({ "migrationId": migration, "reason": "a test" });
    let retried = desk.ask("POST /migrate/retry-failed", &[], body).await;
    assert_eq!(retried["retried"], 1, "{retried}");
    assert_eq!(
        batch_of(desk, migration).await,
        ("pending".to_owned(), false, 1, 1)
    );
}

/// Cancelling releases them, and another batch takes them up. Whose.
async fn released_messages_are_adopted(desk: &Desk, hour: &PrivateHour<'_>, migration: &str) -> String {
    let cancelled = desk
        .ask(
            "DELETE /migrate/cancel/{id}",
            &[migration],
            json!({ "reason": "a test" }),
        )
        .await;
    assert_eq!(cancelled["released"]["messages"], 3, "{cancelled}");
    assert_eq!(state_of(desk, migration).await, "cancelled");
    let result = desk
        .operate("POST /migrate/create-missing-migrations", &[], hour.asked_for())
        .await;
    assert_eq!(result["adopted"], 3, "{result}");
    let heir = result["migrationId"]
        .as_str()
        .expect("it made a migration")
        .to_owned();
    assert_eq!(batch_of(desk, &heir).await.0, "pending");
    heir
}

async fn what_is_pending_is_sent(desk: &Desk, migration: &str) {
    let all = desk
        .ask("POST /migrate/process-all", &[], json!({ "reason": "a test" }))
        .await;
    assert!(all["sent"].as_u64() >= Some(1), "{all}");
    desk.deployment.finish(migration, Ticks::ByHand).await;
    assert_eq!(batch_of(desk, migration).await.0, "completed");
}

async fn a_stuck_migration_is_closed(desk: &Desk, migration: &str) {
    let reopen = format!(
        "UPDATE migration SET state = 'open', finished_at = NULL WHERE id = {}",
        sql_id(migration)
    );
    desk.sql(&reopen).await;
    desk.ask("POST /migrate/fix-stuck-jobs", &[], json!({ "reason": "a test" }))
        .await;
    assert_eq!(state_of(desk, migration).await, "completed");
}

async fn a_batch_is_exported_anew(desk: &Desk, hour: &PrivateHour<'_>) {
    let (number, ..) = hour.batches().await.remove(0);
    let body = json!({ "batchIds": [number], "reason": "a test" });
    let result = desk.operate("POST /migrate/reset-pending", &[], body).await;
    assert_eq!((&result["asked"], &result["messages"]), (&json!(1), &json!(12)));
    let again =
        format!("SELECT COUNT(*) FROM batch WHERE id = {number} AND generation = 2 AND status = 'completed'");
    until("its second generation is archived", async || {
        desk.deployment.invoke("reaper", &json!({})).await;
        (desk.count(&again).await == 1).then_some(())
    })
    .await;
    let objects = hour.objects().await;
    assert!(
        objects
            .keys()
            .any(|key| key.contains(&format!("batch-{number}-g2."))),
        "{objects:?}"
    );
}

async fn messages_are_asked_for_by_name(desk: &Desk) {
    let hour = PrivateHour::with_messages(&desk.deployment, 2).await;
    let id = hour.id_of_one();
    let body = json!({ "ids": [id, "nowhere"], "reason": "a test" });
    let result: Value = desk.operate("POST /migrate/bulk", &[], body).await;
    assert_eq!(
        (&result["recorded"], &result["notFound"]),
        (&json!(1), &json!(["nowhere"]))
    );
    let on_record = format!("SELECT COUNT(*) FROM message WHERE message_id = '{id}'");
    assert_eq!(desk.count(&on_record).await, 1);
}
