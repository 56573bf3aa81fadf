//! One object that S3 refuses to give or to remove is a finding, and the job continues with the others.

use super::sweep::{AT_ONCE, post_sweep};
use super::tamper::{FROM, TO, archived, batch_of, manifest_of, only, repairs_of, verify};
use crate::stage::{APPLY, Asked, EXPORTER_TIMEOUT, Fault, HttpProxy, Said, Stage, request};
use granary_verify::{FindingKind, Verdict};
use serde_json::{Value, json};

const FOR_EVER: u64 = 1_000_000;

/// Ten hours of ten messages, archived, and S3 behind a proxy from now on.
async fn archived_behind_a_proxy(name: &str) -> (Stage, HttpProxy) {
    let (mut stage, _) = archived(name, &[AT_ONCE]).await;
    let proxy = HttpProxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    stage.tell(&[("AWS_ENDPOINT_URL_S3", &proxy.url)]);
    (stage, proxy)
}

/// From now on S3 refuses a method for a key.
fn refuse(proxy: &HttpProxy, method: &'static str, key: &str, said: Said) {
    let key = key.to_owned();
    let is_it = move |asked: &Asked| {
        let path = asked.path.replace("%3D", "=");
        let path = path.split('?').next().unwrap_or_default().to_owned();
        asked.method == method && path.ends_with(&key)
    };
    proxy.inject(Fault::Refuse(said), FOR_EVER, is_it);
}

async fn truncate(stage: &Stage, key: &str) {
    let mut body = stage.bucket.body(key).await;
    body.truncate(body.len() / 2);
    stage.bucket.put(key, body).await;
}

