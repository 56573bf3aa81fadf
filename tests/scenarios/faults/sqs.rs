//! SQS takes some messages and not others, none at all, or all and doesn't say so.

use super::{FROM, TO, assert_recovered, harvested, indexed};
use crate::stage::{Asked, Fault, FunctionError, HttpProxy, REAPER_TIMEOUT, Said, Stage};
use serde_json::{Value, json};

const FOR_EVER: u64 = 1_000_000;

/// Batches of ten messages, so that there are forty to send.
async fn behind_a_proxy(name: &str) -> (Stage, HttpProxy) {
    let mut stage = Stage::with(name, &[("GRANARY_BATCH_SIZE", "10")]).await;
    let proxy = HttpProxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    stage.tell(&[("AWS_ENDPOINT_URL_SQS", &proxy.url)]);
    (stage, proxy)
}

fn is_send(asked: &Asked) -> bool {
    asked.target.ends_with(".SendMessageBatch")
}

fn is_depth(asked: &Asked) -> bool {
    asked.target.ends_with(".GetQueueAttributes")
}

fn unavailable() -> Said {
    Said {
        status: 503,
        headers: vec![("content-type", "application/x-amz-json-1.0".into())],
        body: json!({"__type": "com.amazonaws.sqs#ServiceUnavailable", "message": "said by the proxy"})
            .to_string(),
    }
}

fn refused(code: &str) -> Said {
    Said {
        status: 403,
        body: json!({"__type": format!("com.amazon.coral.service#{code}"), "message": "said by the proxy"})
            .to_string(),
        ..unavailable()
    }
}

/// Half of what was sent is said to have failed.
fn fail_some(answer: &mut Value) {
    let sent = answer["Successful"].as_array_mut().unwrap();
    let failed: Vec<Value> = sent
        .split_off(sent.len() / 2)
        .into_iter()
        .map(|entry| json!({"Id": entry["Id"], "Code": "InternalError", "SenderFault": false}))
        .collect();
    answer["Failed"] = json!(failed);
}

async fn unsent(stage: &Stage) -> u64 {
    stage
        .row("SELECT COUNT(*) FROM batch WHERE status = 'pending' AND enqueued_at IS NULL")
        .await
}

/// Q4, E10: what SQS says it didn't take is sent again, whether it took it or not. A message too many is harmless.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q4_batches_that_sqs_did_not_take_are_sent_again_and_the_others_are_not() {
    let (stage, proxy) = behind_a_proxy("sqs-some").await;
    let messages = indexed(&stage).await;
    proxy.inject(Fault::Edit(fail_some), FOR_EVER, is_send);
    stage.backfill(FROM, TO).await;
    let sent = stage.harvest().await["batches_sent"].as_u64().unwrap();
    let left = unsent(&stage).await;
    assert!(
        sent > 0 && left > 0 && sent + left == 40,
        "{sent} sent, {left} left"
    );
    proxy.restore();
    assert_eq!(stage.reap().await["sent"], left, "exactly those");
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}

/// Q4, Q3: nothing can be sent for a while. What is recorded stays recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q4_a_queue_that_takes_nothing_delays_the_batches_and_nothing_else() {
    let (stage, proxy) = behind_a_proxy("sqs-none").await;
    let messages = indexed(&stage).await;
    proxy.inject(Fault::Refuse(unavailable()), FOR_EVER, |_| true);
    stage.backfill(FROM, TO).await;
    let report = stage.harvest().await;
    assert_eq!(
        (&report["tally"]["recorded"], &report["batches_sent"]),
        (&json!(400), &json!(0))
    );
    // The reaper's other steps are done all the same.
    let outcome = stage.reaper.invoke(json!({}), REAPER_TIMEOUT).await;
    if let Err(error) = outcome {
        assert!(matches!(error, FunctionError::Returned { .. }), "{error:?}");
    }
    assert_eq!(unsent(&stage).await, 40);
    proxy.restore();
    assert_eq!(stage.reap().await["sent"], 40);
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}

