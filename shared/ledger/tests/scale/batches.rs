//! What people ask of the ledger about batches, and how many messages there are.

use crate::measure::Measures;
use crate::synthetic::Synthetic;
use granary_domain::{BatchId, BatchStatus, Cause};
use granary_ledger::Ledger;
use granary_ledger::reports::{BatchFilter, Parked};

const PAGE: u32 = 51;

pub(super) async fn everything(measures: &mut Measures, ledger: &Ledger, synthetic: &Synthetic) {
    counts(measures, ledger, synthetic).await;
    lists(measures, ledger, synthetic).await;
}

async fn counts(measures: &mut Measures, ledger: &Ledger, synthetic: &Synthetic) {
    let all = synthetic.range();
    measures
        .of("progress_of_all", || async {
            ledger.progress_of_all().await.unwrap()
        })
        .await;
    measures
        .of("database_info", || async {
            ledger.database_info().await.unwrap()
        })
        .await;
    measures
        .of("due_work", || async { ledger.due_work().await.unwrap() })
        .await;
    measures
        .of("measured_exports, 500", || async {
            ledger.measured_exports(500).await.unwrap()
        })
        .await;
    measures
        .of("pace_of, the whole range", || async {
            ledger.pace_of(all, 60).await.unwrap()
        })
        .await;
    measures
        .of("hours_of_unowned", || async {
            ledger.hours_of_unowned(None, None).await.unwrap()
        })
        .await;
}

async fn lists(measures: &mut Measures, ledger: &Ledger, synthetic: &Synthetic) {
    let none = BatchFilter::default();
    let filters = [
        ("batches, all", none),
        (
            "batches, completed",
            BatchFilter {
                status: Some(BatchStatus::Completed),
                ..none
            },
        ),
        (
            "batches, parked",
            BatchFilter {
                parked: Parked::Only,
                ..none
            },
        ),
        (
            "batches, of a cause that none has",
            BatchFilter {
                cause: Some(Cause::Shutdown),
                ..none
            },
        ),
        (
            "batches, of a migration",
            BatchFilter {
                migration: Some(synthetic.migration()),
                ..none
            },
        ),
        (
            "batches, of some hours",
            BatchFilter {
                from: Some(synthetic.hour(3).start()),
                to: Some(synthetic.hour(30).start()),
                ..none
            },
        ),
    ];
    for (name, filter) in &filters {
        measures
            .of(name, || async {
                ledger.batches(filter, None, PAGE).await.unwrap()
            })
            .await;
    }
    measures
        .of("batch and its attempts", || async {
            ledger.batch(BatchId(7)).await.unwrap();
            ledger.attempts_of(BatchId(7), 201).await.unwrap()
        })
        .await;
}
