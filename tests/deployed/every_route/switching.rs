//! The switches: schedules, consumers, pauses, live settings. Whether they are on, AWS and the ledger say.

use super::super::deployment::variable;
use super::{Desk, until};
use aws_sdk_lambda::types::EventSourceMappingConfiguration;
use aws_sdk_scheduler::types::ScheduleState;
use serde_json::{Value, json};

const SCHEDULES: [&str; 2] = ["GRANARY_HARVESTER_SCHEDULE", "GRANARY_REAPER_SCHEDULE"];

/// What EventBridge Scheduler says of both schedules.
async fn schedules(desk: &Desk) -> Vec<ScheduleState> {
    let scheduler = aws_sdk_scheduler::Client::new(&desk.deployment.aws);
    let mut states = Vec::new();
    for name in SCHEDULES {
        let schedule = variable(name);
        let (group, name) = schedule.split_once('/').expect("a schedule has a group");
        let asking = scheduler.get_schedule().name(name).group_name(group);
        states.push(
            asking
                .send()
                .await
                .unwrap()
                .state
                .expect("a schedule has a state"),
        );
    }
    states
}

/// What Lambda says of the exporter's triggers.
async fn triggers(desk: &Desk) -> Vec<EventSourceMappingConfiguration> {
    let lambda = aws_sdk_lambda::Client::new(&desk.deployment.aws);
    let asking = lambda
        .list_event_source_mappings()
        .function_name(variable("GRANARY_EXPORTER_FUNCTION"));
    let listed = asking
        .send()
        .await
        .unwrap()
        .event_source_mappings
        .unwrap_or_default();
    assert_eq!(listed.len(), 2, "one a queue");
    listed
}

pub(super) async fn triggers_are(desk: &Desk, wanted: &str) {
    until(&format!("both triggers are {wanted}"), async || {
        triggers(desk)
            .await
            .iter()
            .all(|trigger| trigger.state.as_deref() == Some(wanted))
            .then_some(())
    })
    .await;
}

pub(super) async fn stop_the_clock(desk: &Desk) {
    let stop = "POST /migrate/scheduler/stop";
    desk.ask(stop, &[], json!({ "dryRun": true })).await;
    assert_eq!(
        schedules(desk).await,
        [ScheduleState::Enabled, ScheduleState::Enabled]
    );
    let audited = desk.audited("scheduler.stop").await;
    desk.ask(stop, &[], json!({ "reason": "a test" })).await;
    assert_eq!(
        schedules(desk).await,
        [ScheduleState::Disabled, ScheduleState::Disabled]
    );
    assert_eq!(
        desk.look("GET /migrate/scheduler/status").await["status"],
        "stopped"
    );
    assert_eq!(desk.audited("scheduler.stop").await, audited + 1);
}

pub(super) async fn start_the_clock(desk: &Desk) {
    desk.ask("POST /migrate/scheduler/start", &[], json!({})).await;
    assert_eq!(
        schedules(desk).await,
        [ScheduleState::Enabled, ScheduleState::Enabled]
    );
    assert_eq!(
        desk.look("GET /migrate/scheduler/status").await["status"],
        "running"
    );
}

/// Off until nobody is at work, and on again.
pub(super) async fn restart_the_consumers(desk: &Desk) {
    desk.ask("POST /queue/consumers/start", &[], json!({})).await;
    triggers_are(desk, "Enabled").await;
    let restart = "POST /queue/consumers/restart";
    let foretold = desk.ask(restart, &[], json!({ "dryRun": true })).await;
    assert_eq!(foretold["consumers"].as_array().map(Vec::len), Some(2));
    let audited = desk.audited("consumers.restart").await;
    let changed = async || {
        let all = triggers(desk).await.into_iter();
        all.map(|trigger| trigger.last_modified).collect::<Vec<_>>()
    };
    let before = changed().await;
    desk.operate(restart, &[], json!({ "reason": "a test" })).await;
    triggers_are(desk, "Enabled").await;
    for (before, after) in before.into_iter().zip(changed().await) {
        assert!(after > before, "it was off in between: {before:?}, {after:?}");
    }
    assert_eq!(desk.audited("consumers.restart").await, audited + 1);
    for route in ["GET /queue/consumers/status", "GET /queue/consumer-status"] {
        assert_eq!(desk.look(route).await["status"], "running", "{route}");
    }
    let health = desk.look("GET /queue/consumers/health").await;
    assert_eq!(health["checks"][0]["status"], "up", "{health}");
}

