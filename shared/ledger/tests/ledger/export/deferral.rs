//! Deferrals: what waits because the platform broke it off, since when and why; told once, and once when it is over.

use crate::stage::{ATTEMPTS_MAX, Stage, a_day, failure, instant, many, seen, whole};
use granary_domain::{BatchId, Cause, Failure, MigrationId, TimeRange};
use granary_ledger::export::{Deferral, Fenced};
use granary_ledger::harvest::LeasedWindow;
use jiff::Timestamp;
use std::time::{Duration, Instant};

const DELAY: Duration = Duration::from_secs(60);
/// One statement over 25,000 batches; the figure for a ledger of 20 million messages.
const LISTED_WITHIN: Duration = Duration::from_millis(100);

fn unavailable(text: &str) -> Failure {
    Failure {
        cause: Cause::SourceUnavailable,
        text: text.into(),
    }
}

fn out_of_time() -> Failure {
    Failure {
        cause: Cause::Deadline,
        text: "the function's time is nearly over".into(),
    }
}

impl Stage {
    async fn deferred(&self) -> Vec<Deferral> {
        self.ledger.deferrals().await.unwrap()
    }

    /// Claims a batch and has the platform break it off.
    async fn defer(&self, batch: BatchId, failure: &Failure) {
        self.let_delays_end().await;
        let claimed = self.claim(batch, "worker").await;
        assert_eq!(
            self.ledger.defer(&claimed, failure, DELAY).await.unwrap(),
            Fenced::Done
        );
    }

    async fn defer_window(&self, window: &LeasedWindow, reason: &str) -> Fenced {
        let failure = unavailable(reason);
        self.ledger.defer_window(window, &failure, DELAY).await.unwrap()
    }

    async fn defer_harvest(&self, migration: MigrationId, harvested_to: Timestamp, reason: &str) {
        let failure = unavailable(reason);
        let deferred = self.ledger.defer_harvest(migration, harvested_to, &failure);
        deferred.await.unwrap();
    }

    /// As if everything that is deferred had been so for longer.
    async fn let_wait(&self, interval: &str) {
        for table in [
            "batch SET deferred_since = deferred_since",
            "harvest_deferral SET since = since",
        ] {
            self.database
                .sql(&format!("UPDATE {table} - INTERVAL {interval}"))
                .await;
        }
    }
}

/// Causes, with batches and windows.
fn counted(deferrals: &[Deferral]) -> Vec<(Cause, u64, u64)> {
    let count = |deferral: &Deferral| (deferral.cause, deferral.batches, deferral.windows);
    deferrals.iter().map(count).collect()
}

#[tokio::test]
async fn e12_deferred_batches_are_listed_by_cause_until_they_settle() {
    let stage = Stage::new().await;
    assert_eq!(stage.deferred().await, []);
    let [one, two, three] = [
        stage.batch(&["a1", "a2"]).await,
        stage.batch(&["b1"]).await,
        stage.batch(&["c1"]).await,
    ];
    stage.defer(one, &unavailable("connection refused")).await;
    stage.let_wait("5 MINUTE").await;
    stage.defer(two, &unavailable("busy")).await;
    let throttled = Failure {
        cause: Cause::ArchiveUnavailable,
        text: "S3 could not put the object".into(),
    };
    stage.defer(three, &throttled).await;

    let deferrals = stage.deferred().await;
    assert_eq!(
        counted(&deferrals),
        [
            (Cause::SourceUnavailable, 2, 0),
            (Cause::ArchiveUnavailable, 1, 0)
        ],
        "the longest first"
    );
    let source = &deferrals[0];
    assert_eq!(
        (source.messages, source.reason.as_str()),
        (3, "connection refused")
    );
    let waited = source.waited.as_secs();
    assert!((300..310).contains(&waited), "{waited}");
    assert!(source.next_try.unwrap() > source.since);
    assert_eq!(deferrals[1].reason, throttled.text);

    // Tried again, it is still deferred: an outage isn't over because somebody knocks.
    stage.let_delays_end().await;
    let again = stage.claim(one, "the next").await;
    assert_eq!(
        counted(&stage.deferred().await)[0],
        (Cause::SourceUnavailable, 2, 0)
    );
    stage.ledger.settle(&again, &whole(&again)).await.unwrap();
    let deferrals = stage.deferred().await;
    assert_eq!(counted(&deferrals)[0].1, 1);
    assert!(
        deferrals[0].waited < Duration::from_secs(60),
        "the oldest is done"
    );
}

