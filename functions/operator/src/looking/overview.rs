//! `GET /overview`: how everything stands, in one request: what waits, how fast it goes, what is wrong, who stopped what.
//!
//! From the ledger alone, but for the schedules, which are left out where AWS doesn't say at once how they stand. Some ten
//! questions, each answered from an index or from batch rows, side by side. Nothing is changed here. Where the ledger
//! doesn't answer, the reader learns that within 5 seconds.

use crate::looking::{alerts, proof};
use crate::operating::restored::ShownRestored;
use crate::operating::{operations, operations_list};
use crate::queueing::queue::by_status;
use crate::services::Services;
use crate::switching::scheduler;
use crate::switching::scheduler::ShownSchedule;
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::fields::QueryFields;
use crate::web::problem::Problem;
use axum::Extension;
use axum::extract::State;
use granary_domain::{BatchStatus, Cause};
use granary_ledger::db::RestoredLedger;
use granary_ledger::export::Deferral;
use granary_ledger::integrity::ProofState;
use granary_ledger::jobs::VerdictBrief;
use granary_ledger::reports::{FirstPage, OldestOpen, PausedStage, Settled, StatusCount, Throughput};
use granary_operations::Job;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

pub(crate) mod shown;

use shown::{
    Backlog, DeferralOnFirstPage, Eta, OldestUnexported, Overview, Rate, RecentRates, ShownPause,
    ShownPeople, ShownVerdict, ShownWork, ThroughputChart, ThroughputStretch,
};

/// What AWS says later than this is left out: the page asks again in some seconds.
const SCHEDULES_MILLIS_MAX: u64 = 80;
/// What the ledger says later than this isn't waited for.
const LEDGER_MILLIS_MAX: u64 = 4_500;
const HOUR_MINUTES: u32 = 60;
const QUARTER_MINUTES: u32 = 15;

/// How everything stands, in one request
///
/// What waits, how fast it goes, what is wrong, who stopped what.
#[utoipa::path(get, path = "/overview")]
pub(crate) async fn overview(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    QueryFields(query): QueryFields,
) -> Result<Answer<Overview>, Problem> {
    query.only(&[])?;
    let schedules = timeout(
        Duration::from_millis(SCHEDULES_MILLIS_MAX),
        scheduler::look(&services),
    );
    let on_record = timeout(Duration::from_millis(LEDGER_MILLIS_MAX), on_record(&services));
    let (on_record, schedules) = tokio::join!(on_record, schedules);
    let (page, proof, restored) =
        on_record.unwrap_or_else(|_elapsed| Err(Problem::silent("ledger", LEDGER_MILLIS_MAX)))?;
    let schedules = schedules.ok().and_then(Result::ok);
    Ok(Answer::ok(Overview {
        source: services.config.archive.source_name.to_string(),
        version: env!("CARGO_PKG_VERSION"),
        role: caller.role().as_str(),
        name: caller.name().to_owned(),
        proof: proof::shown(&proof),
        work: work(&page),
        people: people(page),
        restored: restored.map(ShownRestored::from),
        schedules: schedules.map(|all| all.iter().map(ShownSchedule::from).collect()),
    }))
}

/// What the ledger says.
async fn on_record(services: &Services) -> Result<(FirstPage, ProofState, Option<RestoredLedger>), Problem> {
    let ledger = services.ledger().await?;
    Ok(tokio::try_join!(
        ledger.first_page(Job::VERIFY),
        ledger.proof_state(None),
        ledger.restored(),
    )?)
}

/// Batches and messages that are to be exported.
fn backlog(counts: &[StatusCount]) -> Backlog {
    let open = counts.iter().filter(|count| {
        matches!(
            count.status,
            BatchStatus::Pending | BatchStatus::InProgress | BatchStatus::Failed
        )
    });
    let (batches, messages) = open.fold((0, 0), |(batches, messages), count| {
        (batches + count.batches, messages + count.messages)
    });
    Backlog { batches, messages }
}

fn work(page: &FirstPage) -> ShownWork {
    let FirstPage {
        counts, throughput, ..
    } = page;
    let backlog = backlog(counts);
    let parked_messages: u64 = counts.iter().map(|count| count.parked_messages).sum();
    let now = throughput.now;
    ShownWork {
        now,
        batches: by_status(counts, |count| count.batches),
        messages: by_status(counts, |count| count.messages),
        parked: counts.iter().map(|count| count.parked).sum(),
        bytes_stored: counts.iter().map(|count| count.bytes_stored).sum(),
        backlog,
        rate: RecentRates {
            last_15_minutes: per_minute(throughput.quarter_of_an_hour, QUARTER_MINUTES),
            last_60_minutes: per_minute(throughput.hour, HOUR_MINUTES),
        },
        eta: eta(backlog.messages.saturating_sub(parked_messages), throughput),
        oldest_unexported: page.oldest.as_ref().map(|oldest| shown_oldest(oldest, now)),
        harvested_to: page.continuous.as_ref().map(|migration| migration.harvested_to),
        deferrals: page.deferrals.iter().map(shown_deferral).collect(),
        throughput: chart(throughput),
    }
}

