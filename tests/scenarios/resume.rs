//! Windows that one harvester begins and another one ends: nothing is skipped, nothing is counted twice.

use crate::stage::{Document, Function, FunctionError, HARVESTER_TIMEOUT, Proxy, Stage};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T11:00:00Z";

/// Pages hold whole batches: with batches of 5,001 messages a page has 5,001 ids, and three pages have 12,000.
const ON_A_PAGE: [(&str, &str); 1] = [("GRANARY_BATCH_SIZE", "5001")];
const PAGE: u64 = 5_001;
const MESSAGES: u64 = 12_000;
/// Of answers: more than one page, less than two.
const A_PAGE_AND_A_HALF_BYTES: u64 = 1_200_000;

const PAGE_IS_RECORDED: &str = "SELECT COUNT(*) FROM harvest_window WHERE pages > 0";
/// State, pages, attempts, found, recorded, and all the other columns of the account together.
const WINDOW: &str = "SELECT state, pages, attempts, found, recorded, adopted + owned_elsewhere + duplicates + \
    without_id FROM harvest_window";
type Window = (String, u32, u32, u64, u64, u64);

/// H1: messages of one and the same millisecond, so that every page ends among equals.
async fn three_pages(name: &str) -> (Stage, Vec<Document>) {
    let stage = Stage::with(name, &ON_A_PAGE).await;
    let messages: Vec<_> = (0..MESSAGES)
        .map(|number| Document::message(&format!("m-{number:05}"), "2026-03-01T10:30:00.123Z"))
        .collect();
    stage.index_messages(&messages).await;
    (stage, messages)
}

async fn tick(harvester: &Function, timeout: Duration) -> Result<Value, FunctionError> {
    let event = serde_json::from_str(include_str!("../../events/harvester.tick.json")).unwrap();
    harvester.invoke(event, timeout).await
}

/// A harvester that reaches one of its services through a network of its own, and is warm.
async fn harvester_behind(stage: &Stage, proxy: &Proxy, variable: &str) -> Function {
    let harvester = stage.another("harvester", &[(variable, &proxy.url())]);
    tick(&harvester, HARVESTER_TIMEOUT).await.unwrap();
    harvester
}

/// Kills a harvester between recording the first page and sending its batch.
async fn killed_after_the_first_page(stage: &Stage) {
    let to_sqs = Proxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
    let killed = harvester_behind(stage, &to_sqs, "AWS_ENDPOINT_URL_SQS").await;
    to_sqs.stall();
    stage.backfill(FROM, TO).await;
    let (ended, ()) = tokio::join!(tick(&killed, HARVESTER_TIMEOUT), async {
        to_sqs.until_asked().await;
        killed.kill().await;
    });
    assert!(matches!(ended, Err(FunctionError::Exited(_))), "{ended:?}");
    let window: Window = stage.row(WINDOW).await;
    assert_eq!(window, ("harvesting".into(), 1, 1, PAGE, PAGE, 0));
    assert_eq!(unsent(stage).await, 1);
    assert!(stage.queues.receive().await.is_none());
}

