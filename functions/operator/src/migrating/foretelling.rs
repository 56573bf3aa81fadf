//! `POST /migrate` with `dryRun`: what a migration would find and what it would take. Nothing is written.
//!
//! The source is counted under one point in time, and over time by one search; the ledger is asked what of it is known.

use crate::migrating::estimate::{Counting, DayForecast, Estimate, Forecast, Measured};
use crate::migrating::migration_request::MigrationRequest;
use crate::migrating::progress_shown::{ShownKind, ShownProgress, ShownRange};
use crate::services::Services;
use crate::web::problem::Problem;
use granary_domain::{Hour, MigrationKind, TimeRange};
use granary_ledger::Ledger;
use granary_source::Span;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Newer exports say more of what one takes now than older ones.
const EXPORTS_MEASURED_MAX: u32 = 500;
/// As many as the source is cut into.
const SEALED_HOURS_MAX: u32 = 50_000;

/// What a migration would find and take. Nothing was written.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ForetoldMigration {
    /// Always `true`.
    dry_run: bool,
    /// Always `null`: none was made.
    #[schema(value_type = Option<Object>)]
    migration: Option<Value>,
    /// What it would be called.
    kind: ShownKind,
    /// The event times that it would cover.
    range: ShownRange,
    /// Messages in a batch at most.
    batch_size: u32,
    /// How urgent it would be, 0 to 9.
    #[schema(maximum = 9)]
    priority: u8,
    /// Batches on record that are pending and would be sent; `null` where they aren't asked for.
    to_send: Option<u64>,
    /// Messages that the source shows, with the filters.
    in_source: u64,
    /// Messages of the whole range that the ledger has, whatever the filters.
    in_ledger: ShownProgress,
    /// Messages that are new, at the least.
    new_at_least: u64,
    /// Messages, day by day.
    per_day: Vec<DayForecast>,
    /// What it would take.
    estimate: Estimate,
    /// What was understood otherwise than asked, for people.
    notes: Vec<String>,
    /// What that means, for people.
    message: &'static str,
}

/// Says what a migration would find.
pub(crate) async fn foretell(
    services: &Services,
    request: &MigrationRequest,
    batch_size: u32,
    (range, notes): (TimeRange, Vec<String>),
) -> Result<ForetoldMigration, Problem> {
    let in_source = count(services, request, range).await?;
    let ledger = services.ledger().await?;
    let progress = ledger.progress_of(range).await?;
    let span = Span::finest_for(range);
    let spans = services
        .source
        .count_over_time(range, request.filter.as_ref(), span)
        .await
        .map_err(|error| request.of_source(error))?;
    let known = known_by_hour(ledger, request, range).await?;
    let (counting, message) = match request.kind() {
        MigrationKind::Selection => (
            Counting::Matching,
            "Nothing was written. The ledger's counts are of the whole range, whatever the filters.",
        ),
        MigrationKind::Backfill | MigrationKind::Continuous => (Counting::New, "Nothing was written."),
    };
    let forecast = Forecast::of(&spans, &known, (span, counting), batch_size);
    let to_send = if request.sends_pending() {
        Some(ledger.due_work().await?.unsent)
    } else {
        None
    };
    let measured = Measured::of(&ledger.measured_exports(EXPORTS_MEASURED_MAX).await?);
    Ok(ForetoldMigration {
        dry_run: true,
        migration: None,
        kind: request.kind().into(),
        range: range.into(),
        batch_size,
        priority: request.priority.into(),
        to_send,
        in_source,
        new_at_least: in_source.saturating_sub(progress.known),
        in_ledger: progress.into(),
        per_day: forecast.per_day(),
        estimate: forecast.estimate(measured.as_ref(), &notes_on(range, span, counting)),
        notes,
        message,
    })
}

async fn count(services: &Services, request: &MigrationRequest, range: TimeRange) -> Result<u64, Problem> {
    let pit = services.source.open_pit().await?;
    let counted = services
        .source
        .count(&pit, range, request.filter.as_ref())
        .await
        .map_err(|error| request.of_source(error));
    services.source.close_pit(pit).await?;
    counted
}

/// What the ledger has, in batches and, where they aren't exported again, in sealed hours whose rows are gone.
async fn known_by_hour(
    ledger: &Ledger,
    request: &MigrationRequest,
    range: TimeRange,
) -> Result<BTreeMap<Timestamp, u64>, Problem> {
    let mut known: BTreeMap<Timestamp, u64> = BTreeMap::new();
    for hour in ledger.hours_of(range).await? {
        *known.entry(hour.hour.start()).or_default() += hour.messages;
    }
    if !request.re_export {
        for sealed in ledger.sealed_ranges(range, SEALED_HOURS_MAX).await? {
            if sealed.purged_at.is_some() {
                *known.entry(sealed.range.from()).or_default() += sealed.messages;
            }
        }
    }
    Ok(known)
}

fn notes_on(range: TimeRange, span: Span, counting: Counting) -> Vec<String> {
    let mut notes = Vec::new();
    let is_whole = |instant: Timestamp| Hour::of(instant).start() == instant;
    if counting == Counting::Matching {
        notes.push("What of it the ledger has is not known, so this is what it takes at most.".to_owned());
    } else if !is_whole(range.from()) || !is_whole(range.to()) {
        notes.push("Of the hours that the range cuts in two, the ledger counts all messages.".to_owned());
    }
    if span == Span::Day {
        notes.push(
            "The range has too many hours to be counted one by one: objects are the least there can be."
                .to_owned(),
        );
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: &str, to: &str) -> TimeRange {
        TimeRange::new(from.parse().unwrap(), to.parse().unwrap()).unwrap()
    }

    #[test]
    fn what_makes_an_estimate_less_exact_is_said() {
        let whole = range("2026-11-22T06:00:00Z", "2026-11-22T08:00:00Z");
        assert!(notes_on(whole, Span::Hour, Counting::New).is_empty());
        assert!(notes_on(whole, Span::Hour, Counting::Matching)[0].contains("at most"));
        let cut = range("2026-11-22T06:00:00Z", "2026-11-22T07:59:00Z");
        assert!(notes_on(cut, Span::Hour, Counting::New)[0].contains("cuts in two"));
        assert!(notes_on(whole, Span::Day, Counting::New)[0].contains("too many hours"));
    }
}
