//! `GET /windows`: the time line, day by day: what was read, what is archived, and where something is wrong.
//!
//! A window stands on the day on which it begins. Its state is a colour: what somebody sees at a glance, the newest verdicts
//! included. What exactly a verification found is in `GET /verify`; nothing is changed here.

use crate::looking::colour::Colour;
use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::fields::{Fields, QueryFields};
use crate::web::page::Page;
use crate::web::problem::Problem;
use axum::extract::State;
use granary_domain::{TimeRange, WindowId};
use granary_ledger::reports::{TimelineFilter, WindowOnTimeline};
use granary_ledger::{Ledger, LedgerError};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::ops::RangeInclusive;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

const WINDOWS_DEFAULT: u32 = 200;
/// With `state`: how many windows are looked at for one page. More than a year of hours.
const LOOKED_AT_MAX: u32 = 10_000;
const LOOKED_AT_ONCE: u32 = 500;
/// What the ledger can write down of time.
const YEARS: RangeInclusive<i16> = 1..=9_999;

/// Which windows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "what `list` reads, for the document")]
pub(crate) struct WindowQuery {
    /// Only those that begin from then on.
    #[param(example = "2026-11-22T00:00:00Z")]
    from: Option<Timestamp>,
    /// Only those that begin before then.
    #[param(example = "2026-11-23T00:00:00Z")]
    to: Option<Timestamp>,
    /// Only those of this migration.
    migration_id: Option<Uuid>,
    /// Only those in this state. 10,000 windows are looked at for a page: it may have fewer than `limit` though there are more.
    #[param(inline)]
    state: Option<Colour>,
    /// How many at most.
    #[param(minimum = 1, maximum = 500, default = 200)]
    limit: Option<u32>,
    /// The `nextCursor` of the page before.
    cursor: Option<String>,
}

/// Windows, by the days on which they begin.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WindowList {
    /// The newest first.
    days: Vec<Day>,
    /// Windows on this page. With `state` they may be fewer than were asked for, even none, though there are more.
    count: usize,
    /// The `cursor` of the next page; `null`: there are no more.
    next_cursor: Option<String>,
}

/// The windows that begin on a day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Day {
    /// The day, in UTC.
    #[schema(examples("2026-11-22"))]
    date: String,
    /// That of its worst window on this page.
    state: Colour,
    /// The newest first.
    windows: Vec<ShownWindow>,
}

/// A stretch of event time whose ids are, or will be, on record.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownWindow {
    /// Its number.
    id: u64,
    /// Whose it is.
    migration_id: Uuid,
    /// Why that migration exists: `continuous`, `backfill` or `selection`.
    #[schema(examples("continuous"))]
    kind: &'static str,
    /// Its first instant of event time.
    from: Timestamp,
    /// Its end, which is not in it.
    to: Timestamp,
    /// How things stand with it.
    state: Colour,
    /// How far its reading is: `open`, `harvesting`, `recorded` or `verified`.
    #[schema(examples("recorded"))]
    harvest: &'static str,
    /// Messages that the source showed.
    found: u64,
    /// Of them, those that it put on record.
    recorded: u64,
    /// Of them, those that were on record and that nobody owned.
    adopted: u64,
    /// Of them, those that another window's batches own.
    owned_elsewhere: u64,
    /// Of them, those whose id another document of the source has as well.
    duplicates: u64,
    /// Of them, those without an id that can be used.
    without_id: u64,
    /// Messages that only a re-scan has seen.
    late_messages: u64,
    /// Indices that its newest reading left out, since their mapping or settings keep them from being read: the first 100. The
    /// window is read again for each as soon as it can be.
    left_out_indices: Vec<String>,
    /// What its last reading broke off with.
    error: Option<String>,
    /// When it was opened.
    created_at: Timestamp,
    /// When every hit of it was accounted for.
    recorded_at: Option<Timestamp>,
    /// When the last full verification of it that was COMPLETE began.
    verified_at: Option<Timestamp>,
    /// Whether rows of some of its hours were purged from the ledger; their objects are there.
    purged: bool,
    /// What became of its batches.
    batches: WindowBatches,
    /// Messages of batches that are pending, in work or failed.
    open_messages: u64,
    /// Messages in objects.
    exported: u64,
    /// Messages that were gone at the source.
    missing: u64,
    /// Messages that can't be exported.
    quarantined: u64,
}

