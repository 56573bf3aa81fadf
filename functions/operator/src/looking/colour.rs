//! The colour of a window: what somebody sees of it at a glance.
//!
//! It is no column: it follows from how far the window is, from its batches, and from what the newest verification found in its
//! hours. What exactly was found is in `GET /verify`.

use granary_domain::{MigrationState, WindowState};
use granary_ledger::integrity::Difference;
use granary_ledger::reports::WindowOnTimeline;
use serde::Serialize;
use utoipa::ToSchema;

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
    /// A verification found that the archive has messages of it that the source no longer shows.
    Drifted,
    /// It should have come further by now.
    Late,
    /// A verification found that messages of it aren't in the archive, or that the archive isn't what the ledger says; or it was
    /// read without an index, and no operator accepts that.
    Incomplete,
    /// Something of it has failed.
    Failing,
}

impl Colour {
    pub(super) const ALL: [Self; 9] = [
        Self::Verified,
        Self::Complete,
        Self::Cancelled,
        Self::Exporting,
        Self::Open,
        Self::Drifted,
        Self::Late,
        Self::Incomplete,
        Self::Failing,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Complete => "complete",
            Self::Cancelled => "cancelled",
            Self::Exporting => "exporting",
            Self::Open => "open",
            Self::Drifted => "drifted",
            Self::Late => "late",
            Self::Incomplete => "incomplete",
            Self::Failing => "failing",
        }
    }

    pub(super) fn of(window: &WindowOnTimeline) -> Self {
        let is_read = match window.state {
            WindowState::Open | WindowState::Harvesting => false,
            WindowState::Recorded | WindowState::Verified => true,
        };
        let lacks_index = window.left_out.iter().any(|left_out| !left_out.is_accepted);
        let broke_off = !is_read && window.error.is_some();
        let is_done = is_read && !window.batches.are_open();
        let is_given_up =
            window.migration_state == MigrationState::Cancelled && (!is_read || window.batches.cancelled > 0);
        if window.batches.failed > 0 || (broke_off && !is_given_up) {
            Self::Failing
        } else if is_given_up {
            Self::Cancelled
        } else if window.difference == Some(Difference::Incomplete) || (is_read && lacks_index) {
            Self::Incomplete
        } else if is_done && window.difference == Some(Difference::Drifted) {
            Self::Drifted
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use granary_domain::{MigrationId, MigrationKind, Tally, TimeRange, WindowId};
    use granary_ledger::reports::BatchesOfWindow;
    use jiff::Timestamp;

    pub(crate) fn window(from: &str, state: WindowState, batches: BatchesOfWindow) -> WindowOnTimeline {
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
            difference: None,
            left_out: Vec::new(),
            batches,
        }
    }

    pub(crate) const NOTHING: BatchesOfWindow = BatchesOfWindow {
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
    fn a_window_is_coloured_by_what_the_newest_verification_found_in_it() {
        let found = |state, difference, batches| {
            let window = WindowOnTimeline {
                difference: Some(difference),
                ..window("2026-11-22T10:00:00Z", state, batches)
            };
            Colour::of(&window)
        };
        let (incomplete, drifted) = (Difference::Incomplete, Difference::Drifted);
        let pending = BatchesOfWindow {
            pending: 1,
            ..NOTHING
        };
        assert_eq!(
            found(WindowState::Recorded, incomplete, NOTHING),
            Colour::Incomplete
        );
        assert_eq!(
            found(WindowState::Recorded, incomplete, pending),
            Colour::Incomplete
        );
        assert_eq!(found(WindowState::Verified, drifted, NOTHING), Colour::Drifted);
        assert_eq!(found(WindowState::Recorded, drifted, pending), Colour::Exporting);
    }

    #[test]
    fn states_stand_in_the_order_in_which_a_day_takes_the_worst() {
        assert!(Colour::ALL.is_sorted());
    }
}
