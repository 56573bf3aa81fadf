//! The end of the pipe: batches that nothing takes from their queue, with the cause that people can remove. Each cause is told
//! once, and once when it is gone.

use super::queue_desk::ask;
use crate::stage::{Document, Proxy, REAPER_TIMEOUT, Stage};
use granary_domain::{BatchId, Priority};
use granary_ledger::export::Claim;
use granary_ledger::harvest::NewMigration;
use granary_ledger::settings::Stage as Part;
use serde_json::json;
use std::time::{Duration, Instant};

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T11:00:00Z";
const NOBODY: [&str; 0] = [];
const LEASE: Duration = Duration::from_secs(90);
/// With one request to SQS that isn't answered.
const TICK_SECS_MAX: u64 = 60;

/// One batch that is to be exported, in the queue of its priority.
async fn sent(stage: &Stage, priority: u8) -> Vec<Document> {
    let messages = Document::many(100, 10..11);
    stage.index_messages(&messages).await;
    let migration = NewMigration {
        id: granary_domain::MigrationId::new(),
        kind: granary_domain::MigrationKind::Backfill,
        priority: Priority::try_from(priority).unwrap(),
        batch_size: 1_000,
        filter: None,
        from: FROM.parse().unwrap(),
        to: Some(TO.parse().unwrap()),
        requested_by: "test".into(),
    };
    stage.migrate(&migration).await;
    stage.harvest().await;
    messages
}

/// A stage whose functions know its switches.
async fn with_switches(name: &str) -> Stage {
    let mut stage = Stage::new(name).await;
    let settings = stage.switches().await.settings();
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    stage.tell(&settings);
    stage
}

impl Stage {
    /// Lets time pass for what the reaper saw waiting.
    async fn let_waits_last(&self, minutes: u32) {
        let observed = "WHERE name LIKE 'waiting.%'";
        self.sql(&format!(
            "UPDATE control SET changed_at = changed_at - INTERVAL {minutes} MINUTE {observed}"
        ))
        .await;
        self.sql(&format!(
            "UPDATE batch SET claimed_at = claimed_at - INTERVAL {minutes} MINUTE"
        ))
        .await;
    }

    /// Makes every batch one of the continuous migration, sent so long ago.
    async fn let_continuous_batches_wait(&self, minutes: u32) {
        self.sql(&format!(
            "UPDATE batch SET migration_id = (SELECT id FROM migration WHERE kind = 'continuous'), \
             enqueued_at = UTC_TIMESTAMP(6) - INTERVAL {minutes} MINUTE"
        ))
        .await;
    }

    /// What one tick of the reaper tells people.
    async fn told_by_a_tick(&self) -> Vec<String> {
        self.reap().await;
        self.queues.told().await
    }

    /// Tells nothing at 9 minutes and one thing at 11, with all of these in its text.
    async fn assert_stalled_after_ten_minutes(&self, texts: &[&str]) {
        assert_eq!(self.told_by_a_tick().await, NOBODY);
        self.let_waits_last(9).await;
        assert_eq!(self.told_by_a_tick().await, NOBODY);
        self.let_waits_last(2).await;
        let told = self.told_by_a_tick().await;
        assert_told(&told, texts);
        assert_eq!(self.told_by_a_tick().await, NOBODY, "once");
    }

    async fn assert_stall_is_over(&self, cause: &str) {
        assert_told(&self.told_by_a_tick().await, &[cause, "resolved"]);
        assert_eq!(self.told_by_a_tick().await, NOBODY, "once");
    }

    async fn end_archived(self, messages: &[Document]) {
        self.run_until_quiet().await;
        self.assert_archived(messages, FROM, TO).await;
        self.finish().await;
    }
}

