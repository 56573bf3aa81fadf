//! Every function that changes something.

use super::SYNTHETIC;
use super::asking::{Asking, ask};
use crate::stage::{
    ATTEMPTS_MAX, BACKOFF, LEASE, a_day, failure, many, object_of, seen_at, verification, whole,
};
use crate::synthetic::Synthetic;
use granary_domain::{
    BatchId, ExceptionKind, Hour, Identity, IdentitySetting, MessageId, MigrationId, MigrationKind,
    NumberMark, ObjectKey, Outcome, Priority, Setting, SourceSetting,
};
use granary_ledger::Ledger;
use granary_ledger::export::{
    AtMost, Claim, ClaimedBatch, Exception, ExceptionFilter, ReExport, Recall, Retryable, WhichExceptions,
};
use granary_ledger::handoff::{QueueLane, QueueState};
use granary_ledger::harvest::{
    LeasedWindow, NewMigration, OutsideCounts, PageOfMessages, Recorded, RescanRules, SeenMessage,
};
use granary_ledger::integrity::{
    Acceptance, CountedExceptions, Difference, ProofOutcome, RepairMigration, Seal, SealIntent,
};
use granary_ledger::jobs::NewOperation;
use granary_ledger::settings::{Audit, SettingChange, Stage};
use granary_test_database::LedgerServer;
use std::time::Duration;
use uuid::Uuid;

const HOUR: Duration = Duration::from_secs(3_600);

pub(super) async fn everything(asking: &mut Asking<'_>, ledger: &Ledger, server: &LedgerServer) {
    numbers(asking, ledger).await;
    harvest(asking, ledger).await;
    rescan(asking, ledger, server).await;
    send(asking, ledger).await;
    export(asking, ledger).await;
    reap(asking, ledger).await;
    repair(asking, ledger).await;
    cancel(asking, ledger).await;
    alerts(asking, ledger).await;
    operations(asking, ledger).await;
    clear(asking, ledger).await;
    purge(asking, ledger, server).await;
    identity(asking, ledger).await;
}

async fn identity(asking: &mut Asking<'_>, ledger: &Ledger) {
    let with_bucket = |bucket: &str| Identity::of([(IdentitySetting::Bucket, bucket.to_owned())]);
    let (ours, theirs) = (with_bucket("a"), with_bucket("b"));
    ask!(asking, ledger.record_identity(&ours));
    ask!(
        asking,
        ledger.record_source_settings(&[(SourceSetting::Index, "messages".to_owned())])
    );
    let mismatches = ask!(asking, ledger.mismatches(&theirs));
    ask!(asking, ledger.note_mismatches(&mismatches));
    ask!(asking, ledger.noted_mismatches());
    ask!(asking, ledger.adopt_setting(IdentitySetting::Bucket, "b"));
    ask!(asking, ledger.changed_settings(20));
    ask!(asking, ledger.identity());
}

async fn numbers(asking: &mut Asking<'_>, ledger: &Ledger) {
    let mark = NumberMark::default();
    let block = ask!(asking, ledger.intend_block(mark, 1));
    ask!(asking, ledger.open_block(block));
    ask!(asking, ledger.compare_with_mark(mark));
    ask!(asking, ledger.confirm_restored());
}

/// Bytes that are characters, so that the log shows the id as it is.
fn migration(name: &[u8; 16], priority: u8) -> NewMigration {
    let range = a_day();
    NewMigration {
        id: MigrationId(Uuid::from_bytes(*name)),
        kind: MigrationKind::Backfill,
        priority: Priority::try_from(priority).unwrap(),
        batch_size: 100,
        filter: None,
        from: range.from(),
        to: Some(range.to()),
        requested_by: "test".into(),
    }
}

