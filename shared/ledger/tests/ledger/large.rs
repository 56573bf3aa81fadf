//! 300,000 messages, as a busy hour has them: whatever takes messages from a batch, or gives them to one, leaves every batch saying what
//! its rows hold, and a verification finds the one message that is gone.

use crate::stage::{Stage, a_day, instant, object_of, whole};
use granary_domain::{
    BatchId, Cause, Failure, Hour, IdDigest, MessageId, MigrationId, Part, Priority, Tally, TimeRange,
};
use granary_ledger::export::{ReExport, ReExported};
use granary_ledger::harvest::{LeasedWindow, SeenMessage};
use granary_ledger::integrity::{Bounds, RepairMigration, Seal, SealIntent};
use jiff::SignedDuration;
use std::collections::HashMap;
use std::time::Duration;

const MESSAGES: u64 = 300_000;
const HOURS: u64 = 3;
const PAGE: usize = 10_000;
const BATCHES_PER_SLICE: u32 = 100;

fn messages() -> Vec<SeenMessage> {
    let start = instant("2026-01-01T10:00:00Z");
    let apart = i64::try_from(HOURS * 3_600_000_000 / MESSAGES).unwrap();
    let message = |number: u64| SeenMessage {
        message_id: format!("{:032x}", IdDigest::hash(&number.to_be_bytes()))
            .try_into()
            .unwrap(),
        doc_id: None,
        index: format!("messages-{}", number % 3).into(),
        routing: None,
        event_time: start + SignedDuration::from_micros(i64::try_from(number).unwrap() * apart),
    };
    (0..MESSAGES).map(message).collect()
}

async fn record_all(stage: &Stage, window: &mut LeasedWindow, messages: &[SeenMessage]) -> Tally {
    let mut tally = Tally::default();
    for page in messages.chunks(PAGE) {
        tally = stage.record(window, page).await;
    }
    tally
}

async fn assert_all_holds(stage: &Stage) {
    let bounds = Bounds {
        attempts_max: None,
        untold_max: Duration::from_secs(3_600),
    };
    let mut after = BatchId(0);
    while let Some(slice) = stage.ledger.slice_after(after, BATCHES_PER_SLICE).await.unwrap() {
        assert_eq!(stage.ledger.violations_in(&slice, &bounds).await.unwrap(), []);
        after = slice.last();
    }
}

/// Goes where the ledger's digest isn't the expected one, down to the ids. Says which are gone, and after how many questions.
async fn bisect(stage: &Stage, messages: &[SeenMessage]) -> (Vec<String>, u32) {
    let hash = |message: &SeenMessage| IdDigest::hash(message.message_id.as_str().as_bytes());
    let all: Vec<(&SeenMessage, u128)> = messages.iter().map(|message| (message, hash(message))).collect();
    let mut part = Part::of(a_day());
    let mut questions = 0;
    loop {
        let here = all
            .iter()
            .filter(|(message, hash)| part.contains(message.event_time, *hash));
        if here.clone().count() <= 1_000 {
            let has = stage.ledger.ids_of_part(&part, 10_000).await.unwrap();
            let has: HashMap<MessageId, _> = has.into_iter().collect();
            let gone = here.filter(|(message, _)| !has.contains_key(&message.message_id));
            return (
                gone.map(|(message, _)| message.message_id.to_string()).collect(),
                questions,
            );
        }
        let cut = part.cut().unwrap();
        let mut expected = vec![IdDigest::default(); cut.pieces()];
        for (message, hash) in here {
            expected[cut.piece_of(message.event_time, *hash).unwrap()].add_hash(*hash);
        }
        let pieces = stage.ledger.digests_of_pieces(&cut).await.unwrap();
        questions += 1;
        let differs = (0..cut.pieces()).find(|piece| {
            let mut has = IdDigest::default();
            let digests = pieces.get(piece).into_iter().flatten();
            digests.for_each(|(_, digest)| has.merge(digest));
            has != expected[*piece]
        });
        let Some(piece) = differs else {
            return (Vec::new(), questions);
        };
        part = cut.run(piece, piece);
    }
}

