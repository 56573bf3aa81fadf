//! Batches that keep failing: what they fail over is named and set aside, and the rest ships.

use super::takeover::{self, let_it_be_reaped};
use crate::stage::{Asked, Document, Exports, Fault, Function, HttpProxy, Proxy, Said, Stage};
use granary_domain::{BatchId, BatchStatus, MessageId};
use granary_ledger::export::Claim;
use granary_verify::{FindingKind, Verdict};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(super) const FROM: &str = "2026-03-01T10:00:00Z";
pub(super) const TO: &str = "2026-03-01T11:00:00Z";
const ATTEMPTS_SHOWN_MAX: u32 = 8;
const LEASE: Duration = Duration::from_secs(90);
const ALWAYS: u64 = u64::MAX;
const NOBODY: [&str; 0] = [];

/// One batch of thirty messages, recorded and sent.
pub(super) async fn harvested(name: &str) -> (Stage, Vec<Document>) {
    let stage = Stage::new(name).await;
    let messages = Document::many(30, 10..11);
    harvest(&stage, &messages).await;
    (stage, messages)
}

pub(super) async fn harvest(stage: &Stage, messages: &[Document]) {
    stage.index_messages(messages).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    assert_eq!(stage.batches(BatchStatus::Pending).await, 1);
}

/// An exporter behind a network that looks into its requests to Elasticsearch.
pub(super) async fn watched(stage: &Stage) -> (HttpProxy, Function) {
    let network = HttpProxy::before(stage.setting("GRANARY_ES_URL")).await;
    let exporter = stage.another("exporter", &[("GRANARY_ES_URL", &network.url)]);
    (network, exporter)
}

/// From now on the exporter dies when it asks for these messages where the path has `about` in it.
fn let_it_die_over(network: &HttpProxy, exporter: &Function, about: &str, killers: &[&str]) {
    let kill = exporter.killer();
    let about = about.to_owned();
    let killers: Vec<String> = killers.iter().map(|id| format!("\"{id}\"")).collect();
    let is_deadly = move |asked: &Asked| {
        let is_deadly =
            asked.path.contains(&about) && killers.iter().any(|killer| asked.body.contains(killer));
        if is_deadly {
            kill();
        }
        is_deadly
    };
    let nothing = Said::by_elasticsearch(503, "the_exporter_is_dead");
    network.inject(Fault::Refuse(nothing), ALWAYS, is_deadly);
}

/// One attempt, and whatever the reaper does about its end.
pub(super) async fn attempt(stage: &Stage, exporter: &Function) -> Exports {
    let exports = stage.export_all_by(exporter).await;
    stage.let_leases_end().await;
    stage.reap().await;
    stage.let_delays_end().await;
    stage.reap().await;
    exports
}

/// Attempts until the batch is completed or parked; how each of them ended.
pub(super) async fn attempts(stage: &Stage, exporter: &Function) -> Vec<String> {
    for _ in 0..ATTEMPTS_SHOWN_MAX {
        let open: u64 = stage
            .row("SELECT COUNT(*) FROM batch WHERE status <> 'completed' AND parked_at IS NULL")
            .await;
        if open == 0 {
            break;
        }
        attempt(stage, exporter).await;
    }
    stage.rows("SELECT outcome FROM attempt ORDER BY number").await
}

/// The reasons of what was set aside, by id.
pub(super) async fn quarantined(stage: &Stage) -> BTreeMap<String, String> {
    let query = "SELECT message_id, reason FROM message WHERE outcome = 'quarantined'";
    stage.rows(query).await.into_iter().collect()
}

fn ids(quarantined: &BTreeMap<String, String>) -> Vec<&str> {
    quarantined.keys().map(String::as_str).collect()
}

/// Everything but these is in the archive once, and the verification names these and nothing else.
pub(super) async fn assert_all_but(stage: &Stage, messages: &[Document], aside: &[&str]) {
    stage.run_until_quiet().await;
    let shipped: Vec<Document> = messages
        .iter()
        .filter(|message| !aside.contains(&message.doc_id.as_str()))
        .cloned()
        .collect();
    stage.assert_each_once(&shipped).await;
    assert_eq!(ids(&quarantined(stage).await), aside);
    let report = stage.verify(FROM, TO).await;
    let findings = &report.account.findings;
    assert!(
        findings
            .iter()
            .all(|finding| finding.kind == FindingKind::Quarantined),
        "{findings:?}"
    );
    let named: BTreeSet<&str> = findings
        .iter()
        .flat_map(|finding| &finding.sample_ids)
        .map(MessageId::as_str)
        .collect();
    assert_eq!(named, aside.iter().copied().collect(), "{findings:?}");
    let verdict = if aside.is_empty() {
        Verdict::Complete
    } else {
        Verdict::Incomplete
    };
    assert_eq!(report.verdict, verdict);
}

