//! Documents that become visible after their window was read, and documents that never can be in one.

use crate::stage::{Document, Function, FunctionError, HARVESTER_TIMEOUT, Proxy, Stage};
use granary_steps::VARIABLE;
use granary_verify::Verdict;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T12:00:00Z";

const BEING_READ: &str = "SELECT COUNT(*) FROM harvest_window WHERE state = 'harvesting'";

fn late(id: &str) -> Document {
    Document::message(id, "2026-03-01T10:30:00.500Z")
}

async fn tick(harvester: &Function) -> Result<Value, FunctionError> {
    let event = serde_json::from_str(include_str!("../../events/harvester.tick.json")).unwrap();
    harvester.invoke(event, HARVESTER_TIMEOUT).await
}

/// Two hours that are archived, as if they had been read two minutes after they ended.
async fn archived(name: &str, count: u32) -> (Stage, Vec<Document>) {
    let stage = Stage::with(name, &[("GRANARY_RESCAN_HOUR", &a_night_long_ago())]).await;
    let messages = Document::many(count, 10..12);
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    stage
        .sql("UPDATE harvest_window SET created_at = range_to + INTERVAL 2 MINUTE")
        .await;
    (stage, messages)
}

/// An hour that began at least 20 hours ago, whatever the time: nothing is due by night that was recorded since.
fn a_night_long_ago() -> String {
    let hour = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).hour();
    ((i32::from(hour) + 3) % 24).to_string()
}

impl Stage {
    /// Lets so much time pass since windows were recorded and read again, and nights be of the day after their ranges.
    async fn let_windows_age(&self, minutes: u32) {
        for (table, column) in [("harvest_window", "recorded_at"), ("window_scan", "started_at")] {
            self.sql(&format!(
                "UPDATE {table} SET {column} = {column} - INTERVAL {minutes} MINUTE"
            ))
            .await;
        }
        self.sql(
            "UPDATE window_scan s JOIN harvest_window w ON w.id = s.window_id \
             SET w.deep_at = w.range_to + INTERVAL 1 DAY WHERE w.deep_at IS NOT NULL",
        )
        .await;
    }

