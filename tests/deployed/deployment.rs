//! The deployment, and what a client can do with it. Addresses come from the environment.

use aws_config::SdkConfig;
use granary_domain::Layout;
use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, Opts, OptsBuilder};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The clock ticks once a minute, and what it starts takes its time.
const WAIT_SECS_MAX: u64 = 100;
const POLL: Duration = Duration::from_millis(500);
/// A reaper may have an operation in hand.
const REQUEST_SECS_MAX: u64 = 90;

/// Held by the test that shows that the clock does it: nobody else may tick meanwhile.
static CLOCK_ALONE: Mutex<()> = Mutex::const_new(());

/// Shared by the tests of the deployed stack, but for one that switches things off and empties queues.
static STACK: RwLock<()> = RwLock::const_new(());

/// Held as long as a test looks at the deployment.
enum Hold {
    Shared { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

/// Who makes a migration go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ticks {
    /// The schedule, once a minute.
    Clock,
    /// The test besides, to be quicker, unless another test needs the clock alone.
    ByHand,
}

/// Asks until there is an answer.
pub(super) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(WAIT_SECS_MAX);
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(
            Instant::now() < deadline,
            "after {WAIT_SECS_MAX} s still not true: {what}"
        );
        tokio::time::sleep(POLL).await;
    }
}