async fn unsent(stage: &Stage) -> u64 {
    stage
        .row("SELECT COUNT(*) FROM batch WHERE status = 'pending' AND enqueued_at IS NULL")
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h16_a_harvester_stops_when_its_time_is_nearly_over_and_the_next_tick_goes_on_from_there() {
    const TIMEOUT: Duration = Duration::from_secs(10);
    let (stage, messages) = three_pages("deadline").await;
    let to_es = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let slow = harvester_behind(&stage, &to_es, "GRANARY_ES_URL").await;
    stage.backfill(FROM, TO).await;
    to_es.stall_answers_after(A_PAGE_AND_A_HALF_BYTES);
    let begun = Instant::now();
    let (first, ()) = tokio::join!(tick(&slow, TIMEOUT), async {
        stage.until(PAGE_IS_RECORDED).await;
        // Elasticsearch takes its time until four fifths of the harvester's are over.
        tokio::time::sleep_until((begun + TIMEOUT.mul_f64(0.8)).into()).await;
        to_es.restore();
    });
    let first = first.unwrap();
    assert_eq!(
        (&first["windows_unfinished"], &first["tally"]["found"]),
        (&json!(1), &json!(PAGE))
    );
    let window: Window = stage.row(WINDOW).await;
    assert_eq!(window, ("open".into(), 1, 1, PAGE, PAGE, 0));

    let second = stage.harvest().await;
    assert_eq!(
        (&second["windows_recorded"], &second["tally"]["found"]),
        (&json!(1), &json!(MESSAGES - PAGE)),
        "the first page isn't read again"
    );
    let window: Window = stage.row(WINDOW).await;
    assert_eq!(window, ("recorded".into(), 3, 2, MESSAGES, MESSAGES, 0));
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h14_what_a_killed_harvester_recorded_and_did_not_send_is_sent_by_the_next_tick() {
    let (stage, messages) = three_pages("unsent").await;
    killed_after_the_first_page(&stage).await;

    // The window is still in dead hands: that keeps nothing from being sent.
    assert_eq!(stage.harvest().await["batches_sent"], 1);
    assert_eq!(unsent(&stage).await, 0);
    stage.let_leases_end().await;
    let next = stage.harvest().await;
    assert_eq!(
        (&next["batches_sent"], &next["tally"]["found"]),
        (&json!(2), &json!(MESSAGES - PAGE))
    );
    let window: Window = stage.row(WINDOW).await;
    assert_eq!(window, ("recorded".into(), 3, 2, MESSAGES, MESSAGES, 0));
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h4_a_window_whose_point_in_time_is_lost_between_two_ticks_is_read_again_and_nothing_is_skipped() {
    let (stage, mut messages) = three_pages("lost-view").await;
    killed_after_the_first_page(&stage).await;

    let bookmark: String = stage.row("SELECT bookmark FROM harvest_window").await;
    let bookmark: Value = serde_json::from_str(&bookmark).unwrap();
    let close = json!({"id": bookmark["pit"]["id"]}).to_string();
    stage.indices.ask(Method::DELETE, &["_pit"], close).await;
    // What a cursor of the old view would have passed by: an earlier time, and the same one.
    let late: Vec<_> = [
        ("late-1", "2026-03-01T10:00:00Z"),
        ("late-2", "2026-03-01T10:30:00.123Z"),
    ]
    .map(|(id, created_at)| Document::message(id, created_at))
    .into();
    stage.index_messages(&late).await;
    messages.extend(late);

    stage.let_leases_end().await;
    let all = messages.len() as u64;
    assert_eq!(stage.harvest().await["windows_recorded"], 1);
    // One page before, the return to the start, and three pages of the new view.
    let window: Window = stage.row(WINDOW).await;
    assert_eq!(window, ("recorded".into(), 5, 2, all, all, 0));
    assert_eq!(stage.row::<u64>("SELECT COUNT(*) FROM message").await, all);
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h14_a_harvester_may_be_killed_between_any_two_statements() {
    let stage = Stage::with("anywhere", &[("GRANARY_BATCH_SIZE", "250")]).await;
    let messages: Vec<_> = (0..4_000)
        .map(|number| {
            let created_at = format!("2026-03-01T10:{:02}:{:02}Z", number / 60 % 60, number % 60);
            Document::message(&format!("m-{number:04}"), &created_at)
        })
        .collect();
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    let mut died_at_work = 0;
    for life_millis in (0..240).step_by(20) {
        let (ended, ()) = tokio::join!(tick(&stage.harvester, HARVESTER_TIMEOUT), async {
            stage
                .until("SELECT COUNT(*) FROM harvest_window WHERE state <> 'open'")
                .await;
            tokio::time::sleep(Duration::from_millis(life_millis)).await;
            stage.harvester.end();
        });
        died_at_work += u32::from(ended.is_err());
        stage.let_leases_end().await;
    }
    assert!(died_at_work > 0, "no kill came in time");
    stage.run_until_quiet().await;
    let (state, _, _, found, recorded, others): Window = stage.row(WINDOW).await;
    assert_eq!(
        (state.as_str(), found, recorded, others),
        ("recorded", 4_000, 4_000, 0)
    );
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h11_two_harvesters_at_once_share_the_windows_and_every_message_is_owned_once() {
    let stage = Stage::new("pair").await;
    let messages: Vec<_> = (0..3_000)
        .map(|number| {
            let (hour, minute) = (10 + number % 6, number / 6 % 60);
            Document::message(
                &format!("m-{number:04}"),
                &format!("2026-03-01T{hour}:{minute:02}:00Z"),
            )
        })
        .collect();
    stage.index_messages(&messages).await;
    let to = "2026-03-01T16:00:00Z";
    stage.backfill(FROM, to).await;
    let other = stage.another("harvester", &[]);
    let (one, two) = tokio::join!(stage.harvest(), tick(&other, HARVESTER_TIMEOUT));
    let two = two.unwrap();
    let both = |field: &dyn Fn(&Value) -> u64| field(&one) + field(&two);
    assert_eq!(
        both(&|tick| tick["windows_recorded"].as_u64().unwrap()),
        6,
        "{one} {two}"
    );
    assert_eq!(
        both(&|tick| tick["tally"]["recorded"].as_u64().unwrap()),
        3_000,
        "{one} {two}"
    );

    let windows: Vec<Window> = stage.rows(WINDOW).await;
    for (state, _, attempts, found, recorded, others) in &windows {
        assert_eq!(
            (state.as_str(), *attempts, *found, *recorded, *others),
            ("recorded", 1, 500, 500, 0)
        );
    }
    assert_eq!(windows.len(), 6);
    let owned: (u64, u64) = stage
        .row("SELECT COUNT(*), (SELECT CAST(SUM(message_count) AS UNSIGNED) FROM batch) FROM message")
        .await;
    assert_eq!(owned, (3_000, 3_000));
    let continuous: u64 = stage
        .row("SELECT COUNT(*) FROM migration WHERE kind = 'continuous'")
        .await;
    assert_eq!(continuous, 1, "both started at the same time");
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, to).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h11_a_harvester_that_was_frozen_while_another_took_its_window_over_changes_nothing_any_more() {
    let (stage, messages) = three_pages("frozen").await;
    let to_es = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let old = harvester_behind(&stage, &to_es, "GRANARY_ES_URL").await;
    stage.backfill(FROM, TO).await;
    to_es.stall_answers_after(A_PAGE_AND_A_HALF_BYTES);
    let (ended, ()) = tokio::join!(tick(&old, HARVESTER_TIMEOUT), async {
        stage.until(PAGE_IS_RECORDED).await;
        old.freeze();
        stage.let_leases_end().await;
        assert_eq!(stage.harvest().await["windows_recorded"], 1);
        to_es.restore();
        old.thaw();
    });
    let ended = ended.unwrap();
    assert_eq!(
        (&ended["windows_recorded"], &ended["tally"]["found"]),
        (&json!(0), &json!(PAGE))
    );
    let window: Window = stage.row(WINDOW).await;
    assert_eq!(window, ("recorded".into(), 3, 2, MESSAGES, MESSAGES, 0));
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h10_nothing_outside_of_the_half_open_range_is_recorded_whatever_its_time_zone() {
    let stage = Stage::new("half-open").await;
    let (inside, outside): (Vec<_>, Vec<_>) = [
        ("just-before", "2026-03-01T09:59:59.999Z", false),
        ("at-the-start", "2026-03-01T10:00:00.000Z", true),
        ("end-of-an-hour", "2026-03-01T10:59:59.999Z", true),
        ("start-of-an-hour", "2026-03-01T11:00:00.000Z", true),
        ("reads-like-outside", "2026-03-01T13:30:00+02:00", true),
        ("just-before-the-end", "2026-03-01T11:59:59.999Z", true),
        ("at-the-end", "2026-03-01T12:00:00.000Z", false),
        ("reads-like-inside", "2026-03-01T11:30:00-01:00", false),
    ]
    .into_iter()
    .partition(|(_, _, is_inside)| *is_inside);
    let documents = |some: Vec<(&str, &str, bool)>| -> Vec<_> {
        some.into_iter()
            .map(|(id, time, _)| Document::message(id, time))
            .collect()
    };
    let (inside, outside) = (documents(inside), documents(outside));
    stage.index_messages(&inside).await;
    stage.index_messages(&outside).await;
    let to = "2026-03-01T12:00:00Z";
    stage.backfill(FROM, to).await;
    stage.run_until_quiet().await;

    let recorded: Vec<String> = stage.rows("SELECT message_id FROM message").await;
    let wanted: BTreeSet<_> = inside.iter().map(|message| message.doc_id.clone()).collect();
    assert_eq!(BTreeSet::from_iter(recorded), wanted);
    stage.assert_archived(&inside, FROM, to).await;
    for line in stage.bucket.lines().await {
        let is_of_the_first_hour = ["at-the-start", "end-of-an-hour"].contains(&line.message_id.as_str());
        let hour = if is_of_the_first_hour {
            "hour=10/"
        } else {
            "hour=11/"
        };
        assert!(
            line.key.as_str().contains(hour),
            "{} in {}",
            line.message_id,
            line.key
        );
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h10_a_range_that_reaches_into_the_future_is_harvested_as_far_as_time_has_come() {
    let stage = Stage::new("future").await;
    let now = Timestamp::now();
    let at = |minutes: i64| (now + SignedDuration::from_mins(minutes)).to_string();
    let messages = [
        Document::message("past", &at(-90)),
        Document::message("future", &at(90)),
    ];
    stage.index_messages(&messages).await;
    stage.backfill(&at(-180), &at(180)).await;
    for _ in 0..2 {
        stage.harvest().await;
        stage.export_all().await;
        stage.reap().await;
    }
    let recorded: Vec<String> = stage.rows("SELECT message_id FROM message").await;
    assert_eq!(recorded, ["past"]);
    let (state, is_ahead): (String, bool) = stage
        .row("SELECT state, harvested_to > UTC_TIMESTAMP(6) FROM migration WHERE kind = 'backfill'")
        .await;
    assert_eq!((state.as_str(), is_ahead), ("open", false));
    stage.assert_each_once(&messages[..1]).await;
    stage.finish().await;
}

/// H11: Elasticsearch takes longer to answer than a lease lasts. The window stays its harvester's, and no other reads it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h11_a_window_whose_source_is_slower_than_a_lease_is_read_by_one_harvester() {
    let stage = Stage::with("slow-window", &[("GRANARY_LEASE_SECONDS", "3")]).await;
    let network = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let slow = stage.another("harvester", &[("GRANARY_ES_URL", &network.url())]);
    slow.invoke(json!({}), HARVESTER_TIMEOUT).await.unwrap();
    let messages = Document::many(50, 10..11);
    stage.index_messages(&messages).await;
    let migration = stage.backfill(FROM, TO).await;
    let range = granary_domain::TimeRange::new(FROM.parse().unwrap(), TO.parse().unwrap()).unwrap();
    assert!(stage.ledger.open_window(migration, range).await.unwrap());
    network.slow(Duration::from_millis(300));
    let (read, ()) = tokio::join!(slow.invoke(json!({}), HARVESTER_TIMEOUT), async {
        stage
            .until("SELECT COUNT(*) FROM harvest_window WHERE state = 'harvesting'")
            .await;
        network.stall();
        // Two leases after its claim it is still held.
        stage
            .until("SELECT COUNT(*) FROM harvest_window WHERE lease_until > created_at + INTERVAL 9 SECOND")
            .await;
        let other = stage.harvest().await;
        assert_eq!(other["tally"]["found"], 0, "{other}");
        network.restore();
    });
    assert_eq!(read.unwrap()["tally"]["recorded"], 50);
    let (fence, pages): (u32, u32) = stage.row("SELECT fence, pages FROM harvest_window").await;
    assert_eq!((fence, pages), (1, 1), "it was claimed once");
    slow.kill().await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}