async fn record(
    asking: &mut Asking<'_>,
    ledger: &Ledger,
    window: &mut LeasedWindow,
    messages: &[SeenMessage],
) {
    let page = PageOfMessages {
        messages,
        without_id: 0,
        tally_before: window.tally,
        bookmark: "next",
    };
    let recorded = ask!(asking, ledger.record_page(window, &page, LEASE));
    let Recorded::Done { tally, .. } = recorded else {
        panic!("the window is somebody else's")
    };
    window.tally = tally;
    window.pages += 1;
}

async fn harvest(asking: &mut Asking<'_>, ledger: &Ledger) {
    let new = migration(b"granary-backfill", 7);
    ask!(asking, ledger.allow_re_export(new.id, "test"));
    ask!(asking, ledger.make_migration(&new));
    assert!(ask!(asking, ledger.open_window(new.id, a_day())));
    let window = ask!(asking, ledger.claim_window("holder-1", LEASE)).unwrap();
    ask!(asking, ledger.renew_window(window.id, window.fence, LEASE));
    ask!(asking, ledger.release_window(&window, Duration::ZERO, None));
    let window = ask!(asking, ledger.claim_window("holder-2", LEASE)).unwrap();
    ask!(asking, ledger.defer_window(&window, &failure(), Duration::ZERO));
    ask!(
        asking,
        ledger.defer_harvest(SYNTHETIC.migration(), SYNTHETIC.range().to(), &failure())
    );
    let mut window = ask!(asking, ledger.claim_window("holder-3", LEASE)).unwrap();
    record(asking, ledger, &mut window, &many("new", 500)).await;
    // New, known to itself, known to the synthetic migration, and two that fold into one batch.
    let mut page = many("new", 600);
    page.extend((1..=20).map(|place| seen_at(&Synthetic::id(place * 4_001), "2026-01-01T12:00:00Z")));
    record(asking, ledger, &mut window, &page).await;
    ask!(asking, ledger.restart_window(&mut window));
    ask!(asking, ledger.finish_window(&window));
    ask!(asking, ledger.drain_harvested_migrations());
    ask!(asking, ledger.complete_migration(new.id));
    ask!(asking, ledger.record_verdict(new.id, "COMPLETE", a_day()));
    let now = ledger.now().await.unwrap();
    ask!(asking, ledger.mark_verified(&verification(a_day(), now)));
    let hour = Hour::of(a_day().from());
    ask!(
        asking,
        ledger.record_difference(hour, Difference::Incomplete, now)
    );
    ask!(
        asking,
        ledger.keep_differences(&verification(a_day(), now), ProofOutcome::Failing)
    );
    ask!(asking, ledger.note_proof_asked(&[window.id]));
    ask!(asking, ledger.record_outside(OutsideCounts::default()));
}

async fn rescan(asking: &mut Asking<'_>, ledger: &Ledger, server: &LedgerServer) {
    server
        .administer(
            "UPDATE harvest_window SET recorded_at = UTC_TIMESTAMP(6) - INTERVAL 2 HOUR WHERE id = 40",
        )
        .await;
    let rules = RescanRules {
        after: HOUR,
        horizon: HOUR * 24 * 3_650,
        night_hour: 0,
    };
    let due = ledger
        .due_rescans(rules, &[], 1)
        .await
        .unwrap()
        .pop()
        .expect("a window is due");
    let mut window = ask!(asking, ledger.claim_rescan(&due, "holder-4", LEASE)).unwrap();
    window.left_out = vec!["q-1".to_owned(), "q-2".to_owned()];
    ask!(asking, ledger.finish_window(&window));
}

