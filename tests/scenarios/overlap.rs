//! H17: migrations that overlap. A message belongs to the source; who asked for it first exports it, and whoever gives up
//! releases what it has not exported to the others.

use crate::stage::{Document, HARVESTER_TIMEOUT, Proxy, Stage, deliver_event, processlist};
use granary_domain::{MigrationId, MigrationKind, Priority, TimeRange};
use granary_ledger::harvest::NewMigration;
use granary_verify::Verdict;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const TEN: &str = "2026-03-01T10:00:00Z";
const ELEVEN: &str = "2026-03-01T11:00:00Z";
const TWELVE: &str = "2026-03-01T12:00:00Z";
const ONE: &str = "2026-03-01T13:00:00Z";
const TWO: &str = "2026-03-01T14:00:00Z";
const NOBODY: [String; 0] = [];

/// Cancelled by the operator, to its end.
async fn cancel(stage: &Stage, migration: MigrationId) {
    assert!(stage.ledger.cancel_migration(migration).await.unwrap());
    stage.reap().await;
}

async fn state(stage: &Stage, migration: MigrationId) -> &'static str {
    let migration = stage.ledger.migration(migration).await.unwrap();
    migration.expect("it was made").state.as_str()
}

/// Of a migration's windows, in order of time: how often it was read, and its account: recorded, adopted, owned
/// elsewhere.
async fn windows(stage: &Stage, migration: MigrationId) -> Vec<(u32, (u64, u64, u64))> {
    let id = migration.0.simple();
    let columns = "attempts, recorded, adopted, owned_elsewhere";
    let rows: Vec<(u32, u64, u64, u64)> = stage
        .rows(&format!(
            "SELECT {columns} FROM harvest_window WHERE migration_id = UNHEX('{id}') ORDER BY range_from"
        ))
        .await;
    rows.into_iter()
        .map(|(attempts, recorded, adopted, elsewhere)| (attempts, (recorded, adopted, elsewhere)))
        .collect()
}

/// Messages of one hour, of a range that begins at ten.
fn of_hour(messages: &[Document], hour: u32) -> Vec<Document> {
    let hour = format!("T{hour}:");
    let is_of_hour = |message: &&Document| message.body.contains(&hour);
    messages.iter().filter(is_of_hour).cloned().collect()
}

/// The first one is cancelled with two batches of ten completed, both of eleven in workers' hands or waiting, and
/// those of twelve pending.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h17_of_two_migrations_over_one_range_the_first_is_cancelled_half_way() {
    // Workers notice quickly that a batch isn't theirs any more.
    let stage = Stage::with("first-cancelled", &[("GRANARY_LEASE_SECONDS", "3")]).await;
    let messages = Document::many(600, 10..13);
    stage.index_messages(&messages).await;
    let given_up = stage.backfill(TEN, ONE).await;
    stage.harvest().await;
    let kept = stage.backfill(TEN, ONE).await;
    stage.harvest().await;
    assert_eq!(windows(&stage, given_up).await, [(1, (200, 0, 0)); 3]);
    assert_eq!(windows(&stage, kept).await, [(1, (0, 0, 200)); 3]);

    let sent = stage.receive_all().await;
    let of = |batch: u64| {
        let named = format!("\"batch_id\":{batch},");
        let is_of_batch = |(_, message): &&(_, aws_sdk_sqs::types::Message)| {
            message.body.as_ref().is_some_and(|body| body.contains(&named))
        };
        vec![
            sent.iter()
                .find(is_of_batch)
                .expect("every batch was sent")
                .clone(),
        ]
    };
    let batches: Vec<u64> = stage.rows("SELECT id FROM batch ORDER BY hour_start, id").await;
    assert_eq!(deliver_event(stage.exporter(0), &of(batches[0])).await, NOBODY);
    assert_eq!(deliver_event(stage.exporter(1), &of(batches[1])).await, NOBODY);

    let source = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let held = stage.another("exporter", &[("GRANARY_ES_URL", &source.url())]);
    source.stall();
    let in_hand = of(batches[2]);
    let (acknowledged, ()) = tokio::join!(deliver_event(&held, &in_hand), async {
        stage
            .until("SELECT COUNT(*) FROM batch WHERE status = 'in_progress'")
            .await;
        cancel(&stage, given_up).await;
    });
    assert_eq!(acknowledged, NOBODY, "it left in silence");
    let by_status = BTreeMap::from([("completed", (2, 200)), ("cancelled", (4, 400))]);
    assert_eq!(stage.batches_by_status().await, by_status);
    let cut_short: String = stage
        .row(&format!(
            "SELECT outcome FROM attempt WHERE batch_id = {}",
            batches[2]
        ))
        .await;
    assert_eq!(cut_short, "cancelled");

    stage.run_until_quiet().await;
    assert_eq!(
        windows(&stage, kept).await,
        [(1, (0, 0, 200)), (2, (0, 200, 0)), (2, (0, 200, 0))],
        "those that met released messages were read again"
    );
    assert_eq!(
        (state(&stage, given_up).await, state(&stage, kept).await),
        ("cancelled", "completed")
    );
    stage.assert_archived(&messages, TEN, ONE).await;
    // The old messages come late, of batches that are over.
    assert_eq!(deliver_event(stage.exporter(0), &sent).await, NOBODY);
    assert_a_rescan_finds_nothing_new(&stage, &messages, TEN, ONE).await;
    stage.finish().await;
}

