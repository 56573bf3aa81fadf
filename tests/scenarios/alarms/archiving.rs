//! Alarms about the archive: batches that fail, an object that is lost, an export that is not triggered.

use super::{Course, Run, Watched};
use crate::scenarios::reaping::{harvested, send_parked_again};
use crate::scenarios::tamper::verify;
use crate::stage::{Document, Stage};
use serde_json::json;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T13:00:00Z";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_failures_fires_until_what_was_parked_is_exported() {
    let (mut stage, _) = harvested("alarms-storm").await;
    stage.tell(&[("GRANARY_MAX_ATTEMPTS", "1")]);
    stage.have_exporters(1);
    let blind = stage.blind_ledger().await;
    let failing = stage.another("exporter", &[("GRANARY_LEDGER_URL", &blind)]);
    let mut course = Course::default();
    let mut exporter = Watched::new("Exporter", stage.exporter(0));
    let mut failing_exporter = Watched::new("Exporter", &failing);
    let mut reaper = Watched::new("Reaper", &stage.reaper);

    assert_eq!(stage.export_one().await.acknowledged, 1);
    stage.reap().await;
    course.lasts(&[exporter.next().await, reaper.next().await].concat());

    assert_eq!(stage.export_all_by(&failing).await.acknowledged, 2);
    stage.reap().await;
    course.lasts(&[failing_exporter.next().await, reaper.next().await].concat());

    send_parked_again(&stage).await;
    stage.reap().await;
    assert_eq!(stage.export_all().await.acknowledged, 2);
    stage.reap().await;
    course.lasts(&[exporter.next().await, reaper.next().await].concat());

    course.assert_fires(Run::Storm);
    for alarm in [
        "ReaperFails",
        "ExporterFails",
        "InvariantViolated",
        "ReaperSilent",
    ] {
        course.assert_rests(alarm);
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_object_and_a_ledger_that_contradicts_itself_fire_until_they_are_mended() {
    let settings = [
        ("GRANARY_VERIFY_AFTER_SECONDS", "0"),
        ("GRANARY_VERIFY_EVERY_DAYS", "1"),
    ];
    let stage = Stage::with("alarms-proof", &settings).await;
    stage.index_messages(&Document::many(30, 10..13)).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    stage.export_all().await;
    let mut course = Course::default();
    let mut reaper = Watched::new("Reaper", &stage.reaper);
    for _ in 0..2 {
        stage.reap().await;
    }
    course.lasts(&reaper.next().await);

    let lost = stage.bucket.objects().await.remove(0);
    stage.bucket.delete(&lost.to_string()).await;
    let again = "UPDATE window_proof SET proven_at = proven_at - INTERVAL 2 DAY";
    stage.sql(again).await;
    stage
        .sql("UPDATE attempt SET ended_at = ended_at - INTERVAL 1 DAY")
        .await;
    for _ in 0..3 {
        stage.reap().await;
    }
    course.lasts(&reaper.next().await);

    verify(&stage, json!({"repair": true})).await;
    stage.run_until_quiet().await;
    verify(&stage, json!({})).await;
    stage.reap().await;
    reaper.next().await;
    stage.reap().await;
    course.lasts(&reaper.next().await);

    course.assert_fires(Run::LostObject);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exporter_that_is_not_triggered_fires_as_lag_until_everything_is_archived() {
    let stage = Stage::with("alarms-lag", &[("GRANARY_VERIFY_AFTER_SECONDS", "0")]).await;
    let mut course = Course::default();
    let mut harvester = Watched::new("Harvester", &stage.harvester);
    let mut reaper = Watched::new("Reaper", &stage.reaper);
    let now = stage.ledger.now().await.unwrap();
    let hours_ago = |hours: i64| (now - jiff::SignedDuration::from_hours(hours)).to_string();
    stage.harvest().await;
    stage.reap().await;
    course.lasts(&[harvester.next().await, reaper.next().await].concat());

    // As if it had begun half a day ago.
    stage
        .sql(
            "UPDATE migration SET range_from = range_from - INTERVAL 12 HOUR, harvested_to = harvested_to - INTERVAL 12 HOUR \
             WHERE kind = 'continuous'",
        )
        .await;
    let message = |hours: i64| {
        let id = format!("m-{hours}");
        Document::raw(
            &id,
            json!({"message_id": id, "created_at": hours_ago(hours)}).to_string(),
        )
    };
    stage.index_messages(&[message(11), message(5)]).await;
    stage.harvest().await;
    stage
        .sql("UPDATE batch SET created_at = created_at - INTERVAL 5 HOUR")
        .await;
    stage.reap().await;
    course.lasts(&[harvester.next().await, reaper.next().await].concat());

    stage.run_until_quiet().await;
    for _ in 0..3 {
        stage.reap().await;
    }
    reaper.next().await;
    harvester.next().await;
    stage.harvest().await;
    stage.reap().await;
    course.lasts(&[harvester.next().await, reaper.next().await].concat());

    course.assert_fires(Run::NoTrigger);
    stage.finish().await;
}