async fn send(asking: &mut Asking<'_>, ledger: &Ledger) {
    let unsent = ledger.unsent(None, 10).await.unwrap();
    let batches: Vec<BatchId> = unsent.iter().map(|unsent| unsent.batch_id).collect();
    ask!(asking, ledger.mark_sent(&unsent));
    ask!(asking, ledger.mark_unsent(batches[0]));
    ask!(asking, ledger.observe_queue(QueueLane::Normal, 0));
    for queue in QueueLane::ALL {
        // The second look asks for claims since the first.
        ask!(asking, ledger.observe_waiting(queue, QueueState::Works));
        ask!(asking, ledger.observe_waiting(queue, QueueState::Works));
    }
    ask!(asking, ledger.put_back_batches(&batches));
    ask!(asking, ledger.note_purge(QueueLane::Priority, "test"));
    let note = ledger.noted_purges().await.unwrap()[0];
    ask!(asking, ledger.put_back(&note));
    ask!(asking, ledger.forget_purge(&note));
    // Bytes that are characters, so that the log shows the id as it is.
    let probe = Uuid::from_bytes(*b"granary-probe-01");
    ask!(asking, ledger.expect_probes(QueueLane::Normal, &[probe]));
    ask!(asking, ledger.receive_probe(probe, "worker"));
    ask!(asking, ledger.forget_probes(HOUR, 100));
    ask!(asking, ledger.reset_attempt_counter("test"));
}

async fn claim(asking: &mut Asking<'_>, ledger: &Ledger, batch: u64) -> ClaimedBatch {
    match ask!(asking, ledger.claim(BatchId(batch), "worker", LEASE)) {
        Claim::Won(claimed) => *claimed,
        Claim::Lost(why) => panic!("batch {batch} was not claimed: {why:?}"),
    }
}

async fn export(asking: &mut Asking<'_>, ledger: &Ledger) {
    let first = SYNTHETIC.first_pending() + 20;
    let batch = claim(asking, ledger, first).await;
    ask!(asking, ledger.renew_lease(batch.id, batch.fence, LEASE));
    let message = ledger.messages_of(batch.id).await.unwrap()[0].message_id.clone();
    ask!(asking, ledger.suspect(&batch, &message));
    ask!(asking, ledger.careful_record_of(&batch));
    ask!(asking, ledger.was_mostly_missing(&batch));
    ask!(asking, ledger.clear_suspect(&batch));
    let exceptions = [Exception {
        message_id: message,
        outcome: Outcome::Missing,
        reason: "gone".into(),
    }];
    ask!(asking, ledger.record_exceptions(&batch, &exceptions));
    ask!(asking, ledger.next_generation(&batch));
    ask!(asking, ledger.settle(&batch, &whole(&batch)));
    let delay = Duration::ZERO;
    let batch = claim(asking, ledger, first + 1).await;
    ask!(asking, ledger.fail(&batch, &failure(), delay, ATTEMPTS_MAX));
    let batch = claim(asking, ledger, first + 2).await;
    ask!(asking, ledger.defer(&batch, &failure(), delay));
    let batch = claim(asking, ledger, first + 3).await;
    ask!(asking, ledger.defer_unfinished(&batch, &failure(), delay));
    for _ in 0..2 {
        let batch = claim(asking, ledger, first + 5).await;
        ask!(
            asking,
            ledger.defer_too_large(&batch, &failure(), delay, &object_of(&batch))
        );
    }
    let batch = claim(asking, ledger, first + 4).await;
    ask!(asking, ledger.hand_back(&batch, &failure()));
    ask!(asking, ledger.pause(Stage::Export, "test"));
    ask!(
        asking,
        ledger.pause_because(Stage::Export, "test", Some("a test"))
    );
    ask!(asking, ledger.resume(Stage::Export));
}

async fn reap(asking: &mut Asking<'_>, ledger: &Ledger) {
    let one = AtMost(1);
    let reaped = ask!(asking, ledger.reap_some(BACKOFF, ATTEMPTS_MAX, one));
    assert_eq!(reaped.batches.len(), 1);
    assert!(
        !ask!(asking, ledger.reap_dead(BACKOFF, ATTEMPTS_MAX))
            .batches
            .is_empty()
    );
    assert_eq!(ask!(asking, ledger.retry_some(Retryable::All, one)), 1);
    assert!(ask!(asking, ledger.retry_failed()) > 0);
    let parked: Vec<BatchId> = (0..3)
        .map(|number| BatchId(SYNTHETIC.first_open() + SYNTHETIC.failed + number))
        .collect();
    assert_eq!(ask!(asking, ledger.unpark(&parked)), 3);
    ask!(asking, ledger.move_inspection(BatchId(100)));
}