#[tokio::test]
async fn e12_a_batch_that_fails_or_loses_its_worker_is_deferred_no_longer() {
    let stage = Stage::new().await;
    for (number, dies) in [false, true].into_iter().enumerate() {
        let batch = stage.batch(&[&format!("m{number}")]).await;
        stage.defer(batch, &unavailable("busy")).await;
        stage.let_delays_end().await;
        let claimed = stage.claim(batch, "worker").await;
        if dies {
            stage.reap(batch).await;
        } else {
            let failed = &failure();
            let failed = stage.ledger.fail(&claimed, failed, Duration::ZERO, ATTEMPTS_MAX);
            assert_eq!(failed.await.unwrap(), Fenced::Done);
        }
        stage.ledger.retry_failed().await.unwrap();
        stage.let_delays_end().await;
        stage.ledger.retry_failed().await.unwrap();
        assert_eq!(stage.status_of(batch).await, "pending");
        assert_eq!(stage.deferred().await, []);
        let again = stage.claim(batch, "the next").await;
        assert_eq!((again.attempts, again.deferrals), (2, 0));
    }
}

#[tokio::test]
async fn e9_running_out_of_time_counts_as_a_deferral_and_a_shutdown_does_not() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m"]).await;
    for round in 1..=20 {
        let claimed = stage.claim(batch, "worker").await;
        assert_eq!((claimed.attempts, claimed.deferrals), (1, round - 1));
        let late = out_of_time();
        for _ in 0..2 {
            let deferred = stage.ledger.defer_unfinished(&claimed, &late, Duration::ZERO);
            assert_eq!(deferred.await.unwrap(), Fenced::Done, "also when it is repeated");
        }
        stage.let_wait("1 MINUTE").await;
    }
    let claimed = stage.claim(batch, "worker").await;
    let shutdown = Failure {
        cause: Cause::Shutdown,
        text: "the function is being shut down".into(),
    };
    stage.ledger.hand_back(&claimed, &shutdown).await.unwrap();

    let deferrals = stage.deferred().await;
    assert_eq!(counted(&deferrals), [(Cause::Deadline, 1, 0)]);
    assert!(
        deferrals[0].waited >= Duration::from_secs(20 * 60),
        "since the first in a row"
    );
    let (status, attempts, deferrals): (String, u32, u32) = stage
        .database
        .row("SELECT status, attempts, deferrals FROM batch")
        .await;
    assert_eq!((status.as_str(), attempts, deferrals), ("pending", 0, 20));
    let unsent = stage.ledger.unsent(None, 10).await.unwrap();
    assert_eq!(unsent.len(), 1, "it is sent again");

    let fresh = stage.batch(&["another"]).await;
    let claimed = stage.claim(fresh, "worker").await;
    stage.ledger.hand_back(&claimed, &shutdown).await.unwrap();
    assert_eq!(
        counted(&stage.deferred().await),
        [(Cause::Deadline, 1, 0)],
        "a shutdown alone isn't one"
    );
}

