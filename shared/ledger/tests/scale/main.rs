//! 20 million messages: what the functions ask of the ledger all day answers within 100 ms.
//!
//! Not part of `make test`, since the messages take minutes to make: `make test-full` names it. `SCALE_HOURS` makes it
//! smaller while one works on it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]
#![allow(clippy::print_stdout, reason = "the table is what people run it for")]

#[path = "../synthetic/mod.rs"]
mod synthetic;
mod measure;
mod pages;
mod batches;
mod recording;

use granary_domain::{
    Backoff, BatchId, Hour, MigrationKind, MigrationState, NumberMark, ObjectKey, Part, TimeRange,
};
use granary_ledger::Ledger;
use granary_ledger::export::{Claim, ClaimedBatch, Settlement};
use granary_ledger::handoff::{QueueLane, QueueState};
use granary_ledger::harvest::{MigrationFilter, RescanRules};
use granary_ledger::integrity::{Bounds, ProofRules, SealIntent};
use granary_test_database::{LedgerServer, ServerKind};
use jiff::SignedDuration;
use measure::{Measures, WARM_UPS};
use std::time::{Duration, Instant};
use synthetic::Synthetic;

const LEASE: Duration = Duration::from_secs(90);
const ATTEMPTS_MAX: u32 = 5;
const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(5),
    ceiling: Duration::from_secs(600),
};
const PAGE: u64 = 10_000;
/// A prime: neighbours in a page are far apart in the index.
const STRIDE: u64 = 7_919;

