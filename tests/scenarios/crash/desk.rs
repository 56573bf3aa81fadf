//! Where somebody switches something, empties a queue, moves dead letters back or sends probes: the operator is
//! interrupted while it is told; the exporter and the reaper while they do their part of it.

use super::exporting;
use super::harvesting::new_database;
use super::scene::{Prepared, Scene};
use crate::stage::{Function, REAPER_TIMEOUT, Stage, request};
use granary_ledger::handoff::QueueLane;
use serde_json::Value;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What was received from a dead-letter queue by somebody who died comes back within this time.
const DEAD_LETTERS_SECS_MAX: u64 = 60;
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Notes of queues that were purged.
const NOTES: &str = "SELECT COUNT(*) FROM control WHERE name LIKE 'purge.%'";

/// The operator knows of switches.
async fn with_switches(stage: &Stage) -> Prepared {
    let mut prepared = exporting::handed_off(stage).await;
    for (name, value) in stage.switches().await.settings() {
        prepared = prepared.told(name, value);
    }
    prepared
}

pub(super) async fn scheduler_stop_asked_for(stage: &Stage) -> Prepared {
    let prepared = with_switches(stage).await;
    prepared.asked(request(
        "POST",
        "/migrate/scheduler/stop",
        r#"{"schedule":"harvester"}"#,
    ))
}

pub(super) async fn restart_asked_for(stage: &Stage) -> Prepared {
    let prepared = with_switches(stage).await;
    prepared.asked(request("POST", "/queue/consumers/restart", ""))
}

/// The operator knows of a migrator.
pub(super) async fn migration_of_schema_asked_for(stage: &Stage) -> Prepared {
    let prepared = new_database(stage).await;
    let migrator = stage.deploy("migrator", &[], 1).await;
    prepared
        .told("GRANARY_MIGRATOR_FUNCTION", migrator.name())
        .asked(request("POST", "/schema/migrate", ""))
}

pub(super) async fn emptying_asked_for(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    prepared.asked(request(
        "DELETE",
        "/queue/purge/batches",
        r#"{"confirm":"batches"}"#,
    ))
}

/// Three minutes ago, and nobody put back what went with it.
pub(super) async fn queue_emptied(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    stage.queues.purge(&stage.queues.normal).await;
    stage.ledger.note_purge(QueueLane::Normal, "test").await.unwrap();
    stage
        .sql("UPDATE control SET changed_at = changed_at - INTERVAL 3 MINUTE")
        .await;
    stage
        .sql("UPDATE batch SET enqueued_at = enqueued_at - INTERVAL 4 MINUTE")
        .await;
    prepared
}

pub(super) async fn redrive_asked_for(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    let queues = &stage.queues;
    let message = queues
        .receive_from(&queues.normal)
        .await
        .expect("a batch was sent");
    let body = message.body.as_deref().expect("it has a body");
    queues.send(&queues.dead_letters, body).await;
    queues.delete(&queues.normal, &message).await;
    prepared.asked(request("POST", "/queue/retry-dlq", r#"{"queue":"dead-letters"}"#))
}

pub(super) async fn probe_asked_for(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    prepared.asked(request("POST", "/queue/test-publish", ""))
}

/// In the priority queue, which is asked first.
pub(super) async fn probe_handed_off(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    let probe = Uuid::now_v7();
    stage
        .ledger
        .expect_probes(QueueLane::Priority, &[probe])
        .await
        .unwrap();
    let queues = &stage.queues;
    let body = format!("{{\"v\":1,\"probe\":\"{probe}\"}}");
    queues.send(&queues.priority, &body).await;
    prepared
}

pub(super) async fn old_probe(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    stage
        .ledger
        .expect_probes(QueueLane::Normal, &[Uuid::now_v7()])
        .await
        .unwrap();
    stage
        .sql("UPDATE probe SET sent_at = sent_at - INTERVAL 2 DAY")
        .await;
    prepared
}

pub(super) async fn counter_reset_asked_for(stage: &Stage) -> Prepared {
    let prepared = exporting::handed_off(stage).await;
    prepared.asked(request("POST", "/queue/workers/reset-counter", ""))
}

/// Scenes in which people wait for an answer of the operator that is interrupted.
pub(super) const ASKED: [Scene; 7] = [
    Scene::MigrationOfSchemaAskedFor,
    Scene::SchedulerStopAskedFor,
    Scene::RestartAskedFor,
    Scene::EmptyingAskedFor,
    Scene::RedriveAskedFor,
    Scene::ProbeAskedFor,
    Scene::CounterResetAskedFor,
];

/// Without an answer people ask again. It may have been done already.
pub(super) async fn ask_again(stage: &Stage, scene: Scene, prepared: &Prepared) {
    let told: Vec<(&str, &str)> = prepared
        .told
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let operator = stage.another("operator", &told);
    if scene == Scene::RestartAskedFor {
        // A restart is its dead worker's until the lease is over.
        let past = "UTC_TIMESTAMP(6) - INTERVAL 1 SECOND";
        stage
            .sql(&format!(
                "UPDATE operation SET lease_until = {past} WHERE lease_until IS NOT NULL"
            ))
            .await;
    }
    if scene == Scene::RedriveAskedFor {
        ask_until_none_is_left(stage, &operator, &prepared.request).await;
    } else {
        assert_eq!(ask(&operator, &prepared.request).await, 200, "it is done at once");
    }
    operator.kill().await;
}

async fn ask_until_none_is_left(stage: &Stage, operator: &Function, request: &Value) {
    let deadline = Instant::now() + Duration::from_secs(DEAD_LETTERS_SECS_MAX);
    loop {
        assert_eq!(ask(operator, request).await, 200);
        if stage.queues.depth(&stage.queues.dead_letters).await == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "dead letters never came back");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn ask(operator: &Function, request: &Value) -> u64 {
    let answer = operator.invoke(request.clone(), REAPER_TIMEOUT).await.unwrap();
    let status = answer["statusCode"].as_u64().expect("an answer has a status");
    assert!(status < 500, "{answer}");
    status
}

/// That it has happened, at the service behind it.
pub(super) async fn assert_done(stage: &Stage, scene: Scene) {
    let counted = async |query: &str| stage.row::<u64>(query).await;
    if scene == Scene::SchedulerStopAskedFor {
        let switches = stage.switches().await;
        assert!(!switches.is_enabled(0).await, "the harvester's is off");
        assert!(switches.is_enabled(1).await, "the reaper's was not meant");
    }
    if scene == Scene::RestartAskedFor {
        assert_eq!(stage.switches().await.consumer_state().await, "Enabled");
    }
    if scene == Scene::QueueEmptied {
        assert_eq!(counted(NOTES).await, 0, "the purge is made good");
    }
    if scene == Scene::ProbeAskedFor {
        let arrived = "SELECT COUNT(*) FROM probe WHERE received_at IS NOT NULL";
        assert!(counted(arrived).await > 0);
    }
    if scene == Scene::ProbeHandedOff {
        let under_way = "SELECT COUNT(*) FROM probe WHERE received_at IS NULL";
        assert_eq!(counted(under_way).await, 0);
    }
    if scene == Scene::OldProbe {
        assert_eq!(counted("SELECT COUNT(*) FROM probe").await, 0);
    }
    if scene == Scene::CounterResetAskedFor {
        let counter = "SELECT COUNT(*) FROM control WHERE name = 'workers.counter'";
        assert_eq!(counted(counter).await, 1);
    }
}