#[tokio::test]
async fn h7_a_window_that_an_error_broke_off_is_deferred_until_it_is_read_on() {
    let stage = Stage::new().await;
    let mut window = stage.window(100).await;
    stage.record(&mut window, &many("m", 10)).await;
    for round in 0..3 {
        let deferred = stage.defer_window(&window, "refused");
        assert_eq!(deferred.await, Fenced::Done);
        stage.let_wait("10 MINUTE").await;
        let deferrals = stage.deferred().await;
        assert_eq!(counted(&deferrals), [(Cause::SourceUnavailable, 0, 1)]);
        assert!(deferrals[0].next_try.is_some());
        let waited = deferrals[0].waited.as_secs() / 60;
        assert_eq!(waited, 10 * (round + 1), "since the first in a row");
        stage
            .database
            .sql("UPDATE harvest_window SET not_before = NULL")
            .await;
        window = stage.take_window().await;
        assert_eq!(counted(&stage.deferred().await).len(), 1, "it is being tried");
    }
    let stale = window.clone();
    // The deadline came first: it was read on.
    stage
        .ledger
        .release_window(&window, Duration::ZERO, None)
        .await
        .unwrap();
    assert_eq!(stage.deferred().await, []);
    let refused = stage.defer_window(&stale, "refused");
    assert_eq!(refused.await, Fenced::Refused, "it is nobody's");
    assert_eq!(stage.deferred().await, []);

    let window = stage.take_window().await;
    let again = stage.defer_window(&window, "refused");
    assert_eq!(again.await, Fenced::Done);
    assert!(
        stage.deferred().await[0].waited < Duration::from_secs(60),
        "a new row begins anew"
    );
    stage
        .database
        .sql("UPDATE harvest_window SET not_before = NULL")
        .await;
    let window = stage.take_window().await;
    stage.ledger.finish_window(&window).await.unwrap();
    assert_eq!(stage.deferred().await, []);
}

/// An outage when everything so far is read and exported: there is neither a batch nor a window that could wait.
#[tokio::test]
async fn h7_a_migration_whose_next_window_cannot_be_opened_is_deferred_until_it_is() {
    let stage = Stage::new().await;
    let (day, noon) = (a_day(), instant("2026-01-01T12:00:00Z"));
    let migration = stage
        .backfill(TimeRange::new(day.from(), noon).unwrap(), 100)
        .await;
    stage
        .database
        .sql("UPDATE migration SET range_to = range_to + INTERVAL 12 HOUR")
        .await;
    for _ in 0..3 {
        stage.defer_harvest(migration, noon, "refused").await;
    }
    stage.let_wait("31 MINUTE").await;
    let deferred = stage.defer_harvest(migration, noon, "still");
    deferred.await;
    let deferrals = stage.deferred().await;
    assert_eq!(counted(&deferrals), [(Cause::SourceUnavailable, 0, 1)]);
    assert_eq!(
        (deferrals[0].reason.as_str(), deferrals[0].next_try),
        ("still", None)
    );
    assert!(deferrals[0].waited > Duration::from_secs(30 * 60));
    assert_eq!(stage.ledger.deferrals_of(migration, None).await.unwrap().len(), 1);
    let other = MigrationId(uuid::Uuid::now_v7());
    assert_eq!(stage.ledger.deferrals_of(other, None).await.unwrap(), []);

    let next = TimeRange::new(noon, day.to()).unwrap();
    assert!(stage.ledger.open_window(migration, next).await.unwrap());
    assert_eq!(stage.deferred().await, [], "the source answered");
    stage.defer_harvest(migration, day.to(), "again").await;
    assert!(stage.deferred().await[0].waited < Duration::from_secs(60));
    stage.ledger.cancel_migration(migration).await.unwrap();
    assert_eq!(stage.deferred().await, [], "nobody wants it any more");
}

#[tokio::test]
async fn a_migrations_deferrals_are_those_of_its_range_whoever_owns_the_batches() {
    let stage = Stage::new().await;
    let batch = stage.batch(&["m"]).await;
    stage.defer(batch, &unavailable("busy")).await;
    let other = MigrationId(uuid::Uuid::now_v7());
    let of = async |from: &str, to: &str| {
        let range = TimeRange::new(instant(from), instant(to)).unwrap();
        stage.ledger.deferrals_of(other, Some(range)).await.unwrap().len()
    };
    assert_eq!(of("2026-01-01T12:30:00Z", "2026-01-01T13:00:00Z").await, 1);
    assert_eq!(of("2026-01-01T00:00:00Z", "2026-01-01T12:00:00Z").await, 0);
    assert_eq!(of("2026-01-01T13:00:00Z", "2026-01-02T00:00:00Z").await, 0);
}