#[tokio::test]
async fn with_20_million_messages_every_hot_question_is_answered_within_100_ms() {
    let hours = std::env::var("SCALE_HOURS").map_or(400, |hours| hours.parse().unwrap());
    let synthetic = Synthetic {
        hours,
        batches_per_hour: 50,
        batch_size: 1_000,
        pending: 500,
        in_progress: 40,
        failed: 60,
        leftovers: 10_000,
    };
    let redo_log = ServerKind::of_stack().redo_log("1G");
    let options = [
        "--innodb-buffer-pool-size=3G",
        "--innodb-flush-log-at-trx-commit=0",
        redo_log.as_str(),
    ];
    let server = LedgerServer::start_with(&options).await;
    let ledger = server.ledger().await;
    let began = Instant::now();
    synthetic.fill(&mut server.connection().await).await;
    let block = ledger.intend_block(NumberMark::default(), 1).await.unwrap();
    ledger.open_block(block).await.unwrap();
    println!("{} messages made in {:?}", synthetic.messages(), began.elapsed());
    server
        .administer("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
        .await;

    let mut measures = Measures::default();
    counts(&mut measures, &ledger, &synthetic).await;
    synthetic.settle_lately(&mut server.connection().await).await;
    pages::everything(&mut measures, &ledger, &synthetic).await;
    batches::everything(&mut measures, &ledger, &synthetic).await;
    synthetic.settle_long_ago(&mut server.connection().await).await;
    queues(&mut measures, &ledger, &synthetic).await;
    proofs(&mut measures, &ledger).await;
    evidence(&mut measures, &ledger, &synthetic).await;
    lookups(&mut measures, &ledger, &synthetic).await;
    journey(&mut measures, &ledger, &synthetic).await;
    reaping(&mut measures, &ledger, &server).await;
    recording::everything(&mut measures, &ledger, &synthetic).await;
    releasing(&mut measures, &ledger).await;
    purging(&mut measures, &server, &ledger, &synthetic).await;
    measures.conclude();
}

/// What the API and the reaper count.
async fn counts(measures: &mut Measures, ledger: &Ledger, synthetic: &Synthetic) {
    let id = synthetic.migration();
    let all = synthetic.range();
    let off = SignedDuration::from_mins(17);
    let cut = TimeRange::new(all.from() + off, all.to() - off).unwrap();
    measures
        .of("progress_of, the whole range", || async {
            ledger.progress_of(all).await.unwrap()
        })
        .await;
    measures
        .of("progress_of, hours cut in two", || async {
            ledger.progress_of(cut).await.unwrap()
        })
        .await;
    measures
        .of("batches_by_status", || async {
            ledger.batches_by_status().await.unwrap()
        })
        .await;
    measures
        .of("believed_in a queue", || async {
            ledger.believed_in(QueueLane::Normal).await.unwrap()
        })
        .await;
    measures
        .of("window_counts", || async {
            ledger.window_counts(id).await.unwrap()
        })
        .await;
    measures
        .of("windows_of, 500", || async {
            ledger.windows_of(id, None, 500).await.unwrap()
        })
        .await;
}

/// What the reaper looks for at every tick.
async fn queues(measures: &mut Measures, ledger: &Ledger, synthetic: &Synthetic) {
    let (id, all) = (synthetic.migration(), synthetic.range());
    measures
        .of("deferrals", || async { ledger.deferrals().await.unwrap() })
        .await;
    measures
        .of("deferrals_of, the whole range", || async {
            ledger.deferrals_of(id, Some(all)).await.unwrap()
        })
        .await;
    measures
        .of("lateness", || async {
            ledger.lateness(Duration::from_secs(86_400), None).await.unwrap()
        })
        .await;
    let rules = RescanRules {
        after: Duration::from_secs(900),
        horizon: Duration::from_secs(7 * 86_400),
        night_hour: 2,
    };
    measures
        .of("due_rescans", || async {
            ledger.due_rescans(rules, &[], 10).await.unwrap()
        })
        .await;
    measures
        .of("failure_rate", || async {
            ledger.failure_rate(Duration::from_secs(3_600)).await.unwrap()
        })
        .await;
    measures
        .of("observe_waiting", || async {
            ledger
                .observe_waiting(QueueLane::Normal, QueueState::Works)
                .await
                .unwrap()
        })
        .await;
    measures
        .of("continuous_waits", || async {
            ledger.continuous_waits(Duration::from_secs(1_800)).await.unwrap()
        })
        .await;
    let filter = MigrationFilter {
        limit: 50,
        ..MigrationFilter::default()
    };
    measures
        .of("migrations", || async {
            ledger.migrations(filter).await.unwrap()
        })
        .await;
    measures
        .of("drain_harvested_migrations", || async {
            ledger.drain_harvested_migrations().await.unwrap()
        })
        .await;
    measures
        .of("perhaps_lost", || async {
            let lane = QueueLane::Normal;
            ledger
                .perhaps_lost(lane, Duration::from_secs(600), 100)
                .await
                .unwrap()
        })
        .await;
    measures
        .of("surely_lost", || async { ledger.surely_lost(100).await.unwrap() })
        .await;
}

/// What the reaper asks about proofs, with windows of years behind it.
async fn proofs(measures: &mut Measures, ledger: &Ledger) {
    let rules = ProofRules {
        after: Duration::from_secs(3_600),
        horizon: Duration::from_secs(7 * 86_400),
        every: Some(Duration::from_secs(3_650 * 86_400)),
    };
    measures
        .of("due_proof", || async { ledger.due_proof(&rules).await.unwrap() })
        .await;
    let began = Instant::now();
    ledger.proof_state(None).await.unwrap();
    measures.report("proof_state, 10,000 windows", began.elapsed());
}

/// Hours all of whose batches are completed, far apart.
fn completed_hours(synthetic: &Synthetic) -> Vec<Hour> {
    let completed = synthetic.first_open() / synthetic.batches_per_hour;
    (1..=WARM_UPS)
        .map(|number| synthetic.hour(number * completed / (WARM_UPS + 1)))
        .collect()
}

/// What a verification reads of an hour.
async fn evidence(measures: &mut Measures, ledger: &Ledger, synthetic: &Synthetic) {
    let hours = completed_hours(synthetic);
    let turn = std::cell::Cell::new(0);
    let next = || {
        turn.set(turn.get() + 1);
        hours[turn.get() % hours.len()]
    };
    measures
        .of("digests_of an hour", || async {
            let digests = ledger.digests_of(next().range()).await.unwrap();
            assert!(!digests.is_empty());
        })
        .await;
    measures
        .of("digests_of_part, an hour", || async {
            ledger.digests_of_part(&Part::of(next().range())).await.unwrap()
        })
        .await;
    measures
        .of("count_messages_in an hour", || async {
            ledger.count_messages_in(next().range()).await.unwrap()
        })
        .await;
    measures
        .of("hours_of an hour", || async {
            ledger.hours_of(next().range()).await.unwrap()
        })
        .await;
    measures
        .of("first_hour_of the rest", || async {
            let rest = TimeRange::new(next().start(), synthetic.range().to()).unwrap();
            ledger.first_hour_of(rest).await.unwrap()
        })
        .await;
    measures
        .of("objects_of_hour", || async {
            let objects = ledger.objects_of_hour(next(), BatchId(0), 200).await.unwrap();
            assert!(!objects.is_empty());
        })
        .await;
    measures
        .of("digests_of_batches, 50", || async {
            let batches = ledger.objects_of_hour(next(), BatchId(0), 200).await.unwrap();
            let batches: Vec<BatchId> = batches.iter().map(|batch| batch.batch_id).collect();
            ledger.digests_of_batches(&batches).await.unwrap()
        })
        .await;
}

/// What is asked of single messages and batches.
async fn lookups(measures: &mut Measures, ledger: &Ledger, synthetic: &Synthetic) {
    let hours = completed_hours(synthetic);
    let turn = std::cell::Cell::new(0);
    let next = || {
        turn.set(turn.get() + 1);
        hours[turn.get() % hours.len()]
    };
    let ids: Vec<_> = (1..=5_000_u64)
        .map(|number| {
            Synthetic::id(1 + number * STRIDE % synthetic.messages())
                .try_into()
                .unwrap()
        })
        .collect();
    let ids: Vec<_> = ids.iter().collect();
    let began = Instant::now();
    assert_eq!(ledger.standings_of_ids(&ids).await.unwrap().len(), 5_000);
    measures.report("standings_of_ids, 5,000", began.elapsed());
    let bounds = Bounds {
        attempts_max: Some(ATTEMPTS_MAX),
        untold_max: Duration::from_secs(3_600),
    };
    measures
        .of("violations_in a slice of 12 batches", || async {
            let after =
                BatchId((next().start().as_second() - Synthetic::start().as_second()).unsigned_abs() / 72);
            let slice = ledger.slice_after(after, 12).await.unwrap().unwrap();
            ledger.violations_in(&slice, &bounds).await.unwrap()
        })
        .await;
    measures
        .of("is_sealed", || async { ledger.is_sealed(next()).await.unwrap() })
        .await;
}

/// What happens to a batch from its sending to its end.
async fn journey(measures: &mut Measures, ledger: &Ledger, synthetic: &Synthetic) {
    let numbers = std::cell::Cell::new(synthetic.first_pending());
    let next = || {
        numbers.set(numbers.get() + 1);
        BatchId(numbers.get() - 1)
    };
    measures
        .of("unsent, 1,000", || async {
            assert!(!ledger.unsent(None, 1_000).await.unwrap().is_empty());
        })
        .await;
    measures
        .of("mark_sent, 10", || async {
            let unsent = ledger.unsent(None, 10).await.unwrap();
            ledger.mark_sent(&unsent).await.unwrap();
        })
        .await;
    let held: std::cell::RefCell<Vec<ClaimedBatch>> = Vec::new().into();
    measures
        .of("claim", || async {
            let batch = claim(ledger, next()).await;
            held.borrow_mut().push(batch);
        })
        .await;
    let taken = || held.borrow_mut().pop().unwrap();
    measures
        .of("messages_of a batch", || async {
            let batch = held.borrow().last().unwrap().id;
            assert_eq!(ledger.messages_of(batch).await.unwrap().len(), 1_000);
        })
        .await;
    measures
        .of("renew_lease", || async {
            let (batch, fence) = held.borrow().last().map(|batch| (batch.id, batch.fence)).unwrap();
            ledger.renew_lease(batch, fence, LEASE).await.unwrap()
        })
        .await;
    measures
        .of("settle", || async {
            let batch = taken();
            ledger.settle(&batch, &whole(&batch)).await.unwrap()
        })
        .await;
}

/// Forty workers die, again and again.
async fn reaping(measures: &mut Measures, ledger: &Ledger, server: &LedgerServer) {
    let failed_are_due = "UPDATE batch SET not_before = NULL WHERE status = 'failed' AND parked_at IS NULL";
    let workers_die = async || {
        server.administer(failed_are_due).await;
        ledger.retry_failed().await.unwrap();
        server
            .administer("UPDATE batch SET enqueued_at = NULL, not_before = NULL WHERE status = 'pending'")
            .await;
        for batch in ledger.unsent(None, 40).await.unwrap() {
            claim(ledger, batch.batch_id).await;
        }
        let leases_end = "UPDATE batch SET lease_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE status = 'in_progress'";
        server.administer(leases_end).await;
    };
    let reap = async || {
        ledger
            .reap_dead(BACKOFF, ATTEMPTS_MAX)
            .await
            .unwrap()
            .batches
            .len()
    };
    measures
        .of_prepared("reap_dead, 40 of them", &workers_die, || async {
            assert!(reap().await >= 40);
        })
        .await;
    let batches_failed = async || {
        workers_die().await;
        reap().await;
        server.administer(failed_are_due).await;
    };
    measures
        .of_prepared("retry_failed", &batches_failed, || async {
            assert!(ledger.retry_failed().await.unwrap() > 0);
        })
        .await;
}

async fn releasing(measures: &mut Measures, ledger: &Ledger) {
    let migration = ledger.migrations(MigrationFilter {
        kind: Some(MigrationKind::Backfill),
        state: Some(MigrationState::Open),
        limit: 1,
        ..MigrationFilter::default()
    });
    let migration = migration.await.unwrap()[0].id;
    assert!(ledger.cancel_migration(migration).await.unwrap());
    loop {
        let began = Instant::now();
        if ledger.release_cancelled().await.unwrap().is_none() {
            break;
        }
        measures.report("release_cancelled, 20 batches of 1,000", began.elapsed());
    }
    measures
        .of("release_cancelled, nothing left", || async {
            ledger.release_cancelled().await.unwrap()
        })
        .await;
}

async fn purging(measures: &mut Measures, server: &LedgerServer, ledger: &Ledger, synthetic: &Synthetic) {
    let (look, seal) = (SealIntent::Look, SealIntent::Seal { by: "test".into() });
    let horizon = Duration::from_secs(1);
    for number in 0..3 {
        let hour = synthetic.hour(number);
        let began = Instant::now();
        ledger.seal_hour(hour, horizon, &look).await.unwrap();
        measures.report("seal_hour, a look at 50,000 messages", began.elapsed());
        ledger.seal_hour(hour, horizon, &seal).await.unwrap();
        loop {
            let began = Instant::now();
            if ledger.purge_batches(hour).await.unwrap().is_none() {
                break;
            }
            measures.report("purge_batches, 10,000 messages", began.elapsed());
        }
        assert!(ledger.is_sealed(hour).await.unwrap());
    }
    let left: Option<u64> = {
        use mysql_async::prelude::Queryable;
        let query = "SELECT COUNT(*) FROM message WHERE event_time < '2026-01-01 03:00:00'";
        server.connection().await.query_first(query).await.unwrap()
    };
    assert_eq!(left, Some(0));
    let known = ledger.progress_of(synthetic.range()).await.unwrap().known;
    assert_eq!(known, synthetic.messages(), "what was purged is still counted");
}

async fn claim(ledger: &Ledger, batch: BatchId) -> ClaimedBatch {
    match ledger.claim(batch, "worker", LEASE).await.unwrap() {
        Claim::Won(claimed) => *claimed,
        Claim::Lost(why) => panic!("batch {batch} was not claimed: {why:?}"),
    }
}

fn whole(batch: &ClaimedBatch) -> Settlement {
    Settlement {
        object: Some(ObjectKey::from_record(format!(
            "archive/batch-{}-g1.ndjson.zst",
            batch.id
        ))),
        sha256: Some([7; 32]),
        bytes_raw: 1_900_000,
        bytes_stored: 500_000,
        exported: batch.message_count,
        missing: 0,
        quarantined: 0,
        timings: "{\"read\":1}".into(),
    }
}
