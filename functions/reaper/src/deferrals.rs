//! Alerts about deferred work: one for each cause, and one when nothing is deferred for it any more.
//!
//! An outage passes by itself: its alert is raised if and only if something has waited for 30 minutes, by the database's
//! clock. A refusal waits for a person: its alert is raised at once. A refused login may be a rotation that isn't over yet: its
//! alert is raised after 5 minutes. It ends if and only if nothing is deferred for
//! its cause: work that is being tried again still counts, so an outage doesn't look over in between. Where this step
//! fails, the next tick sees the same.

use crate::reap::{Reaper, Tick};
use granary_domain::{Cause, Fault};
use granary_ledger::export::Deferral;
use std::time::Duration;

const KIND: &str = "deferred";
const DEFERRED_FOR_MAX: Duration = Duration::from_secs(30 * 60);
/// A rotation takes some seconds, and a process finds the new secret within two minutes.
const LOGIN_REFUSED_FOR_MAX: Duration = Duration::from_secs(5 * 60);

impl Reaper {
    /// Looks at what is deferred, and writes down what is to be told.
    pub(crate) async fn watch_deferrals(&self, tick: &mut Tick) -> anyhow::Result<()> {
        let deferrals = self.ledger.deferrals().await?;
        tick.deferred_causes = deferrals.len() as u64;
        for deferral in &deferrals {
            let (cause, text) = (deferral.cause.as_str(), told(deferral));
            if deferral.waited >= silence(deferral.cause)
                && self.ledger.begin_condition(KIND, cause, &text).await?
            {
                tracing::warn!(cause, batches = deferral.batches, "deferred for too long");
            }
        }
        let holding: Vec<&str> = deferrals.iter().map(|deferral| deferral.cause.as_str()).collect();
        let lasting = self.ledger.lasting_conditions(KIND).await?;
        self.end_all_but(&holding, (KIND, &lasting), "nothing waits for this any more")
            .await
    }
}

/// How long a cause may defer work before an alert is raised.
fn silence(cause: Cause) -> Duration {
    match cause.fault() {
        Fault::Outage if cause == Cause::SourceLogin => LOGIN_REFUSED_FOR_MAX,
        Fault::Outage | Fault::Batch => DEFERRED_FOR_MAX,
        Fault::Refusal => Duration::ZERO,
    }
}

/// Cause, count, since when, and what was met last.
fn told(deferral: &Deferral) -> String {
    let Deferral {
        cause,
        batches,
        messages,
        windows,
        since,
        ..
    } = deferral;
    let mut waiting = Vec::new();
    if *batches > 0 {
        waiting.push(format!("{batches} batches ({messages} messages) to be exported"));
    }
    if *windows > 0 {
        waiting.push(format!("{windows} ranges whose ids are to be read"));
    }
    let minutes = deferral.waited.as_secs() / 60;
    format!(
        "{cause}: {what} wait, the oldest since {since:.0} ({minutes} minutes). Last: {reason}",
        what = waiting.join(" and "),
        reason = deferral.reason
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_says_what_waits_since_when_and_why() {
        let deferral = Deferral {
            cause: Cause::SourceUnavailable,
            batches: 12,
            messages: 12_000,
            windows: 2,
            since: "2026-03-01T14:02:11.5Z".parse().unwrap(),
            waited: Duration::from_secs(31 * 60),
            next_try: None,
            reason: "Elasticsearch is unavailable: could not open a point in time: connection refused".into(),
        };
        assert_eq!(
            told(&deferral),
            "source_unavailable: 12 batches (12000 messages) to be exported and 2 ranges whose ids are to be read wait, \
             the oldest since 2026-03-01T14:02:11Z (31 minutes). Last: Elasticsearch is unavailable: could not open a \
             point in time: connection refused"
        );
    }
}
