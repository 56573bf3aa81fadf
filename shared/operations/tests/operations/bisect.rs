//! Bisection: hours far larger than what is held in memory, down to the one id that differs.

use crate::stand::{Stand, base};
use bytes::Bytes;
use granary_verify::{FindingKind, Limits, Report, Step, Verdict, VerifyArguments, VerifyProgress};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// As few as the tests' messages need to fall apart.
const LIMITS: Limits = Limits {
    set_ids_max: 50,
    step_messages_max: 1_000_000,
    step_harvested_max: 1_000_000,
    step_re_exported_max: 1_000,
};

/// Writes so many documents, each at the time that its number has.
async fn write_many(stand: &Stand, count: u64, time_of: impl Fn(u64) -> String) {
    let mut bulk = String::new();
    for number in 0..count {
        let action = json!({"index": {"_index": stand.index, "_id": format!("m-{number:06}")}});
        let document = json!({"message_id": format!("m-{number:06}"), "created_at": time_of(number)});
        bulk.push_str(&format!("{action}\n{document}\n"));
    }
    let summary = stand.writer.bulk(Bytes::from(bulk)).await.unwrap();
    assert_eq!(summary.indexed, count, "{:?}", summary.failed);
    stand.writer.refresh(&[&stand.index]).await.unwrap();
}

async fn verify_within(stand: &Stand, limits: Limits, messages_max: u64) -> Report {
    let verifier = stand.verifier.clone().within(limits);
    let mut progress: Option<VerifyProgress> = None;
    loop {
        match verifier
            .step(&VerifyArguments::default(), progress, messages_max)
            .await
            .unwrap()
        {
            Step::More(more) => {
                let text = serde_json::to_string(&more).unwrap();
                progress = Some(serde_json::from_str(&text).unwrap());
            }
            Step::Done(report) => return *report,
            Step::TooLarge { messages } => panic!("{messages} messages are too many"),
        }
    }
}

/// The ids that findings of a kind name.
fn ids_of(report: &Report, kind: FindingKind) -> Vec<String> {
    let findings = report
        .account
        .findings
        .iter()
        .filter(|finding| finding.kind == kind);
    let mut ids: Vec<String> = findings
        .flat_map(|finding| finding.sample_ids.iter().map(ToString::to_string))
        .collect();
    ids.sort();
    ids
}

fn some_minutes_ago(number: u64) -> String {
    let micros = i64::try_from(number * 5_876_543 % 3_500_000_000).unwrap();
    (base() - SignedDuration::from_micros(3_500_000_000 - micros)).to_string()
}

/// Whatever is lost from source or ledger is named, and nothing else; the counts are right to the message.
async fn assert_named(stand: &Stand, limits: Limits, messages_max: u64, count: u64) {
    let report = verify_within(stand, limits, messages_max).await;
    assert_eq!(report.verdict, Verdict::Incomplete, "{report:#?}");
    assert_eq!(
        ids_of(&report, FindingKind::MissingFromArchive),
        ["late-1", "late-2"]
    );
    assert_eq!(ids_of(&report, FindingKind::Drifted), ["m-000007", "m-000900"]);
    let counts = report.account.counts;
    assert_eq!(
        (
            counts.source,
            counts.ledger,
            counts.missing,
            counts.drifted,
            counts.elsewhere
        ),
        (count, count, 2, 2, 0)
    );
}

#[tokio::test]
async fn h1_an_hour_is_bisected_down_to_the_ids_whatever_fits_into_memory_or_into_a_step() {
    let stand = Stand::with_times("date").await;
    write_many(&stand, 1_200, some_minutes_ago).await;
    stand.harvest_in(1_000, None).await;
    stand.export_all().await;
    let report = verify_within(&stand, LIMITS, u64::MAX).await;
    assert_eq!(
        (report.verdict, report.account.counts.source),
        (Verdict::Complete, 1_200),
        "{report:#?}"
    );

    for id in ["m-000007", "m-000900"] {
        stand.delete_document(id).await;
    }
    for (number, id) in [(3, "late-1"), (801, "late-2")] {
        let time: Timestamp = some_minutes_ago(number).parse().unwrap();
        stand.write(id, id, time).await;
    }
    assert_named(&stand, LIMITS, u64::MAX, 1_200).await;
    assert_named(&stand, Limits::default(), u64::MAX, 1_200).await;
    assert_named(&stand, LIMITS, 170, 1_200).await;
    let tiny = Limits {
        set_ids_max: 1,
        ..LIMITS
    };
    assert_named(&stand, tiny, 500, 1_200).await;
}