#[tokio::test]
async fn a2_a_cause_is_told_once_and_its_end_once_and_every_cause_for_itself() {
    let stage = Stage::new().await;
    let (ledger, other) = (&stage.ledger, stage.database.ledger().await);
    for round in 0..3 {
        let (one, another) = tokio::join!(
            ledger.begin_condition("deferred", "source_unavailable", "it waits"),
            other.begin_condition("deferred", "source_unavailable", "it waits")
        );
        assert!(one.unwrap() ^ another.unwrap(), "round {round}");
        assert!(
            !ledger
                .begin_condition("deferred", "source_unavailable", "still")
                .await
                .unwrap()
        );
        assert_eq!(
            ledger
                .begin_condition("deferred", "deadline", "too large")
                .await
                .unwrap(),
            round == 0
        );
        let lasting = ledger.lasting_conditions("deferred").await.unwrap();
        let mut causes: Vec<&str> = lasting.iter().map(|(cause, _)| cause.as_str()).collect();
        causes.sort_unstable();
        assert_eq!(causes, ["deadline", "source_unavailable"]);
        let (one, another) = tokio::join!(
            ledger.end_condition("deferred", "source_unavailable", "it is over"),
            other.end_condition("deferred", "source_unavailable", "it is over")
        );
        assert!(one.unwrap() ^ another.unwrap(), "round {round}");
    }
    let mut told = ledger.unpublished_alerts(100).await.unwrap();
    let begun: Vec<u64> = told.iter().map(|alert| alert.id).collect();
    ledger.mark_published(&begun).await.unwrap();
    told.extend(ledger.unpublished_alerts(100).await.unwrap());
    let of = |kind: &str, cause: &str| {
        let alike = told
            .iter()
            .filter(|row| (row.kind.as_str(), row.cause.as_str()) == (kind, cause));
        alike.count()
    };
    assert_eq!(
        (
            of("deferred", "source_unavailable"),
            of("deferred_over", "source_unavailable")
        ),
        (3, 3)
    );
    assert_eq!(
        (of("deferred", "deadline"), of("deferred_over", "deadline")),
        (1, 0)
    );
}

/// A ledger of 20 million messages that are all still to be exported, of which every 50th waits.
#[tokio::test]
async fn deferrals_are_found_at_once_in_a_large_ledger() {
    let stage = Stage::new().await;
    let mut window = stage.window(100).await;
    stage.record(&mut window, &[seen("m")]).await;
    let columns = "migration_id, window_id, window_ordinal, hour_start, message_count, digest_high, digest_low, time_from, time_to, created_at";
    stage
        .database
        .sql(&format!(
            "INSERT INTO batch ({columns}) WITH RECURSIVE digit (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM digit WHERE n < 29) \
             SELECT b.migration_id, b.window_id, 1000 + x.n * 900 + y.n * 30 + z.n, b.hour_start, 1000, 0, 0, b.time_from, b.time_to, b.created_at \
             FROM batch b, digit x, digit y, digit z WHERE x.n < 28"
        ))
        .await;
    stage
        .database
        .sql(
            "UPDATE batch SET deferrals = 1, deferred_since = created_at, error_code = 'source_unavailable', \
             error_text = 'Elasticsearch is unavailable' WHERE id MOD 50 = 0",
        )
        .await;
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let clock = Instant::now();
        let deferrals = stage.deferred().await;
        fastest = fastest.min(clock.elapsed());
        assert!((500..510).contains(&deferrals[0].batches), "{deferrals:?}");
    }
    assert!(fastest < LISTED_WITHIN, "{fastest:?}");
    stage.database.sql("ANALYZE TABLE batch").await;
    let plan: Vec<String> = stage
        .database
        .rows::<mysql_async::Row>(
            "EXPLAIN FORMAT=TRADITIONAL SELECT COUNT(*) FROM batch WHERE deferred_since IS NOT NULL AND status = 'pending'",
        )
        .await
        .into_iter()
        .map(|row| row.get::<Option<String>, _>("key").flatten().unwrap_or_default())
        .collect();
    assert_eq!(plan, ["batch_deferred"]);
}