#[tokio::test]
async fn batches_say_what_their_rows_hold_through_all_that_moves_300_000_messages() {
    let stage = Stage::new().await;
    let messages = messages();
    let mut given_up = stage.window(1_000).await;
    let tally = record_all(&stage, &mut given_up, &messages).await;
    assert_eq!((tally.recorded, tally.found), (MESSAGES, MESSAGES));
    assert_eq!(stage.give_up(given_up.migration_id).await, MESSAGES);
    assert_eq!(stage.ledger.count_unowned(a_day()).await.unwrap(), MESSAGES);
    assert_all_holds(&stage).await;

    // Adopted in two goes: the second meets what the first took, and its batches fold.
    let mut heir = stage.window(700).await;
    let thirds: Vec<SeenMessage> = messages.iter().step_by(3).cloned().collect();
    assert_eq!(record_all(&stage, &mut heir, &thirds).await.adopted, MESSAGES / 3);
    assert_eq!(
        stage.ledger.count_unowned(a_day()).await.unwrap(),
        MESSAGES - MESSAGES / 3
    );
    let tally = record_all(&stage, &mut heir, &messages).await;
    assert_eq!((tally.adopted, tally.recorded), (MESSAGES, MESSAGES / 3));
    assert_eq!(stage.ledger.count_unowned(a_day()).await.unwrap(), 0);
    stage.ledger.finish_window(&heir).await.unwrap();
    let largest: u32 = stage
        .database
        .row("SELECT MAX(message_count) FROM batch WHERE status = 'pending'")
        .await;
    assert!(largest <= 700);
    assert_all_holds(&stage).await;

    re_export_and_split(&stage).await;
    assert_all_holds(&stage).await;

    assert_eq!(
        bisect(&stage, &messages).await,
        (Vec::new(), 1),
        "nothing is gone"
    );
    purge(&stage).await;
}

/// One batch is exported twice, another one is too large.
async fn re_export_and_split(stage: &Stage) {
    let batches: Vec<u64> = stage
        .database
        .rows("SELECT id FROM batch WHERE status = 'pending' ORDER BY id LIMIT 2")
        .await;
    let first = stage.claim(BatchId(batches[0]), "worker").await;
    stage.ledger.settle(&first, &whole(&first)).await.unwrap();
    let asked = ReExport {
        batch: first.id,
        fence: first.fence,
        reason: "a test",
        heir: &RepairMigration {
            id: MigrationId::new(),
            range: a_day(),
            batch_size: 700,
            priority: Priority::NORMAL,
            requested_by: "test".to_owned(),
        },
    };
    assert_eq!(stage.ledger.re_export(&asked).await.unwrap(), ReExported::Asked);
    for turn in 0..2 {
        let claimed = stage.claim(BatchId(batches[1]), &format!("worker {turn}")).await;
        let failure = Failure {
            cause: Cause::Spool,
            text: "it is too large".into(),
        };
        let object = object_of(&claimed);
        let ended = stage
            .ledger
            .defer_too_large(&claimed, &failure, Duration::ZERO, &object);
        ended.await.unwrap();
        stage.let_delays_end().await;
    }
    let split: u64 = stage
        .database
        .row("SELECT COUNT(*) FROM audit WHERE action = 'batch.split'")
        .await;
    assert_eq!(split, 1);
}

/// Everything is exported and verified, and the first hour's rows are taken away.
async fn purge(stage: &Stage) {
    let pending: Vec<u64> = stage
        .database
        .rows("SELECT id FROM batch WHERE status = 'pending'")
        .await;
    for batch in pending {
        let claimed = stage.claim(BatchId(batch), "worker").await;
        stage.ledger.settle(&claimed, &whole(&claimed)).await.unwrap();
    }
    // What was split lies in an object that a sweep would have removed by now.
    stage
        .database
        .sql("UPDATE superseded_object SET removed_at = UTC_TIMESTAMP(6)")
        .await;
    let now = stage.ledger.now().await.unwrap();
    let verification = crate::stage::verification(a_day(), now);
    assert!(stage.ledger.mark_verified(&verification).await.unwrap() > 0);
    let hour = Hour::of(instant("2026-01-01T10:00:00Z"));
    let seal = SealIntent::Seal { by: "test".into() };
    let sealed = stage
        .ledger
        .seal_hour(hour, Duration::from_secs(86_400), &seal)
        .await
        .unwrap();
    assert!(
        matches!(sealed, Seal::Sealable { messages, .. } if messages == MESSAGES / HOURS),
        "{sealed:?}"
    );
    let mut purged = 0;
    while let Some(chunk) = stage.ledger.purge_batches(hour).await.unwrap() {
        purged += chunk.messages;
    }
    assert_eq!(purged, MESSAGES / HOURS, "cancelled batches had nothing left");
    let rest = TimeRange::new(hour.next().start(), a_day().to()).unwrap();
    assert_eq!(
        stage.ledger.count_messages_in(rest).await.unwrap(),
        MESSAGES - MESSAGES / HOURS
    );
}

#[tokio::test]
async fn a_bisection_finds_the_one_of_300_000_that_is_gone() {
    let stage = Stage::new().await;
    let messages = messages();
    let mut window = stage.window(1_000).await;
    let gone = &messages[123_456];
    let all_but: Vec<SeenMessage> = messages
        .iter()
        .filter(|message| message.message_id != gone.message_id)
        .cloned()
        .collect();
    record_all(&stage, &mut window, &all_but).await;
    let (found, questions) = bisect(&stage, &messages).await;
    assert_eq!(found, [gone.message_id.to_string()]);
    assert!(questions <= 4, "{questions}");
}
