//! What people have done to messages and batches that they name: recorded, exported anew, given a batch. Each once however
//! often it is asked, nothing in a dry run, and never at the cost of a message.

use crate::stand::{Stand, arguments, base, seeded_id};
use granary_domain::{BatchId, MessageId, Priority};
use granary_ledger::export::ReExportSelection;
use granary_operations::{
    AdoptArguments, AdoptReport, Budget, BulkArguments, BulkReport, Job, KnownMessages, Outcome,
    ReExportArguments, ReExportReport,
};
use granary_verify::Verdict;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};

/// Has a job done to its end, as the operator and the reaper do. Its progress goes through the ledger after every step.
async fn done<R: DeserializeOwned>(stand: &Stand, job: Job) -> R {
    let id = stand.desk.ask(&job, "operator").await.unwrap();
    loop {
        // A few steps for each slice.
        let budget = Budget {
            until: Instant::now() + Duration::from_millis(50),
            messages_max: u64::MAX,
        };
        let advanced = stand.desk.advance(Some(id), &budget).await.unwrap().unwrap();
        if let Outcome::Finished { result } = advanced.outcome {
            return serde_json::from_value(result).unwrap();
        }
        assert_eq!(advanced.outcome, Outcome::OutOfTime);
    }
}

fn id(text: &str) -> MessageId {
    text.to_owned().try_into().unwrap()
}

fn bulk(ids: Vec<MessageId>) -> BulkArguments {
    BulkArguments {
        ids,
        known: KnownMessages::Leave,
        batch_size: 10,
        priority: Priority::try_from(7).unwrap(),
        dry_run: false,
        reason: None,
        requested_by: "operator".to_owned(),
    }
}

fn anew(selection: ReExportSelection) -> ReExportArguments {
    ReExportArguments {
        selection,
        limit: 1_000,
        dry_run: false,
        reason: "the mapping was wrong".to_owned(),
        requested_by: "operator".to_owned(),
    }
}

fn adopt() -> AdoptArguments {
    AdoptArguments {
        from: None,
        to: None,
        batch_size: 10,
        limit: 100_000,
        dry_run: false,
        reason: None,
        requested_by: "operator".to_owned(),
    }
}

fn hours() -> ReExportSelection {
    let range = granary_domain::TimeRange::new(base() - SignedDuration::from_hours(24), base()).unwrap();
    ReExportSelection::Hours(range)
}

async fn waiting(stand: &Stand) -> Vec<BatchId> {
    let unsent = stand.ledger.unsent(None, 1_000).await.unwrap();
    unsent.into_iter().map(|unsent| unsent.batch_id).collect()
}

#[tokio::test]
async fn named_messages_are_recorded_once_and_what_is_on_record_is_left_alone() {
    let (stand, _) = Stand::with_exported(20, 2).await;
    for (name, ago) in [("late-1", 7), ("late-2", 65)] {
        let time = base() - SignedDuration::from_mins(ago);
        stand.write(name, name, time).await;
    }
    let soon = Timestamp::now() + SignedDuration::from_hours(1);
    stand.write("young", "young", soon).await;
    let ids = vec![
        id("late-1"),
        id("late-2"),
        id("young"),
        id("nowhere"),
        seeded_id(1),
    ];
    let rehearsed: BulkReport = done(
        &stand,
        Job::Bulk(BulkArguments {
            dry_run: true,
            ..bulk(ids.clone())
        }),
    )
    .await;
    assert_eq!((rehearsed.recorded, rehearsed.migration_id), (2, None));
    assert_eq!(waiting(&stand).await, [], "nothing was written");

    let report: BulkReport = done(&stand, Job::Bulk(bulk(ids.clone()))).await;
    assert_eq!((report.asked, report.recorded, report.left), (5, 2, 0));
    assert_eq!(report.not_found, [id("nowhere")]);
    assert_eq!(report.not_settled, [id("young")]);
    assert_eq!(report.known.len(), 1);
    assert_eq!(
        (&report.known[0].id, report.known[0].standing.as_str()),
        (&seeded_id(1), "on_record")
    );
    assert_eq!(report.re_export, None);
    let unsent = stand.ledger.unsent(None, 10).await.unwrap();
    assert_eq!(unsent.len(), 2, "one for each hour");
    assert!(unsent.iter().all(|unsent| u8::from(unsent.priority) == 7));

    let again: BulkReport = done(&stand, Job::Bulk(bulk(ids))).await;
    assert_eq!((again.recorded, again.known.len()), (0, 3));
    assert_eq!(waiting(&stand).await.len(), 2);
    stand.export_all().await;
    stand.delete_document("young").await;
    assert_eq!(stand.verify_all().await.verdict, Verdict::Complete);
}

