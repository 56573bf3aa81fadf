//! The network between an interrupted function and its services, where a plot needs one.

use crate::stage::{Fault, HttpProxy, Proxy, Said, Stage};
use std::time::Duration;

/// Stands as long as this value does.
pub(super) enum Network {
    /// The function's own.
    Plain,
    /// It loses or delays what passes.
    Bad(Proxy),
    /// It answers in the service's place.
    Lying(HttpProxy),
}

impl Network {
    /// Elasticsearch takes what it is asked, and says nothing.
    pub(super) async fn without_answers(stage: &Stage) -> Self {
        let proxy = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
        proxy.stall();
        Self::Bad(proxy)
    }

    /// S3 takes what it is asked, and says nothing.
    pub(super) async fn without_answers_of_s3(stage: &Stage) -> Self {
        let proxy = Proxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
        proxy.stall();
        Self::Bad(proxy)
    }

    /// Whatever Elasticsearch says comes late.
    pub(super) async fn slow(stage: &Stage, latency: Duration) -> Self {
        let proxy = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
        proxy.slow(latency);
        Self::Bad(proxy)
    }

    /// S3 refuses the second part of the next upload.
    pub(super) async fn without_the_second_part(stage: &Stage) -> Self {
        let proxy = HttpProxy::before(stage.setting("AWS_ENDPOINT_URL")).await;
        let refusal = Fault::Refuse(Said::by_s3(403, "AccessDenied"));
        proxy.inject(refusal, 1, |asked| {
            asked.method == "PUT" && asked.path.contains("partNumber=2")
        });
        Self::Lying(proxy)
    }

    pub(super) fn url(&self) -> String {
        match self {
            Self::Plain => String::new(),
            Self::Bad(proxy) => proxy.url(),
            Self::Lying(proxy) => proxy.url.clone(),
        }
    }

    /// Lets everything through again.
    pub(super) fn restore(&self) {
        match self {
            Self::Plain => {}
            Self::Bad(proxy) => proxy.restore(),
            Self::Lying(proxy) => proxy.restore(),
        }
    }
}
