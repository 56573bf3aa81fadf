//! S3 throttles, fails, and fails after it has done what it was asked; parts of an upload too.

use super::{FROM, TO, assert_archived_in_peace, assert_recovered, deferred, harvested};
use crate::stage::{Asked, Document, Fault, FunctionError, HttpProxy, Said, Stage};
use serde_json::json;

const FOR_EVER: u64 = 1_000_000;
/// As often as one call is tried.
const TRIES: u64 = 5;

async fn behind_a_proxy(name: &str, settings: &[(&str, &str)]) -> (Stage, HttpProxy) {
    let mut stage = Stage::with(name, settings).await;
    let proxy = HttpProxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    stage.tell(&[("AWS_ENDPOINT_URL_S3", &proxy.url)]);
    (stage, proxy)
}

fn is_manifest(asked: &Asked) -> bool {
    asked.method == "PUT" && asked.path.contains("/_manifests/")
}

/// The whole of an object.
fn is_object(asked: &Asked) -> bool {
    let is_beside = ["/_manifests/", "/_ledger/", "partNumber"]
        .iter()
        .any(|part| asked.path.contains(part));
    asked.method == "PUT" && !is_beside
}

fn is_begin(asked: &Asked) -> bool {
    asked.method == "POST" && asked.path.contains("?uploads")
}

fn is_second_part(asked: &Asked) -> bool {
    asked.method == "PUT" && asked.path.contains("partNumber=2")
}

fn is_complete(asked: &Asked) -> bool {
    asked.method == "POST" && asked.path.contains("uploadId")
}

fn count(proxy: &HttpProxy, applies: fn(&Asked) -> bool) -> usize {
    proxy.asked().iter().filter(|asked| applies(asked)).count()
}

/// Three megabytes of text that doesn't compress well, in each of four messages of one hour.
async fn large(stage: &Stage) -> Vec<Document> {
    let message = |number: u32| {
        let id = format!("large-{number}");
        let text: String = (0..96_000u64)
            .map(|place| {
                format!(
                    "{:032x}",
                    u128::from(place + 1) * u128::from(number + 7) * 0x9e37_79b9_7f4a_7c15
                )
            })
            .collect();
        let body =
            json!({"message_id": id, "created_at": format!("2026-03-01T10:0{number}:00Z"), "text": text});
        Document::raw(&id, body.to_string())
    };
    let messages: Vec<_> = (0..4).map(message).collect();
    for message in &messages {
        stage.index_messages(std::slice::from_ref(message)).await;
    }
    stage.backfill(FROM, TO).await;
    assert_eq!(stage.harvest().await["batches_sent"], 1);
    messages
}

/// E12: whatever S3 says, for longer than a call is tried, and for each kind of call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e12_trouble_that_lasts_defers_and_costs_no_attempt_whatever_it_is() {
    let (stage, proxy) = behind_a_proxy("s3-lasting", &[]).await;
    let messages = harvested(&stage).await;
    let faults = [
        (
            is_object as fn(&Asked) -> bool,
            Fault::Refuse(Said::by_s3(503, "SlowDown")),
        ),
        (is_object, Fault::Refuse(Said::by_s3(500, "InternalError"))),
        (is_object, Fault::Refuse(Said::by_s3(409, "OperationAborted"))),
        (is_manifest, Fault::Refuse(Said::by_s3(503, "SlowDown"))),
    ];
    let mut times = 0;
    for (applies, fault) in faults {
        proxy.inject(fault, FOR_EVER, applies);
        let exports = stage.export_one().await;
        assert_eq!(
            (exports.acknowledged, exports.errors.len()),
            (1, 0),
            "{exports:?}"
        );
        times += 1;
        assert_eq!(deferred(&stage, "archive_unavailable").await, times);
        proxy.restore();
        stage.let_delays_end().await;
        stage.reap().await;
    }
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}

/// E12, E13: 500 once, and the next try finds its own object; 500 as often as it is tried, and the next attempt does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e12_an_object_that_was_written_before_s3_said_500_is_adopted() {
    let (stage, proxy) = behind_a_proxy("s3-done", &[]).await;
    let messages = harvested(&stage).await;
    for (tries, deferrals) in [(1, 0), (TRIES, 1)] {
        let failed = Said::by_s3(500, "InternalError");
        proxy.inject(Fault::DoAndSay(failed), tries, is_object);
        assert_eq!(stage.export_one().await.acknowledged, 1);
        assert_eq!(deferred(&stage, "archive_unavailable").await, deferrals);
        proxy.restore();
    }
    stage.let_delays_end().await;
    let before = count(&proxy, is_object);
    assert_recovered(&stage, &messages).await;
    assert_eq!(
        count(&proxy, is_object) - before,
        2,
        "the other two, and the deferred one not again"
    );
    stage.finish().await;
}

/// E12: a manifest is written after its object; the object is there already when its turn comes again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e12_a_manifest_whose_answer_is_lost_again_and_again_stands_in_the_end() {
    let (stage, proxy) = behind_a_proxy("s3-manifest", &[]).await;
    let messages = harvested(&stage).await;
    proxy.inject(
        Fault::DoAndSay(Said::by_s3(500, "InternalError")),
        TRIES,
        is_manifest,
    );
    let exports = stage.export_one().await;
    assert_eq!(
        (
            exports.acknowledged,
            deferred(&stage, "archive_unavailable").await
        ),
        (1, 1)
    );
    stage.let_delays_end().await;
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}

