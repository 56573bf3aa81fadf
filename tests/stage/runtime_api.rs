//! The Lambda Runtime API (2018-06-01), for one function process.
//!
//! The process asks for its next invocation and answers it; this side hands one over at a time, as Lambda does. Not
//! responsible for the process itself.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// What a function said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    Response(Value),
    Error { error_type: String, message: String },
}

/// An invocation on its way to the process.
pub(crate) struct Invocation {
    pub(crate) request_id: String,
    pub(crate) event: Value,
    /// Milliseconds since 1970.
    pub(crate) deadline_ms: i64,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// A served Runtime API; it ends with this value.
pub(crate) struct RuntimeApi {
    /// `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) address: String,
    invocations: mpsc::Sender<Invocation>,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    invocations: tokio::sync::Mutex<mpsc::Receiver<Invocation>>,
    /// The invocation that the process works on.
    at_work: Mutex<Option<(String, oneshot::Sender<Answer>)>>,
    init_error: Mutex<Option<Answer>>,
}

impl RuntimeApi {
    pub(crate) async fn serve() -> Self {
        let (sender, receiver) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            invocations: tokio::sync::Mutex::new(receiver),
            at_work: Mutex::new(None),
            init_error: Mutex::new(None),
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            invocations: sender,
            shared,
            serving,
        }
    }

    /// Hands an invocation over; the receiver resolves when the process answers it.
    pub(crate) async fn hand_over(
        &self,
        request_id: &str,
        event: Value,
        timeout: Duration,
    ) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        let deadline_ms = jiff::Timestamp::now().as_millisecond() + timeout.as_millis() as i64;
        let invocation = Invocation {
            request_id: request_id.into(),
            event,
            deadline_ms,
            answer,
        };
        self.invocations
            .send(invocation)
            .await
            .unwrap_or_else(|_| panic!("the Runtime API is served"));
        answered
    }

    /// Why the function couldn't start, if it said so.
    pub(crate) fn init_error(&self) -> Option<Answer> {
        self.shared.init_error.lock().unwrap().clone()
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    let Some(invocation) = shared.invocations.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let headers = [
        ("lambda-runtime-aws-request-id", invocation.request_id.clone()),
        ("lambda-runtime-deadline-ms", invocation.deadline_ms.to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:123456789012:function:test".into(),
        ),
        (
            "lambda-runtime-trace-id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0".into(),
        ),
    ];
    *shared.at_work.lock().unwrap() = Some((invocation.request_id, invocation.answer));
    (headers, Json(invocation.event)).into_response()
}

async fn response(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    let value = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&body).unwrap()
    };
    answer(&shared, &id, Answer::Response(value))
}

async fn error(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    answer(&shared, &id, error_of(&body))
}

async fn init_error(State(shared): State<Arc<Shared>>, _headers: HeaderMap, body: Bytes) -> StatusCode {
    *shared.init_error.lock().unwrap() = Some(error_of(&body));
    StatusCode::ACCEPTED
}

fn answer(shared: &Shared, id: &str, answer: Answer) -> StatusCode {
    match shared
        .at_work
        .lock()
        .unwrap()
        .take_if(|(at_work, _)| at_work == id)
    {
        Some((_, waiting)) => {
            // Whoever waited may have given up.
            waiting.send(answer).ok();
            StatusCode::ACCEPTED
        }
        None => StatusCode::BAD_REQUEST,
    }
}

fn error_of(body: &[u8]) -> Answer {
    let body: Value = serde_json::from_slice(body).unwrap_or_else(|_| json!({}));
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    Answer::Error {
        error_type: text("errorType"),
        message: text("errorMessage"),
    }
}