async fn rebuild(asking: &mut Asking<'_>, ledger: &Ledger) {
    ask!(asking, ledger.rebuild_obstacle());
    let batch = crate::integrity::rebuild::archived(99_999, 100);
    let migration = crate::integrity::rebuild::migration();
    let messages = many("rebuilt-", 100);
    ask!(asking, ledger.rebuild_batch(&migration, &batch, &messages));
    ask!(asking, ledger.rebuilt_batches(&[batch.id]));
}

async fn repair(asking: &mut Asking<'_>, ledger: &Ledger) {
    let heir = RepairMigration {
        id: MigrationId(Uuid::from_bytes(*b"granary-repaired")),
        range: a_day(),
        batch_size: 100,
        priority: Priority::NORMAL,
        requested_by: "verify --repair".to_owned(),
    };
    let owners = ledger
        .completed_owners_of(&[Synthetic::id(1).try_into().unwrap()])
        .await
        .unwrap();
    let (batch, fence) = owners
        .first()
        .copied()
        .unwrap_or((BatchId(1), granary_domain::Fence(1)));
    let wanted = ReExport {
        batch,
        fence,
        reason: "test",
        heir: &heir,
    };
    let with_exceptions = ledger
        .batches_with_exceptions(&ExceptionFilter::default(), batch, 2)
        .await
        .unwrap();
    let ids: Vec<MessageId> = (1..=500)
        .map(|place| Synthetic::id(place * 199).try_into().unwrap())
        .collect();
    for which in [WhichExceptions::These(&ids), WhichExceptions::All] {
        for found in &with_exceptions {
            let recall = Recall {
                batch: found.batch,
                fence: found.fence,
                which,
                reason: "test",
                heir: &heir,
            };
            ask!(asking, ledger.recall(&recall));
        }
    }
    ask!(asking, ledger.re_export(&wanted));
    ask!(asking, ledger.forget_superseded(batch, fence));
    ask!(asking, ledger.keep_superseded(batch, fence));
    let object = ObjectKey::from_record("a/batch-1-g1.ndjson.zst".to_owned());
    ask!(asking, ledger.forget_superseded_object(batch, &object));
    let messages = [
        seen_at("found again", "2026-01-01T12:00:00Z"),
        seen_at(&Synthetic::id(99), "2026-01-01T12:00:00Z"),
    ];
    ask!(asking, ledger.record_found(&heir, a_day(), &messages));
    let messages = [seen_at("copied", "2026-01-01T12:00:00Z")];
    ask!(asking, ledger.record_copied(&heir, a_day(), &messages, &object));
    rebuild(asking, ledger).await;
}

async fn cancel(asking: &mut Asking<'_>, ledger: &Ledger) {
    let new = migration(b"granary-given-up", 0);
    ledger.make_migration(&new).await.unwrap();
    ledger.open_window(new.id, a_day()).await.unwrap();
    let mut window = ledger.claim_window("holder-5", LEASE).await.unwrap().unwrap();
    record(asking, ledger, &mut window, &many("given up", 300)).await;
    assert!(ask!(asking, ledger.cancel_migration(new.id)));
    while ask!(asking, ledger.release_cancelled()).is_some() {}
}

