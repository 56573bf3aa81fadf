//! Writing test data.

use crate::stage::{Stage, plain_mapping};
use serde_json::json;

#[tokio::test]
async fn every_write_may_be_repeated() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    stage.index("a", plain_mapping()).await;
    let messages = [("m1", "2026-03-01T09:00:00Z"), ("m2", "2026-03-01T09:00:00Z")];
    stage.write_messages(&index, &messages).await;
    stage.write_messages(&index, &messages).await;
    let all = json!({"match_all": {}});
    let mut ids = stage.writer.search_ids(&index, &all, 100).await.unwrap();
    ids.sort_unstable();
    assert_eq!(ids, ["m1", "m2"]);
    for _ in 0..2 {
        let summary = stage.writer.delete_ids(&index, &ids).await.unwrap();
        assert_eq!((summary.indexed, summary.failed.len()), (2, 0));
    }
    stage.writer.refresh(&[&index]).await.unwrap();
    assert!(
        stage
            .writer
            .search_ids(&index, &all, 100)
            .await
            .unwrap()
            .is_empty()
    );
    stage.writer.delete_index(&index).await.unwrap();
    stage.writer.delete_index(&index).await.unwrap();
    assert!(
        stage
            .writer
            .search_ids(&index, &all, 100)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn s2_a_failed_document_is_reported_without_its_content() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    let good = format!(
        "{}\n{}\n",
        json!({"index": {"_index": index, "_id": "good"}}),
        json!({"id": "x"})
    );
    let bad = format!(
        "{}\n{}\n",
        json!({"index": {"_index": index, "_id": "bad"}}),
        json!({"id": {"a": "secret"}})
    );
    let summary = stage.writer.bulk((good + &bad).into()).await.unwrap();
    assert_eq!((summary.indexed, summary.failed.len()), (1, 1));
    let failure = &summary.failed[0];
    assert_eq!((failure.doc_id.as_deref(), failure.status), (Some("bad"), 400));
    assert!(
        failure.reason.contains("exception") && !failure.reason.contains("secret"),
        "{}",
        failure.reason
    );
    stage.finish(&["a"]).await;
}
