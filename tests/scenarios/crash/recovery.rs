//! What happens after an interruption, and what must hold then.

use super::reaping::{let_the_storm_end, send_parked_again};
use super::scene::{FROM, Prepared, TO};
use super::{Scene, desk};
use crate::scenarios::purging;
use crate::stage::{APPLY, Document, REAPER_TIMEOUT, Stage};
use granary_ledger::settings::Stage as Part;
use granary_verify::{FindingKind, Verdict};

const ROUNDS_MAX: u32 = 20;
const OPERATIONS_THAT_GO_ON: &str = "SELECT COUNT(*) FROM operation WHERE state IN ('waiting', 'running')";
/// What must not be there once a stage is quiet, and how to count it.
const NEVER: [(&str, &str); 5] = [
    (
        "an attempt without an end",
        "SELECT COUNT(*) FROM attempt WHERE ended_at IS NULL",
    ),
    (
        "a parked batch",
        "SELECT COUNT(*) FROM batch WHERE parked_at IS NOT NULL",
    ),
    (
        "an alert that was not sent, and is no event whose cause was sent",
        "SELECT COUNT(*) FROM alert a WHERE a.published_at IS NULL AND NOT EXISTS (SELECT 1 FROM alert sent \
         WHERE sent.kind = a.kind AND sent.cause = a.cause AND sent.published_at IS NOT NULL)",
    ),
    (
        "a message that nobody owns",
        "SELECT COUNT(*) FROM message_status WHERE status = 'released'",
    ),
    ("an operation that goes on", OPERATIONS_THAT_GO_ON),
];

/// Time passes, people do what is theirs, and healthy functions go on until nothing is left to do.
pub(super) async fn recover(stage: &Stage, scene: Scene, prepared: &Prepared) {
    people_do_what_is_theirs(stage, scene, prepared).await;
    let_leases_end(stage).await;
    stage.run_until_quiet().await;
    for _ in 0..ROUNDS_MAX {
        stage.reap().await;
        if stage.row::<u64>(OPERATIONS_THAT_GO_ON).await == 0 {
            // What an operation has asked for, a repair for instance.
            stage.run_until_quiet().await;
            stage.reap().await;
            if scene == Scene::ObjectAdopted {
                // What it held is on record elsewhere by now.
                assert_eq!(stage.sweep(&APPLY).await.orphans.count, 1);
            }
            return;
        }
        let_leases_end(stage).await;
    }
    panic!("operations go on for ever");
}

async fn let_leases_end(stage: &Stage) {
    stage.let_leases_end().await;
    let past = "lease_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND";
    stage
        .sql(&format!(
            "UPDATE operation SET {past} WHERE lease_until IS NOT NULL"
        ))
        .await;
}

async fn people_do_what_is_theirs(stage: &Stage, scene: Scene, prepared: &Prepared) {
    if scene == Scene::NewDatabase {
        stage.migrate_schema().await;
        stage.backfill(FROM, TO).await;
    }
    if scene == Scene::LedgerRestored {
        // Whoever got no answer asks again.
        stage.ledger.confirm_restored().await.unwrap();
    }
    if scene == Scene::RebuildAskedFor {
        stage.rebuild_to_its_end().await;
        stage.resume_after_a_rebuild(FROM, TO).await;
    }
    if matches!(scene, Scene::RefusedWindow | Scene::RefusedMigration) {
        stage.sql("UPDATE migration SET source_filter = NULL").await;
    }
    if scene == Scene::ParkedBatch {
        stage.reap().await;
        assert_eq!(alerts(stage, "parked").await, 1, "one alert for the parked batch");
        assert!(!stage.queues.told().await.is_empty());
        send_parked_again(stage).await;
    }
    if scene == Scene::Storm {
        stage.reap().await;
        assert_eq!(alerts(stage, "failure_rate").await, 1, "one storm");
        let_the_storm_end(stage).await;
    }
    if matches!(
        scene,
        Scene::CancellationAskedFor
            | Scene::VerificationOrdered
            | Scene::ReExportAskedFor
            | Scene::PauseAskedFor
            | Scene::ResumeAskedFor
            | Scene::RetryAskedFor
            | Scene::RecallAskedFor
            | Scene::TuningAskedFor
            | Scene::AcceptanceAskedFor
            | Scene::SettingAdopted
            | Scene::HistoryAskedFor
            | Scene::FixAskedFor
            | Scene::ResetAskedFor
            | Scene::BulkAskedFor
            | Scene::AdoptionAskedFor
            | Scene::EverythingAskedFor
            | Scene::PendingAskedFor
    ) {
        // Without an answer people ask again. It may have been done already.
        let asked_again = stage
            .operator
            .invoke(prepared.request.clone(), REAPER_TIMEOUT)
            .await
            .unwrap();
        let status = asked_again["statusCode"].as_u64();
        assert!(status.is_some_and(|status| status < 500), "{asked_again}");
    }
    if desk::ASKED.contains(&scene) {
        desk::ask_again(stage, scene, prepared).await;
    }
    if scene == Scene::MigrationOfSchemaAskedFor {
        stage.backfill(FROM, TO).await;
    }
    if scene == Scene::PauseAskedFor {
        assert_eq!(
            stage.reap().await["sent"],
            0,
            "nothing is sent while it is paused"
        );
        stage.ledger.resume(Part::Export).await.unwrap();
    }
}

