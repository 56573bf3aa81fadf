//! Elasticsearch answers, but not what it was asked: partly, too late, that it is busy, or half an answer.

use super::{
    FROM, NOON, TO, assert_archived_in_peace, assert_recovered, deferred, harvested, indexed, open_window,
};
use crate::stage::{Asked, Document, Fault, HARVESTER_TIMEOUT, HttpProxy, Said, Stage};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// More than any caller's patience.
const FOR_EVER: u64 = 1_000_000;

/// A stage whose functions reach Elasticsearch through a proxy, and have done so once.
async fn behind_a_proxy(name: &str) -> (Stage, HttpProxy) {
    let mut stage = Stage::new(name).await;
    let proxy = HttpProxy::before(stage.setting("GRANARY_ES_URL")).await;
    stage.tell(&[("GRANARY_ES_URL", &proxy.url)]);
    stage.harvest().await;
    (stage, proxy)
}

fn is_page(asked: &Asked) -> bool {
    asked.path.starts_with("/_search") && asked.body.contains("search_after")
        || asked.path.starts_with("/_search") && asked.body.contains("_shard_doc")
}

fn is_count(asked: &Asked) -> bool {
    asked.path.starts_with("/_search") && asked.body.contains("\"track_total_hits\":true")
}

fn is_mget(asked: &Asked) -> bool {
    asked.path.contains("_mget")
}

fn is_metadata(asked: &Asked) -> bool {
    asked.path.contains("message-status")
}

/// H5: 200, and half of it is missing.
fn lose_a_shard(answer: &mut Value) {
    let hits = answer["hits"]["hits"].as_array_mut().unwrap();
    hits.truncate(hits.len() / 2);
    answer["_shards"]["successful"] = json!(1);
    answer["_shards"]["failed"] = json!(1);
    answer["_shards"]["failures"] =
        json!([{"shard": 1, "reason": {"type": "node_disconnected_exception", "reason": "gone"}}]);
}

fn run_out_of_time(answer: &mut Value) {
    let hits = answer["hits"]["hits"].as_array_mut().unwrap();
    hits.truncate(hits.len() / 2);
    answer["timed_out"] = json!(true);
}

/// Found, bookmark, recorded messages.
async fn progress(stage: &Stage) -> (u64, Option<String>, u64) {
    stage
        .row("SELECT found, bookmark, (SELECT COUNT(*) FROM message) FROM harvest_window")
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h5_a_page_or_a_count_that_is_partial_or_timed_out_moves_no_window() {
    let (stage, proxy) = behind_a_proxy("partial").await;
    let messages = indexed(&stage).await;
    let migration = stage.backfill(FROM, TO).await;
    open_window(&stage, migration).await;
    for edit in [lose_a_shard, run_out_of_time] {
        let before = progress(&stage).await;
        proxy.inject(Fault::Edit(edit), FOR_EVER, is_page);
        let report = stage.harvest().await;
        assert_eq!(
            (&report["windows_unfinished"], &report["tally"]["found"]),
            (&json!(1), &json!(0))
        );
        assert_eq!(progress(&stage).await, before, "nothing of it is believed");
        proxy.restore();
        stage.let_delays_end().await;
    }
    // The pages are whole, and the count isn't: as many as were found, and still not the end.
    proxy.inject(Fault::Edit(lose_a_shard), FOR_EVER, is_count);
    let report = stage.harvest().await;
    assert_eq!(
        (&report["windows_unfinished"], &report["windows_recorded"]),
        (&json!(1), &json!(0))
    );
    assert!(proxy.faults() >= 3);
    proxy.restore();
    stage.let_delays_end().await;
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}

fn shorten(answer: &mut Value) {
    let hits = answer["hits"]["hits"].as_array_mut().unwrap();
    hits.truncate(hits.len() / 3);
}

fn empty(answer: &mut Value) {
    answer["hits"]["hits"] = json!([]);
}

/// H6: pages that are shorter than they were asked for, and one in the middle without a hit at all. Nothing about them
/// says that anything is missing; only the count does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h6_neither_a_short_page_nor_an_empty_one_is_taken_for_the_end_of_a_window() {
    let (stage, proxy) = behind_a_proxy("short").await;
    let messages = indexed(&stage).await;
    let migration = stage.backfill(FROM, TO).await;
    open_window(&stage, migration).await;
    proxy.inject(Fault::Edit(shorten), 3, is_page);
    proxy.inject(Fault::Edit(empty), 1, is_page);
    let report = stage.harvest().await;
    assert_eq!(
        (&report["windows_recorded"], proxy.faults()),
        (&json!(1), 4),
        "it was read from its start"
    );
    let (found, recorded): (u64, u64) = stage.row("SELECT found, recorded FROM harvest_window").await;
    assert_eq!((found, recorded), (400, 400));
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}