async fn alerts(asking: &mut Asking<'_>, ledger: &Ledger) {
    ask!(
        asking,
        ledger.raise_alert("archive_conflict", "7.2", "conflict", "text")
    );
    ask!(
        asking,
        ledger.begin_condition("failure_rate", "failure_rate", "text")
    );
    ask!(
        asking,
        ledger.end_condition("failure_rate", "failure_rate", "text")
    );
    ask!(asking, ledger.end_alerts_but("source_problem", &[]));
    ask!(asking, ledger.end_storms());
    let alerts = ledger.unpublished_alerts(10).await.unwrap();
    ask!(asking, ledger.unpublished_like(&alerts[0], 100));
    let alerts: Vec<u64> = alerts.iter().map(|alert| alert.id).collect();
    ask!(asking, ledger.mark_published(&alerts));
    let audit = Audit {
        who: "test".into(),
        address: None,
        action: "test",
        arguments: serde_json::json!({}),
        effect: None,
        request_id: Some("request".into()),
        reason: None,
    };
    ask!(asking, ledger.record_audit(&audit));
    let change = [SettingChange {
        setting: Setting::RetryDelayMs,
        value: Some(5_000),
    }];
    ask!(asking, ledger.tune(&change, "test"));
    let counted = CountedExceptions {
        kind: ExceptionKind::WithoutId,
        index: "messages".to_owned(),
        messages: 2,
    };
    ask!(
        asking,
        ledger.count_exceptions(Hour::of(a_day().from()), &[counted])
    );
    for max in [3, 0] {
        let acceptance = Acceptance {
            kind: ExceptionKind::WithoutId,
            index: "messages",
            max,
            reason: "a test",
        };
        ask!(asking, ledger.accept_exceptions(&acceptance, "test"));
    }
}

async fn operations(asking: &mut Asking<'_>, ledger: &Ledger) {
    for number in 0..6_u8 {
        let mut id = *b"granaryoperation";
        id[15] = b'0' + number;
        let new = NewOperation {
            id: Uuid::from_bytes(id),
            kind: "verify".into(),
            arguments: serde_json::json!({}),
            requested_by: "test".into(),
        };
        ask!(asking, ledger.make_operation(&new));
    }
    let progress = serde_json::json!({});
    ask!(asking, ledger.cancel_operation(uuid::Uuid::now_v7()));
    ask!(
        asking,
        ledger.claim_next_operation(&[uuid::Uuid::now_v7()], Duration::ZERO)
    );
    let slice = ask!(asking, ledger.claim_operation(None, LEASE)).unwrap();
    ask!(asking, ledger.save_progress(&slice, &progress, LEASE));
    ask!(asking, ledger.renew_operation(&slice, LEASE));
    ask!(asking, ledger.release_operation(&slice));
    let slice = ask!(asking, ledger.claim_operation(Some(slice.id), LEASE)).unwrap();
    ask!(asking, ledger.finish_operation(&slice, &progress));
    let slice = ledger.claim_operation(None, LEASE).await.unwrap().unwrap();
    ask!(asking, ledger.fail_slice(&slice, "text"));
    let slice = ledger.claim_operation(None, LEASE).await.unwrap().unwrap();
    ask!(asking, ledger.fail_operation(&slice, "text"));
}

async fn clear(asking: &mut Asking<'_>, ledger: &Ledger) {
    ask!(asking, ledger.forget_old_records(Duration::ZERO, 100));
    ask!(asking, ledger.make_history(3));
    ask!(asking, ledger.forget_history());
    ask!(asking, ledger.forget_batch(BatchId(1_000)));
    let ids: Vec<MessageId> = vec!["given up000001".to_owned().try_into().unwrap()];
    ask!(asking, ledger.forget_unowned(&ids));
}

async fn purge(asking: &mut Asking<'_>, ledger: &Ledger, server: &LedgerServer) {
    let others = "DELETE FROM harvest_window WHERE migration_id <> 'granarysynthetic'";
    server.administer(others).await;
    let hour = SYNTHETIC.hour(1);
    let seal = SealIntent::Seal { by: "test".into() };
    let sealed = ask!(asking, ledger.seal_hour(hour, HOUR, &seal));
    assert!(matches!(sealed, Seal::Sealable { .. }), "{sealed:?}");
    ask!(asking, ledger.purge_batches(hour));
}
