//! What somebody tries first.

use super::deployment::clock_alone;
use super::{Deployment, Ticks};
use granary_archive::Archive;
use granary_domain::ObjectKey;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const MESSAGES: u64 = 100;

#[tokio::test]
async fn what_was_seeded_is_archived_by_the_clock_alone() {
    let deployment = Deployment::of_environment().await;
    let _alone = clock_alone().await;

    let without_token = deployment.ask(Method::GET, "/health", None, None).await;
    assert_eq!(without_token.status, StatusCode::UNAUTHORIZED);
    // The source of a stack that is new has no index before.
    let seeded = deployment
        .operate("/seed/some-model", json!({ "count": MESSAGES }))
        .await;
    let health = deployment.get("/health").await;
    assert_eq!(health["status"], "up", "{health}");

    let asked = deployment.post("/migrate", None).await;
    let migration = asked["migrationId"].as_str().expect("there is something to do");
    let stats = deployment.get("/queue/stats").await;
    assert!(stats["queues"]["batches"]["waiting"].is_u64(), "{stats}");
    let status = deployment.finish(migration, Ticks::Clock).await;

    assert!(
        status["progress"]["success"].as_u64() >= Some(MESSAGES),
        "{status}"
    );
    assert_eq!(status["open"], 0, "{status}");
    let stats = deployment.get("/queue/stats").await;
    assert!(stats["messages"]["success"].as_u64() >= Some(MESSAGES), "{stats}");
    assert_archived_once(&deployment, &seeded["seed"]).await;
}

/// Each seeded message is on record as completed, and is one line of the object that the record names.
async fn assert_archived_once(deployment: &Deployment, seed: &Value) {
    let query = format!(
        "SELECT CAST(message_id AS CHAR), status, object_key FROM message_status \
         WHERE message_id LIKE 'granary-seed-{seed}-%'"
    );
    let on_record: Vec<(String, String, Option<String>)> = deployment.rows(&query).await;
    assert_eq!(on_record.len() as u64, MESSAGES);
    let mut keys = BTreeSet::new();
    for (id, status, key) in on_record {
        assert_eq!(status, "completed", "{id}");
        keys.insert(key.unwrap_or_else(|| panic!("{id} is completed without an object")));
    }
    let archive = Archive::new(&deployment.aws, &deployment.bucket, deployment.layout.clone());
    let (prefix, mut lines) = (format!("granary-seed-{seed}-"), BTreeMap::<String, u32>::new());
    for key in keys {
        let key = ObjectKey::from_record(key);
        let read = archive.read_lines(&key, |id, _line| {
            if id.as_str().starts_with(&prefix) {
                *lines.entry(id.as_str().to_owned()).or_default() += 1;
            }
        });
        assert!(read.await.unwrap().is_some(), "{key} is on record and not there");
    }
    assert_eq!(lines.len() as u64, MESSAGES);
    assert!(lines.values().all(|count| *count == 1), "{lines:?}");
}
