//! Repairs, as far as they are a verification's: what is asked for, once, and no more than a step may.

use crate::stand::{Stand, arguments, base, seeded_id};
use granary_domain::Outcome;
use granary_ledger::export::Exception;
use granary_verify::{
    Finding, FindingKind, Limits, Remedy, Repair, Repairs, Report, Step, Verdict, VerifyArguments,
};
use jiff::SignedDuration;

const REPAIR: VerifyArguments = VerifyArguments {
    migration: None,
    from: None,
    to: None,
    quick: false,
    content: false,
    archive_only: false,
    repair: Repair::On,
};

async fn write_late(stand: &Stand, count: i64) {
    for number in 0..count {
        let time = base() - SignedDuration::from_mins(7 + number);
        stand
            .write(&format!("late-{number}"), &format!("late {number}"), time)
            .await;
    }
}

async fn verify_within(stand: &Stand, limits: Limits) -> Report {
    let verifier = stand.verifier.clone().within(limits);
    let mut progress = None;
    loop {
        match verifier.step(&REPAIR, progress, u64::MAX).await.unwrap() {
            Step::More(more) => progress = Some(*more),
            Step::Done(report) => return *report,
            Step::TooLarge { messages } => panic!("{messages}"),
        }
    }
}

#[tokio::test]
async fn a_repair_asks_once_and_the_next_verification_is_complete() {
    let (stand, _) = Stand::with_exported(40, 1).await;
    let lost = stand.keys("dt=").await.remove(0);
    stand.archive.delete(&lost).await.unwrap();
    write_late(&stand, 3).await;
    let rehearsed = stand
        .verify(&VerifyArguments {
            repair: Repair::DryRun,
            ..REPAIR
        })
        .await;
    let once = Repairs {
        harvested: 3,
        re_exported: 1,
        ..Repairs::default()
    };
    assert_eq!(
        (rehearsed.verdict, rehearsed.account.repairs),
        (Verdict::Incomplete, once)
    );
    assert!(stand.ledger.unsent(None, 10).await.unwrap().is_empty());
    let report = stand.verify(&REPAIR).await;
    assert_eq!(
        (report.verdict, report.account.repairs),
        (Verdict::Incomplete, once),
        "{report:#?}"
    );
    let remedies: Vec<_> = report
        .account
        .findings
        .iter()
        .map(|finding| (finding.kind, finding.remedy))
        .collect();
    assert!(
        remedies.contains(&(FindingKind::MissingFromArchive, Some(Remedy::Harvest))),
        "{remedies:?}"
    );
    assert!(
        remedies.contains(&(FindingKind::ObjectMissing, Some(Remedy::ReExport))),
        "{remedies:?}"
    );

    let again = stand.verify(&REPAIR).await;
    let under_way = Repairs {
        under_way: 1,
        ..Repairs::default()
    };
    assert_eq!(again.account.repairs, under_way, "{again:#?}");
    assert_eq!(stand.ledger.unsent(None, 10).await.unwrap().len(), 2);
    stand.export_all().await;
    let report = stand.verify_all().await;
    assert_eq!(
        (
            report.verdict,
            report.account.counts.archive,
            report.account.findings.len()
        ),
        (Verdict::Complete, 43, 0),
        "{report:#?}"
    );
}

#[tokio::test]
async fn one_step_repairs_no_more_than_it_may_and_says_what_it_left() {
    let (stand, _) = Stand::with_exported(40, 1).await;
    for key in stand.keys("dt=").await {
        stand.archive.delete(&key).await.unwrap();
    }
    write_late(&stand, 5).await;
    let limits = Limits {
        step_harvested_max: 2,
        step_re_exported_max: 1,
        ..Limits::default()
    };
    let report = verify_within(&stand, limits).await;
    let repairs = Repairs {
        harvested: 2,
        re_exported: 1,
        left_messages: 3,
        left_batches: 3,
        under_way: 0,
    };
    assert_eq!(report.account.repairs, repairs, "{report:#?}");
    let repaired = stand.verify(&REPAIR).await.account.repairs;
    assert_eq!(
        (repaired.harvested, repaired.re_exported, repaired.under_way),
        (3, 3, 1)
    );
    stand.export_all().await;
    assert_eq!(stand.verify_all().await.verdict, Verdict::Complete);
}

#[tokio::test]
async fn what_is_drifted_or_foreign_is_named_and_left_to_people_and_what_is_quarantined_is_recalled() {
    let stand = Stand::new().await;
    stand.seed(&arguments(20, 1)).await;
    stand.harvest(None).await;
    let batch = stand.ledger.unsent(None, 1).await.unwrap()[0].batch_id;
    let poison = stand.ledger.messages_of(batch).await.unwrap()[0]
        .message_id
        .clone();
    let exception = Exception {
        message_id: poison.clone(),
        outcome: Outcome::Quarantined,
        reason: "too large".to_owned(),
    };
    stand.export(batch, &[exception]).await;
    stand.export_all().await;
    let gone = [seeded_id(11), seeded_id(12)]
        .into_iter()
        .find(|id| *id != poison)
        .unwrap();
    stand.delete_document(gone.as_str()).await;
    let sibling = stand.keys("dt=").await.remove(0);
    let (folder, _) = sibling.as_str().rsplit_once('/').unwrap();
    let foreign = granary_domain::ObjectKey::from_record(format!("{folder}/foreign.ndjson"));
    stand.overwrite(&foreign, b"{}".to_vec()).await;

    let report = stand.verify(&REPAIR).await;
    let kinds: Vec<_> = report.account.findings_by_kind.keys().copied().collect();
    assert_eq!(
        kinds,
        [
            FindingKind::Quarantined,
            FindingKind::Drifted,
            FindingKind::Orphan
        ],
        "{report:#?}"
    );
    let recalled = Repairs {
        re_exported: 1,
        ..Repairs::default()
    };
    assert_eq!(report.account.repairs, recalled);
    let left_to_people = |finding: &&Finding| finding.kind != FindingKind::Quarantined;
    assert!(
        report
            .account
            .findings
            .iter()
            .filter(left_to_people)
            .all(|finding| finding.remedy.is_none())
    );
    // The message has a batch of its own, and its neighbours' object stays what it is.
    let unsent = stand.ledger.unsent(None, 10).await.unwrap();
    assert_eq!(unsent.len(), 1);
    let recalled = stand.ledger.messages_of(unsent[0].batch_id).await.unwrap();
    assert_eq!(recalled[0].message_id, poison);
    let objects = stand.ledger.objects_of_batches(&[batch]).await.unwrap();
    assert!(objects[&batch].in_the_making.is_none());
}