    async fn found(&self) -> (u64, u64) {
        self.row(
            "SELECT CAST(SUM(found) AS UNSIGNED), CAST(SUM(recorded) AS UNSIGNED) FROM harvest_window \
             WHERE state IN ('recorded', 'verified')",
        )
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h8_a_document_that_came_after_its_window_was_recorded_is_found_by_the_overlap_re_scan_and_exported_once()
 {
    let (stage, mut messages) = archived("overlap", 120).await;
    messages.push(late("late"));
    stage.index_messages(&messages[120..]).await;
    let early = stage.harvest().await;
    assert_eq!(
        (&early["windows_rescanned"], &early["late"]),
        (&json!(0), &json!(0)),
        "{early}"
    );

    stage.let_windows_age(16).await;
    let again = stage.harvest().await;
    assert_eq!(
        (
            &again["windows_rescanned"],
            &again["late"],
            &again["batches_sent"]
        ),
        (&json!(2), &json!(1), &json!(1)),
        "{again}"
    );
    assert_eq!(
        again["tally"]["found"], 0,
        "nothing of it was harvested for the first time"
    );
    assert_eq!(stage.found().await, (121, 121));
    let pages: Vec<u32> = stage
        .rows("SELECT pages FROM harvest_window ORDER BY range_from")
        .await;
    assert_eq!(pages, [3, 1], "where the count was as before, nothing was read");
    assert_eq!(stage.harvest().await["windows_rescanned"], 0);
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

/// A backfill that doesn't fit into the tick: what was recorded before doesn't wait until it is through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h8_re_scans_have_a_share_of_a_tick_beside_a_backfill() {
    let (stage, mut messages) = archived("share", 120).await;
    let network = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let slow = stage.another("harvester", &[("GRANARY_ES_URL", &network.url())]);
    tick(&slow).await.unwrap();
    messages.push(late("late"));
    stage.index_messages(&messages[120..]).await;
    let of_backfill = |number: u32| {
        let time = format!("2026-03-{:02}T{:02}:30:00Z", 2 + number / 24, number % 24);
        Document::message(&format!("new-{number:02}"), &time)
    };
    let new: Vec<Document> = (0..96).map(of_backfill).collect();
    stage.index_messages(&new).await;
    stage.let_windows_age(16).await;
    let to = "2026-03-06T00:00:00Z";
    stage.backfill("2026-03-02T00:00:00Z", to).await;
    network.slow(Duration::from_millis(100));
    let report = slow.invoke(json!({}), Duration::from_secs(15)).await.unwrap();
    network.restore();
    let read = report["windows_recorded"].as_u64().unwrap();
    assert!(
        read > 0 && read < 96 && report["windows_rescanned"].as_u64() > Some(0),
        "{report}"
    );
    slow.kill().await;
    stage.let_windows_age(16).await;
    stage.run_until_quiet().await;
    messages.extend(new);
    stage.assert_archived(&messages, FROM, to).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h8_what_hides_behind_a_deletion_is_found_at_night() {
    let (stage, mut messages) = archived("deep", 120).await;
    stage.indices.delete(&stage.indices.messages, "m-0000").await;
    messages.push(late("late"));
    stage.index_messages(&messages[120..]).await;
    stage.let_windows_age(16).await;
    let overlap = stage.harvest().await;
    assert_eq!(
        (&overlap["windows_rescanned"], &overlap["late"]),
        (&json!(2), &json!(0))
    );

    stage.let_windows_age(24 * 60).await;
    let night = stage.harvest().await;
    assert_eq!(
        (&night["windows_rescanned"], &night["late"]),
        (&json!(2), &json!(1)),
        "{night}"
    );
    assert_eq!(
        stage.found().await,
        (120, 120),
        "the account is of what the source shows now"
    );
    stage.run_until_quiet().await;
    let report = stage.verify(FROM, TO).await;
    assert_eq!(report.verdict, Verdict::Drifted, "{:?}", report.account.findings);
    stage.assert_each_once(&messages).await;

    // A week later it is over.
    stage
        .sql("UPDATE window_scan s JOIN harvest_window w ON w.id = s.window_id SET w.deep_at = w.range_to + INTERVAL 7 DAY")
        .await;
    stage
        .sql("UPDATE harvest_window SET recorded_at = recorded_at - INTERVAL 2 DAY")
        .await;
    assert_eq!(stage.harvest().await["windows_rescanned"], 0);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h8_a_harvester_that_dies_at_any_step_of_a_re_scan_loses_nothing() {
    let (stage, mut messages) = archived("dying", 40).await;
    let steps = ["claim_rescan", "restart_window", "record_page", "finish_window"];
    let faults = steps
        .iter()
        .flat_map(|step| [format!("{step}:before"), format!("{step}:after")]);
    for (number, fault) in (1u64..).zip(faults) {
        messages.push(late(&format!("late-{number}")));
        stage.index_messages(&messages[messages.len() - 1..]).await;
        stage.let_windows_age(24 * 60).await;
        let dying = stage.another("harvester", &[(VARIABLE, &fault)]);
        let ended = tick(&dying).await;
        assert!(
            matches!(ended, Err(FunctionError::Exited(_))),
            "{fault}: {ended:?}"
        );
        stage.let_leases_end().await;
        stage.harvest().await;
        assert_eq!(stage.found().await, (40 + number, 40 + number), "{fault}");
        let counted: u64 = stage
            .row("SELECT CAST(SUM(late_count) AS UNSIGNED) FROM window_scan")
            .await;
        assert_eq!(counted, number, "{fault}");
    }
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h8_h11_two_harvesters_that_read_again_at_once_share_the_windows_and_find_each_late_message_once() {
    let (stage, mut messages) = archived("pair-again", 120).await;
    for number in 0..20 {
        let time = format!("2026-03-01T1{}:{:02}:00Z", number % 2, number * 2);
        messages.push(Document::message(&format!("late-{number:02}"), &time));
    }
    stage.index_messages(&messages[120..]).await;
    stage.let_windows_age(24 * 60).await;
    let other = stage.another("harvester", &[]);
    let (one, two) = tokio::join!(stage.harvest(), tick(&other));
    let two = two.unwrap();
    let both = |name: &str| one[name].as_u64().unwrap() + two[name].as_u64().unwrap();
    assert_eq!((both("windows_rescanned"), both("late")), (2, 20), "{one} {two}");
    assert_eq!(stage.found().await, (140, 140));
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h8_what_is_new_is_read_before_anything_is_read_again() {
    let (stage, mut messages) = archived("front", 40).await;
    stage.let_windows_age(24 * 60).await;
    let to = "2026-03-01T13:00:00Z";
    messages.push(Document::message("new", "2026-03-01T12:30:00Z"));
    stage.index_messages(&messages[40..]).await;
    stage.backfill(TO, to).await;
    // Whoever reads for the first time dies at the end of it: no other window was touched before.
    let dying = stage.another("harvester", &[(VARIABLE, "finish_window:after")]);
    assert!(tick(&dying).await.is_err());
    assert_eq!(stage.row::<u64>("SELECT COUNT(*) FROM window_scan").await, 0);
    assert_eq!(stage.harvest().await["windows_rescanned"], 2);
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, to).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h8_h17_a_migration_is_cancelled_in_the_middle_of_a_re_scan_and_another_one_adopts_all_of_it() {
    let stage = Stage::new("cancelled-again").await;
    let mut messages = Document::many(40, 10..12);
    stage.index_messages(&messages).await;
    let cancelled = stage.backfill(FROM, TO).await;
    stage.harvest().await;
    messages.push(late("late"));
    stage.index_messages(&messages[40..]).await;
    stage
        .sql(
            "UPDATE harvest_window SET created_at = range_to + INTERVAL 2 MINUTE, \
             recorded_at = recorded_at - INTERVAL 1 DAY",
        )
        .await;
    let to_es = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let slow = stage.another("harvester", &[("GRANARY_ES_URL", &to_es.url())]);
    to_es.slow(Duration::from_millis(100));
    let (ended, ()) = tokio::join!(tick(&slow), async {
        stage.until(BEING_READ).await;
        assert!(stage.ledger.cancel_migration(cancelled).await.unwrap());
    });
    assert_eq!(
        ended.unwrap()["windows_rescanned"],
        0,
        "it was in the middle of it"
    );
    stage.run_until_quiet().await;
    let left: (u64, u64) = stage
        .row(
            "SELECT (SELECT COUNT(*) FROM message_status WHERE status <> 'released'), \
             (SELECT COUNT(*) FROM batch WHERE status <> 'cancelled')",
        )
        .await;
    assert_eq!(left, (0, 0), "nothing of it is anybody's");
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h8_people_learn_how_late_messages_come_and_which_lag_would_have_been_enough() {
    let stage = Stage::new("lateness").await;
    let now = Timestamp::now();
    let at = |secs_ago: i64| (now - SignedDuration::from_secs(secs_ago)).to_string();
    let message = |number: i64| Document::message(&format!("m-{number:02}"), &at(3_600 + number));
    let mut messages: Vec<_> = (0..40).map(message).collect();
    stage.index_messages(&messages).await;
    let migration = stage.backfill(&at(7_200), &at(600)).await;
    stage.run_until_quiet().await;
    messages.extend((40..65).map(message));
    stage.index_messages(&messages[40..]).await;
    stage
        .sql("UPDATE harvest_window SET recorded_at = recorded_at - INTERVAL 1 DAY")
        .await;
    let again = stage.harvest().await;
    assert_eq!(again["late"], 25, "{again}");

    // They came between the first reading, just after `now`, and this one; the earliest is of an hour and 64 s before.
    let earliest = 3_600 + 64;
    let passed = u64::try_from(Timestamp::now().duration_since(now).as_secs()).unwrap();
    let stats = stage.look_at("/source/stats").await;
    let lateness = &stats["lateness"];
    let (least, most) = (
        lateness["atLeastSeconds"].as_u64().unwrap(),
        lateness["atMostSeconds"].as_u64().unwrap(),
    );
    assert!((earliest..=earliest + passed).contains(&least), "{stats}");
    assert!(
        (earliest..=earliest + passed + 2).contains(&most) && least <= most,
        "{stats}"
    );
    assert_eq!(
        (&lateness["messages"], &lateness["late"]),
        (&json!(65), &json!(25))
    );
    let recommended = most.div_ceil(60) * 60;
    assert_eq!(lateness["recommendedLagSeconds"], recommended);
    assert_eq!(again["recommended_lag_seconds"], recommended);
    let of_one = stage.look_at(&format!("/migrate/status/{migration}")).await;
    assert_eq!(of_one["lateness"], *lateness);

    stage.run_until_quiet().await;
    let told = stage.queues.told().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("25 of 65 messages")
            && told[0].contains(&format!("GRANARY_HARVEST_LAG_SECONDS={recommended}")),
        "{told:?}"
    );
    stage.assert_archived(&messages, &at(7_200), &at(600)).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h9_documents_without_an_event_time_are_counted_and_people_are_told_once_and_when_it_is_over() {
    let stage = Stage::new("timeless").await;
    let mut mapping = stage.indices.mapping();
    mapping["mappings"]["properties"]["created_at"]["ignore_malformed"] = json!(true);
    let lenient = stage.indices.more_messages.clone();
    stage.indices.create(&lenient, mapping).await;
    let messages = Document::many(10, 10..12);
    stage.index_messages(&messages).await;
    let raw =
        |id: &str, time: Value| Document::raw(id, json!({"message_id": id, "created_at": time}).to_string());
    let timeless = [
        raw("absent", Value::Null),
        raw("empty", json!([])),
        raw("malformed", json!("yesterday")),
    ];
    stage.indices.write(&lenient, &timeless).await;
    let indices = format!("{},{lenient}", stage.indices.messages);
    let harvester = stage.another("harvester", &[("GRANARY_SOURCE_INDEX", &indices)]);
    stage.backfill(FROM, TO).await;
    assert_eq!(tick(&harvester).await.unwrap()["outside"]["withoutTime"], 3);
    let source = stage.look_at("/source/stats").await;
    let counted = &source["outside"];
    assert_eq!(
        (&counted["withoutTime"], &counted["malformed"]),
        (&json!(3), &json!(1)),
        "{source}"
    );
    assert!(counted["countedAt"].is_string());
    let later = tick(&harvester).await.unwrap();
    assert_eq!(
        later["outside"],
        Value::Null,
        "nothing was read since, a moment ago"
    );
    stage.let_counts_age().await;
    assert_eq!(tick(&harvester).await.unwrap()["outside"]["withoutTime"], 3);
    stage.export_all().await;
    let report = stage.verify(FROM, TO).await;
    let outside = report.outside.map(|outside| outside.counts.without_time);
    assert_eq!((report.verdict, outside), (Verdict::Complete, Some(3)));
    stage.reap().await;
    let told = stage.queues.told().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("3 documents") && told[0].contains("1 of them a malformed one"),
        "{told:?}"
    );

    for document in &timeless {
        stage.indices.delete(&lenient, &document.doc_id).await;
    }
    stage.let_counts_age().await;
    assert_eq!(tick(&harvester).await.unwrap()["outside"]["withoutTime"], 0);
    stage.reap().await;
    let told = stage.queues.told().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("every document of the source has an event time again"),
        "{told:?}"
    );
    let ids: BTreeSet<String> = stage
        .rows("SELECT message_id FROM message")
        .await
        .into_iter()
        .collect();
    assert_eq!(
        ids,
        messages.iter().map(|message| message.doc_id.clone()).collect()
    );
    stage.indices.ask(Method::DELETE, &[&lenient], "").await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

impl Stage {
    /// Lets what was counted at the source be of long ago.
    pub(super) async fn let_counts_age(&self) {
        self.sql("UPDATE measurement SET measured_at = measured_at - INTERVAL 1 HOUR")
            .await;
    }
}
