//! What the operator's pages ask of the ledger, each page as a whole and as its route asks it.

use crate::measure::Measures;
use crate::synthetic::Synthetic;
use granary_domain::Outcome;
use granary_ledger::Ledger;
use granary_ledger::reports::TimelineFilter;
use std::time::Duration;

pub(crate) async fn everything(measures: &mut Measures, ledger: &Ledger, synthetic: &Synthetic) {
    measures
        .of("throughput of a day", || async {
            let throughput = ledger.throughput(Duration::from_secs(900), 96).await.unwrap();
            assert!(throughput.hour.batches > 0);
        })
        .await;
    measures
        .of("oldest_open", || async {
            assert!(ledger.oldest_open().await.unwrap().is_some());
        })
        .await;
    first_page(measures, ledger).await;
    failures_and_windows(measures, ledger).await;
    let id = Synthetic::id(synthetic.messages() / 2).try_into().unwrap();
    measures
        .of("a message's rows", || async {
            let message = ledger.message(&id).await.unwrap().unwrap();
            let batch = ledger.batch(message.batch.unwrap()).await.unwrap().unwrap();
            ledger.window(batch.window_id).await.unwrap().unwrap();
            ledger.attempts_of(batch.id, 100).await.unwrap();
            ledger.replaced_exports_of(batch.id).await.unwrap();
        })
        .await;
}

async fn first_page(measures: &mut Measures, ledger: &Ledger) {
    measures
        .of("the page /overview", || async {
            let page = ledger.first_page("verify").await.unwrap();
            assert!(page.throughput.hour.batches > 0 && page.oldest.is_some());
        })
        .await;
}

async fn failures_and_windows(measures: &mut Measures, ledger: &Ledger) {
    measures
        .of("the page /failures", || async {
            let (failed, _, _, exceptions, _, missing) = tokio::try_join!(
                ledger.failed_by_cause(),
                ledger.deferrals(),
                ledger.failure_samples(5),
                ledger.exceptions(),
                ledger.exception_samples(Outcome::Quarantined, 10),
                ledger.exception_samples(Outcome::Missing, 10),
            )
            .unwrap();
            assert!(!failed.is_empty() && exceptions.iter().any(|group| group.messages > 0));
            assert_eq!(missing.len(), 10);
        })
        .await;
    for (name, limit) in [("the page /windows", 200), ("the page /windows, 500", 500)] {
        let filter = TimelineFilter {
            limit,
            ..TimelineFilter::default()
        };
        measures
            .of(name, || async {
                assert!(!ledger.timeline(&filter).await.unwrap().is_empty());
            })
            .await;
    }
}