fn people(page: FirstPage) -> ShownPeople {
    let pauses = [("harvest", page.harvest_paused), ("export", page.export_paused)];
    let pauses = pauses
        .into_iter()
        .filter_map(|(stage, paused)| Some((stage, paused?)));
    ShownPeople {
        pauses: pauses.map(shown_pause).collect(),
        alerts: page.alerts.iter().map(alerts::shown).collect(),
        open_alerts: page.open_alerts,
        operations: page.operations.iter().map(operations_list::shown).collect(),
        verdicts: page.verdicts.into_iter().map(shown_verdict).collect(),
    }
}

fn shown_pause((stage, paused): (&'static str, PausedStage)) -> ShownPause {
    ShownPause {
        stage,
        since: paused.since,
        by: paused.by,
        reason: paused.reason,
    }
}

fn per_minute(settled: Settled, minutes: u32) -> Rate {
    let rate = |count: u64| (count as f64 / f64::from(minutes) * 10.0).round() / 10.0;
    Rate {
        batches_per_minute: rate(settled.batches),
        messages_per_minute: rate(settled.messages),
        bytes_per_minute: rate(settled.bytes),
    }
}

fn chart(throughput: &Throughput) -> ThroughputChart {
    let buckets = &throughput.buckets;
    ThroughputChart {
        bucket_seconds: FirstPage::BUCKET.as_secs(),
        from: buckets.first().map(|bucket| bucket.at),
        to: throughput.now,
        buckets: buckets
            .iter()
            .map(|bucket| ThroughputStretch {
                at: bucket.at,
                batches: bucket.settled.batches,
                messages: bucket.settled.messages,
                bytes: bucket.settled.bytes,
            })
            .collect(),
    }
}

/// When nothing would be left of what doesn't wait for people, at the pace of the last quarter of an hour, or of the last hour
/// where that stood still. `None`: nothing else waits, or nothing moves.
fn eta(backlog: u64, throughput: &Throughput) -> Option<Eta> {
    let paces = [
        ("last15Minutes", throughput.quarter_of_an_hour, QUARTER_MINUTES),
        ("last60Minutes", throughput.hour, HOUR_MINUTES),
    ];
    let moving = paces.into_iter().find(|(_, settled, _)| settled.messages > 0);
    let (basis, settled, minutes) = moving.filter(|_| backlog > 0)?;
    let seconds = (backlog as f64 / settled.messages as f64 * f64::from(minutes) * 60.0).ceil();
    let at = SignedDuration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|wait| throughput.now.checked_add(wait).ok());
    Some(Eta { seconds, at, basis })
}

fn shown_oldest(oldest: &OldestOpen, now: Timestamp) -> OldestUnexported {
    let event_time = oldest.event_time.unwrap_or(oldest.hour.start());
    OldestUnexported {
        event_time,
        hour: oldest.hour.start(),
        batch: oldest.batch.0,
        age_seconds: now.duration_since(event_time).as_secs().max(0),
    }
}

fn shown_deferral(deferral: &Deferral) -> DeferralOnFirstPage {
    DeferralOnFirstPage {
        cause: deferral.cause.as_str(),
        batches: deferral.batches,
        messages: deferral.messages,
        windows: deferral.windows,
        since: deferral.since,
        next_try: deferral.next_try,
        reason: deferral.reason.clone(),
        remedy: Cause::remedy(deferral.cause),
    }
}

fn shown_verdict(brief: VerdictBrief) -> ShownVerdict {
    let operation = brief.operation;
    ShownVerdict {
        operation_id: operation.id,
        status_url: operations::status_url(operation.id),
        state: operation.state.into(),
        verdict: brief.verdict,
        scope: brief.scope,
        created_at: operation.created_at,
        finished_at: operation.finished_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throughput(quarter: u64, hour: u64) -> Throughput {
        let settled = |messages| Settled {
            batches: 1,
            messages,
            bytes: 0,
        };
        Throughput {
            now: "2026-11-22T10:00:00Z".parse().unwrap(),
            quarter_of_an_hour: settled(quarter),
            hour: settled(hour),
            buckets: Vec::new(),
        }
    }

    #[test]
    fn an_eta_goes_by_the_last_quarter_of_an_hour_or_else_by_the_hour() {
        let soon = eta(3_000, &throughput(1_500, 1_500)).unwrap();
        assert_eq!((soon.seconds, soon.basis), (1_800.0, "last15Minutes"));
        assert_eq!(soon.at, Some("2026-11-22T10:30:00Z".parse().unwrap()));
        let by_the_hour = eta(3_000, &throughput(0, 6_000)).unwrap();
        assert_eq!(
            (by_the_hour.seconds, by_the_hour.basis),
            (1_800.0, "last60Minutes")
        );
    }

    #[test]
    fn there_is_no_eta_where_nothing_waits_or_nothing_moves() {
        assert_eq!(eta(0, &throughput(10, 10)), None);
        assert_eq!(eta(10, &throughput(0, 0)), None);
        let never = eta(u64::MAX, &throughput(0, 1)).unwrap();
        assert_eq!(never.at, None, "beyond what a calendar has: {never:?}");
    }
}