/// E12: each call of a multipart upload fails in its turn, for as long as it is tried. What was begun is aborted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e12_an_upload_in_parts_that_fails_is_aborted_deferred_and_done_again() {
    let (stage, proxy) = behind_a_proxy("s3-parts", &[("GRANARY_COMPRESSION", "none")]).await;
    let messages = large(&stage).await;
    let mut times = 0;
    // S3 answers 200 before it has completed an upload, and says in the body that it failed.
    for (applies, said) in [
        (is_begin as fn(&Asked) -> bool, Said::by_s3(503, "SlowDown")),
        (is_second_part, Said::by_s3(503, "SlowDown")),
        (is_complete, Said::by_s3(503, "SlowDown")),
        (is_complete, Said::by_s3(200, "InternalError")),
    ] {
        proxy.inject(Fault::Refuse(said), TRIES, applies);
        let exports = stage.export_one().await;
        assert_eq!(
            (exports.acknowledged, exports.errors.len()),
            (1, 0),
            "{exports:?}"
        );
        times += 1;
        assert_eq!(deferred(&stage, "archive_unavailable").await, times);
        assert_eq!(stage.bucket.archive.unfinished_uploads().await.unwrap().len(), 0);
        assert_eq!(stage.bucket.keys().await.len(), 0);
        stage.let_delays_end().await;
        stage.reap().await;
    }
    // Once each: the call itself is tried again.
    for applies in [is_begin as fn(&Asked) -> bool, is_second_part, is_complete] {
        proxy.inject(Fault::Refuse(Said::by_s3(500, "InternalError")), 1, applies);
    }
    let conflict = Said::by_s3(409, "ConditionalRequestConflict");
    proxy.inject(Fault::Refuse(conflict), 1, is_complete);
    assert_recovered(&stage, &messages).await;
    assert_eq!(stage.bucket.archive.unfinished_uploads().await.unwrap().len(), 0);
    stage.finish().await;
}

/// E12, E13: the object stands, and S3 says that it couldn't complete it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_an_upload_in_parts_that_was_completed_before_s3_said_500_is_adopted() {
    let (stage, proxy) = behind_a_proxy("s3-completed", &[("GRANARY_COMPRESSION", "none")]).await;
    let messages = large(&stage).await;
    proxy.inject(
        Fault::DoAndSay(Said::by_s3(500, "InternalError")),
        TRIES,
        is_complete,
    );
    assert_eq!(stage.export_one().await.acknowledged, 1);
    assert_eq!(stage.bucket.objects().await.len(), 1, "it stands");
    stage.let_delays_end().await;
    assert_recovered(&stage, &messages).await;
    assert_eq!(count(&proxy, is_begin), 1, "it went up once");
    assert_eq!(stage.bucket.archive.unfinished_uploads().await.unwrap().len(), 0);
    stage.finish().await;
}

/// E13: parts and all, and then the worker dies before the ledger knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_an_upload_in_parts_whose_settlement_was_lost_is_adopted_by_the_next_attempt() {
    let (stage, proxy) = behind_a_proxy("s3-unsettled", &[("GRANARY_COMPRESSION", "none")]).await;
    let messages = large(&stage).await;
    let doomed = stage.another("exporter", &[("GRANARY_FAULT", "settle_batch:before")]);
    let exports = stage.export_all_by(&doomed).await;
    assert!(
        matches!(exports.errors[..], [FunctionError::Exited(_)]),
        "{exports:?}"
    );
    assert_eq!(stage.bucket.objects().await.len(), 1);
    stage.let_leases_end().await;
    stage.reap().await;
    stage.let_delays_end().await;
    stage.let_visibility_end(&exports).await;
    stage.run_until_quiet().await;
    assert_archived_in_peace(&stage, &messages).await;
    assert_eq!(count(&proxy, is_begin), 1, "it went up once");
    stage.finish().await;
}

/// E12: an upload that a dead worker left behind is nothing that anybody reads, and doesn't keep its batch from its key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e12_an_orphan_upload_is_no_object_and_stands_in_nobodys_way() {
    let (stage, _proxy) = behind_a_proxy("s3-orphan", &[("GRANARY_COMPRESSION", "none")]).await;
    let messages = large(&stage).await;
    let doomed = stage.another("exporter", &[("GRANARY_FAULT", "complete_upload:before")]);
    let exports = stage.export_all_by(&doomed).await;
    assert_eq!(exports.errors.len(), 1, "{exports:?}");
    let orphans = stage.bucket.archive.unfinished_uploads().await.unwrap();
    assert_eq!((orphans.len(), stage.bucket.keys().await.len()), (1, 0));
    stage.let_leases_end().await;
    stage.reap().await;
    stage.let_delays_end().await;
    stage.let_visibility_end(&exports).await;
    stage.run_until_quiet().await;
    assert_archived_in_peace(&stage, &messages).await;
    stage.finish().await;
}