/// Workers claim the batch and are never heard of again, so often that the next one is careful.
pub(super) async fn let_two_attempts_be_spent(stage: &Stage) {
    let batch = BatchId(stage.row("SELECT id FROM batch").await);
    for worker in ["gone", "gone too"] {
        // Nobody else gets what was sent.
        stage.receive_all().await;
        let claim = stage.ledger.claim(batch, worker, LEASE).await.unwrap();
        assert!(matches!(claim, Claim::Won(_)), "{claim:?}");
        let_it_be_reaped(stage).await;
    }
}

/// What the operator's "send again" does to a parked batch.
async fn send_parked_again(stage: &Stage) {
    stage
        .sql(
            "UPDATE batch SET status = 'pending', parked_at = NULL, attempts = 0, retry_count = retry_count + 1, \
             enqueued_at = NULL, not_before = NULL WHERE parked_at IS NOT NULL",
        )
        .await;
    stage.reap().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_a_document_that_kills_its_worker_is_named_and_the_rest_of_its_batch_ships() {
    let (mut stage, messages) = harvested("killer").await;
    stage.have_metadata().await;
    let (network, exporter) = watched(&stage).await;
    let_it_die_over(&network, &exporter, "_mget", &["m-0017"]);
    let ended = attempts(&stage, &exporter).await;
    assert_eq!(ended, ["reaped", "reaped", "reaped", "completed"]);

    let reason = &quarantined(&stage).await["m-0017"];
    assert!(
        reason.contains("its worker died") && reason.contains("attempt 5"),
        "{reason}"
    );
    let named: (u32, String) = stage.row("SELECT fence, message_id FROM suspect").await;
    assert_eq!(named, (5, "m-0017".to_owned()));
    let touched = network.asked();
    let alone = touched
        .iter()
        .filter(|asked| asked.body.contains("\"m-0017\"") && !asked.body.contains("\"m-0016\""));
    assert!(alone.count() <= 4, "once, with its metadata");
    assert_all_but(&stage, &messages, &["m-0017"]).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_two_documents_that_kill_their_workers_are_both_set_aside_within_five_attempts() {
    let (stage, messages) = harvested("two-killers").await;
    let (network, exporter) = watched(&stage).await;
    let_it_die_over(&network, &exporter, "_mget", &["m-0003", "m-0029"]);
    let ended = attempts(&stage, &exporter).await;
    assert_eq!(ended, ["reaped", "reaped", "reaped", "reaped", "completed"]);
    assert_all_but(&stage, &messages, &["m-0003", "m-0029"]).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_a2_a_third_killer_parks_its_batch_and_sending_it_again_ships_the_rest() {
    let (stage, messages) = harvested("three-killers").await;
    let (network, exporter) = watched(&stage).await;
    let killers = ["m-0003", "m-0016", "m-0029"];
    let_it_die_over(&network, &exporter, "_mget", &killers);
    assert_eq!(attempts(&stage, &exporter).await, ["reaped"; 5]);
    assert_eq!(stage.batches(BatchStatus::Failed).await, 1);
    send_parked_again(&stage).await;
    let ended = attempts(&stage, &exporter).await;
    assert_eq!(ended[5..], ["completed"], "what is known needs no third death");
    assert_all_but(&stage, &messages, &killers).await;
    stage.finish().await;
}

/// E5, E8: the document does no harm, what is known about it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_a_document_whose_history_kills_its_worker_is_set_aside_as_well() {
    let (mut stage, messages) = harvested("killer-history").await;
    stage.have_metadata().await;
    let (network, exporter) = watched(&stage).await;
    let_it_die_over(&network, &exporter, &stage.indices.history, &["m-0000"]);
    let ended = attempts(&stage, &exporter).await;
    assert_eq!(ended, ["reaped", "reaped", "reaped", "completed"]);
    assert_all_but(&stage, &messages, &["m-0000"]).await;
    stage.finish().await;
}

/// E8, H14: the process dies at a step of careful mode itself. One message at most is blamed for each death, and
/// none where no message was in hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_a_crash_at_any_step_of_careful_mode_costs_one_message_at_most() {
    let crashes: [(&str, &[&str]); 5] = [
        // Nothing was named yet, so nobody is blamed.
        ("name_suspect:before:1", &[]),
        ("name_suspect:before:3", &["m-0001"]),
        ("name_suspect:after:3", &["m-0002"]),
        ("clear_suspect:before", &["m-0029"]),
        ("clear_suspect:after", &[]),
    ];
    for (fault, aside) in crashes {
        let (stage, messages) = harvested("careful-crash").await;
        let_two_attempts_be_spent(&stage).await;
        attempt(&stage, &stage.another("exporter", &[("GRANARY_FAULT", fault)])).await;
        let ended = attempts(&stage, stage.exporter(0)).await;
        assert_eq!(ended[2..], ["reaped", "completed"], "{fault}");
        assert_all_but(&stage, &messages, aside).await;
        stage.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_every_step_of_careful_mode_can_be_taken_twice() {
    for step in ["name_suspect", "clear_suspect"] {
        let (stage, messages) = harvested("careful-twice").await;
        let_two_attempts_be_spent(&stage).await;
        let fault = format!("{step}:twice");
        let exporter = stage.another("exporter", &[("GRANARY_FAULT", &fault)]);
        assert_eq!(attempts(&stage, &exporter).await[2..], ["completed"], "{fault}");
        assert_all_but(&stage, &messages, &NOBODY).await;
        stage.finish().await;
    }
}

/// H7, E8: from the first careful attempt on, and from the third deferral on, when connections that break off may be a
/// document's fault.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_an_outage_sets_nothing_aside_however_long_it_lasts() {
    for spent in [0, 2] {
        let (stage, messages) = harvested("careful-outage").await;
        if spent > 0 {
            let_two_attempts_be_spent(&stage).await;
        }
        let (network, exporter) = watched(&stage).await;
        let outages = [
            Fault::BreakOffAfter { bytes: 0 },
            Fault::Refuse(Said::by_elasticsearch(503, "unavailable")),
            Fault::Refuse(Said::by_elasticsearch(500, "broken")),
            Fault::BreakOffAfter { bytes: 40 },
            Fault::Refuse(Said::by_elasticsearch(429, "busy")),
        ];
        for (number, outage) in outages.into_iter().enumerate() {
            network.inject(outage, ALWAYS, |_| true);
            attempt(&stage, &exporter).await;
            let state: (String, u32, u32) = stage.row("SELECT status, attempts, deferrals FROM batch").await;
            assert_eq!(state, ("pending".to_owned(), spent, number as u32 + 1));
            network.restore();
        }
        assert_eq!(quarantined(&stage).await, BTreeMap::new());
        let ended = attempts(&stage, &exporter).await;
        assert_eq!(ended.last().map(String::as_str), Some("completed"));
        stage.run_until_quiet().await;
        stage.assert_archived(&messages, FROM, TO).await;
        stage.finish().await;
    }
}

/// E8, H7: nothing that lies in that document's shard can be had, whatever it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_a_document_of_a_damaged_shard_is_never_set_aside() {
    let (stage, messages) = harvested("careful-shard").await;
    let (network, exporter) = watched(&stage).await;
    // By its `_id`, or by a routing that leads to the same shard.
    let broken = Fault::BreakOffAfter { bytes: 10 };
    network.inject(broken, ALWAYS, |asked| {
        asked.path.contains("_mget") && asked.body.contains("\"m-0011\"")
    });
    for _ in 0..4 {
        attempt(&stage, &exporter).await;
    }
    let state: (u32, u32) = stage.row("SELECT attempts, deferrals FROM batch").await;
    assert_eq!((state, quarantined(&stage).await), ((0, 4), BTreeMap::new()));
    network.restore();
    attempts(&stage, &exporter).await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// Of an invocation that ends in the middle of a batch.
const TOO_SHORT: Duration = Duration::from_secs(2);

/// E8, E9: or else a batch that takes longer one by one than an invocation lasts would never come to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_e9_a_careful_worker_goes_on_from_where_the_time_of_the_last_one_was_over() {
    let (stage, messages) = harvested("careful-deadline").await;
    let_two_attempts_be_spent(&stage).await;
    let source = Arc::new(Proxy::before(stage.setting("GRANARY_ES_URL")).await);
    let network = HttpProxy::before(&source.url()).await;
    let exporter = stage.another("exporter", &[("GRANARY_ES_URL", &network.url)]);
    let stalling = source.clone();
    let nothing = Fault::BreakOffAfter { bytes: 0 };
    network.inject(nothing, ALWAYS, move |asked| {
        if asked.body.contains("\"_id\":\"m-0015\"") {
            stalling.stall();
        }
        false
    });
    takeover::deliver(&stage, &exporter, TOO_SHORT).await.unwrap();
    let ended: Vec<String> = stage.rows("SELECT outcome FROM attempt ORDER BY number").await;
    assert_eq!(ended, ["reaped", "reaped", "handed_back"]);

    network.restore();
    source.restore();
    let asked_before = network.asked().len();
    assert_eq!(attempts(&stage, &exporter).await[3..], ["completed"]);
    let asked = network.asked().split_off(asked_before);
    let sizes: Vec<usize> = asked
        .iter()
        .filter(|asked| asked.path.contains("_mget"))
        .map(|asked| asked.body.matches("\"_id\"").count())
        .collect();
    assert_eq!(sizes[..2], [2, 13], "together what did no harm");
    assert_eq!(sizes[2..], [1; 15], "the others one by one");
    assert_all_but(&stage, &messages, &NOBODY).await;
    stage.finish().await;
}

/// E8, H7: one document's requests are throttled and the others' are not: that is the platform's fault all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_a_document_that_only_meets_overload_is_never_set_aside() {
    let (stage, messages) = harvested("careful-overload").await;
    let_two_attempts_be_spent(&stage).await;
    let (network, exporter) = watched(&stage).await;
    let busy = Fault::Refuse(Said::by_elasticsearch(503, "unavailable_shards_exception"));
    network.inject(busy, ALWAYS, |asked| asked.body.contains("\"m-0011\""));
    for _ in 0..4 {
        attempt(&stage, &exporter).await;
    }
    let state: (u32, u32) = stage.row("SELECT attempts, deferrals FROM batch").await;
    assert_eq!((state, quarantined(&stage).await), ((2, 4), BTreeMap::new()));
    network.restore();
    attempts(&stage, &exporter).await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// A2, E8: what is refused is no document's fault, also for a batch that is fetched one by one, and also where the same
/// question about nothing is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e8_a2_a_refusal_uses_up_no_attempt_and_sets_nothing_aside_one_by_one_either() {
    for needle in ["", "\"m-0011\""] {
        let (stage, messages) = harvested("all-refused").await;
        let_two_attempts_be_spent(&stage).await;
        let (network, exporter) = watched(&stage).await;
        let denied = Fault::Edit(deny);
        network.inject(denied, ALWAYS, move |asked| {
            asked.path.contains("_mget") && asked.body.contains(needle)
        });
        for deferrals in 1..=4 {
            attempt(&stage, &exporter).await;
            let state: (String, u32, u32) = stage
                .row("SELECT error_code, attempts, deferrals FROM batch")
                .await;
            assert_eq!(state, ("source_refused".to_owned(), 2, deferrals));
        }
        assert_eq!(quarantined(&stage).await, BTreeMap::new());
        assert_eq!(stage.bucket.keys().await, NOBODY);
        network.restore();
        attempts(&stage, &exporter).await;
        stage.run_until_quiet().await;
        stage.assert_archived(&messages, FROM, TO).await;
        stage.finish().await;
    }
}

/// An index-level denial as Elasticsearch gives it to `_mget`: 200, with an error for each document.
fn deny(answer: &mut serde_json::Value) {
    for item in answer["docs"].as_array_mut().unwrap() {
        let denied = json!({
            "type": "security_exception",
            "reason": "action [indices:data/read/mget[shard]] is unauthorized for user [granary]",
        });
        let mut error = denied.clone();
        error["root_cause"] = json!([denied]);
        *item = json!({"_index": item["_index"], "_id": item["_id"], "error": error});
    }
}