/// H5, on the real thing: an index of the source has a shard that no node holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h5_an_index_whose_shard_is_not_there_keeps_its_window_open_until_it_is() {
    let mut stage = Stage::new("unassigned").await;
    let pattern = format!("{}*", stage.indices.messages);
    stage.tell(&[("GRANARY_SOURCE_INDEX", &pattern)]);
    stage.harvest().await;
    let mut messages = indexed(&stage).await;
    let mut settings = stage.indices.mapping();
    settings["settings"]["index.routing.allocation.require._name"] = json!("nobody");
    let more = stage.indices.more_messages.clone();
    let mut address = stage.indices.url.join(&more).unwrap();
    address.set_query(Some("wait_for_active_shards=0"));
    let made = reqwest::Client::new().put(address).json(&settings).send().await;
    assert!(made.unwrap().status().is_success());

    let migration = stage.backfill(FROM, TO).await;
    open_window(&stage, migration).await;
    let report = stage.harvest().await;
    assert_eq!(
        (&report["windows_unfinished"], &report["tally"]["found"]),
        (&json!(1), &json!(0))
    );

    let anywhere = json!({"index.routing.allocation.require._name": null});
    let path = [more.as_str(), "_settings"];
    stage.indices.ask(Method::PUT, &path, anywhere.to_string()).await;
    let late = [Document::message("late", "2026-03-01T10:30:00Z")];
    stage.indices.write(&more, &late).await;
    messages.extend(late);
    stage.let_delays_end().await;
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}

fn busy() -> Vec<Fault> {
    let of = |status, kind| Fault::Refuse(Said::by_elasticsearch(status, kind));
    vec![
        of(429, "es_rejected_execution_exception"),
        of(429, "circuit_breaking_exception"),
        of(500, "node_disconnected_exception"),
        of(503, "no_shard_available_action_exception"),
        Fault::Refuse(Said {
            status: 502,
            headers: vec![("content-type", "text/html".into())],
            body: "<html>Bad Gateway</html>".into(),
        }),
        Fault::Refuse(Said {
            status: 504,
            headers: vec![],
            body: String::new(),
        }),
        Fault::BreakOffAfter { bytes: 0 },
        Fault::BreakOffAfter { bytes: 100 },
    ]
}

/// What stands before Elasticsearch answers in its place, in the way of an ingress without a backend, and of one under
/// maintenance; or damages what it passes on.
fn pages_of_a_proxy() -> Vec<Fault> {
    let page = |status, body: &str| {
        Fault::Refuse(Said {
            status,
            headers: vec![("content-type", "text/html".into())],
            body: body.into(),
        })
    };
    vec![
        page(404, "<html>default backend - 404</html>"),
        page(200, "<html>We'll be back soon</html>"),
        // Cut off or damaged on its way, by what counts the bytes itself.
        Fault::Refuse(Said {
            body: r#"{"docs":[{"_index":"m","_id":"#.into(),
            ..Said::by_elasticsearch(200, "")
        }),
        Fault::Refuse(Said {
            body: r#"{"took":1,"docs":true}"#.into(),
            ..Said::by_elasticsearch(200, "")
        }),
    ]
}

/// H7: each kind of trouble once, at each kind of request. It is over before the next try.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h7_trouble_that_passes_at_once_is_tried_again_within_the_request() {
    let (mut stage, proxy) = behind_a_proxy("passing").await;
    stage.have_metadata().await;
    let messages = indexed(&stage).await;
    let faults = busy();
    for fault in &faults {
        for applies in [is_page, is_count, is_mget, is_metadata] {
            proxy.inject(fault.clone(), 1, applies);
        }
    }
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    assert!(proxy.faults() > 8, "{}", proxy.faults());
    proxy.restore();
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}

/// H7: each kind of trouble, for longer than a request waits: windows wait, batches are deferred.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h7_trouble_that_lasts_defers_and_costs_no_attempt_whatever_it_is() {
    let (mut stage, proxy) = behind_a_proxy("lasting").await;
    stage.have_metadata().await;
    let messages = harvested(&stage).await;
    let mut kinds = 0;
    for fault in busy().into_iter().chain(pages_of_a_proxy()) {
        proxy.inject(fault, FOR_EVER, |asked| is_mget(asked) || is_metadata(asked));
        let exports = stage.export_one().await;
        assert_eq!(
            (exports.acknowledged, exports.errors.len()),
            (1, 0),
            "{exports:?}"
        );
        kinds += 1;
        assert_eq!(deferred(&stage, "source_unavailable").await, kinds);
        proxy.restore();
        stage.let_delays_end().await;
        stage.reap().await;
    }
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}

