//! The alarms of the template over what real functions measured: each rests before the trouble, fires in it, and rests after it.
//!
//! A tick takes a minute in AWS and a moment here: what functions measured lasts as many periods as a test says.

use super::reaping::{harvested, send_parked_again};
use super::tamper::verify;
use crate::stage::measured::{measured, series_of};
use crate::stage::{Document, Function, Proxy, Stage, request};
use crate::template::evaluation::{Series, states_of};
use serde_json::json;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T13:00:00Z";
/// Periods of five minutes that each part of a test lasts.
const PART: usize = 10;
/// What EventBridge Scheduler counts in five minutes of two schedules that tick every minute.
const ATTEMPTS: (&str, f64) = ("AWS/Scheduler/InvocationAttemptCount/Clock", 10.0);

/// A function of the template, and how much of what it measured was seen already.
struct Watched<'a> {
    resource: &'static str,
    function: &'a Function,
    lines: usize,
}

impl<'a> Watched<'a> {
    fn new(resource: &'static str, function: &'a Function) -> Self {
        Self {
            resource,
            function,
            lines: 0,
        }
    }

    /// What it measured in its next invocations, and how Lambda counts these.
    async fn next(&mut self, invocations: usize, errors: usize) -> Vec<(String, f64)> {
        self.lines += invocations;
        let lines = measured(self.function, self.lines).await;
        assert_eq!(
            lines.len(),
            self.lines,
            "one line for each invocation: {lines:#?}"
        );
        let mut values = Vec::new();
        for (metric, points) in series_of(&lines[self.lines - invocations..]) {
            let of_metric = points
                .into_iter()
                .map(|(_, value)| (format!("Granary/{metric}/{}", self.resource), value));
            values.extend(of_metric);
        }
        for (metric, count) in [("Invocations", invocations), ("Errors", errors)] {
            values.push((format!("AWS/Lambda/{metric}/{}", self.resource), count as f64));
        }
        values
    }
}

/// The parts of a test, one after another.
#[derive(Default)]
struct Course {
    series: Series,
    parts: usize,
}

impl Course {
    fn lasts(&mut self, values: &[(String, f64)]) {
        for period in self.parts * PART..(self.parts + 1) * PART {
            self.series.put(ATTEMPTS.0, period, ATTEMPTS.1);
            for (metric, value) in values {
                self.series.put(metric, period, *value);
            }
        }
        self.parts += 1;
    }

    /// Three parts: all is well, trouble, all is well again.
    fn assert_fires_in_trouble_only(&self, alarm: &str) {
        assert_eq!(self.parts, 3);
        let states = states_of(alarm, &self.series, 3 * PART);
        assert!(!states[..PART].contains(&true), "{alarm}: {states:?}");
        assert!(states[2 * PART - 1], "{alarm}: {states:?}");
        assert!(!states[3 * PART - 1], "{alarm}: {states:?}");
    }