async fn assert_a_rescan_finds_nothing_new(stage: &Stage, messages: &[Document], from: &str, to: &str) {
    let batches: u64 = stage.row("SELECT COUNT(*) FROM batch").await;
    let again = stage.backfill(from, to).await;
    stage.run_until_quiet().await;
    let tallies: Vec<_> = windows(stage, again).await;
    let elsewhere: u64 = tallies.iter().map(|(_, (_, _, elsewhere))| elsewhere).sum();
    assert!(
        tallies
            .iter()
            .all(|(_, (recorded, adopted, _))| recorded + adopted == 0)
    );
    assert_eq!(elsewhere, messages.len() as u64);
    assert_eq!(state(stage, again).await, "completed");
    assert_eq!(stage.row::<u64>("SELECT COUNT(*) FROM batch").await, batches);
    stage.assert_archived(messages, from, to).await;
}

/// The second owns what only it asked for, and that is released to nobody until somebody asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h17_of_two_migrations_that_overlap_the_second_is_cancelled_and_a_third_adopts_its_messages() {
    let stage = Stage::new("second-cancelled").await;
    let messages = Document::many(600, 10..13);
    stage.index_messages(&messages).await;
    let kept = stage.backfill(TEN, TWELVE).await;
    stage.harvest().await;
    let given_up = stage.backfill(ELEVEN, ONE).await;
    stage.harvest().await;
    assert_eq!(
        windows(&stage, given_up).await,
        [(1, (0, 0, 200)), (1, (200, 0, 0))]
    );
    // Half-way: some of either's batches are completed.
    for _ in 0..3 {
        assert_eq!(stage.export_one().await.acknowledged, 1);
    }
    let of_twelve = "SELECT COUNT(*) FROM batch WHERE status = 'completed' AND HOUR(hour_start) = 12";
    while stage.row::<u64>(of_twelve).await == 0 {
        assert_eq!(stage.export_one().await.acknowledged, 1);
    }
    cancel(&stage, given_up).await;
    stage.run_until_quiet().await;

    assert_eq!(
        windows(&stage, kept).await,
        [(1, (200, 0, 0)); 2],
        "it relied on nobody"
    );
    assert_eq!(
        (state(&stage, kept).await, state(&stage, given_up).await),
        ("completed", "cancelled")
    );
    assert_eq!(stage.verify(TEN, TWELVE).await.verdict, Verdict::Complete);
    assert_eq!(stage.verify(TEN, ONE).await.verdict, Verdict::Incomplete);
    let exported = stage.bucket.lines().await.len();
    assert_eq!(exported, 500, "what was completed stays");

    let third = stage.backfill(TEN, ONE).await;
    stage.run_until_quiet().await;
    let adopted: u64 = windows(&stage, third)
        .await
        .iter()
        .map(|(_, (_, adopted, _))| adopted)
        .sum();
    assert_eq!((adopted, state(&stage, third).await), (100, "completed"));
    stage.assert_archived(&messages, TEN, ONE).await;
    stage.finish().await;
}

