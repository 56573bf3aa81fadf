//! The routes that show something: each against what the service behind it says itself.

use super::{Desk, PrivateHour, until};
use reqwest::Method;
use serde_json::{Value, json};

/// Archives an hour, and looks at it through every door.
pub(super) async fn look_at_everything(desk: &Desk, hour: &PrivateHour<'_>) {
    let migration = hour.migrate().await;
    services_are_well(desk).await;
    the_database_is_what_it_says_of_itself(desk).await;
    the_batch_is_shown_as_the_ledger_has_it(desk, hour, &migration).await;
    a_message_is_traced_to_its_line(desk, hour).await;
    a_window_is_verified(desk, &migration).await;
    the_desk_shows_what_there_is(desk).await;
    pages_load_without_a_token(desk).await;
}

async fn services_are_well(desk: &Desk) {
    let health = desk.look("GET /health").await;
    assert_eq!(
        (&health["status"], &health["role"]),
        (&json!("up"), &json!("operator"))
    );
    for service in health["services"].as_array().expect("services are listed") {
        assert_eq!(service["status"], "up", "{service}");
    }
    assert_eq!(desk.look("GET /health/live").await["status"], "up");
    assert_eq!(desk.look("GET /health/ready").await["status"], "ready");
    for check in desk.look("GET /doctor").await["checks"]
        .as_array()
        .expect("checks are listed")
    {
        assert_ne!(check["status"], "failed", "{check}");
    }
    let source = desk.look("GET /source/stats").await;
    assert_eq!(source["success"], true, "{source}");
}

async fn the_database_is_what_it_says_of_itself(desk: &Desk) {
    let version = desk
        .count("SELECT CAST(MAX(version) AS UNSIGNED) FROM refinery_schema_history")
        .await;
    for route in ["GET /db/ping", "GET /db/health"] {
        assert_eq!(desk.look(route).await["status"], "up", "{route}");
    }
    assert_eq!(desk.look("GET /db/health").await["schemaVersion"], version);
    assert_eq!(desk.look("GET /db/status").await["schemaVersion"], version);
    let schema = desk.look("GET /schema").await;
    assert_eq!(
        (&schema["status"], &schema["version"]),
        (&json!("current"), &json!(version))
    );
    let migrated = desk
        .ask("POST /schema/migrate", &[], json!({ "reason": "a test" }))
        .await;
    assert_eq!(
        (&migrated["from"], &migrated["to"]),
        (&json!(version), &json!(version))
    );
    let server: Vec<String> = desk.deployment.rows("SELECT VERSION()").await;
    assert_eq!(desk.look("GET /db/info").await["serverVersion"], server[0]);
    for (route, query) in [
        (
            "GET /db/count",
            "SELECT COUNT(*) FROM message_status WHERE status <> 'released'",
        ),
        (
            "GET /db/pending-count",
            "SELECT CAST(COALESCE(SUM(message_count), 0) AS UNSIGNED) FROM batch WHERE status = 'pending'",
        ),
        (
            "GET /db/success-count",
            "SELECT CAST(COALESCE(SUM(exported), 0) AS UNSIGNED) FROM batch WHERE status = 'completed'",
        ),
    ] {
        // The clock still ticks.
        until(&format!("{route} is what {query} is"), async || {
            let counted = desk.count(query).await;
            (desk.look(route).await["count"] == counted).then_some(())
        })
        .await;
    }
}