#[tokio::test]
async fn h1_ids_of_one_millisecond_are_bisected_by_hash() {
    let stand = Stand::with_times("date").await;
    let instant = (base() - SignedDuration::from_mins(30)).to_string();
    write_many(&stand, 8_000, |_| instant.clone()).await;
    stand.harvest_in(1_000, None).await;
    stand.export_all().await;
    for id in ["m-000007", "m-000900"] {
        stand.delete_document(id).await;
    }
    for id in ["late-1", "late-2"] {
        stand.write(id, id, instant.parse().unwrap()).await;
    }
    assert_named(&stand, LIMITS, u64::MAX, 8_000).await;
    let verifier = stand.verifier.clone().within(LIMITS);
    let mut step = verifier
        .step(&VerifyArguments::default(), None, 7_999)
        .await
        .unwrap();
    while let Step::More(more) = step {
        step = verifier
            .step(&VerifyArguments::default(), Some(*more), 7_999)
            .await
            .unwrap();
    }
    assert_eq!(
        step,
        Step::TooLarge { messages: 8_000 },
        "one instant can't be parted"
    );
}

#[tokio::test]
async fn h3_times_finer_than_milliseconds_are_in_the_same_part_on_both_sides() {
    let stand = Stand::with_times("date_nanos").await;
    let time_of = |number: u64| {
        let start = base() - SignedDuration::from_mins(30);
        let nanos = i64::try_from(number * 1_234_567 + number % 1_000).unwrap();
        (start + SignedDuration::from_nanos(nanos)).to_string()
    };
    write_many(&stand, 1_200, time_of).await;
    stand.harvest_in(1_000, None).await;
    stand.export_all().await;
    let tiny = Limits {
        set_ids_max: 3,
        ..LIMITS
    };
    let report = verify_within(&stand, tiny, 200).await;
    assert_eq!(
        (report.verdict, report.account.counts.source),
        (Verdict::Complete, 1_200),
        "{report:#?}"
    );
    for id in ["m-000007", "m-000900"] {
        stand.delete_document(id).await;
    }
    for (number, id) in [(3, "late-1"), (801, "late-2")] {
        stand.write(id, id, time_of(number).parse().unwrap()).await;
    }
    assert_named(&stand, tiny, 200, 1_200).await;
}

#[tokio::test]
async fn h12_an_id_that_two_documents_have_is_merged_and_no_difference_in_a_part_of_many() {
    let stand = Stand::with_times("date").await;
    write_many(&stand, 400, some_minutes_ago).await;
    stand.harvest_in(1_000, None).await;
    stand.export_all().await;
    stand
        .write(
            "another-document",
            "m-000003",
            base() - SignedDuration::from_mins(5),
        )
        .await;
    let report = verify_within(&stand, LIMITS, u64::MAX).await;
    assert_eq!(
        (
            report.verdict,
            report.account.findings.len(),
            report.account.counts.merged,
            report.account.counts.missing
        ),
        (Verdict::Incomplete, 1, 1, 0),
        "{report:#?}"
    );
}

#[tokio::test]
async fn h9_documents_without_an_id_are_counted_and_keep_no_bisection_from_its_end() {
    let stand = Stand::with_times("date").await;
    write_many(&stand, 20, some_minutes_ago).await;
    stand.harvest_in(1_000, None).await;
    stand.export_all().await;
    let mut bulk = String::new();
    for number in 0..200_u64 {
        let action = json!({"index": {"_index": stand.index, "_id": format!("nameless-{number}")}});
        let document = json!({"created_at": some_minutes_ago(number)});
        bulk.push_str(&format!("{action}\n{document}\n"));
    }
    stand.writer.bulk(Bytes::from(bulk)).await.unwrap();
    for number in 0..20 {
        stand.delete_document(&format!("m-{number:06}")).await;
    }
    let report = verify_within(&stand, LIMITS, u64::MAX).await;
    let counts = report.account.counts;
    assert_eq!(
        (report.verdict, counts.without_id, counts.source, counts.drifted),
        (Verdict::Incomplete, 200, 0, 20),
        "{report:#?}"
    );
}
