//! Batches that are too large for an invocation: for its temp directory, or for its time. They cost no attempt, and become
//! smaller by themselves.

use super::takeover::{exporter_behind, handed_off, let_it_be_reaped, warm_up};
use crate::stage::{APPLY, Document, EXPORTER_TIMEOUT, Function, Proxy, Stage, sqs_event};
use granary_domain::BatchStatus;
use std::time::Duration;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T12:00:00Z";
/// Less than a batch of a hundred messages takes, more than one of fifty.
const DISK_KIB: u64 = 20;
/// Of an invocation that is too short for two megabytes in pieces of 64 KiB, a quarter of a second each.
const TOO_SHORT: Duration = Duration::from_secs(5);
const UNCOMPRESSED: (&str, &str) = ("GRANARY_COMPRESSION", "none");
const ROUNDS_MAX: usize = 10;

/// Has one machine export what is sent until nothing is pending.
async fn export_by(stage: &Stage, exporter: &Function) {
    for _ in 0..ROUNDS_MAX {
        let exports = stage.export_all_by(exporter).await;
        assert_eq!(exports.errors.len(), 0, "{exports:?}");
        stage.let_delays_end().await;
        stage.reap().await;
        if stage.batches(BatchStatus::Pending).await == 0 {
            return;
        }
    }
    panic!("{:?}", stage.batches_by_status().await);
}

async fn outcomes(stage: &Stage) -> Vec<(String, Option<String>)> {
    stage
        .rows("SELECT outcome, error_code FROM attempt ORDER BY started_at, batch_id")
        .await
}

fn ended(outcome: &str, cause: Option<&str>) -> (String, Option<String>) {
    (outcome.to_owned(), cause.map(str::to_owned))
}

async fn sizes(stage: &Stage) -> Vec<(u32, u32)> {
    stage
        .rows("SELECT message_count, generation FROM batch ORDER BY id")
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e14_a_batch_that_does_not_fit_the_disk_twice_is_split_and_the_same_disk_has_room_for_its_halves() {
    let stage = Stage::with("split-disk", &[UNCOMPRESSED]).await;
    let messages = Document::many(100, 10..11);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let small = stage.another("exporter", &[]).with_files_of_at_most(DISK_KIB);
    export_by(&stage, &small).await;
    assert_eq!(sizes(&stage).await, [(50, 2), (50, 1)]);
    let too_large = ended("deferred", Some("spool"));
    let completed = ended("completed", None);
    assert_eq!(
        outcomes(&stage).await,
        [too_large.clone(), too_large, completed.clone(), completed]
    );
    assert_eq!(stage.queues.told().await, [""; 0], "nobody is needed");
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// The exporter can't reserve batch numbers: the reaper does, once all are used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e14_a_batch_is_split_although_the_last_batch_number_was_used() {
    let stage = Stage::with("split-number", &[UNCOMPRESSED]).await;
    let messages = Document::many(100, 10..11);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    stage
        .sql("UPDATE batch_number SET next_number = block_end + 1")
        .await;
    let small = stage.another("exporter", &[]).with_files_of_at_most(DISK_KIB);
    export_by(&stage, &small).await;
    assert_eq!(sizes(&stage).await, [(50, 2), (50, 1)]);
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// Everything is fetched, and S3 takes its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e9_a_batch_that_runs_out_of_time_twice_is_split_if_anything_of_it_was_fetched() {
    let stage = Stage::with("split-time", &[UNCOMPRESSED]).await;
    let text = "x".repeat(20_000);
    let message = |number: usize| {
        let id = format!("m-{number:02}");
        let body = format!(r#"{{"message_id":"{id}","created_at":"2026-03-01T10:30:00Z","text":"{text}"}}"#);
        Document::raw(&id, body)
    };
    let messages: Vec<Document> = (0..100).map(message).collect();
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let to_s3 = Proxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    let slow = exporter_behind(&stage, &to_s3, "AWS_ENDPOINT_URL").await;
    for pieces in [1, 2] {
        to_s3.slow(Duration::from_millis(250));
        let (queue, message) = stage.queues.receive().await.expect("it is sent");
        slow.invoke(sqs_event(&[(queue, &message)]), TOO_SHORT)
            .await
            .unwrap();
        // What the network still holds of the object is lost.
        to_s3.cut();
        stage.queues.delete(queue, &message).await;
        assert_eq!(sizes(&stage).await.len(), pieces);
        stage.let_delays_end().await;
        stage.reap().await;
    }
    assert_eq!(sizes(&stage).await, [(50, 2), (50, 1)]);
    let out_of_time = ended("handed_back", Some("deadline"));
    assert_eq!(outcomes(&stage).await, [out_of_time.clone(), out_of_time]);
    stage.run_until_quiet().await;
    stage.reap().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// A worker of the whole batch was taken for dead, and its PUT lands after the split. Neither half has its key, and all that
/// it holds is on record in theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e11_the_object_of_a_worker_that_held_the_whole_batch_goes_once_both_halves_are_on_record() {
    let settings = [
        ("GRANARY_LEASE_SECONDS", "900"),
        ("GRANARY_SWEEP_AGE_SECONDS", "0"),
        UNCOMPRESSED,
    ];
    let (stage, messages) = handed_off("split-late", 1, &settings).await;
    let to_s3 = Proxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    let old = exporter_behind(&stage, &to_s3, "AWS_ENDPOINT_URL").await;
    to_s3.stall();
    let (queue, message) = stage.queues.receive().await.expect("a batch was sent");
    let event = sqs_event(&[(queue, &message)]);
    let (_, ()) = tokio::join!(old.invoke(event, EXPORTER_TIMEOUT), async {
        to_s3.until_asked().await;
        old.freeze();
        let_it_be_reaped(&stage).await;
        let small = stage.another("exporter", &[]).with_files_of_at_most(1);
        warm_up(&small).await;
        for _ in 0..2 {
            stage.export_all_by(&small).await;
            stage.let_delays_end().await;
            stage.reap().await;
        }
        assert_eq!(sizes(&stage).await, [(5, 2), (5, 1)]);
        to_s3.restore();
        old.thaw();
        stage.bucket.until_it_has(1).await;
        // Not before: it may hold what the source has no more.
        stage.sweep(&APPLY).await;
        stage.reap().await;
        assert_eq!(stage.bucket.objects().await.len(), 1);
    });
    stage.queues.delete(queue, &message).await;
    stage.run_until_quiet().await;
    stage.reap().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