fn assert_told(told: &[String], texts: &[&str]) {
    assert_eq!(told.len(), 1, "{told:?}");
    for text in texts {
        assert!(told[0].contains(text), "{text:?} is not in {}", told[0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_a_trigger_that_is_off_is_told_after_ten_minutes_and_once_when_batches_are_claimed_again() {
    let stage = with_switches("stalled-trigger").await;
    let (status, answer) = ask(&stage.operator, "POST", "/queue/consumers/stop", &json!({})).await;
    assert_eq!((status, &answer["status"]), (200, &json!("stopped")), "{answer}");
    let messages = sent(&stage, 7).await;
    stage
        .assert_stalled_after_ten_minutes(&[
            "batches-priority for 11 minutes",
            "the trigger of batches-priority is Disabled",
            "granary queue consumers start",
        ])
        .await;
    let open = stage.look_at("/alerts?open=true").await;
    assert_eq!(
        (&open["alerts"][0]["kind"], &open["alerts"][0]["cause"]),
        (&json!("export_stalled"), &json!("trigger_off")),
        "{open}"
    );
    stage.export_all().await;
    stage.assert_stall_is_over("trigger_off").await;
    stage.end_archived(&messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_an_exporter_that_may_not_run_is_told_as_throttled() {
    let stage = with_switches("stalled-throttled").await;
    stage.switches().await.let_no_exporter_run().await;
    let messages = sent(&stage, 7).await;
    stage
        .assert_stalled_after_ten_minutes(&["reserved concurrency is 0", "delete-function-concurrency"])
        .await;
    stage.ledger_claims_everything().await;
    stage.assert_stall_is_over("exporter_throttled").await;
    let (status, _) = ask(&stage.operator, "POST", "/queue/consumers/stop", &json!({})).await;
    assert_eq!(status, 200);
    stage.let_leases_end().await;
    stage.end_archived(&messages).await;
}

/// No trigger takes from the ordinary queue of a stage: the tests do. A tick that can't look leaves the alert as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_a_queue_without_a_trigger_is_told_until_it_is_known_to_be_over() {
    let stage = with_switches("stalled-none").await;
    let messages = sent(&stage, 0).await;
    stage
        .assert_stalled_after_ten_minutes(&["batches for 11 minutes", "batches has no trigger"])
        .await;
    let unknowing = stage.another("reaper", &[("GRANARY_EXPORTER_FUNCTION", "")]);
    unknowing.invoke(json!({}), REAPER_TIMEOUT).await.unwrap();
    assert_eq!(stage.queues.told().await, NOBODY);
    unknowing.kill().await;
    stage.export_all().await;
    stage.assert_stall_is_over("trigger_off").await;
    stage.end_archived(&messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_a_queue_whose_trigger_nobody_can_look_at_is_told_as_unclaimed() {
    let stage = Stage::new("stalled-unknown").await;
    let messages = sent(&stage, 0).await;
    stage
        .assert_stalled_after_ten_minutes(&["batches for 11 minutes", "the cause is unknown"])
        .await;
    stage.export_all().await;
    stage.assert_stall_is_over("unclaimed").await;
    stage.end_archived(&messages).await;
}

/// SQS refuses one queue, and the trigger of the other is off: both are told, and each ends by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_two_causes_at_once_are_both_told() {
    let stage = with_switches("stalled-both").await;
    let messages = sent(&stage, 0).await;
    stage
        .assert_stalled_after_ten_minutes(&["batches for 11 minutes", "batches has no trigger"])
        .await;
    stage.queues.delete_queue(&stage.queues.priority).await;
    let urgent = "UPDATE batch SET priority = 7, enqueued_at = NULL ORDER BY id DESC LIMIT 1";
    let more = [Document::message("urgent", "2026-03-01T12:00:00Z")];
    stage.index_messages(&more).await;
    stage
        .backfill("2026-03-01T12:00:00Z", "2026-03-01T13:00:00Z")
        .await;
    stage.harvest().await;
    stage.sql(urgent).await;
    assert_told(
        &stage.told_by_a_tick().await,
        &["queue_fails", "NonExistentQueue"],
    );
    stage.queues.make_again(&stage.queues.priority).await;
    stage.assert_stall_is_over("queue_fails").await;
    stage.export_all().await;
    stage.assert_stall_is_over("trigger_off").await;
    stage.run_until_quiet().await;
    let all = [messages, more.to_vec()].concat();
    stage.assert_archived(&all, FROM, "2026-03-01T13:00:00Z").await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_a_queue_that_is_gone_is_told_at_once_and_its_batches_are_sent_when_it_is_back() {
    let stage = Stage::new("stalled-gone").await;
    stage.queues.delete_queue(&stage.queues.normal).await;
    let messages = sent(&stage, 0).await;
    let told = stage.told_by_a_tick().await;
    assert_told(
        &told,
        &[
            "SQS refused SendMessage",
            "NonExistentQueue",
            "deploy the stack again",
        ],
    );
    assert_eq!(stage.told_by_a_tick().await, NOBODY, "once");
    stage.queues.make_again(&stage.queues.normal).await;
    stage.assert_stall_is_over("queue_fails").await;
    assert_eq!(stage.queues.depth(&stage.queues.normal).await, 1);
    stage.end_archived(&messages).await;
}

/// An SQS that takes requests and doesn't answer: what dead workers held is taken back and people are told within a tick,
/// and after ten minutes they are told of the queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_a_queue_that_does_not_answer_holds_up_no_reaping_and_no_alert() {
    let mut stage = Stage::new("stalled-silent").await;
    let network = Proxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    let messages = sent(&stage, 0).await;
    stage.ledger_claims_everything().await;
    stage.let_leases_end().await;
    stage.tell(&[("AWS_ENDPOINT_URL_SQS", &network.url())]);
    network.stall();
    stage
        .ledger
        .raise_alert("archive_conflict", "7.1", "archive_conflict", "an object")
        .await
        .unwrap();
    let began = Instant::now();
    let tick = stage.reap().await;
    let lasted = began.elapsed().as_secs();
    assert!(lasted < TICK_SECS_MAX, "{lasted} s");
    assert_eq!(
        (
            &tick["reaped"],
            &tick["retried"],
            &tick["sent"],
            &tick["published"]
        ),
        (&json!(1), &json!(1), &json!(0), &json!(1)),
        "{tick}"
    );
    assert_told(&stage.queues.told().await, &["an object"]);
    network.cut();
    stage.let_waits_last(11).await;
    assert_told(
        &stage.told_by_a_tick().await,
        &["SQS is unavailable", "sent by themselves"],
    );
    for _ in 0..3 {
        assert_eq!(stage.told_by_a_tick().await, NOBODY, "it lasts");
    }
    network.restore();
    stage.assert_stall_is_over("queue_fails").await;
    stage.end_archived(&messages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_a_pause_of_a_day_and_a_continuous_batch_behind_a_backlog_are_told() {
    let stage = Stage::new("stalled-paused").await;
    let messages = sent(&stage, 0).await;
    let reason = Some("the index is rebuilt");
    stage
        .ledger
        .pause_because(Part::Export, "ann", reason)
        .await
        .unwrap();
    let let_hours_pass = async |hours: u32| {
        let paused = "WHERE name = 'export.paused'";
        stage
            .sql(&format!(
                "UPDATE control SET changed_at = changed_at - INTERVAL {hours} HOUR {paused}"
            ))
            .await;
    };
    let_hours_pass(23).await;
    assert_eq!(stage.told_by_a_tick().await, NOBODY);
    let_hours_pass(2).await;
    assert_told(
        &stage.told_by_a_tick().await,
        &[
            "the export has been paused since",
            "by ann: the index is rebuilt",
            "granary resume",
        ],
    );
    stage.ledger.resume(Part::Export).await.unwrap();
    stage.assert_stall_is_over("export_paused").await;

    stage.let_continuous_batches_wait(31).await;
    assert_told(
        &stage.told_by_a_tick().await,
        &[
            "of the continuous migration has waited since",
            "(31 minutes)",
            "ExporterConcurrency",
        ],
    );
    stage.export_all().await;
    stage.assert_stall_is_over("backlog").await;
    stage.end_archived(&messages).await;
}

/// After a standstill, a batch has waited for long before exporters can reach it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_what_waited_through_a_standstill_is_no_backlog_until_half_an_hour_after_it() {
    let stage = Stage::new("stalled-after").await;
    let messages = sent(&stage, 0).await;
    stage
        .assert_stalled_after_ten_minutes(&["batches for 11 minutes", "the cause is unknown"])
        .await;
    stage.let_continuous_batches_wait(45).await;
    stage.sql("UPDATE batch SET claimed_at = UTC_TIMESTAMP(6)").await;
    stage.assert_stall_is_over("unclaimed").await;
    stage
        .sql(
            "UPDATE alert SET created_at = created_at - INTERVAL 31 MINUTE WHERE kind = 'export_stalled_over'",
        )
        .await;
    assert_told(
        &stage.told_by_a_tick().await,
        &["of the continuous migration has waited since", "(45 minutes)"],
    );
    stage.export_all().await;
    stage.assert_stall_is_over("backlog").await;
    stage.end_archived(&messages).await;
}

impl Stage {
    /// Every batch that waits is in somebody's hands, who is never heard of again.
    async fn ledger_claims_everything(&self) {
        let waiting: Vec<u64> = self.rows("SELECT id FROM batch WHERE status = 'pending'").await;
        assert!(!waiting.is_empty());
        for batch in waiting {
            let claimed = self
                .ledger
                .claim(BatchId(batch), "somebody", LEASE)
                .await
                .unwrap();
            assert!(matches!(claimed, Claim::Won(_)), "{claimed:?}");
        }
    }
}