#[tokio::test]
async fn known_messages_are_exported_anew_with_their_batches_only_where_that_is_said() {
    let (stand, _) = Stand::with_exported(20, 1).await;
    let ids = vec![seeded_id(1)];
    let left: BulkReport = done(&stand, Job::Bulk(bulk(ids.clone()))).await;
    assert_eq!((left.known.len(), left.re_export), (1, None));
    assert_eq!(waiting(&stand).await, []);
    let again = BulkArguments {
        known: KnownMessages::ReExport,
        reason: Some("the mapping was wrong".to_owned()),
        ..bulk(ids)
    };
    let report: BulkReport = done(&stand, Job::Bulk(again.clone())).await;
    let re_export = report.re_export.unwrap();
    assert_eq!((re_export.batches, re_export.asked), (1, 1));
    assert_eq!(waiting(&stand).await.len(), 1);
    let twice: BulkReport = done(&stand, Job::Bulk(again)).await;
    assert_eq!(
        twice.re_export.unwrap().asked,
        0,
        "it is under way: nobody's batch is completed"
    );
    stand.export_all().await;
    stand
        .desk
        .remove_superseded(Instant::now() + Duration::from_secs(30))
        .await
        .unwrap();
    let report = stand.verify_all().await;
    assert_eq!(
        (report.verdict, report.account.counts.archive),
        (Verdict::Complete, 20)
    );
}

#[tokio::test]
async fn batches_are_exported_anew_but_for_one_whose_object_holds_what_the_source_lost() {
    let (stand, _) = Stand::with_exported(40, 1).await;
    stand.delete_document(seeded_id(3).as_str()).await;
    let rehearsed: ReExportReport = done(
        &stand,
        Job::ReExport(ReExportArguments {
            dry_run: true,
            ..anew(hours())
        }),
    )
    .await;
    assert_eq!(
        (rehearsed.batches, rehearsed.asked, rehearsed.would_lose_batches),
        (4, 3, 1)
    );
    assert_eq!(waiting(&stand).await, [], "nothing was written");

    let report: ReExportReport = done(&stand, Job::ReExport(anew(hours()))).await;
    assert_eq!(
        (report.batches, report.messages, report.asked, report.changed),
        (4, 40, 3, 0)
    );
    assert_eq!(report.would_lose.len(), 1);
    assert_eq!(report.would_lose[0].messages, 1);
    let asked = waiting(&stand).await;
    assert_eq!(asked.len(), 3);
    assert!(!asked.contains(&report.would_lose[0].batch));

    let again: ReExportReport = done(&stand, Job::ReExport(anew(hours()))).await;
    assert_eq!(
        (again.batches, again.asked, again.would_lose_batches),
        (1, 0, 1),
        "asked twice is asked once"
    );
    stand.export_all().await;
    stand
        .desk
        .remove_superseded(Instant::now() + Duration::from_secs(30))
        .await
        .unwrap();
    assert_eq!(stand.keys("dt=").await.len(), 4, "one object for each batch");
}

#[tokio::test]
async fn a_list_of_batches_says_which_can_not_be_and_a_limit_that_there_are_more() {
    let (stand, migration) = Stand::with_exported(40, 1).await;
    let all = stand
        .ledger
        .batches_to_re_export(&hours(), BatchId(0), 100)
        .await
        .unwrap();
    let listed = vec![all[0].batch, BatchId(4_711)];
    let report: ReExportReport = done(&stand, Job::ReExport(anew(ReExportSelection::Batches(listed)))).await;
    assert_eq!((report.batches, report.asked, report.skipped), (1, 1, 1));
    assert!(!report.has_more);

    let of_migration = ReExportArguments {
        limit: 2,
        ..anew(ReExportSelection::Migration(migration))
    };
    let report: ReExportReport = done(&stand, Job::ReExport(of_migration)).await;
    assert_eq!((report.batches, report.asked, report.has_more), (2, 2, true));
    assert_eq!(waiting(&stand).await.len(), 3);

    let unknown = ReExportSelection::Batches(vec![BatchId(4_711)]);
    let report: ReExportReport = done(&stand, Job::ReExport(anew(unknown))).await;
    assert_eq!((report.batches, report.skipped), (0, 1));
}

#[tokio::test]
async fn messages_that_nobody_owns_get_a_batch_within_a_limit_and_once() {
    let stand = Stand::new().await;
    stand.seed(&arguments(40, 2)).await;
    let given_up = stand.harvest(None).await;
    stand.ledger.cancel_migration(given_up).await.unwrap();
    while stand.ledger.release_cancelled().await.unwrap().is_some() {}

    let rehearsed: AdoptReport = done(
        &stand,
        Job::Adopt(AdoptArguments {
            dry_run: true,
            ..adopt()
        }),
    )
    .await;
    assert_eq!((rehearsed.found, rehearsed.adopted), (40, 0));
    assert_eq!(rehearsed.per_day.values().sum::<u64>(), 40);
    assert_eq!(waiting(&stand).await, [], "nothing was written");

    let limited: AdoptReport = done(&stand, Job::Adopt(AdoptArguments { limit: 15, ..adopt() })).await;
    assert_eq!((limited.found, limited.adopted, limited.has_more), (15, 15, true));
    let rest: AdoptReport = done(&stand, Job::Adopt(adopt())).await;
    assert_eq!(
        (rest.found, rest.adopted, rest.left, rest.has_more),
        (25, 25, 0, false)
    );
    assert!(rest.migration_id.is_some());
    let none: AdoptReport = done(&stand, Job::Adopt(adopt())).await;
    assert_eq!((none.found, none.migration_id), (0, None));
    stand.export_all().await;
    let report = stand.verify_all().await;
    assert_eq!(
        (report.verdict, report.account.counts.archive),
        (Verdict::Complete, 40)
    );
}
