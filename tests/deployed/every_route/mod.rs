//! Every route of the API, asked at the deployed stack, and what it did looked up at the service behind it.
//!
//! It has the stack to itself: it stops the clock and the consumers, empties the queues, and clears what was seeded. All of
//! it stands again at the end, whatever a step before it did.

mod looking;
mod migrating;
mod queueing;
mod seeding;
mod switching;

use super::deployment::Answer;
use super::{Deployment, PrivateHour, Ticks, until};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Mutex;
use tokio::task::{LocalSet, spawn_local};

const METHODS: [&str; 4] = ["get", "post", "put", "delete"];

/// The paths that clients of this convention know.
const CONVENTION: [&str; 60] = [
    "GET /health",
    "GET /health/live",
    "GET /health/ready",
    "GET /db/health",
    "GET /db/status",
    "GET /db/info",
    "GET /db/ping",
    "GET /db/count",
    "GET /db/pending-count",
    "GET /db/success-count",
    "POST /migrate",
    "GET /migrate",
    "GET /migrate/status/{id}",
    "DELETE /migrate/cancel/{id}",
    "GET /migrate/jobs",
    "GET /migrate/batch/{id}",
    "POST /migrate/retry-failed",
    "POST /migrate/complete-processing",
    "POST /migrate/process-all",
    "POST /migrate/fix-stuck-jobs",
    "POST /migrate/create-missing-migrations",
    "POST /migrate/reset-pending",
    "POST /migrate/bulk",
    "POST /migrate/batch/{size}",
    "POST /migrate/scheduler/start",
    "POST /migrate/scheduler/stop",
    "GET /migrate/scheduler/status",
    "GET /queue/stats",
    "GET /queue/health",
    "GET /queue/consumer-status",
    "GET /queue/consumers/status",
    "GET /queue/consumers/health",
    "GET /queue/monitoring",
    "GET /queue/workers/stats",
    "POST /queue/test-publish",
    "POST /queue/test/publish",
    "POST /queue/test-batch",
    "POST /queue/consumers/start",
    "POST /queue/consumers/stop",
    "POST /queue/consumers/restart",
    "POST /queue/retry-dlq",
    "POST /queue/workers/reset-counter",
    "DELETE /queue/purge/{queue}",
    "DELETE /queue/purge-all",
    "POST /seed/some-model",
    "POST /seed/job-status",
    "POST /seed/all",
    "POST /seed/bulk/{count}",
    "GET /seed/stats",
    "GET /seed/docs",
    "DELETE /seed/clear",
    "POST /verify",
    "GET /verify",
    "GET /messages/{id}/trace",
    "GET /failures",
    "POST /pause",
    "POST /resume",
    "POST /tune",
    "GET /audit",
    "GET /operations/{id}",
];

/// Somebody at the deployed API, who remembers which routes were asked.
struct Desk {
    deployment: Deployment,
    asked: Mutex<BTreeSet<String>>,
}

impl Desk {
    /// Asks a route, with what stands in its braces, and gets an answer that isn't a refusal.
    async fn ask(&self, route: &str, values: &[&str], body: Value) -> Value {
        let answer = self.answer(route, values, body).await;
        assert!(answer.status.is_success(), "{route} {values:?}: {answer:?}");
        assert_eq!(answer.body["success"], true, "{route}: {answer:?}");
        answer.body
    }

    /// A route counts as asked.
    fn note(&self, route: &str) {
        self.asked.lock().unwrap().insert(nameless(route));
    }

    async fn answer(&self, route: &str, values: &[&str], body: Value) -> Answer {
        self.note(route);
        let (method, template) = route.split_once(' ').expect("a method and a path");
        let mut path = template.to_owned();
        for value in values {
            let (before, rest) = path.split_once('{').expect("a place for each value");
            let (_, after) = rest.split_once('}').expect("a closing brace");
            path = format!("{before}{value}{after}");
        }
        let method: Method = method.parse().unwrap();
        let token = Some(self.deployment.operator_token.as_str());
        let body = (!body.is_null()).then_some(&body);
        self.deployment.ask(method, &path, token, body).await
    }

    /// Asks a route that only shows something.
    async fn look(&self, route: &str) -> Value {
        self.ask(route, &[], Value::Null).await
    }

    /// Asks for a long job, and waits for its result.
    async fn operate(&self, route: &str, values: &[&str], body: Value) -> Value {
        let asked = self.ask(route, values, body).await;
        let id = asked["operationId"].as_str().expect("it is an operation");
        until(&format!("{route} is over"), async || {
            let operation = self.ask("GET /operations/{id}", &[id], Value::Null).await["operation"].take();
            assert_ne!(operation["state"], "failed", "{operation}");
            if operation["state"] != "succeeded" {
                self.deployment.invoke("reaper", &json!({})).await;
            }
            (operation["state"] == "succeeded").then(|| operation["result"].clone())
        })
        .await
    }

    /// The one number that a query of the ledger has for an answer.
    async fn count(&self, query: &str) -> u64 {
        self.deployment.rows::<u64>(query).await[0]
    }

    /// Changes the ledger behind everybody's back.
    async fn sql(&self, statement: &str) {
        let _none: Vec<u64> = self.deployment.rows(statement).await;
    }

    /// How many entries of the audit name this.
    async fn audited(&self, action: &str) -> u64 {
        self.count(&format!("SELECT COUNT(*) FROM audit WHERE action = '{action}'"))
            .await
    }

    /// Every route that the API's own description names.
    async fn described(&self) -> BTreeSet<String> {
        let description = self.deployment.get("/openapi.json").await;
        let paths = description["paths"].as_object().expect("it describes paths");
        let routes = paths.iter().flat_map(|(path, item)| {
            let members = item.as_object().expect("a path has methods").keys();
            let methods = members.filter(|member| METHODS.contains(&member.as_str()));
            methods.map(move |method| nameless(&format!("{} {path}", method.to_uppercase())))
        });
        routes.collect()
    }
}

/// A route without the names in its braces: the convention has two for one place.
fn nameless(route: &str) -> String {
    let parts = route
        .split('/')
        .map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

async fn ask_every_route(desk: Rc<Desk>) {
    let hour = PrivateHour::with_messages(&desk.deployment, 12).await;
    looking::look_at_everything(&desk, &hour).await;
    switching::stop_the_clock(&desk).await;
    migrating::work_on_batches(&desk, &hour).await;
    switching::pause_and_tune(&desk).await;
    queueing::fill_and_empty(&desk).await;
    switching::restart_the_consumers(&desk).await;
    switching::start_the_clock(&desk).await;
    seeding::seed_and_clear(&desk).await;
}

#[tokio::test]
async fn every_route_does_what_it_says_at_the_service_behind_it() {
    let desk = Rc::new(Desk {
        deployment: Deployment::alone().await,
        asked: Mutex::default(),
    });
    let asking = LocalSet::new()
        .run_until(async { spawn_local(ask_every_route(desk.clone())).await })
        .await;
    switching::switch_everything_on(&desk).await;
    if let Err(failure) = asking {
        resume_unwind(failure.into_panic());
    }
    let described = desk.described().await;
    let convention: BTreeSet<String> = CONVENTION.iter().map(|route| nameless(route)).collect();
    let missing: Vec<&String> = convention.difference(&described).collect();
    assert!(missing.is_empty(), "not described: {missing:?}");
    let asked = desk.asked.lock().unwrap().clone();
    let never: Vec<&String> = described.difference(&asked).collect();
    assert!(never.is_empty(), "never asked here: {never:?}");
}
