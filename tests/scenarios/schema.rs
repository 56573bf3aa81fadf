//! The schema of the ledger: CloudFormation's requests and people's, answered by the migrator on a real server, and what every other
//! function does where it is not migrated.

use crate::stage::{
    Addresses, Document, Function, FunctionError, MIGRATOR_TIMEOUT, REAPER_TIMEOUT, Secret, Stage, request,
};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use granary_ledger::db::needed_schema;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What a migrator answers without the ledger, or at once, takes no longer.
const AT_ONCE: Duration = Duration::from_secs(20);
const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T11:00:00Z";
const HAND_OFF: &str = r#"{"v":1,"batch_id":1,"migration_id":"x"}"#;
const TABLES: &str = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()";

/// A stage whose database has no tables, as before the first deployment.
async fn undeployed(name: &str) -> Stage {
    let stage = Stage::at(Addresses::from_environment().with_own_schema(), name, &[]).await;
    stage.empty_database().await;
    stage
}

/// The address at which CloudFormation waits for an answer, as S3 takes it: by PUT, and without a type of content.
struct Mailbox {
    url: String,
    letters: Arc<Mutex<Letters>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Letters {
    /// So many times it answers that it is too busy.
    refusals: u32,
    taken: Vec<Value>,
}

impl Mailbox {
    /// One that takes nothing before it was asked so many times.
    async fn after(refusals: u32) -> Self {
        let letters = Arc::new(Mutex::new(Letters {
            refusals,
            taken: Vec::new(),
        }));
        let router = Router::new().fallback(put).with_state(letters.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "http://{}/arn%3Aaws%3Acloudformation/Schema?X-Amz-Signature=secret",
            listener.local_addr().unwrap()
        );
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            letters,
            serving,
        }
    }

    async fn open() -> Self {
        Self::after(0).await
    }