/// Batches of a window that have a row, counted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WindowBatches {
    /// All of them.
    all: u64,
    /// Waiting for a worker.
    pending: u64,
    /// In a worker's hands.
    processing: u64,
    /// Completed.
    success: u64,
    /// Failed, parked ones included.
    failed: u64,
    /// Without an attempt left.
    parked: u64,
    /// Given up.
    cancelled: u64,
}

/// The time line, by day, the newest first
///
/// What was read, what is archived, and where something is wrong. A window stands on the day (in UTC) on which it begins.
#[utoipa::path(get, path = "/windows", params(WindowQuery))]
pub(crate) async fn list(
    State(services): State<Arc<Services>>,
    QueryFields(query): QueryFields,
) -> Result<Answer<WindowList>, Problem> {
    query.only(&["from", "to", "migrationId", "state", "cursor", "limit"])?;
    let page = Page::read_or(&query, WINDOWS_DEFAULT)?;
    let colour = colour(&query)?;
    let filter = TimelineFilter {
        from: query.instant("from")?,
        to: query.instant("to")?,
        migration: query.parsed("migrationId")?,
        before: query.text("cursor")?.map(cursor).transpose()?,
        limit: page.rows_to_read(),
    };
    if let (Some(from), Some(to)) = (filter.from, filter.to) {
        TimeRange::new(from, to).map_err(|error| Problem::invalid("from", format!("{error}.")))?;
    }
    let ledger = services.ledger().await?;
    let (windows, next) = match colour {
        None => {
            let mut windows = ledger.timeline(&filter).await?;
            let next = page.cut(&mut windows).map(cursor_of);
            (windows, next)
        }
        Some(colour) => of_colour(ledger, filter, colour, page).await?,
    };
    Ok(Answer::ok(WindowList {
        days: days(&windows),
        count: windows.len(),
        next_cursor: next,
    }))
}

/// The colour is no column: windows are read on until the page is full, there are no more, or enough were looked at. The
/// cursor goes on behind the last that was.
async fn of_colour(
    ledger: &Ledger,
    mut filter: TimelineFilter,
    colour: Colour,
    page: Page,
) -> Result<(Vec<WindowOnTimeline>, Option<String>), LedgerError> {
    let mut found = Vec::new();
    filter.limit = LOOKED_AT_ONCE;
    for _ in 0..LOOKED_AT_MAX / LOOKED_AT_ONCE {
        let windows = ledger.timeline(&filter).await?;
        let are_all = windows.len() < LOOKED_AT_ONCE as usize;
        for window in windows {
            filter.before = Some((window.range.from(), window.id));
            if Colour::of(&window) == colour {
                found.push(window);
            }
            if let Some(last) = page.cut(&mut found) {
                let next = cursor_of(last);
                return Ok((found, Some(next)));
            }
        }
        if are_all {
            return Ok((found, None));
        }
    }
    let next = filter.before.map(|(begins, id)| cursor_at(begins, id));
    Ok((found, next))
}

fn colour(query: &Fields) -> Result<Option<Colour>, Problem> {
    let Some(wanted) = query.text("state")? else {
        return Ok(None);
    };
    match Colour::ALL.into_iter().find(|colour| colour.name() == wanted) {
        Some(colour) => Ok(Some(colour)),
        None => {
            let names = Colour::ALL.map(Colour::name).join(", ");
            Err(Problem::invalid(
                "state",
                format!("`state` is {wanted:?}; it must be one of: {names}."),
            ))
        }
    }
}

/// The last window of a page: its beginning in microseconds, and its number.
fn cursor_of(window: &WindowOnTimeline) -> String {
    cursor_at(window.range.from(), window.id)
}

fn cursor_at(begins: Timestamp, id: WindowId) -> String {
    format!("{}-{id}", begins.as_microsecond())
}