/// Has batches exported again, as an operator does.
async fn reset(stage: &Stage, hours: std::ops::Range<u32>) -> Value {
    let body = json!({
        "from": format!("2026-03-01T{}:00:00Z", hours.start),
        "to": format!("2026-03-01T{}:00:00Z", hours.end),
        "reason": "a test wants it",
    });
    let event = request("POST", "/migrate/reset-pending", &body.to_string());
    let answer = stage.operator.invoke(event, EXPORTER_TIMEOUT).await.unwrap();
    let answer: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    let operation = answer["operation"].clone();
    assert_eq!(operation["state"], "succeeded", "{answer}");
    operation["result"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_what_s3_refuses_to_give_is_a_finding_and_the_verification_continues() {
    let (stage, proxy) = archived_behind_a_proxy("refused-reads").await;
    let mut keys = Vec::new();
    for hour in 10..13 {
        keys.push(batch_of(&stage, hour).await.1);
    }
    refuse(&proxy, "GET", &keys[0], Said::by_s3_of("DEEP_ARCHIVE"));
    refuse(&proxy, "GET", &keys[1], Said::by_s3(403, "AccessDenied"));
    refuse(&proxy, "GET", &keys[2], Said::by_s3(400, "KMS.DisabledException"));
    let manifest = manifest_of(&stage, 13).await;
    refuse(&proxy, "GET", &manifest, Said::by_s3(403, "AccessDenied"));
    let (_, torn) = batch_of(&stage, 14).await;
    truncate(&stage, &torn).await;

    let report = verify(&stage, json!({"repair": true})).await;
    assert_eq!(report.verdict, Verdict::Incomplete);
    assert_eq!(report.account.findings.len(), 5, "{:#?}", report.account.findings);
    for (hour, key, said) in [
        (
            10,
            &keys[0],
            "InvalidObjectState, storage class DEEP_ARCHIVE: the object is in cold storage",
        ),
        (11, &keys[1], "AccessDenied: allow the role s3:GetObject"),
        (12, &keys[2], "KMS.DisabledException: enable the KMS key"),
    ] {
        let finding = only(&report, FindingKind::ObjectUnreadable, hour);
        assert_eq!(
            (finding.key.as_ref().unwrap().as_str(), finding.messages),
            (key.as_str(), 10)
        );
        assert!(finding.text.contains(said), "{}", finding.text);
        assert_eq!(finding.remedy, None, "a new export mends no permission");
    }
    let finding = only(&report, FindingKind::ManifestUnreadable, 13);
    assert_eq!(finding.key.as_ref().unwrap().as_str(), manifest);
    only(&report, FindingKind::ObjectCorrupt, 14);
    assert_eq!(repairs_of(&report), (0, 1, 0), "the torn one");
    assert_eq!(report.account.batches_checked, 10);

    let quick = verify(&stage, json!({"quick": true})).await;
    assert_eq!(quick.verdict, Verdict::Inconsistent);
    only(&quick, FindingKind::ManifestUnreadable, 13);

    proxy.restore();
    stage.run_until_quiet().await;
    let report = verify(&stage, json!({})).await;
    assert_eq!(
        (report.verdict, report.account.findings.len()),
        (Verdict::Complete, 0),
        "{report:#?}"
    );
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_a_replaced_object_that_s3_refuses_to_give_or_remove_is_kept_and_holds_nothing_up() {
    let (stage, proxy) = archived_behind_a_proxy("refused-removals").await;
    let mut old = Vec::new();
    for hour in 10..14 {
        old.push(batch_of(&stage, hour).await.1);
    }
    assert_eq!(reset(&stage, 10..14).await["asked"], 4);
    refuse(&proxy, "GET", &old[0], Said::by_s3_of("GLACIER"));
    refuse(&proxy, "GET", &old[1], Said::by_s3(403, "AccessDenied"));
    refuse(&proxy, "DELETE", &old[2], Said::by_s3(403, "AccessDenied"));
    stage.reap().await;
    stage.export_all().await;

    assert_eq!(stage.reap().await["superseded_removed"], 1, "the last one");
    let keys = stage.bucket.keys().await;
    let are_there: Vec<bool> = old.iter().map(|key| keys.contains(key)).collect();
    assert_eq!(are_there, [true, true, true, false]);
    let told: Vec<String> = stage
        .rows("SELECT text FROM alert WHERE kind = 'replaced_object_kept' ORDER BY id")
        .await;
    for ((text, key), said) in told.iter().zip(&old).zip([
        "can't be read (InvalidObjectState, storage class GLACIER",
        "can't be read (AccessDenied",
        "can't be removed (AccessDenied",
    ]) {
        assert!(text.contains(key) && text.contains(said), "{text}");
    }
    assert_eq!(told.len(), 3, "each once");
    only(&verify(&stage, json!({})).await, FindingKind::Kept, 10);

    proxy.restore();
    stage
        .sql("UPDATE superseded_object SET kept_at = kept_at - INTERVAL 2 HOUR")
        .await;
    assert_eq!(stage.reap().await["superseded_removed"], 3);
    let report = verify(&stage, json!({})).await;
    assert_eq!(
        (report.verdict, report.account.findings.len()),
        (Verdict::Complete, 0),
        "{report:#?}"
    );
    stage.finish().await;
}

/// What an unreadable object holds is what the ledger has on record for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_a_batch_whose_object_s3_refuses_to_give_is_exported_again_only_where_nothing_would_be_lost() {
    let (stage, proxy) = archived_behind_a_proxy("refused-again").await;
    for hour in 10..13 {
        let (_, key) = batch_of(&stage, hour).await;
        refuse(&proxy, "GET", &key, Said::by_s3(403, "AccessDenied"));
    }
    // Of the second hour, one is gone at the source.
    stage.indices.delete(&stage.indices.messages, "m-013").await;
    stage.indices.refresh(&stage.indices.messages).await;
    let result = reset(&stage, 10..14).await;
    assert_eq!(
        (&result["asked"], &result["wouldLoseBatches"]),
        (&json!(3), &json!(1)),
        "{result}"
    );
    let (batch, _) = batch_of(&stage, 11).await;
    assert_eq!(result["wouldLose"], json!([{"batch": batch, "messages": 1}]));
    proxy.restore();
    stage.run_until_quiet().await;
    stage
        .sql("UPDATE superseded_object SET kept_at = kept_at - INTERVAL 2 HOUR")
        .await;
    stage.reap().await;
    assert_eq!(stage.bucket.objects().await.len(), 10);
    assert_eq!(stage.verify(FROM, TO).await.verdict, Verdict::Drifted);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e12_what_s3_refuses_to_remove_is_named_by_the_sweep_which_continues() {
    let (stage, proxy) = archived_behind_a_proxy("refused-sweep").await;
    // Manifests of a generation that the batch has left behind.
    let mut stale = Vec::new();
    for hour in 10..13 {
        let manifest = manifest_of(&stage, hour).await;
        let account = stage.bucket.body(&manifest).await;
        stage
            .sql(&format!(
                "UPDATE batch SET generation = 3 WHERE HOUR(hour_start) = {hour}"
            ))
            .await;
        stage
            .bucket
            .put(&manifest.replace("-g1.", "-g3."), account.clone())
            .await;
        let manifest = manifest.replace("-g1.", "-g2.");
        stage.bucket.put(&manifest, account).await;
        stale.push(manifest);
    }
    refuse(&proxy, "DELETE", &stale[0], Said::by_s3(403, "AccessDenied"));
    let upload = stage
        .bucket
        .s3
        .create_multipart_upload()
        .bucket(&stage.bucket.name);
    let (_, key) = batch_of(&stage, 15).await;
    upload.key(&key).send().await.unwrap();
    refuse(&proxy, "DELETE", &key, Said::by_s3(403, "AccessDenied"));

    let swept = post_sweep(&stage, json!({"apply": true})).await;
    let result = &swept["result"];
    assert_eq!(result["manifests"]["keys"], json!(stale[1..]), "{swept}");
    assert_eq!(result["refused"]["keys"], json!([stale[0], key]), "{swept}");
    proxy.restore();
    let swept = stage.sweep(&APPLY).await;
    assert_eq!(
        (swept.manifests.count, swept.uploads.count, swept.refused.count),
        (1, 1, 0)
    );
    stage.finish_broken().await;
}
