//! Every function that people's questions about batches, and what they have done to them, come to.

use super::SYNTHETIC;
use super::asking::{Asking, ask};
use crate::synthetic::Synthetic;
use granary_domain::{BatchId, BatchStatus, Cause, MessageId, MigrationKind, WindowId};
use granary_ledger::Ledger;
use granary_ledger::export::ReExportSelection;
use granary_ledger::reports::{BatchFilter, Parked};
use granary_test_database::LedgerServer;

pub(super) async fn everything(asking: &mut Asking<'_>, ledger: &Ledger, server: &LedgerServer) {
    lists(asking, ledger).await;
    due(asking, ledger, server).await;
    unowned(asking, ledger).await;
    ask!(asking, ledger.database_info());
    ask!(asking, ledger.missing_rights());
    ask!(asking, ledger.progress_of_all());
    ask!(asking, ledger.measured_exports(500));
    ask!(asking, ledger.pace_of(SYNTHETIC.range(), 60));
}

/// Each filter alone, and all together.
fn filters() -> Vec<BatchFilter> {
    let none = BatchFilter::default();
    let hours = BatchFilter {
        from: Some(SYNTHETIC.hour(3).start()),
        to: Some(SYNTHETIC.hour(30).start()),
        ..none
    };
    let statuses = BatchStatus::ALL.map(|status| BatchFilter {
        status: Some(status),
        ..none
    });
    let alone = [
        none,
        hours,
        BatchFilter {
            parked: Parked::Only,
            ..none
        },
        BatchFilter {
            kind: Some(MigrationKind::Backfill),
            ..none
        },
        BatchFilter {
            migration: Some(SYNTHETIC.migration()),
            ..none
        },
        BatchFilter {
            cause: Some(Cause::Spool),
            ..none
        },
        BatchFilter {
            status: Some(BatchStatus::Failed),
            kind: Some(MigrationKind::Continuous),
            migration: Some(SYNTHETIC.migration()),
            cause: Some(Cause::Spool),
            ..hours
        },
    ];
    statuses.into_iter().chain(alone).collect()
}

async fn lists(asking: &mut Asking<'_>, ledger: &Ledger) {
    for filter in filters() {
        ask!(asking, ledger.batches(&filter, None, 51));
        ask!(asking, ledger.batches(&filter, Some(BatchId(1_000)), 51));
        ask!(asking, ledger.batch_numbers(&filter, BatchId(0), 1_001));
    }
    ask!(asking, ledger.batch(BatchId(7)));
    ask!(asking, ledger.attempts_of(BatchId(7), 201));
    let selections = [
        ReExportSelection::Batches((1..=500).map(BatchId).collect()),
        ReExportSelection::Migration(SYNTHETIC.migration()),
        ReExportSelection::Hours(SYNTHETIC.range()),
    ];
    for selection in &selections {
        ask!(asking, ledger.hours_to_re_export(selection));
        ask!(asking, ledger.batches_to_re_export(selection, BatchId(100), 10));
    }
}

async fn due(asking: &mut Asking<'_>, ledger: &Ledger, server: &LedgerServer) {
    ask!(asking, ledger.due_work());
    ask!(asking, ledger.dead_batches(1_000));
    ask!(asking, ledger.harvested_migrations());
    // Of an hour that has open batches, a part that is asked for by message.
    server
        .administer(
            "INSERT INTO migration (id, kind, state, batch_size, range_from, range_to, harvested_to, requested_by, \
             created_at) VALUES ('granary-draining', 'backfill', 'draining', 1000, '2026-01-02 14:17:00', \
             '2026-01-02 14:40:00', '2026-01-02 14:40:00', 'test', UTC_TIMESTAMP(6))",
        )
        .await;
    ask!(asking, ledger.drained(50));
    ask!(asking, ledger.complete_drained(50));
    ask!(asking, ledger.batches_to_release());
    ask!(asking, ledger.releasable_of(SYNTHETIC.migration()));
    ask!(asking, ledger.windows_of_dead_harvesters(1_000));
    ask!(asking, ledger.hand_back_windows(&[WindowId(1), WindowId(2)]));
}

async fn unowned(asking: &mut Asking<'_>, ledger: &Ledger) {
    let hour = SYNTHETIC.hour(7).range();
    ask!(asking, ledger.hours_of_unowned(None, None));
    ask!(asking, ledger.first_unowned(SYNTHETIC.range()));
    ask!(asking, ledger.count_unowned(hour));
    let id: MessageId = Synthetic::id(99).try_into().unwrap();
    ask!(asking, ledger.unowned_in(hour, None, 10_000));
    ask!(asking, ledger.unowned_in(hour, Some((BatchId(99), &id)), 10_000));
}