fn cursor(text: &str) -> Result<(Timestamp, WindowId), Problem> {
    let parsed = || {
        let (micros, id) = text.rsplit_once('-')?;
        let begins = Timestamp::from_microsecond(micros.parse().ok()?).ok()?;
        let year = begins.to_zoned(TimeZone::UTC).year();
        Some((begins, id.parse().ok()?)).filter(|_| YEARS.contains(&year))
    };
    parsed().ok_or_else(|| {
        let detail = format!("`cursor` is {text:?}; it must be the `nextCursor` of an earlier answer.");
        Problem::invalid("cursor", detail)
    })
}

fn date_of(window: &WindowOnTimeline) -> String {
    let begins = window.range.from().to_zoned(TimeZone::UTC);
    begins.strftime("%Y-%m-%d").to_string()
}

/// They come in their order, so a day's windows stand side by side.
fn days(windows: &[WindowOnTimeline]) -> Vec<Day> {
    windows
        .chunk_by(|left, right| date_of(left) == date_of(right))
        .filter_map(|day| {
            let first = day.first()?;
            let worst = day.iter().map(Colour::of).max()?;
            Some(Day {
                date: date_of(first),
                state: worst,
                windows: day.iter().map(shown).collect(),
            })
        })
        .collect()
}

fn shown(window: &WindowOnTimeline) -> ShownWindow {
    let (tally, batches) = (&window.tally, &window.batches);
    ShownWindow {
        id: window.id.0,
        migration_id: window.migration_id.0,
        kind: window.kind.as_str(),
        from: window.range.from(),
        to: window.range.to(),
        state: Colour::of(window),
        harvest: window.state.as_str(),
        found: tally.found,
        recorded: tally.recorded,
        adopted: tally.adopted,
        owned_elsewhere: tally.owned_elsewhere,
        duplicates: tally.duplicate,
        without_id: tally.without_id,
        late_messages: window.late,
        left_out_indices: window.left_out.iter().map(|out| out.index.clone()).collect(),
        error: window.error.clone(),
        created_at: window.created_at,
        recorded_at: window.recorded_at,
        verified_at: window.verified_at,
        purged: window.is_purged,
        batches: WindowBatches {
            all: batches.all,
            pending: batches.pending,
            processing: batches.processing,
            success: batches.completed,
            failed: batches.failed,
            parked: batches.parked,
            cancelled: batches.cancelled,
        },
        open_messages: batches.open_messages,
        exported: batches.exported,
        missing: batches.missing,
        quarantined: batches.quarantined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::looking::colour::tests::{NOTHING, window};
    use granary_domain::WindowState;
    use granary_ledger::reports::BatchesOfWindow;

    #[test]
    fn a_day_is_as_its_worst_window() {
        let failed = BatchesOfWindow { failed: 1, ..NOTHING };
        let windows = [
            window("2026-11-22T10:00:00Z", WindowState::Verified, NOTHING),
            window("2026-11-21T23:00:00Z", WindowState::Verified, NOTHING),
            window("2026-11-21T22:00:00Z", WindowState::Recorded, failed),
        ];
        let days = days(&windows);
        let shown = |day: &Day| (day.date.clone(), day.state, day.windows.len());
        assert_eq!(shown(&days[0]), ("2026-11-22".to_owned(), Colour::Verified, 1));
        assert_eq!(shown(&days[1]), ("2026-11-21".to_owned(), Colour::Failing, 2));
    }

    #[test]
    fn a_cursor_comes_back_as_it_went_and_nonsense_is_refused() {
        let before_1970 = window("1969-12-31T23:00:00Z", WindowState::Open, NOTHING);
        let (begins, id) = cursor(&cursor_of(&before_1970)).unwrap();
        assert_eq!((begins, id), (before_1970.range.from(), before_1970.id));
        for nonsense in [
            "",
            "7",
            "x-7",
            "7-x",
            "99999999999999999999-1",
            "-62135596800000001-1",
        ] {
            assert_eq!(
                cursor(nonsense).unwrap_err().field(),
                Some("cursor"),
                "{nonsense}"
            );
        }
    }
}