    fn assert_rests(&self, alarm: &str) {
        let states = states_of(alarm, &self.series, self.parts * PART);
        assert!(!states.contains(&true), "{alarm}: {states:?}");
    }
}

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
    course.lasts(&[exporter.next(1, 0).await, reaper.next(1, 0).await].concat());

    assert_eq!(stage.export_all_by(&failing).await.acknowledged, 2);
    stage.reap().await;
    course.lasts(&[failing_exporter.next(2, 0).await, reaper.next(1, 0).await].concat());

    send_parked_again(&stage).await;
    stage.reap().await;
    assert_eq!(stage.export_all().await.acknowledged, 2);
    stage.reap().await;
    course.lasts(&[exporter.next(2, 0).await, reaper.next(2, 0).await].concat());

    for alarm in ["FailureRate", "BatchesParked"] {
        course.assert_fires_in_trouble_only(alarm);
    }
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
async fn ticks_without_a_ledger_fire_as_silence_and_as_errors() {
    let stage = Stage::new("alarms-ledger").await;
    let ledger = Proxy::before(stage.setting("GRANARY_LEDGER_URL")).await;
    let through = [("GRANARY_LEDGER_URL", ledger.url())];
    let through = through.each_ref().map(|(name, url)| (*name, url.as_str()));
    let (harvesting, reaping) = (
        stage.another("harvester", &through),
        stage.another("reaper", &through),
    );
    let mut course = Course::default();
    let mut harvester = Watched::new("Harvester", &harvesting);
    let mut reaper = Watched::new("Reaper", &reaping);
    let tick = async |succeeds: bool| {
        for function in [&harvesting, &reaping] {
            let ticked = function.invoke(json!({}), crate::stage::REAPER_TIMEOUT).await;
            assert_eq!(ticked.is_ok(), succeeds, "{ticked:?}");
        }
    };

    tick(true).await;
    course.lasts(&[harvester.next(1, 0).await, reaper.next(1, 0).await].concat());
    ledger.cut();
    tick(false).await;
    course.lasts(&[harvester.next(1, 1).await, reaper.next(1, 1).await].concat());
    ledger.restore();
    tick(true).await;
    course.lasts(&[harvester.next(1, 0).await, reaper.next(1, 0).await].concat());

    for alarm in ["HarvesterSilent", "ReaperSilent", "HarvesterFails", "ReaperFails"] {
        course.assert_fires_in_trouble_only(alarm);
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
    course.lasts(&reaper.next(2, 0).await);

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
    course.lasts(&reaper.next(3, 0).await);

    verify(&stage, json!({"repair": true})).await;
    stage.run_until_quiet().await;
    verify(&stage, json!({})).await;
    stage.reap().await;
    let ticks = measured(&stage.reaper, reaper.lines + 1).await.len() - reaper.lines;
    reaper.next(ticks, 0).await;
    stage.reap().await;
    course.lasts(&reaper.next(1, 0).await);

    course.assert_fires_in_trouble_only("BadVerdict");
    course.assert_fires_in_trouble_only("InvariantViolated");
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
    course.lasts(&[harvester.next(1, 0).await, reaper.next(1, 0).await].concat());

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
    course.lasts(&[harvester.next(1, 0).await, reaper.next(1, 0).await].concat());

    stage.run_until_quiet().await;
    for _ in 0..3 {
        stage.reap().await;
    }
    let ticks = measured(&stage.reaper, reaper.lines + 3).await.len() - reaper.lines;
    reaper.next(ticks, 0).await;
    let ticks = measured(&stage.harvester, harvester.lines).await.len() - harvester.lines;
    harvester.next(ticks, 0).await;
    stage.harvest().await;
    stage.reap().await;
    course.lasts(&[harvester.next(1, 0).await, reaper.next(1, 0).await].concat());

    for alarm in ["ArchiveLag", "ProvenLag", "OldestPending"] {
        course.assert_fires_in_trouble_only(alarm);
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessed_tokens_fire() {
    const GUESSES: usize = 20;
    let stage = Stage::new("alarms-login").await;
    let mut course = Course::default();
    let mut operator = Watched::new("Operator", &stage.operator);
    let ask = async |token: Option<&str>| {
        let mut asked = request("GET", "/overview", "");
        if let Some(token) = token {
            asked["headers"]["authorization"] = json!(format!("Bearer {token}"));
        }
        stage.ask(asked).await["statusCode"].clone()
    };
    assert_eq!(ask(None).await, 200);
    course.lasts(&operator.next(1, 0).await);
    for guess in 0..GUESSES {
        assert_eq!(ask(Some(&format!("guess-{guess}"))).await, 401);
    }
    course.lasts(&operator.next(GUESSES, 0).await);
    assert_eq!(ask(None).await, 200);
    course.lasts(&operator.next(1, 0).await);
    course.assert_fires_in_trouble_only("LoginsFailed");
    course.assert_rests("OperatorFails");
    stage.finish().await;
}
