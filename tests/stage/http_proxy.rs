//! A service that gives wrong answers now and then: an HTTP proxy in front of the real one.
//!
//! A request that a fault is meant for meets it before the service, on the way back, or both; all others pass through
//! as they are. What was asked is remembered, so that a test can see in which portions. Faults of the network itself
//! (cut, stalled, slow) are [`Proxy`](super::Proxy)'s.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Of one request's body, that are remembered.
const REMEMBERED_BYTES_MAX: usize = 1024 * 1024;
/// Said anew by each of the two connections.
const HOP_BY_HOP: [&str; 5] = ["connection", "host", "transfer-encoding", "expect", "keep-alive"];

/// What a request looks like to whoever decides whether it meets a fault.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    /// The operation, where the protocol of AWS names it: `AmazonSQS.SendMessageBatch`.
    pub(crate) target: String,
    pub(crate) body: String,
    pub(crate) at: Instant,
}

/// What happens to a request.
#[derive(Clone)]
pub(crate) enum Fault {
    /// The service never hears of it, and this is the answer.
    Refuse(Said),
    /// The service does as it is told, and this is the answer.
    DoAndSay(Said),
    /// The request goes on without its body, as proxies do that know no body of a DELETE.
    DropBody,
    /// The answer breaks off after so many bytes of its body, and so does the connection.
    BreakOffAfter { bytes: usize },
    /// The answer's JSON is changed on its way.
    Edit(fn(&mut Value)),
}

/// An answer that the service never gave.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Said {
    /// As S3 words an error.
    pub(crate) fn by_s3(status: u16, code: &str) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/xml".into())],
            body: format!("<Error><Code>{code}</Code><Message>said by the proxy</Message></Error>"),
        }
    }

    /// As S3 refuses to give an object that lies in cold storage.
    pub(crate) fn by_s3_of(storage_class: &str) -> Self {
        let text = "The operation is not valid for the object's storage class";
        let mut said = Self::by_s3(403, "InvalidObjectState");
        said.body = format!(
            "<Error><Code>InvalidObjectState</Code><Message>{text}</Message><StorageClass>{storage_class}</StorageClass></Error>"
        );
        said
    }

    /// As Elasticsearch words an error.
    pub(crate) fn by_elasticsearch(status: u16, kind: &str) -> Self {
        let error = serde_json::json!({"type": kind, "reason": "said by the proxy"});
        let body = serde_json::json!({"error": {"root_cause": [error], "type": kind, "reason": "said by the proxy"}, "status": status});
        Self {
            status,
            headers: vec![
                ("content-type", "application/json".into()),
                ("x-elastic-product", "Elasticsearch".into()),
            ],
            body: body.to_string(),
        }
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn response(&self) -> Response {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(*name, value);
        }
        response.body(Body::from(self.body.clone())).unwrap()
    }
}

struct Rule {
    fault: Fault,
    applies: Box<dyn Fn(&Asked) -> bool + Send>,
    times_left: u64,
}

#[derive(Default)]
struct Seen {
    rules: Vec<Rule>,
    asked: Vec<Asked>,
    faults: u64,
}

struct Shared {
    service: Url,
    http: reqwest::Client,
    seen: Mutex<Seen>,
}

/// A service behind a proxy that speaks HTTP. It ends with this value.
pub(crate) struct HttpProxy {
    /// Where the service is to be had, through the proxy.
    pub(crate) url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl HttpProxy {
    pub(crate) async fn before(service: &str) -> Self {
        let shared = Arc::new(Shared {
            service: service.parse().unwrap(),
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            seen: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass_on).with_state(shared.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, serving }
    }

    /// From now on so many requests of a kind meet a fault. Where several are meant for a request, the oldest is met.
    pub(crate) fn inject(&self, fault: Fault, times: u64, applies: impl Fn(&Asked) -> bool + Send + 'static) {
        self.shared.seen.lock().unwrap().rules.push(Rule {
            fault,
            applies: Box::new(applies),
            times_left: times,
        });
    }

    /// From now on everything passes through.
    pub(crate) fn restore(&self) {
        self.shared.seen.lock().unwrap().rules.clear();
    }

    /// How many requests met a fault so far.
    pub(crate) fn faults(&self) -> u64 {
        self.shared.seen.lock().unwrap().faults
    }

    /// Everything that was asked so far, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.seen.lock().unwrap().asked.clone()
    }
}

impl Drop for HttpProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Seen {
    /// Remembers a request; the fault that it meets.
    fn meet(&mut self, asked: Asked) -> Option<Fault> {
        let rule = self
            .rules
            .iter_mut()
            .find(|rule| rule.times_left > 0 && (rule.applies)(&asked));
        let fault = rule.map(|rule| {
            rule.times_left -= 1;
            rule.fault.clone()
        });
        self.faults += u64::from(fault.is_some());
        self.asked.push(asked);
        fault
    }
}

async fn pass_on(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let target = parts
        .headers
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok());
    let asked = Asked {
        method: parts.method.to_string(),
        path: path.to_owned(),
        target: target.unwrap_or_default().to_owned(),
        body: String::from_utf8_lossy(&body[..body.len().min(REMEMBERED_BYTES_MAX)]).into_owned(),
        at: Instant::now(),
    };
    let fault = shared.seen.lock().unwrap().meet(asked);
    if let Some(Fault::Refuse(said)) = &fault {
        return said.response();
    }
    let mut headers = end_to_end(&parts.headers);
    let body = if let Some(Fault::DropBody) = &fault {
        headers.remove("content-length");
        Bytes::new()
    } else {
        body
    };
    let request = shared
        .http
        .request(parts.method.clone(), shared.service.join(path).unwrap())
        .headers(headers)
        .body(body);
    // The client may have left, and a service that is down says nothing at all.
    let Ok(answer) = request.send().await else {
        return empty(StatusCode::BAD_GATEWAY);
    };
    let (status, headers) = (answer.status(), end_to_end(answer.headers()));
    let Ok(body) = answer.bytes().await else {
        return empty(StatusCode::BAD_GATEWAY);
    };
    answered(fault, status, headers, body)
}

fn answered(fault: Option<Fault>, status: StatusCode, mut headers: HeaderMap, body: Bytes) -> Response {
    let body = match fault {
        None | Some(Fault::Refuse(_) | Fault::DropBody) => Body::from(body),
        Some(Fault::DoAndSay(said)) => return said.response(),
        Some(Fault::BreakOffAfter { bytes }) => {
            headers.insert("content-length", HeaderValue::from(body.len()));
            let begun = Ok(body.slice(..bytes.min(body.len().saturating_sub(1))));
            let broken = Err(std::io::Error::other("the proxy breaks the answer off"));
            Body::from_stream(futures::stream::iter([begun, broken]))
        }
        Some(Fault::Edit(edit)) => {
            let mut value: Value = serde_json::from_slice(&body).unwrap();
            edit(&mut value);
            headers.remove("content-length");
            Body::from(value.to_string())
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in HOP_BY_HOP {
        headers.remove(HeaderName::from_static(name));
    }
    headers
}
