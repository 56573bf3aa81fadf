//! What happens to the queues: probes, dead letters, purges. What is in them, SQS says.

use super::super::deployment::variable;
use super::migrating::{sql_id, state_of};
use super::switching::triggers_are;
use super::{Desk, PrivateHour, until};
use aws_sdk_sqs::types::QueueAttributeName::{
    ApproximateNumberOfMessages, ApproximateNumberOfMessagesDelayed, ApproximateNumberOfMessagesNotVisible,
};
use serde_json::{Value, json};

async fn depth(desk: &Desk, queue: &str) -> u64 {
    let asked = [
        ApproximateNumberOfMessages,
        ApproximateNumberOfMessagesDelayed,
        ApproximateNumberOfMessagesNotVisible,
    ];
    let asking = aws_sdk_sqs::Client::new(&desk.deployment.aws)
        .get_queue_attributes()
        .queue_url(variable(queue))
        .set_attribute_names(Some(asked.to_vec()));
    let attributes = asking.send().await.unwrap().attributes.unwrap_or_default();
    attributes
        .values()
        .map(|count| count.parse::<u64>().unwrap())
        .sum()
}

/// With the consumers off, what is sent stays where it is.
pub(super) async fn fill_and_empty(desk: &Desk) {
    desk.ask("POST /queue/consumers/stop", &[], json!({ "reason": "a test" }))
        .await;
    triggers_are(desk, "Disabled").await;
    batches_come_back_from_purged_queues(desk).await;
    dead_letters_go_back(desk).await;
    probes_go_through_the_queue(desk).await;
    attempts_are_counted_from_now_on(desk).await;
}

async fn batches_come_back_from_purged_queues(desk: &Desk) {
    let hour = PrivateHour::with_messages(&desk.deployment, 3).await;
    let asked = desk.ask("POST /migrate", &[], hour.asked_for()).await;
    let migration = asked["migrationId"].as_str().expect("a migration has an id");
    let unsent = format!(
        "SELECT COUNT(*) FROM batch WHERE migration_id = {} AND status = 'pending' AND enqueued_at IS NULL",
        sql_id(migration)
    );
    for (route, queue) in [
        ("DELETE /queue/purge/{queue}", Some("batches")),
        ("DELETE /queue/purge-all", None),
        ("POST /queue/purge/{queue}", Some("batches")),
        ("POST /queue/purge-all", None),
    ] {
        until("the batch is in its queue", async || {
            desk.deployment.invoke("harvester", &json!({})).await;
            (depth(desk, "QUEUE_URL").await >= 1 && desk.count(&unsent).await == 0).then_some(())
        })
        .await;
        let stats = desk.look("GET /queue/stats").await;
        assert!(
            stats["queues"]["batches"]["waiting"].as_u64() >= Some(1),
            "{stats}"
        );
        let values: Vec<&str> = queue.into_iter().collect();
        let body = json!({ "confirm": queue.unwrap_or("purge-all"), "reason": "a test" });
        let purged = desk.ask(route, &values, body).await;
        assert!(purged["batchesPutBack"].as_u64() >= Some(1), "{purged}");
        assert_eq!(depth(desk, "QUEUE_URL").await, 0, "{route}");
        assert_eq!(desk.count(&unsent).await, 1, "{route}");
    }
    desk.ask(
        "POST /migrate/cancel/{id}",
        &[migration],
        json!({ "reason": "a test" }),
    )
    .await;
    assert_eq!(state_of(desk, migration).await, "cancelled");
}

/// What arrived, the monitoring shows.
async fn probes_go_through_the_queue(desk: &Desk) {
    let before = depth(desk, "QUEUE_URL").await;
    let mut probes = Vec::new();
    for (route, body) in [
        ("POST /queue/test-publish", json!({})),
        ("POST /queue/test/publish", json!({ "queue": "batches" })),
        ("POST /queue/test-batch", json!({ "count": 3 })),
    ] {
        let sent = desk.ask(route, &[], body).await;
        let of_these = sent["probes"].as_array().expect("probes have ids").clone();
        probes.extend(of_these.into_iter().map(|probe| probe["probeId"].clone()));
    }
    assert_eq!((probes.len(), depth(desk, "QUEUE_URL").await), (5, before + 5));
    desk.ask("POST /queue/consumers/start", &[], json!({})).await;
    until("every probe has arrived", async || {
        let shown = desk.look("GET /queue/monitoring").await["probes"].take();
        let has_arrived = |id: &Value| {
            let is_it = |probe: &Value| probe["probeId"] == *id && probe["status"] == "arrived";
            shown.as_array().is_some_and(|shown| shown.iter().any(is_it))
        };
        probes.iter().all(has_arrived).then_some(())
    })
    .await;
    let health = desk.look("GET /queue/health").await;
    assert!(health["checks"].is_array(), "{health}");
}

/// A letter is back in the queue that it came from; what nobody needs any more is acknowledged there.
async fn dead_letters_go_back(desk: &Desk) {
    let completed: Vec<(u64, String)> = desk
        .deployment
        .rows("SELECT id, LOWER(HEX(migration_id)) FROM batch WHERE status = 'completed' ORDER BY id DESC LIMIT 1")
        .await;
    let (batch, migration) = &completed[0];
    let body = json!({ "v": 1, "batch_id": batch, "migration_id": migration }).to_string();
    let sending = aws_sdk_sqs::Client::new(&desk.deployment.aws)
        .send_message()
        .queue_url(variable("DLQ_URL"))
        .message_body(body);
    sending.send().await.unwrap();
    let before = depth(desk, "QUEUE_URL").await;
    let redriven = desk
        .ask("POST /queue/retry-dlq", &[], json!({ "reason": "a test" }))
        .await;
    assert!(redriven["found"].as_u64() >= Some(1), "{redriven}");
    until("the letter is in its queue again", async || {
        let depths = (depth(desk, "DLQ_URL").await, depth(desk, "QUEUE_URL").await);
        (depths == (0, before + 1)).then_some(())
    })
    .await;
}

async fn attempts_are_counted_from_now_on(desk: &Desk) {
    let stats = desk.look("GET /queue/workers/stats").await;
    let in_flight = desk
        .count("SELECT COUNT(*) FROM batch WHERE status = 'in_progress'")
        .await;
    assert_eq!(stats["inFlight"], in_flight, "{stats}");
    let reset = desk
        .ask(
            "POST /queue/workers/reset-counter",
            &[],
            json!({ "reason": "a test" }),
        )
        .await;
    assert_eq!(reset["counter"]["total"], 0, "{reset}");
    let marks = desk
        .count("SELECT COUNT(*) FROM control WHERE name = 'workers.counter' AND changed_at > UTC_TIMESTAMP(6) - INTERVAL 1 MINUTE")
        .await;
    assert!(marks >= 1, "the ledger knows since when");
}