/// Harvested by two harvesters at once, so that each message goes to whoever comes first, and cancelled meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h17_one_of_two_is_cancelled_while_two_harvesters_read_for_both() {
    let stage = Stage::new("both-at-once").await;
    let messages = Document::many(1_200, 10..14);
    stage.index_messages(&messages).await;
    let another = stage.another("harvester", &[]);
    // Both are warm, and know that there is nothing to do.
    stage.harvest().await;
    another.invoke(tick(), HARVESTER_TIMEOUT).await.unwrap();
    for given_up_is_first in [true, false] {
        let (from, to) = if given_up_is_first {
            (TEN, TWELVE)
        } else {
            (TWELVE, TWO)
        };
        let pair = [stage.backfill(from, to).await, stage.backfill(from, to).await];
        let given_up = if given_up_is_first { pair[0] } else { pair[1] };
        let (_, harvested, ()) = tokio::join!(
            stage.harvest(),
            another.invoke(tick(), HARVESTER_TIMEOUT),
            async {
                stage
                    .until(&format!(
                        "SELECT COUNT(*) FROM harvest_window WHERE found > 0 AND migration_id IN {}",
                        list(&pair)
                    ))
                    .await;
                cancel(&stage, given_up).await;
            }
        );
        harvested.unwrap();
        stage.run_until_quiet().await;
        let states: BTreeSet<_> = [state(&stage, pair[0]).await, state(&stage, pair[1]).await].into();
        assert_eq!(states, BTreeSet::from(["cancelled", "completed"]));
        assert_eq!(state(&stage, given_up).await, "cancelled");
        assert_eq!(stage.verify(from, to).await.verdict, Verdict::Complete);
    }
    stage.assert_archived(&messages, TEN, TWO).await;
    assert_a_rescan_finds_nothing_new(&stage, &messages, TEN, TWO).await;
    stage.finish().await;
}

fn tick() -> Value {
    json!({})
}

fn list(migrations: &[MigrationId]) -> String {
    let ids: Vec<_> = migrations
        .iter()
        .map(|migration| format!("UNHEX('{}')", migration.0.simple()))
        .collect();
    format!("({})", ids.join(", "))
}

/// H11, H17: its harvester has recorded a page, and waits for Elasticsearch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h17_a_migration_is_cancelled_while_its_harvester_is_in_the_middle_of_a_window() {
    let stage = Stage::new("mid-window").await;
    let messages = Document::many(300, 10..11);
    stage.index_messages(&messages).await;
    let source = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let harvester = stage.another("harvester", &[("GRANARY_ES_URL", &source.url())]);
    harvester.invoke(tick(), HARVESTER_TIMEOUT).await.unwrap();
    let given_up = stage.backfill(TEN, ELEVEN).await;
    open_window(&stage, given_up).await;
    let kept = stage.backfill(TEN, ELEVEN).await;

    source.stall();
    let (report, ()) = tokio::join!(harvester.invoke(tick(), HARVESTER_TIMEOUT), async {
        hold_after_a_page(&stage, &source).await;
        cancel(&stage, given_up).await;
        assert_eq!(
            stage
                .row::<u64>("SELECT COUNT(*) FROM message_status WHERE status <> 'released'")
                .await,
            0,
            "all is released"
        );
        source.restore();
    });
    // It left the window that was lost, and went on with the other's.
    assert_eq!(report.unwrap()["tally"]["adopted"], 300);

    stage.run_until_quiet().await;
    assert_eq!(windows(&stage, kept).await, [(1, (0, 300, 0))]);
    assert_eq!(
        (state(&stage, given_up).await, state(&stage, kept).await),
        ("cancelled", "completed")
    );
    stage.assert_archived(&messages, TEN, ELEVEN).await;
    stage.finish().await;
}

