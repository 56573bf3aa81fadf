//! Test data: at the source and in the ledger, and gone again.

use super::{Desk, until};
use reqwest::Method;
use serde_json::{Value, json};

/// How many documents the source has.
async fn documents(desk: &Desk) -> u64 {
    let index = &desk.deployment.index;
    let (refresh, count) = (format!("/{index}/_refresh"), format!("/{index}/_count"));
    desk.deployment
        .elasticsearch(Method::POST, &refresh, String::new())
        .await;
    let counted = desk
        .deployment
        .elasticsearch(Method::GET, &count, String::new())
        .await;
    counted.body["count"].as_u64().expect("the source counts")
}

pub(super) async fn seed_and_clear(desk: &Desk) {
    let before = documents(desk).await;
    desk.operate("POST /seed/some-model", &[], json!({ "count": 3 }))
        .await;
    desk.operate("POST /seed/bulk/{count}", &["4"], json!({})).await;
    desk.operate("POST /seed/all", &[], json!({ "count": 5, "jobs": 2 }))
        .await;
    assert_eq!(documents(desk).await, before + 12);
    let synthetic = "SELECT COUNT(*) FROM migration WHERE requested_by = 'granary_seed'";
    let job_status = desk
        .ask("POST /seed/job-status", &[], json!({ "count": 4 }))
        .await;
    assert_eq!(
        job_status["synthetic"]["migrations"],
        desk.count(synthetic).await,
        "{job_status}"
    );
    let stats = desk.look("GET /seed/stats").await;
    assert_eq!(stats["synthetic"], job_status["synthetic"], "{stats}");

    what_nobody_needs_is_foretold(desk).await;
    for clear in ["DELETE /seed/clear", "POST /seed/clear"] {
        desk.operate(clear, &[], json!({ "confirm": "yes-clear-all-data" }))
            .await;
    }
    until("nothing that was seeded is left", async || {
        let left = desk
            .count("SELECT COUNT(*) FROM message WHERE message_id LIKE 'granary-seed-%'")
            .await;
        (left + desk.count(synthetic).await == 0).then_some(())
    })
    .await;
}

/// Objects that nobody has on record, and sealed hours: asked about, and left alone.
async fn what_nobody_needs_is_foretold(desk: &Desk) {
    let swept: Value = desk.operate("POST /sweep", &[], json!({})).await;
    assert!(swept.is_object(), "{swept}");
    for route in ["POST /sweep/discard", "POST /sweep/adopt"] {
        let foreign = json!({ "key": "nothing/batch-1-g1.ndjson", "dryRun": true });
        let refused = desk.answer(route, &[], foreign).await;
        assert_eq!(refused.status.as_u16(), 400, "{refused:?}");
    }
    let confirmed = desk
        .answer("POST /sweep/confirm-restored", &[], json!({ "dryRun": true }))
        .await;
    assert!(confirmed.status.is_success(), "{confirmed:?}");
    assert_eq!(confirmed.body["restored"], Value::Null, "{confirmed:?}");
    let tested = desk
        .answer("POST /alerts/test", &[], json!({ "dryRun": true }))
        .await;
    assert!(tested.status.is_success(), "{tested:?}");
    let purged = desk
        .answer(
            "POST /purge",
            &[],
            json!({ "before": "2020-01-01T00:00:00Z", "dryRun": true }),
        )
        .await;
    assert!(purged.status.is_success(), "{purged:?}");
}