/// Field case 27: a signature or a token is too old, once after a thaw and for as long as the clock is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q4_a_signature_or_a_token_that_is_too_old_delays_the_batches_and_nothing_else() {
    let (stage, proxy) = behind_a_proxy("sqs-clock").await;
    let messages = indexed(&stage).await;
    proxy.inject(
        Fault::Refuse(refused("InvalidSignatureException")),
        FOR_EVER,
        |_| true,
    );
    stage.backfill(FROM, TO).await;
    assert_eq!(stage.harvest().await["batches_sent"], 0);
    proxy.restore();
    proxy.inject(Fault::Refuse(refused("ExpiredTokenException")), 1, is_send);
    assert_eq!(stage.reap().await["sent"], 40, "it is signed again at once");
    assert_recovered(&stage, &messages).await;
    let counted: u64 = stage
        .row("SELECT COUNT(*) FROM attempt WHERE outcome <> 'completed'")
        .await;
    assert_eq!(counted, 0);
    stage.finish().await;
}

/// E10, Q4: SQS took everything and its answer got lost, so everything is sent again, and comes more than once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e10_batches_that_were_sent_before_sqs_said_503_are_exported_once_each() {
    let (stage, proxy) = behind_a_proxy("sqs-done").await;
    let messages = indexed(&stage).await;
    proxy.inject(Fault::DoAndSay(unavailable()), 6, is_send);
    proxy.inject(Fault::BreakOffAfter { bytes: 10 }, 2, is_send);
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    stage.reap().await;
    let depth = stage.queues.depth(&stage.queues.normal).await;
    assert!(depth > 40, "{depth} messages for 40 batches");
    assert_recovered(&stage, &messages).await;
    let attempts: u64 = stage.row("SELECT COUNT(*) FROM attempt").await;
    assert_eq!(attempts, 40);
    stage.finish().await;
}

/// Q3: nobody knows how long the queue is. Then nothing counts as lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q3_a_queue_whose_length_cannot_be_had_makes_nobody_send_again() {
    let (stage, proxy) = behind_a_proxy("sqs-length").await;
    let messages = harvested_in_tens(&stage).await;
    stage
        .sql("UPDATE batch SET enqueued_at = UTC_TIMESTAMP(6) - INTERVAL 3 HOUR")
        .await;
    proxy.inject(Fault::Refuse(unavailable()), FOR_EVER, is_depth);
    // It may say so; it must not guess.
    let outcome = stage.try_reap().await;
    assert!(
        outcome.is_ok() || matches!(outcome, Err(FunctionError::Returned { .. })),
        "{outcome:?}"
    );
    assert_eq!(stage.queues.depth(&stage.queues.normal).await, 40);
    proxy.restore();
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}

async fn harvested_in_tens(stage: &Stage) -> Vec<crate::stage::Document> {
    let messages = indexed(stage).await;
    stage.backfill(FROM, TO).await;
    assert_eq!(stage.harvest().await["batches_sent"], 40);
    messages
}

/// Q1, E10: the exporter wants to shorten a message's wait, and SQS doesn't let it. It comes back all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn q1_an_unreadable_message_whose_wait_cannot_be_shortened_goes_back_all_the_same() {
    let mut stage = Stage::new("sqs-postpone").await;
    let proxy = HttpProxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    stage.tell(&[("AWS_ENDPOINT_URL_SQS", &proxy.url)]);
    let messages = harvested(&stage).await;
    proxy.inject(Fault::Refuse(unavailable()), FOR_EVER, |asked| {
        asked.target.ends_with(".ChangeMessageVisibility")
    });
    stage.queues.send(&stage.queues.normal, "{\"v\":99}").await;
    let exports = stage.export_all().await;
    assert_eq!(
        (exports.acknowledged, exports.returned.len(), exports.errors.len()),
        (4, 1, 0)
    );
    stage.queues.purge(&stage.queues.normal).await;
    proxy.restore();
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    assert_eq!(stage.queues.told().await.len(), 1, "people know of the message");
    stage.finish().await;
}