/// Pauses and live settings are rows of the ledger that the functions read.
pub(super) async fn pause_and_tune(desk: &Desk) {
    let paused = "SELECT COUNT(*) FROM control WHERE name = 'harvest.paused'";
    let body = json!({ "stage": "harvest", "reason": "a test" });
    desk.ask("POST /pause", &[], body.clone()).await;
    assert_eq!(desk.count(paused).await, 1);
    desk.ask("POST /resume", &[], body).await;
    assert_eq!(desk.count(paused).await, 0);

    let tuned = "SELECT COUNT(*) FROM control WHERE name = 'tune.maxAttempts' AND setting = '7'";
    desk.ask("POST /tune", &[], json!({ "maxAttempts": 7, "reason": "a test" }))
        .await;
    assert_eq!(desk.count(tuned).await, 1);
    let settings = desk.look("GET /tune").await;
    let is_tuned = |setting: &&Value| setting["name"] == "maxAttempts" && setting["value"] == 7;
    assert!(
        settings["settings"]
            .as_array()
            .unwrap()
            .iter()
            .any(|setting| is_tuned(&setting)),
        "{settings}"
    );
    desk.ask("POST /tune", &[], json!({ "maxAttempts": null })).await;
    assert_eq!(desk.count(tuned).await, 0);

    accept_exceptions(desk).await;
    adopt_a_setting(desk).await;
    rebuild_nothing(desk).await;
    cancel_long_jobs(desk).await;
    desk.ask("POST /tune", &[], json!({ "maxAttempts": null })).await;

    let newest = desk.look("GET /audit").await["entries"][0].take();
    let id = desk.count("SELECT MAX(id) FROM audit").await;
    assert_eq!((&newest["id"], &newest["action"]), (&json!(id), &json!("tune")));
}

/// Nobody works on them: the clock stands still.
async fn cancel_long_jobs(desk: &Desk) {
    for route in ["DELETE /operations/{id}", "POST /operations/{id}"] {
        let id = uuid::Uuid::now_v7();
        desk.sql(&format!(
            "INSERT INTO operation (id, kind, arguments, requested_by, created_at, updated_at) \
             VALUES (X'{}', 'verify', '{{}}', 'a test', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))",
            id.simple()
        ))
        .await;
        let body = json!({ "reason": "a test" });
        let cancelled = desk.ask(route, &[&id.to_string()], body).await;
        assert_eq!(cancelled["operation"]["state"], "cancelled", "{cancelled}");
    }
}

/// What an operator accepts is a row of the ledger that verifications read.
async fn accept_exceptions(desk: &Desk) {
    let accepted = "SELECT COUNT(*) FROM accepted_exception WHERE index_name = 'a-test'";
    for (max, rows) in [(2, 1), (0, 0)] {
        let body = json!({ "kind": "merged_id", "index": "a-test", "max": max, "reason": "a test" });
        desk.ask("POST /exceptions/accept", &[], body).await;
        assert_eq!(desk.count(accepted).await, rows);
    }
    desk.look("GET /exceptions").await;
}

/// The ledger is this deployment's already, so nothing changes.
async fn adopt_a_setting(desk: &Desk) {
    let body = json!({ "setting": "bucket", "reason": "a test" });
    let adopted = desk.ask("POST /ledger/adopt", &[], body).await;
    assert_eq!(adopted["differs"], false, "{adopted}");
    assert_eq!(adopted["before"], adopted["after"], "{adopted}");
    assert_eq!(desk.audited("ledger.adopt").await, 0);
}

/// The ledger is in use, so a rebuild is refused, and a dry run says why.
async fn rebuild_nothing(desk: &Desk) {
    let refused = desk
        .answer("POST /ledger/rebuild", &[], json!({ "reason": "a test" }))
        .await;
    assert_eq!(refused.status.as_u16(), 409, "{refused:?}");
    let batches = desk.count("SELECT COUNT(*) FROM batch").await;
    let foretold = desk
        .operate("POST /ledger/rebuild", &[], json!({ "dryRun": true }))
        .await;
    assert!(foretold["obstacle"].is_string(), "{foretold}");
    assert_eq!(desk.count("SELECT COUNT(*) FROM batch").await, batches);
}

/// As the tests after this one expect it.
pub(super) async fn switch_everything_on(desk: &Desk) {
    for route in [
        "POST /migrate/scheduler/start",
        "POST /queue/consumers/start",
        "POST /resume",
    ] {
        desk.ask(route, &[], json!({})).await;
    }
    desk.ask("POST /tune", &[], json!({ "maxAttempts": null })).await;
    triggers_are(desk, "Enabled").await;
}