async fn the_batch_is_shown_as_the_ledger_has_it(desk: &Desk, hour: &PrivateHour<'_>, migration: &str) {
    let batches = hour.batches().await;
    let (batch, _, attempts, key) = &batches[0];
    let number = batch.to_string();
    let listed = desk.look("GET /migrate").await;
    let is_ours = |shown: &&Value| shown["id"] == migration;
    assert!(
        listed["migrations"]
            .as_array()
            .unwrap()
            .iter()
            .any(|shown| is_ours(&shown)),
        "{listed}"
    );
    let status = desk
        .ask("GET /migrate/status/{id}", &[migration], Value::Null)
        .await;
    assert_eq!(status["progress"]["success"], 12, "{status}");
    let of_batch = desk
        .ask("GET /migrate/status/{id}", &[&number], Value::Null)
        .await;
    assert_eq!(of_batch["status"], "success");
    let jobs = desk.look("GET /migrate/jobs").await;
    let numbers: Vec<&Value> = jobs["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| &job["id"])
        .collect();
    assert!(numbers.contains(&&json!(batch)), "{jobs}");
    let shown = desk.ask("GET /migrate/batch/{id}", &[&number], Value::Null).await;
    assert_eq!(
        (&shown["batch"]["object"]["key"], &shown["batch"]["attempts"]),
        (&json!(key), &json!(attempts))
    );
    let tries = desk
        .count(&format!("SELECT COUNT(*) FROM attempt WHERE batch_id = {number}"))
        .await;
    assert_eq!(
        shown["attempts"].as_array().map(Vec::len),
        usize::try_from(tries).ok()
    );
}

async fn a_message_is_traced_to_its_line(desk: &Desk, hour: &PrivateHour<'_>) {
    let id = hour.id_of_one();
    let (_, _, _, key) = &hour.batches().await[0];
    let trace = desk.ask("GET /messages/{id}/trace", &[id], Value::Null).await;
    assert_eq!(
        (
            &trace["state"],
            &trace["object"]["key"],
            &trace["source"]["change"]
        ),
        (&json!("archived"), &json!(key), &json!("unchanged")),
        "{trace}"
    );
    assert!(trace["object"]["line"].is_u64() && trace["object"]["lineSha256"].is_string());
}

async fn a_window_is_verified(desk: &Desk, migration: &str) {
    let result = desk
        .operate("POST /verify", &[], json!({ "migrationId": migration }))
        .await;
    assert_eq!(result["verdict"], "COMPLETE", "{result}");
    let newest = &desk.look("GET /verify").await["verifications"][0];
    assert_eq!(newest["verdict"], "COMPLETE", "{newest}");
    let windows = desk.look("GET /windows").await;
    assert!(windows["count"].as_u64() >= Some(1), "{windows}");
    // Others write to the source meanwhile.
    let proof = desk.look("GET /proof").await;
    assert_eq!(proof["safeToDelete"], false, "{proof}");
    assert!(proof["writable"][0].is_string(), "{proof}");
    assert_eq!(
        desk.look("GET /overview").await["proof"]["line"]
            .as_str()
            .map(str::is_empty),
        Some(false)
    );
}

async fn the_desk_shows_what_there_is(desk: &Desk) {
    let completed = "SELECT COUNT(*) FROM batch WHERE status = 'completed'";
    until("the overview counts what is completed", async || {
        let counted = desk.count(completed).await;
        (desk.look("GET /overview").await["batches"]["success"] == counted).then_some(())
    })
    .await;
    until("AWS says in time how the schedules stand", async || {
        let schedules = desk.look("GET /overview").await["schedules"].take();
        (schedules.as_array().map(Vec::len) == Some(2)).then_some(())
    })
    .await;
    let newest = desk.count("SELECT COALESCE(MAX(id), 0) FROM alert").await;
    let alerts = desk.look("GET /alerts").await;
    assert!(newest == 0 || alerts["alerts"][0]["id"] == newest, "{alerts}");
    let failures = desk.look("GET /failures").await;
    let parked = desk
        .count("SELECT COUNT(*) FROM batch WHERE parked_at IS NOT NULL")
        .await;
    assert_eq!(failures["totals"]["parkedBatches"], parked, "{failures}");
    let operations = desk.look("GET /operations").await;
    assert_eq!(operations["operations"][0]["kind"], "verify", "{operations}");
    assert!(desk.look("GET /sweep").await["sweeps"].is_array());
}

/// The shells hold no data; what they ask for wants a token.
async fn pages_load_without_a_token(desk: &Desk) {
    for route in ["GET /docs", "GET /seed/docs", "GET /dashboard/", "GET /runbook"] {
        let path = route.trim_start_matches("GET ");
        desk.note(route);
        let (status, page) = desk.deployment.page(path).await;
        assert_eq!(status.as_u16(), 200, "{path}");
        assert!(page.contains("<html"), "{path}: {page}");
    }
    // Which routes there are is no secret.
    desk.note("GET /openapi.json");
    let described = desk
        .deployment
        .ask(Method::GET, "/openapi.json", None, None)
        .await;
    assert_eq!(described.body["openapi"], "3.1.0");
}
