//! A message that the ledger doesn't have: what the source shows of it, why it isn't on record, and what to do about it.

use super::SOURCE_SECS_MAX;
use crate::services::Services;
use crate::web::problem::{Kind, Problem};
use granary_domain::{Hour, MessageId};
use granary_source::{ShownMessage, ShownTime};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

/// What there is to say about a message that the ledger doesn't have.
pub(super) async fn unknown(
    services: &Services,
    id: &MessageId,
    asks_source: bool,
) -> Result<Problem, Problem> {
    let problem = |detail: &str| {
        Problem::new(
            Kind::NotFound,
            format!("The ledger has no message {id}: {detail}"),
        )
    };
    if !asks_source {
        return Ok(problem("the source was not asked.").remedy("Ask again without `source=false`."));
    }
    let looking = services.source.find_message(id);
    let shown = match timeout(Duration::from_secs(SOURCE_SECS_MAX), looking).await {
        Ok(Ok(shown)) => shown,
        Ok(Err(_)) | Err(_) => {
            return Ok(problem("whether the source has it can't be said now.")
                .with("seenAtSource", Value::Null)
                .remedy("See GET /health, and ask again when Elasticsearch answers."));
        }
    };
    let Some(shown) = shown else {
        return Ok(problem("the source doesn't show it either.")
            .with("seenAtSource", false.into())
            .remedy("Check the id: it is compared byte by byte. A message that was deleted before it was harvested leaves no trace."));
    };
    let (detail, remedy) = why_not_harvested(services, &shown).await?;
    Ok(problem(&detail)
        .with("seenAtSource", true.into())
        .with("index", shown.index.into())
        .with("eventTime", json!(written(shown.event_time.as_ref())))
        .remedy(&remedy))
}

/// An event time as text.
fn written(event_time: Option<&ShownTime>) -> Option<String> {
    event_time.map(|shown| match shown {
        ShownTime::At(instant) => instant.to_string(),
        ShownTime::Beyond(text) => text.clone(),
    })
}

/// Why a message that the source shows isn't in the ledger, and what to do about it.
async fn why_not_harvested(services: &Services, shown: &ShownMessage) -> Result<(String, String), Problem> {
    let outside = |detail: String| {
        let remedy = "Correct it at the source, or exclude it with GRANARY_SOURCE_FILTER.";
        Ok((detail, remedy.to_owned()))
    };
    let event_time = match &shown.event_time {
        None => {
            let detail =
                "the source shows it, but it has no event time that can be read, so it is in no window.";
            return outside(detail.to_owned());
        }
        Some(ShownTime::Beyond(text)) => {
            return outside(format!(
                "the source shows it at {text}, which is not in the years 1 to 9999, so it is in no window."
            ));
        }
        Some(ShownTime::At(event_time)) => *event_time,
    };
    let ledger = services.ledger().await?;
    let hour = Hour::of(event_time);
    if ledger.is_sealed(hour).await? {
        let detail =
            format!("the source shows it at {event_time}, and that hour was purged from the ledger.");
        let remedy = format!(
            "Its object is under dt={}/hour={} of the archive; `POST /verify` holds it against the seal.",
            hour.date(),
            hour.hour_of_day()
        );
        return Ok((detail, remedy));
    }
    let settled = ledger.settled_up_to(services.config.harvest.lag).await?;
    if event_time >= settled {
        let detail = format!("the source shows it at {event_time}, which isn't due yet.");
        let remedy = format!("Only messages before {settled} have settled; it is harvested after that.");
        return Ok((detail, remedy));
    }
    let detail = format!("the source shows it at {event_time}, but no window has met it yet.");
    let remedy = format!(
        "See whether its hour was read (GET /windows?to={to}), and whether the harvest is paused or deferred (GET /overview). \
         What became visible late is found by the next re-scan, or at once by POST /verify with \
         {{\"from\":\"{from}\",\"to\":\"{to}\",\"repair\":true}}; an hour before the first window needs a migration.",
        from = hour.start(),
        to = hour.next().start(),
    );
    Ok((detail, remedy))
}
