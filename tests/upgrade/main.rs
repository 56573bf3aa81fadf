//! An upgrade to the next release and its rollback, with batches in flight: `make test-upgrade`.
//!
//! The stack is one of its own, and this release is deployed there. The next release is made of this one (`local/release next`): its
//! template asks for a schema that is one migration ahead, and its migrator makes it. Each deployment is the one that people run, and
//! goes through CloudFormation's custom resource.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test stands outside the product: it takes no steps"
)]
#![allow(clippy::print_stdout, reason = "it takes minutes, and says how far it is")]
#![allow(
    dead_code,
    reason = "what is shared with the suites has more than this test needs"
)]

#[path = "../deployed/deployment.rs"]
mod deployment;
mod load;

use deployment::{Deployment, until, variable};
use granary_ledger::db::needed_schema;
use jiff::Timestamp;
use load::Load;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tokio::process::Command;

const FUNCTIONS: [&str; 4] = ["harvester", "exporter", "reaper", "operator"];
const DEAD_LETTER_QUEUES: [&str; 2] = ["DLQ_URL", "PRIORITY_DLQ_URL"];
/// More than two exporters export while a deployment goes out.
const BATCHES_IN_FLIGHT_MIN: u64 = 300;

/// A release: what is deployed of it.
struct Release {
    checkout: PathBuf,
    binaries: PathBuf,
}

impl Release {
    fn this() -> Self {
        let test = std::env::current_exe().unwrap();
        Self {
            checkout: Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
            binaries: test.ancestors().nth(2).expect("a test lies in deps/").to_owned(),
        }
    }

    fn next() -> Self {
        let made = PathBuf::from(variable("NEXT_RELEASE"));
        Self {
            checkout: made.join("src"),
            binaries: made.join("bin"),
        }
    }

    /// Deploys it over what is there, as people do: `make up` in its checkout.
    async fn deploy(&self) {
        let up = Command::new(self.checkout.join("local/stack"))
            .arg("up")
            .env("BIN_DIR", &self.binaries)
            .status()
            .await
            .unwrap();
        assert!(up.success(), "{}: {up}", self.checkout.display());
    }
}

/// What the operator says of the schema: its standing, its version, and what the operator's release needs.
async fn schema(deployment: &Deployment) -> (Value, Value, Value) {
    let mut shown = deployment.get("/schema").await;
    (
        shown["status"].take(),
        shown["version"].take(),
        shown["needed"].take(),
    )
}

async fn until_the_schema_is(deployment: &Deployment, status: &str, version: u32, needed: u32) {
    let expected = (json!(status), json!(version), json!(needed));
    let what = format!("the schema is {status}, {version} for a release that needs {needed}");
    until(&what, async || {
        (schema(deployment).await == expected).then_some(())
    })
    .await;
}

async fn in_flight(deployment: &Deployment) -> u64 {
    let open: Vec<u64> = deployment
        .rows("SELECT COUNT(*) FROM batch WHERE status IN ('pending', 'in_progress')")
        .await;
    open[0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d3_an_upgrade_and_its_rollback_with_batches_in_flight_lose_nothing_and_archive_nothing_twice() {
    let deployment = Deployment::alone().await;
    let (this, next) = (needed_schema(), needed_schema() + 1);
    let begun = Timestamp::now();
    until_the_schema_is(&deployment, "current", this, this).await;
    deployment.make_source().await;
    let mut load = Load::new(&deployment);

    load.add(BATCHES_IN_FLIGHT_MIN).await;
    Release::next().deploy().await;
    assert_in_flight(&deployment, "upgraded").await;
    until_the_schema_is(&deployment, "current", next, next).await;

    load.add(BATCHES_IN_FLIGHT_MIN).await;
    let upgraded = Timestamp::now();
    Release::this().deploy().await;
    assert_in_flight(&deployment, "rolled back").await;
    until_the_schema_is(&deployment, "newer", next, this).await;
    let left_alone = ["nothing is done: an older release is deployed"];
    assert_said(&deployment, "migrator", upgraded, &left_alone).await;

    load.add(0).await;
    load.until_it_is_archived().await;
    for function in FUNCTIONS {
        let allowed = ["the ledger's schema is newer, and allows this version"];
        assert_said(&deployment, function, upgraded, &allowed).await;
        let refused = ["which only versions with schema"];
        let refusals = deployment.log(function, begun, &refused).await;
        assert!(refusals.is_empty(), "{refusals:#?}");
    }
    load.assert_complete().await;
    load.assert_each_once().await;
    assert_nobody_is_alarmed(&deployment).await;
}

async fn assert_in_flight(deployment: &Deployment, done: &str) {
    let open = in_flight(deployment).await;
    println!("the stack was {done} with {open} batches in flight");
    assert!(open > 0, "all batches were exported before the stack was {done}");
}

async fn assert_said(deployment: &Deployment, function: &str, since: Timestamp, texts: &[&str]) {
    let what = format!("the {function} says {texts:?}");
    until(&what, async || {
        let said = deployment.log(function, since, texts).await;
        (!said.is_empty()).then_some(())
    })
    .await;
}

async fn assert_nobody_is_alarmed(deployment: &Deployment) {
    let alerts: Vec<(String, String)> = deployment.rows("SELECT kind, text FROM alert").await;
    assert!(alerts.is_empty(), "{alerts:#?}");
    let sqs = aws_sdk_sqs::Client::new(&deployment.aws);
    for name in DEAD_LETTER_QUEUES {
        let asked = sqs.receive_message().queue_url(variable(name));
        let dead = asked.send().await.unwrap().messages.unwrap_or_default();
        assert!(dead.is_empty(), "{name}: {dead:?}");
    }
}