pub(super) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make up`, then `. .local/env`"))
}

/// What the API answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) body: Value,
}

pub(super) struct Deployment {
    pub(super) index: String,
    pub(super) id_field: String,
    pub(super) time_field: String,
    pub(super) bucket: String,
    pub(super) layout: Layout,
    pub(super) queue_url: String,
    pub(super) topic_arn: String,
    pub(super) operator_token: String,
    pub(super) viewer_token: String,
    pub(super) aws: SdkConfig,
    http: Client,
    api: String,
    elasticsearch: String,
    endpoint: String,
    ledger: String,
    stack: String,
    _hold: Hold,
}

impl Deployment {
    /// Beside other tests that look at it.
    pub(super) async fn of_environment() -> Self {
        let guard = STACK.read().await;
        Self::held(Hold::Shared { _guard: guard }).await
    }

    /// While no other test looks at it.
    pub(super) async fn alone() -> Self {
        let guard = STACK.write().await;
        Self::held(Hold::Alone { _guard: guard }).await
    }

    async fn held(hold: Hold) -> Self {
        let http = Client::builder().timeout(Duration::from_secs(REQUEST_SECS_MAX));
        Self {
            index: variable("SOURCE_INDEX"),
            id_field: variable("SOURCE_ID_FIELD"),
            time_field: variable("SOURCE_TIME_FIELD"),
            bucket: variable("BUCKET"),
            layout: Layout::new(&variable("PREFIX"), &variable("SOURCE_NAME")),
            queue_url: variable("QUEUE_URL"),
            topic_arn: variable("ALERT_TOPIC_ARN"),
            operator_token: variable("API_TOKEN"),
            viewer_token: variable("API_VIEWER_TOKEN"),
            api: variable("API_URL"),
            elasticsearch: variable("ES_URL"),
            endpoint: variable("AWS_ENDPOINT_URL"),
            ledger: variable("LEDGER_URL"),
            stack: variable("STACK_NAME"),
            aws: granary_environment::aws::sdk_config().await,
            http: http.build().unwrap(),
            _hold: hold,
        }
    }

    /// A request to the API, as whoever has this token.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.api));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        let body = serde_json::from_str(&text);
        Answer {
            status,
            headers,
            body: body.unwrap_or_else(|_| panic!("{path} answered {status}, and no JSON: {text}")),
        }
    }

    /// A page that loads without a token, as a browser gets it.
    pub(super) async fn page(&self, path: &str) -> (StatusCode, String) {
        let asking = self.http.get(format!("{}{path}", self.api)).send();
        let page = asking.await.unwrap();
        (page.status(), page.text().await.unwrap())
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let answer = self
            .ask(Method::GET, path, Some(&self.operator_token), None)
            .await;
        assert!(answer.status.is_success(), "GET {path}: {answer:?}");
        answer.body
    }

    pub(super) async fn post(&self, path: &str, body: Option<Value>) -> Value {
        let answer = self
            .ask(Method::POST, path, Some(&self.operator_token), body.as_ref())
            .await;
        assert!(answer.status.is_success(), "POST {path}: {answer:?}");
        answer.body
    }

    /// Asks for a long job, and waits for its result.
    pub(super) async fn operate(&self, path: &str, body: Value) -> Value {
        let asked = self.post(path, Some(body)).await;
        let status_url = asked["statusUrl"].as_str().expect("it is an operation");
        until(&format!("{status_url} is over"), async || {
            let operation = self.get(status_url).await["operation"].take();
            assert_ne!(operation["state"], "failed", "{operation}");
            (operation["state"] == "succeeded").then(|| operation["result"].clone())
        })
        .await
    }

    /// Where nothing was ever seeded, there is no index, and no harvester starts. The deployment makes it itself, with
    /// the mappings that messages need.
    pub(super) async fn make_source(&self) {
        let path = format!("/{}", self.index);
        let found = self.elasticsearch(Method::HEAD, &path, String::new()).await;
        if !found.status.is_success() {
            self.operate("/seed/some-model", json!({ "count": 1 })).await;
        }
    }

    /// Waits until a migration has nothing open. Says what the API says of it then.
    pub(super) async fn finish(&self, migration: &str, ticks: Ticks) -> Value {
        let path = format!("/migrate/status/{migration}");
        until(&format!("migration {migration} has nothing open"), async || {
            if ticks == Ticks::ByHand {
                self.tick_unless_the_clock_is_alone().await;
            }
            let status = self.get(&path).await;
            (status["nothingOpen"] == true).then_some(status)
        })
        .await
    }

    async fn tick_unless_the_clock_is_alone(&self) {
        if let Ok(_nobody_else) = CLOCK_ALONE.try_lock() {
            self.invoke("harvester", &json!({})).await;
        }
    }

    /// Invokes a function and waits for its answer; `None` where it is at work already and may not be twice.
    pub(super) async fn invoke(&self, function: &str, event: &Value) -> Option<Value> {
        let name = format!("{}-{function}", self.stack);
        let url = format!("{}/2015-03-31/functions/{name}/invocations", self.endpoint);
        let answer = self.http.post(url).json(event).send().await.unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            return None;
        }
        let (status, has_failed) = (
            answer.status(),
            answer.headers().contains_key("x-amz-function-error"),
        );
        let body: Value = answer.json().await.unwrap();
        assert!(status.is_success() && !has_failed, "{name}: {status} {body}");
        Some(body)
    }

    /// Lines of a function's log since an instant, those that have all of these texts.
    pub(super) async fn log(&self, function: &str, since: jiff::Timestamp, texts: &[&str]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut page = Value::Null;
        loop {
            let mut query = json!({
                "logGroupName": format!("/aws/lambda/{}-{function}", self.stack),
                "startTime": since.as_millisecond(),
            });
            if page["nextToken"].is_string() {
                query["nextToken"] = page["nextToken"].take();
            }
            let request = self
                .http
                .post(&self.endpoint)
                .header("x-amz-target", "Logs_20140328.FilterLogEvents")
                .header("content-type", "application/x-amz-json-1.1")
                .body(query.to_string());
            page = request.send().await.unwrap().json().await.unwrap();
            let events = page["events"].as_array().expect("a log has events").iter();
            let found = events
                .filter_map(|event| event["message"].as_str())
                .filter(|line| texts.iter().all(|text| line.contains(text)));
            lines.extend(found.map(str::to_owned));
            if !page["nextToken"].is_string() {
                return lines;
            }
        }
    }

    /// A request to Elasticsearch.
    pub(super) async fn elasticsearch(&self, method: Method, path: &str, body: String) -> Answer {
        let request = self.http.request(method, format!("{}{path}", self.elasticsearch));
        let request = request.header("content-type", "application/json").body(body);
        let answer = request.send().await.unwrap();
        Answer {
            status: answer.status(),
            headers: answer.headers().clone(),
            body: answer.json().await.unwrap_or_default(),
        }
    }

    /// What the ledger shows to whoever may read it.
    pub(super) async fn rows<T: FromRow + Send + 'static>(&self, query: &str) -> Vec<T> {
        let opts = OptsBuilder::from_opts(Opts::from_url(&self.ledger).unwrap());
        let opts = opts.prefer_socket(false).setup(vec!["SET time_zone = '+00:00'"]);
        let mut conn = Conn::new(opts).await.unwrap();
        let rows = conn.query(query).await.unwrap();
        conn.disconnect().await.unwrap();
        rows
    }

    pub(super) fn s3(&self) -> aws_sdk_s3::Client {
        let settings = aws_sdk_s3::config::Builder::from(&self.aws).force_path_style(true);
        aws_sdk_s3::Client::from_conf(settings.build())
    }

    /// Runs the command line as people do. Its exit code, what it printed, and what it said.
    pub(super) async fn granary(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let running = tokio::process::Command::new(command_line())
            .args(arguments)
            .env("GRANARY_API_URL", &self.api)
            .env("GRANARY_API_TOKEN", &self.operator_token)
            .kill_on_drop(true)
            .output();
        let limit = Duration::from_secs(WAIT_SECS_MAX);
        let output = tokio::time::timeout(limit, running)
            .await
            .expect("it ends in time")
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}

/// Nothing is ticked by hand while this is held.
pub(super) async fn clock_alone() -> MutexGuard<'static, ()> {
    CLOCK_ALONE.lock().await
}

/// Beside this test, in the directory above `deps/`.
fn command_line() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test
        .ancestors()
        .nth(2)
        .expect("a test lies in deps/")
        .join("granary");
    assert!(
        binary.exists(),
        "{} is not there: run `make up`",
        binary.display()
    );
    binary
}
