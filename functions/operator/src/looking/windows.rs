//! `GET /windows`: the time line, day by day: what was read, what is archived, and where something is wrong.
//!
//! A window stands on the day on which it begins. Its state is a colour: what somebody sees at a glance. What a verification
//! found is in `GET /verify`; nothing is changed here.

use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::fields::{Fields, QueryFields};
use crate::web::page::Page;
use crate::web::problem::Problem;
use axum::extract::State;
use granary_domain::{MigrationState, TimeRange, WindowId, WindowState};
use granary_ledger::{TimelineFilter, WindowOnTimeline};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::ops::RangeInclusive;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

const WINDOWS_DEFAULT: u32 = 200;
/// What the ledger can write down of time.
const YEARS: RangeInclusive<i16> = 1_000..=9_999;

/// How things stand with a window, the best first: a day is as its worst window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Colour {
    /// Compared with the source and the archive, and equal.
    Verified,
    /// Everything it found is exported, missing or quarantined.
    Complete,
    /// Its migration was given up before it came to that.
    Cancelled,
    /// Everything it found is on record, and some of it is on its way.
    Exporting,
    /// Its ids are being read, or will be.
    Open,
    /// It should have come further by now.
    Late,
    /// Something of it has failed.
    Failing,
}

impl Colour {
    const ALL: [Self; 7] = [
        Self::Verified,
        Self::Complete,
        Self::Cancelled,
        Self::Exporting,
        Self::Open,
        Self::Late,
        Self::Failing,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Complete => "complete",
            Self::Cancelled => "cancelled",
            Self::Exporting => "exporting",
            Self::Open => "open",
            Self::Late => "late",
            Self::Failing => "failing",
        }
    }

    fn of(window: &WindowOnTimeline) -> Self {
        let is_read = match window.state {
            WindowState::Open | WindowState::Harvesting => false,
            WindowState::Recorded | WindowState::Verified => true,
        };
        let broke_off = !is_read && window.error.is_some();
        let is_done = is_read && !window.batches.are_open();
        let is_given_up =
            window.migration_state == MigrationState::Cancelled && (!is_read || window.batches.cancelled > 0);
        if window.batches.failed > 0 || (broke_off && !is_given_up) {
            Self::Failing
        } else if is_given_up {
            Self::Cancelled
        } else if is_done && window.state == WindowState::Verified {
            Self::Verified
        } else if is_done {
            Self::Complete
        } else if window.is_old {
            Self::Late
        } else if is_read {
            Self::Exporting
        } else {
            Self::Open
        }
    }
}

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
    /// Only those in this state. A page may then have fewer windows than `limit` though there are more.
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
    /// Windows on this page. With `state` they may be fewer than were asked for, though there are more.
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
    let mut windows = services.ledger().await?.timeline(&filter).await?;
    let next = page.cut(&mut windows).map(cursor_of);
    // The colour is no column: a page may have fewer windows than were asked for, and the cursor goes on behind all.
    windows.retain(|window| colour.is_none_or(|colour| colour == Colour::of(window)));
    Ok(Answer::ok(WindowList {
        days: days(&windows),
        count: windows.len(),
        next_cursor: next,
    }))
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
    format!("{}-{}", window.range.from().as_microsecond(), window.id)
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
    use granary_domain::{MigrationId, MigrationKind, Tally};
    use granary_ledger::BatchesOfWindow;

    fn window(from: &str, state: WindowState, batches: BatchesOfWindow) -> WindowOnTimeline {
        let from: Timestamp = from.parse().unwrap();
        let to = from + jiff::SignedDuration::from_hours(1);
        WindowOnTimeline {
            id: WindowId(7),
            migration_id: MigrationId::new(),
            kind: MigrationKind::Continuous,
            migration_state: MigrationState::Open,
            range: TimeRange::new(from, to).unwrap(),
            state,
            tally: Tally::default(),
            late: 0,
            error: None,
            created_at: to,
            recorded_at: None,
            verified_at: None,
            is_old: false,
            is_purged: false,
            batches,
        }
    }

    const NOTHING: BatchesOfWindow = BatchesOfWindow {
        all: 0,
        pending: 0,
        processing: 0,
        completed: 0,
        failed: 0,
        parked: 0,
        cancelled: 0,
        open_messages: 0,
        exported: 0,
        missing: 0,
        quarantined: 0,
    };

    #[test]
    fn a_window_is_complete_only_when_nothing_of_it_is_open() {
        let at = "2026-11-22T10:00:00Z";
        let pending = BatchesOfWindow {
            pending: 1,
            ..NOTHING
        };
        let failed = BatchesOfWindow { failed: 1, ..NOTHING };
        let colour = |state, batches| Colour::of(&window(at, state, batches));
        assert_eq!(colour(WindowState::Open, NOTHING), Colour::Open);
        assert_eq!(colour(WindowState::Recorded, pending), Colour::Exporting);
        assert_eq!(colour(WindowState::Recorded, NOTHING), Colour::Complete);
        assert_eq!(colour(WindowState::Verified, NOTHING), Colour::Verified);
        assert_eq!(colour(WindowState::Verified, failed), Colour::Failing);
        let late = WindowOnTimeline {
            is_old: true,
            ..window(at, WindowState::Recorded, pending)
        };
        assert_eq!(Colour::of(&late), Colour::Late);
        let broken_off = WindowOnTimeline {
            error: Some("refused".into()),
            ..window(at, WindowState::Open, NOTHING)
        };
        assert_eq!(Colour::of(&broken_off), Colour::Failing);
        let given_up = WindowOnTimeline {
            migration_state: MigrationState::Cancelled,
            ..broken_off
        };
        assert_eq!(Colour::of(&given_up), Colour::Cancelled);
    }

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