    /// The only answer.
    fn answer(&self) -> Value {
        let letters = self.letters.lock().unwrap();
        assert_eq!(letters.taken.len(), 1, "{:?}", letters.taken);
        letters.taken[0].clone()
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn put(State(letters): State<Arc<Mutex<Letters>>>, headers: HeaderMap, body: String) -> StatusCode {
    let mut letters = letters.lock().unwrap();
    if letters.refusals > 0 {
        letters.refusals -= 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    assert!(
        !headers.contains_key("content-type"),
        "it isn't signed: {headers:?}"
    );
    letters.taken.push(serde_json::from_str(&body).unwrap());
    StatusCode::OK
}

/// A request of CloudFormation: for this version, and after that one.
fn event(mailbox: &Mailbox, request_type: &str, wanted: u32, before: Option<u32>) -> Value {
    let mut event: Value = serde_json::from_str(include_str!("../../events/migrator.update.json")).unwrap();
    event["RequestType"] = json!(request_type);
    event["ResponseURL"] = json!(mailbox.url);
    event["ResourceProperties"]["SchemaVersion"] = json!(wanted.to_string());
    event["OldResourceProperties"] = match before {
        Some(before) => json!({ "SchemaVersion": before.to_string() }),
        None => json!({}),
    };
    event
}

/// Has it work on a request; how it answered, and why.
async fn answered(
    migrator: &Function,
    request_type: &str,
    wanted: u32,
    before: Option<u32>,
) -> (String, String) {
    let mailbox = Mailbox::open().await;
    let event = event(&mailbox, request_type, wanted, before);
    migrator.invoke(event.clone(), MIGRATOR_TIMEOUT).await.unwrap();
    let answer = mailbox.answer();
    for field in ["StackId", "RequestId", "LogicalResourceId", "PhysicalResourceId"] {
        assert_eq!(answer[field], event[field], "{answer}");
    }
    let text = |field: &str| answer[field].as_str().expect("it is a text").to_owned();
    let reason = text("Reason");
    assert!(!reason.contains("Signature"), "{reason}");
    (text("Status"), reason)
}

fn succeeded() -> String {
    "SUCCESS".to_owned()
}

async fn audited(stage: &Stage) -> Vec<(String, Option<String>)> {
    stage
        .rows("SELECT who, reason FROM audit WHERE action = 'schema.migrate' ORDER BY id")
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d3_a_deployment_makes_the_schema_and_the_next_one_finds_it() {
    let stage = undeployed("schema-create").await;
    let needed = needed_schema();
    let created = answered(&stage.migrator, "Create", needed, None).await;
    assert_eq!(
        created,
        (
            succeeded(),
            format!("the ledger had schema 0, and has {needed} now")
        )
    );
    let applied: u64 = stage.row("SELECT COUNT(*) FROM refinery_schema_history").await;
    assert_eq!(applied, u64::from(needed));
    assert_eq!(audited(&stage).await, [("deployment".to_owned(), None)]);

    let updated = answered(&stage.migrator, "Update", needed, Some(needed - 1)).await;
    assert_eq!(updated, (succeeded(), format!("the ledger has schema {needed}")));
    assert_eq!(audited(&stage).await.len(), 1, "nothing was changed");
    stage.harvest().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d3_a_deletion_and_a_rollback_succeed_without_the_ledger() {
    let stage = Stage::new("schema-rollback").await;
    let away = [(
        "GRANARY_LEDGER_URL",
        "mysql://granary:granary@127.0.0.1:9/granary",
    )];
    let migrator = stage.another("migrator", &away);
    let needed = needed_schema();
    let begun = Instant::now();
    for (request_type, wanted, before) in [
        ("Delete", needed, None),
        ("Update", needed, Some(needed + 1)),
        ("Update", needed - 1, Some(needed)),
    ] {
        let (status, reason) = answered(&migrator, request_type, wanted, before).await;
        assert_eq!(status, succeeded(), "{request_type}: {reason}");
    }
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    migrator.kill().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d3_what_keeps_the_schema_from_being_migrated_is_answered_with_what_to_do() {
    let stage = undeployed("schema-refused").await;
    let needed = needed_schema();
    let mut login: url::Url = stage.setting("GRANARY_LEDGER_URL").parse().unwrap();
    login.set_password(Some("another")).unwrap();
    let begun = Instant::now();
    for (told, wanted, what_to_do) in [
        (None, needed + 1, "deploy functions and template of one version"),
        (Some(""), needed, "GRANARY_LEDGER_SECRET_ARN"),
        (
            Some(login.as_str()),
            needed,
            "refuses the login; correct the secret that LedgerSecretArn names",
        ),
    ] {
        let told: Vec<(&str, &str)> = told.map(|url| ("GRANARY_LEDGER_URL", url)).into_iter().collect();
        let migrator = stage.another("migrator", &told);
        let (status, reason) = answered(&migrator, "Update", wanted, Some(1)).await;
        assert_eq!(status, "FAILED");
        assert!(reason.contains(what_to_do), "{reason}");
        assert!(!reason.contains("127.0.0.1"), "{reason}");
        migrator.kill().await;
    }
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    assert_eq!(stage.row::<u64>(TABLES).await, 0);
    stage.migrate_schema().await;
    stage.finish().await;
}

/// As where S3 is busy, or Lambda invokes it again because the first one died.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d3_two_migrators_at_once_apply_each_migration_once_and_both_are_answered() {
    let stage = undeployed("schema-twice").await;
    let needed = needed_schema();
    let another = stage.another("migrator", &[]);
    let mailboxes = (Mailbox::after(2).await, Mailbox::open().await);
    let (first, second) = tokio::join!(
        stage
            .migrator
            .invoke(event(&mailboxes.0, "Create", needed, None), MIGRATOR_TIMEOUT),
        another.invoke(event(&mailboxes.1, "Create", needed, None), MIGRATOR_TIMEOUT)
    );
    first.and(second).unwrap();
    let answers = [mailboxes.0.answer(), mailboxes.1.answer()];
    for answer in &answers {
        assert_eq!(answer["Status"], "SUCCESS", "{answers:?}");
    }
    let changed = answers.iter().filter(|answer| {
        answer["Reason"]
            .as_str()
            .unwrap()
            .starts_with("the ledger had schema 0")
    });
    assert_eq!(changed.count(), 1, "{answers:?}");
    let twice: u64 = stage
        .row("SELECT COUNT(*) - COUNT(DISTINCT version) FROM refinery_schema_history")
        .await;
    assert_eq!(twice, 0);
    assert_eq!(audited(&stage).await.len(), 1);
    another.kill().await;
    stage.finish().await;
}

/// By the secret that a deployment names, as in AWS.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migrator_reads_the_ledgers_secret_and_needs_nothing_else() {
    let stage = undeployed("schema-secret").await;
    let url: url::Url = stage.setting("GRANARY_LEDGER_URL").parse().unwrap();
    let secret = Secret::new(&json!({
        "username": url.username(), "password": url.password().unwrap(), "engine": "mariadb",
        "host": url.host_str().unwrap(), "port": url.port().unwrap(),
        "dbname": url.path().trim_start_matches('/'),
    }))
    .await;
    let migrator = stage.another(
        "migrator",
        &[
            ("GRANARY_LEDGER_URL", ""),
            ("GRANARY_LEDGER_SECRET_ARN", &secret.arn),
            ("GRANARY_ES_URL", ""),
            ("GRANARY_BUCKET", ""),
            ("GRANARY_QUEUE_URL", ""),
            ("GRANARY_SOURCE_INDEX", ""),
        ],
    );
    let done = migrator.invoke(json!({}), MIGRATOR_TIMEOUT).await.unwrap();
    assert_eq!((&done["from"], &done["to"]), (&json!(0), &json!(needed_schema())));
    assert_eq!(audited(&stage).await, [("by hand".to_owned(), None)]);
    migrator.kill().await;
    secret.forget().await;
    stage.finish().await;
}

/// Each says what to do, and leaves the database as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d3_no_function_works_on_an_older_schema_and_none_changes_it() {
    let stage = undeployed("schema-older").await;
    for function in ["harvester", "reaper"] {
        let said = stage.another(function, &[]).refusal().await;
        assert!(
            said.contains("run `granary schema migrate`, or deploy the stack"),
            "{said}"
        );
    }
    let queue = &stage.queues.normal;
    stage.queues.send(queue, HAND_OFF).await;
    let exports = stage.export_all().await;
    assert_eq!(
        (exports.returned.len(), exports.errors.len()),
        (1, 0),
        "{exports:?}"
    );
    let refused = stage.ask(request("GET", "/overview", "")).await;
    assert_eq!(refused["statusCode"], 503, "{refused}");
    assert!(
        refused["body"]
            .as_str()
            .unwrap()
            .contains("granary schema migrate"),
        "{refused}"
    );
    let shown = stage.look_at("/schema").await;
    assert_eq!(
        (&shown["status"], &shown["version"], &shown["needed"]),
        (&json!("older"), &json!(0), &json!(needed_schema()))
    );
    let nobody = stage.ask(request("POST", "/schema/migrate", "")).await;
    assert_eq!(nobody["statusCode"], 409, "{nobody}");
    assert_eq!(stage.row::<u64>(TABLES).await, 0, "they only look");
    stage.queues.purge(queue).await;
    stage.migrate_schema().await;
    stage.finish().await;
}

/// What the ledger has, and what this version needs.
async fn versions(stage: &Stage) -> (u32, u32) {
    let found = stage
        .row("SELECT MAX(version) FROM refinery_schema_history")
        .await;
    (found, needed_schema())
}

/// All scenarios do: as where the next release has migrated the ledger already, or was rolled back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d3_every_function_works_on_a_newer_schema_that_allows_it_and_says_so() {
    let mut stage = Stage::new("schema-newer").await;
    stage.have_exporters(1);
    let (found, known) = versions(&stage).await;
    let messages = [Document::message("m-1", "2026-03-01T10:30:00Z")];
    stage.index_messages(&messages).await;
    stage.backfill(FROM, TO).await;
    stage.run_until_quiet().await;
    stage.assert_archived(&messages, FROM, TO).await;
    let shown = stage.look_at("/schema").await;
    assert_eq!(
        (&shown["status"], &shown["version"], &shown["needed"]),
        (&json!("newer"), &json!(found), &json!(known))
    );
    stage.look_at("/overview").await;
    let done = stage.migrate_schema().await;
    assert_eq!((&done["from"], &done["to"]), (&json!(found), &json!(found)));
    for function in [
        &stage.harvester,
        stage.exporter(0),
        &stage.reaper,
        &stage.operator,
        &stage.migrator,
    ] {
        function
            .until_it_says("the ledger's schema is newer, and allows this version")
            .await;
    }
    stage.finish().await;
}

/// Each names both versions; what is in the queue waits for the deployment, and costs no attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d3_no_function_works_on_a_newer_schema_that_does_not_allow_it() {
    let mut stage = Stage::new("schema-refusing").await;
    stage.have_exporters(1);
    let (found, known) = versions(&stage).await;
    stage
        .sql(&format!(
            "UPDATE refinery_schema_history SET oldest_program = version WHERE version = {found}"
        ))
        .await;
    let objection = format!(
        "the ledger has schema {found}, which only versions with schema {found} or later may use; this one has {known}"
    );
    let names_both = |said: &str| assert!(said.contains(&objection), "{said}");
    for function in ["harvester", "reaper"] {
        names_both(&stage.another(function, &[]).refusal().await);
    }
    stage.queues.send(&stage.queues.normal, HAND_OFF).await;
    let exports = stage.export_all().await;
    assert_eq!(
        (exports.returned.len(), exports.errors.len()),
        (1, 0),
        "{exports:?}"
    );
    stage.exporter(0).until_it_says(&objection).await;
    let refused = stage.ask(request("GET", "/overview", "")).await;
    assert_eq!(refused["statusCode"], 503, "{refused}");
    names_both(&refused.to_string());
    assert_eq!(stage.look_at("/schema").await["status"], "refused");
    let needed = answered(&stage.migrator, "Update", known, Some(known)).await;
    assert_eq!(needed.0, "FAILED");
    names_both(&needed.1);
    stage.queues.purge(&stage.queues.normal).await;
    stage.finish().await;
}

/// The operator has Lambda invoke the migrator, for those who may change things.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_has_the_schema_migrated_and_is_on_record() {
    let stage = undeployed("schema-asked").await;
    let migrator = stage.deploy("migrator", &[], 1).await;
    let operator = stage.another("operator", &[("GRANARY_MIGRATOR_FUNCTION", migrator.name())]);
    let ask = async |body: &str| {
        let asked = request("POST", "/schema/migrate", body);
        let answer = operator.invoke(asked, REAPER_TIMEOUT).await.unwrap();
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        (answer["statusCode"].clone(), body)
    };
    let needed = needed_schema();
    let (status, foretold) = ask(r#"{"dryRun":true}"#).await;
    assert_eq!(
        (&status, &foretold["to"]),
        (&json!(200), &json!(needed)),
        "{foretold}"
    );
    assert_eq!(stage.row::<u64>(TABLES).await, 0);
    let (status, done) = ask(r#"{"reason":"a new database"}"#).await;
    assert_eq!(
        (&status, &done["from"], &done["to"]),
        (&json!(200), &json!(0), &json!(needed)),
        "{done}"
    );
    assert_eq!(
        audited(&stage).await,
        [("operator".to_owned(), Some("a new database".to_owned()))]
    );
    let (status, again) = ask("").await;
    assert_eq!(
        (&status, &again["from"]),
        (&json!(200), &json!(needed)),
        "{again}"
    );
    operator.kill().await;
    stage.finish().await;
}

/// What the migrator says of a failure reaches the person who asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_is_told_why_the_schema_was_not_migrated() {
    let stage = undeployed("schema-not").await;
    let mut login: url::Url = stage.setting("GRANARY_LEDGER_URL").parse().unwrap();
    login.set_password(Some("another")).unwrap();
    let migrator = stage
        .deploy("migrator", &[("GRANARY_LEDGER_URL", login.as_str())], 1)
        .await;
    let operator = stage.another("operator", &[("GRANARY_MIGRATOR_FUNCTION", migrator.name())]);
    let asked = request("POST", "/schema/migrate", "");
    let answer = operator.invoke(asked, REAPER_TIMEOUT).await.unwrap();
    assert_eq!(answer["statusCode"], 500, "{answer}");
    let body = answer["body"].as_str().unwrap();
    assert!(
        body.contains("refuses the login") && body.contains("operation-failed"),
        "{body}"
    );
    operator.kill().await;
    stage.migrate_schema().await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_nobodys_is_an_error() {
    let stage = Stage::new("schema-event").await;
    let refused = stage
        .migrator
        .invoke(json!(["x"]), MIGRATOR_TIMEOUT)
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, FunctionError::Returned { error_type, .. } if error_type == "MigrationFailed"),
        "{refused:?}"
    );
    stage.finish().await;
}
