//! Clearing takes away what was seeded, with what became of it, and nothing else.

use crate::stand::{Stand, arguments, base, seeded_id};
use granary_domain::TimeRange;
use granary_seeding::{ClearReport, ClearStep};
use granary_verify::Verdict;
use jiff::SignedDuration;

async fn clear(stand: &Stand) -> ClearReport {
    let mut progress = None;
    loop {
        match stand.seeder.clear_step(progress).await.unwrap() {
            ClearStep::More(more) => progress = Some(more),
            ClearStep::Done(report) => return report,
        }
    }
}

#[tokio::test]
async fn everything_that_was_seeded_goes_and_a_second_clear_finds_nothing() {
    let (stand, _) = Stand::with_exported(60, 2).await;
    let seeded = stand.seeder.stats().await.unwrap();
    let report = clear(&stand).await;
    assert_eq!(report.documents, seeded.documents);
    assert_eq!((report.messages, report.batches_left.len()), (60, 0));
    assert_eq!(report.objects, 2 * report.batches);
    assert_eq!(stand.keys("dt=").await, []);
    assert_eq!(stand.keys("_manifests/").await, []);
    let left = stand.seeder.stats().await.unwrap();
    assert!(left.ledger.is_empty() && left.documents.values().all(|count| *count == 0));
    let again = clear(&stand).await;
    assert_eq!(again, ClearReport::default());
    assert_eq!(stand.verify_all().await.verdict, Verdict::Complete);
}

#[tokio::test]
async fn s1_what_was_not_seeded_stays_with_its_batch_and_its_object() {
    let stand = Stand::new().await;
    stand.seed(&arguments(25, 1)).await;
    stand
        .write("real", "a real message", base() - SignedDuration::from_millis(1))
        .await;
    stand.harvest(None).await;
    stand.export_all().await;
    let report = clear(&stand).await;
    assert_eq!((report.batches, report.batches_left.len()), (2, 1), "{report:?}");
    assert_eq!(stand.keys("dt=").await.len(), 1);
    assert_eq!(stand.keys("_manifests/").await.len(), 1);
    assert_eq!(report.documents[&stand.index], 25);
    let real = granary_domain::MessageId::try_from("a real message".to_owned()).unwrap();
    let standings = stand
        .ledger
        .standings_of_ids(&[&real, &seeded_id(0)])
        .await
        .unwrap();
    assert!(standings.iter().any(|(id, _)| *id == real));
    assert_eq!(
        stand
            .source
            .bounds(TimeRange::EVER, None)
            .await
            .unwrap()
            .unwrap()
            .0,
        base() - SignedDuration::from_millis(1)
    );
}

#[tokio::test]
async fn a_batch_whose_messages_are_gone_from_the_source_may_be_anybodys_and_stays() {
    let (stand, _) = Stand::with_exported(10, 1).await;
    stand.delete_document(seeded_id(4).as_str()).await;
    let report = clear(&stand).await;
    assert_eq!((report.batches, report.batches_left.len()), (0, 1), "{report:?}");
    assert_eq!(stand.keys("dt=").await.len(), 1);
}