/// H7, where ids are read: a proxy's page is no refusal, neither of a window nor of the search for the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h7_the_page_of_a_proxy_makes_the_harvest_wait_and_fails_no_tick() {
    let (stage, proxy) = behind_a_proxy("pages-of-a-proxy").await;
    let messages = indexed(&stage).await;
    let migration = stage.backfill(FROM, TO).await;
    let waits = async |windows| -> Vec<(String, u64)> {
        let waits =
            format!("SELECT DISTINCT cause, deferrals FROM harvest_deferral WHERE window_id {windows}");
        stage.rows(&waits).await
    };
    let each_time = [("source_unavailable".to_owned(), pages_of_a_proxy().len() as u64)];
    for page in pages_of_a_proxy() {
        proxy.inject(page, FOR_EVER, |_| true);
        assert_eq!(stage.harvest().await["windows_unfinished"], 0);
        proxy.restore();
    }
    assert_eq!(waits("= 0").await, each_time);
    open_window(&stage, migration).await;
    for page in pages_of_a_proxy() {
        proxy.inject(page, FOR_EVER, |_| true);
        assert_eq!(stage.harvest().await["windows_unfinished"], 1);
        proxy.restore();
        stage.let_delays_end().await;
    }
    assert_eq!(waits("> 0").await, each_time);
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}

/// When requests of a kind came.
fn moments(proxy: &HttpProxy, applies: fn(&Asked) -> bool) -> Vec<Instant> {
    let asked = proxy.asked();
    asked
        .iter()
        .filter(|asked| applies(asked))
        .map(|asked| asked.at)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h7_a_retry_comes_no_sooner_than_elasticsearch_asks_for() {
    let (stage, proxy) = behind_a_proxy("retry-after").await;
    let messages = harvested(&stage).await;
    let throttled =
        Said::by_elasticsearch(429, "es_rejected_execution_exception").with_header("retry-after", "2");
    proxy.inject(Fault::Refuse(throttled), 1, is_mget);
    assert_eq!(stage.export_one().await.acknowledged, 1);
    let moments = moments(&proxy, is_mget);
    let waited = moments[1] - moments[0];
    assert!(waited >= Duration::from_secs(2), "{waited:?}");
    assert_eq!(deferred(&stage, "source_unavailable").await, 0);
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}

/// How many ids a page was asked for.
fn page_size(asked: &Asked) -> u64 {
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    body["size"].as_u64().unwrap()
}

/// H7: what a circuit breaker refuses is the weight of an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h7_a_page_that_is_too_heavy_for_a_busy_node_is_asked_for_in_smaller_ones() {
    let (stage, proxy) = behind_a_proxy("smaller").await;
    let messages = Document::many(3_000, 10..14);
    stage.index_messages(&messages).await;
    let breaker = Said::by_elasticsearch(429, "circuit_breaking_exception");
    proxy.inject(Fault::Refuse(breaker), FOR_EVER, |asked| {
        is_page(asked) && page_size(asked) > 1_500
    });
    let migration = stage.backfill(FROM, TO).await;
    open_window(&stage, migration).await;
    let report = stage.harvest().await;
    assert_eq!(
        (&report["tally"]["recorded"], &report["windows_recorded"]),
        (&json!(3_000), &json!(1)),
        "in one tick"
    );
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}

/// H7, for documents: a breaker lets through what it has room for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h7_documents_that_are_too_heavy_for_a_busy_node_are_asked_for_in_smaller_portions() {
    let (stage, proxy) = behind_a_proxy("fewer").await;
    let messages = harvested(&stage).await;
    let breaker = Said::by_elasticsearch(429, "circuit_breaking_exception");
    proxy.inject(Fault::Refuse(breaker), FOR_EVER, |asked| {
        is_mget(asked) && asked.body.matches("\"_id\"").count() > 60
    });
    let exports = stage.export_one().await;
    assert_eq!(
        (exports.acknowledged, deferred(&stage, "source_unavailable").await),
        (1, 0)
    );
    assert!(proxy.faults() > 0);
    assert_recovered(&stage, &messages).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h7_a_harvester_that_is_refused_again_and_again_leaves_within_its_time() {
    let (stage, proxy) = behind_a_proxy("refused").await;
    let messages = indexed(&stage).await;
    stage.backfill(FROM, NOON).await;
    let refusal = Said::by_elasticsearch(429, "es_rejected_execution_exception");
    proxy.inject(Fault::Refuse(refusal), FOR_EVER, |asked| {
        asked.path.contains("_search")
    });
    for _ in 0..3 {
        let began = Instant::now();
        stage.harvest().await;
        assert!(began.elapsed() < HARVESTER_TIMEOUT / 10);
    }
    proxy.restore();
    stage.let_delays_end().await;
    stage.backfill(NOON, TO).await;
    stage.run_until_quiet().await;
    assert_archived_in_peace(&stage, &messages).await;
    stage.finish().await;
}