async fn alerts(stage: &Stage, kind: &str) -> u64 {
    let counting = format!("SELECT COUNT(*) FROM alert WHERE kind = '{kind}'");
    stage.row(&counting).await
}

/// What an operator changed holds, and it is on record who did it and why.
async fn assert_on_record(stage: &Stage, scene: Scene) {
    if scene == Scene::TuningAskedFor {
        assert_eq!(stage.ledger.tuning().await.unwrap().attempts_max, Some(7));
        let why: Vec<String> = stage
            .rows("SELECT DISTINCT reason FROM audit WHERE action = 'tune'")
            .await;
        assert_eq!(why, ["test"], "whoever changed it is on record, with the reason");
    }
    if scene == Scene::SettingAdopted {
        let changed = stage.ledger.changed_settings(10).await.unwrap();
        assert_eq!(changed.len(), 1, "it was adopted once: {changed:?}");
        let why: Vec<String> = stage
            .rows("SELECT DISTINCT reason FROM audit WHERE action = 'ledger.adopt'")
            .await;
        assert_eq!(why, ["test"], "whoever adopted it is on record, with the reason");
    }
    if scene == Scene::AcceptanceAskedFor {
        let accepted = stage.ledger.accepted_exceptions().await.unwrap();
        assert_eq!((accepted.len(), accepted[0].max), (1, 3));
        let why: Vec<String> = stage
            .rows("SELECT DISTINCT reason FROM audit WHERE action = 'exceptions.accept'")
            .await;
        assert_eq!(
            why,
            ["test"],
            "whoever accepted them is on record, with the reason"
        );
    }
}

pub(super) async fn assert_nothing_is_lost(stage: &Stage, scene: Scene, prepared: &Prepared) {
    if scene == Scene::ForeignObject {
        let conflicts = alerts(stage, "archive_conflict").await;
        assert_eq!(conflicts, 1, "one alert for the foreign object");
        remove_what_no_row_names(stage).await;
    }
    if matches!(scene, Scene::SeededAndExported | Scene::SeededAndReleased) {
        assert_eq!(stage.row::<u64>("SELECT COUNT(*) FROM message").await, 0);
        assert_eq!(stage.bucket.keys().await, [""; 0]);
    } else if matches!(scene, Scene::Poison | Scene::CarefulBatch) {
        assert_at_most_one_is_set_aside(stage, &prepared.messages).await;
    } else if scene == Scene::PurgeAskedFor {
        assert_eq!(stage.row::<u64>("SELECT COUNT(*) FROM message").await, 0);
        purging::assert_archived_times(stage, &prepared.messages, 1).await;
    } else if scene == Scene::ReExportAskedFor {
        purging::assert_archived_times(stage, &prepared.messages, 2).await;
    } else {
        stage.assert_archived(&prepared.messages, FROM, TO).await;
    }
    assert_on_record(stage, scene).await;
    if scene == Scene::HistoryAskedFor {
        let jobs = stage.ledger.history().await.unwrap();
        assert_eq!((jobs.migrations, jobs.operations), (3, 3));
    }
    desk::assert_done(stage, scene).await;
    for (what, counting) in NEVER {
        assert_eq!(stage.row::<u64>(counting).await, 0, "{what}");
    }
    // Where an object is gone, or is cleared away before its row, the reaper rightly says so.
    let may_be_told = matches!(
        scene,
        Scene::LostObject | Scene::ReplacedObject | Scene::SeededAndExported
    );
    if !may_be_told {
        assert_eq!(
            alerts(stage, "invariant").await,
            0,
            "what always holds did so in between"
        );
    }
    if matches!(scene, Scene::Storm | Scene::StormIsOver) {
        let conditions = (
            alerts(stage, "failure_rate").await,
            alerts(stage, "failure_rate_over").await,
        );
        assert_eq!(conditions, (1, 1), "one storm, and one end");
    }
    if scene == Scene::VerificationAskedFor {
        let verdict: String = stage
            .row("SELECT verdict FROM migration WHERE kind = 'backfill'")
            .await;
        assert_eq!(verdict, "COMPLETE");
    }
}

/// A message that can't be exported, or over which the worker died: the ledger and the verdict name it, and all others
/// are archived.
async fn assert_at_most_one_is_set_aside(stage: &Stage, messages: &[Document]) {
    let aside: Vec<String> = stage
        .rows("SELECT message_id FROM message WHERE outcome = 'quarantined'")
        .await;
    assert!(aside.len() <= 1, "{aside:?}");
    let others: Vec<Document> = messages
        .iter()
        .filter(|message| !aside.contains(&message.doc_id))
        .cloned()
        .collect();
    stage.assert_each_once(&others).await;
    let report = stage.verify(FROM, TO).await;
    let findings = &report.account.findings;
    assert_eq!(
        report.verdict == Verdict::Complete,
        aside.is_empty(),
        "{findings:?}"
    );
    assert!(
        findings
            .iter()
            .all(|finding| finding.kind == FindingKind::Quarantined),
        "{findings:?}"
    );
}

/// What the sweep does in time.
async fn remove_what_no_row_names(stage: &Stage) {
    let on_record: Vec<String> = stage
        .rows("SELECT object_key FROM batch WHERE status = 'completed'")
        .await;
    for object in stage.bucket.objects().await {
        if !on_record.contains(&object.to_string()) {
            stage.bucket.delete(object.as_str()).await;
        }
    }
}
