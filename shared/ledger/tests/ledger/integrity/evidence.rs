//! Evidence: digests that the database and the program compute alike, standings, objects on record.

use crate::stage::{Stage, a_day, many, object_of, seen, whole};
use granary_domain::{BatchId, Hour, IdDigest, MessageId, Outcome, Part};
use granary_ledger::export::{Exception, Settlement};
use granary_ledger::integrity::Standing;

fn digest_of<'a>(ids: impl IntoIterator<Item = &'a str>) -> IdDigest {
    let mut digest = IdDigest::default();
    ids.into_iter().for_each(|id| digest.add(id.as_bytes()));
    digest
}

#[tokio::test]
async fn the_database_digests_ids_as_the_domain_does() {
    let stage = Stage::new().await;
    let mut ids: Vec<String> = (0..500).map(|number| format!("número-{number}-🚚")).collect();
    ids.extend(["a", "A", "a ", "ß", "\u{1}", "'\"\\"].map(str::to_owned));
    let borrowed: Vec<&str> = ids.iter().map(String::as_str).collect();
    let batch = stage.batch(&borrowed).await;
    let expected = digest_of(borrowed);
    let digests = stage.ledger.digests_of(a_day()).await.unwrap();
    assert_eq!(digests.get(&Standing::Open), Some(&expected));
    let digests = stage
        .ledger
        .digests_of_batches(&[batch, BatchId(4_711)])
        .await
        .unwrap();
    assert_eq!((digests.len(), digests.get(&batch)), (1, Some(&expected)));
}

/// A day with a message of every standing, and the completed batch.
async fn a_day_of_everything(stage: &Stage) -> granary_ledger::export::ClaimedBatch {
    let released = stage.batch(&["released"]).await;
    let claimed = stage.claim(released, "worker").await;
    stage.ledger.cancel_migration(claimed.migration_id).await.unwrap();
    stage.ledger.release_cancelled().await.unwrap();
    stage.batch(&["open"]).await;
    let completed = stage.batch(&["on record", "missing", "quarantined"]).await;
    let claimed = stage.claim(completed, "worker").await;
    let exceptions = [
        (Outcome::Missing, "missing"),
        (Outcome::Quarantined, "quarantined"),
    ];
    let exceptions = exceptions.map(|(outcome, id)| Exception {
        message_id: MessageId::try_from(id.to_owned()).unwrap(),
        outcome,
        reason: String::new(),
    });
    stage
        .ledger
        .record_exceptions(&claimed, &exceptions)
        .await
        .unwrap();
    let settlement = Settlement {
        exported: 1,
        missing: 1,
        quarantined: 1,
        ..whole(&claimed)
    };
    stage.ledger.settle(&claimed, &settlement).await.unwrap();
    claimed
}

const EVERY_STANDING: [(&str, Standing); 5] = [
    ("missing", Standing::Missing),
    ("on record", Standing::OnRecord),
    ("open", Standing::Open),
    ("quarantined", Standing::Quarantined),
    ("released", Standing::Released),
];

#[tokio::test]
async fn a_range_is_digested_by_standing() {
    let stage = Stage::new().await;
    let batch = a_day_of_everything(&stage).await;
    let digests = stage.ledger.digests_of(a_day()).await.unwrap();
    assert_eq!(digests.len(), EVERY_STANDING.len());
    for (id, standing) in EVERY_STANDING {
        assert_eq!(digests.get(&standing), Some(&digest_of([id])), "{id}");
    }
    let of_batch = stage.ledger.digests_of_batches(&[batch.id]).await.unwrap();
    assert_eq!(
        of_batch.get(&batch.id),
        Some(&digest_of(["on record"])),
        "what its object should hold"
    );
}

#[tokio::test]
async fn ids_are_listed_with_their_standing() {
    let stage = Stage::new().await;
    a_day_of_everything(&stage).await;
    let mut listed = stage.ledger.ids_of_part(&Part::of(a_day()), 100).await.unwrap();
    listed.sort();
    let listed: Vec<_> = listed
        .iter()
        .map(|(id, standing)| (id.as_str(), *standing))
        .collect();
    assert_eq!(listed, EVERY_STANDING);
}

#[tokio::test]
async fn ids_are_looked_up_and_unknown_ones_are_not_in_the_answer() {
    let stage = Stage::new().await;
    a_day_of_everything(&stage).await;
    let ids = ["open", "OPEN", "missing", "nobody's"].map(|id| MessageId::try_from(id.to_owned()).unwrap());
    let mut standings = stage.ledger.standings_of_ids(&ids.each_ref()).await.unwrap();
    standings.sort();
    let standings: Vec<_> = standings
        .iter()
        .map(|(id, standing)| (id.as_str(), *standing))
        .collect();
    assert_eq!(
        standings,
        [("missing", Standing::Missing), ("open", Standing::Open)]
    );
}

#[tokio::test]
async fn only_what_is_completed_is_on_record() {
    let stage = Stage::new().await;
    let batch = a_day_of_everything(&stage).await;
    let hours = stage.ledger.hours_of(a_day()).await.unwrap();
    assert_eq!(hours.len(), 1);
    assert_eq!(
        (hours[0].hour, hours[0].messages),
        (batch.hour, 4),
        "a cancelled batch has none"
    );
    let objects = stage
        .ledger
        .objects_of_hour(batch.hour, BatchId(0), 10)
        .await
        .unwrap();
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0].batch_id, batch.id);
    assert_eq!(objects[0].object, Some(object_of(&batch)));
    assert_eq!(objects[0].sha256.as_deref(), Some("07".repeat(32).as_str()));
    assert_eq!((objects[0].message_count, objects[0].exported), (3, 1));
    assert!(
        stage
            .ledger
            .objects_of_hour(batch.hour, batch.id, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let other = Hour::of(a_day().from());
    assert!(
        stage
            .ledger
            .objects_of_hour(other, BatchId(0), 10)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_digest_counts_a_range_to_the_microsecond() {
    let stage = Stage::new().await;
    let mut window = stage.window(1_000).await;
    let mut page = many("m", 3);
    page.push(crate::stage::seen_at("first", "2026-01-01T00:00:00Z"));
    page.push(seen("noon"));
    stage.record(&mut window, &page).await;
    let noon = crate::stage::instant("2026-01-01T12:00:00Z");
    let morning = granary_domain::TimeRange::new(a_day().from(), noon).unwrap();
    let digests = stage.ledger.digests_of(morning).await.unwrap();
    assert_eq!(digests.get(&Standing::Open), Some(&digest_of(["first"])));
}