/// The other one is in the middle of the window that met the released messages: it finishes it, and reads it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h17_messages_released_behind_a_bookmark_are_found_all_the_same() {
    let stage = Stage::new("behind-bookmark").await;
    let messages = Document::many(300, 10..11);
    stage.index_messages(&messages).await;
    let given_up = stage.backfill(TEN, ELEVEN).await;
    stage.harvest().await;
    let source = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let harvester = stage.another("harvester", &[("GRANARY_ES_URL", &source.url())]);
    harvester.invoke(tick(), HARVESTER_TIMEOUT).await.unwrap();
    let kept = stage.backfill(TEN, ELEVEN).await;
    open_window(&stage, kept).await;

    source.stall();
    let (report, ()) = tokio::join!(harvester.invoke(tick(), HARVESTER_TIMEOUT), async {
        hold_after_a_page(&stage, &source).await;
        assert_eq!(windows(&stage, kept).await, [(1, (0, 0, 300))]);
        cancel(&stage, given_up).await;
        source.restore();
    });
    report.unwrap();
    assert_eq!(windows(&stage, kept).await, [(2, (0, 300, 0))]);
    stage.run_until_quiet().await;
    assert_eq!(state(&stage, kept).await, "completed");
    stage.assert_archived(&messages, TEN, ELEVEN).await;
    stage.finish().await;
}

/// Opens a window over the whole range of a migration.
async fn open_window(stage: &Stage, migration: MigrationId) {
    let made = stage.ledger.migration(migration).await.unwrap();
    let made = made.expect("it was made");
    let range = TimeRange::new(made.from, made.to.expect("a backfill has an end")).unwrap();
    assert!(stage.ledger.open_window(migration, range).await.unwrap());
}

/// Has a harvester that began with a stalled source record its first page, and then wait for the source again.
async fn hold_after_a_page(stage: &Stage, source: &Proxy) {
    let at_work = "SELECT COUNT(*) FROM harvest_window WHERE state = 'harvesting'";
    stage.until(at_work).await;
    let recording = stage.hold("SELECT * FROM harvest_window FOR UPDATE").await;
    source.restore();
    stage
        .until(&format!(
            "SELECT COUNT(*) FROM {} WHERE db = DATABASE() \
             AND id <> CONNECTION_ID() AND info LIKE '%FROM harvest_window WHERE%FOR UPDATE%'",
            processlist()
        ))
        .await;
    source.stall();
    recording.let_go().await;
    stage.until(&format!("{at_work} AND pages = 1")).await;
}

/// Somebody is in a hurry for an hour that an unhurried migration has in its backlog.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h17_an_urgent_migration_lifts_the_pending_batches_of_whoever_owns_its_messages() {
    let stage = Stage::new("urgent").await;
    let messages = Document::many(600, 10..13);
    stage.index_messages(&messages).await;
    let unhurried = stage.backfill(TEN, ONE).await;
    stage.harvest().await;
    assert_eq!(stage.queues.depth(&stage.queues.priority).await, 0);
    let urgent = NewMigration {
        id: MigrationId::new(),
        kind: MigrationKind::Backfill,
        priority: Priority::try_from(9).unwrap(),
        batch_size: 100,
        filter: None,
        from: ELEVEN.parse().unwrap(),
        to: Some(TWELVE.parse().unwrap()),
        requested_by: "test".into(),
    };
    let urgent = stage.migrate(&urgent).await;
    stage.harvest().await;

    let lifted: Vec<(u32, u64)> = stage
        .rows("SELECT CAST(HOUR(hour_start) AS UNSIGNED), COUNT(*) FROM batch WHERE priority = 9 GROUP BY 1")
        .await;
    assert_eq!(lifted, [(11, 2)], "its hour's, and no other's");
    assert_eq!(stage.queues.depth(&stage.queues.priority).await, 2);
    for _ in 0..2 {
        assert_eq!(stage.export_one().await.acknowledged, 1);
    }
    stage.reap().await;
    assert_eq!(
        (state(&stage, urgent).await, state(&stage, unhurried).await),
        ("completed", "draining")
    );
    stage
        .assert_archived(&of_hour(&messages, 11), ELEVEN, TWELVE)
        .await;
    assert_eq!(stage.batches_by_status().await["pending"], (4, 400));

    stage.run_until_quiet().await;
    assert_eq!(stage.row::<u64>("SELECT COUNT(*) FROM attempt").await, 6);
    stage.assert_archived(&messages, TEN, ONE).await;
    stage.finish().await;
}
