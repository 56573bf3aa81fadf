//! Parts: the database cuts as the domain does, and lists the ids of any piece.

use crate::stage::{Stage, a_day, instant, seen, seen_at};
use granary_domain::{Hour, IdDigest, MessageId, Part, TimeRange};
use granary_ledger::harvest::SeenMessage;
use granary_ledger::integrity::Standing;
use std::collections::HashMap;

/// Messages over an hour, crowded at some of its instants, to the microsecond.
fn crowded() -> Vec<SeenMessage> {
    (0..600_u32)
        .map(|number| {
            let (minute, second) = (number * 7 % 60, number % 60);
            let fraction = [0, 1, 999, 1_000, 500_000, 999_999][number as usize % 6];
            let time = match number % 3 {
                0 => format!("2026-01-01T12:30:00.{fraction:06}Z"),
                _ => format!("2026-01-01T12:{minute:02}:{second:02}.{fraction:06}Z"),
            };
            seen_at(&format!("número-{number}"), &time)
        })
        .collect()
}

async fn recorded(messages: &[SeenMessage]) -> Stage {
    let stage = Stage::new().await;
    let mut window = stage.window(1_000).await;
    stage.record(&mut window, messages).await;
    stage
}

fn hash(message: &SeenMessage) -> u128 {
    IdDigest::hash(message.message_id.as_str().as_bytes())
}

#[tokio::test]
async fn h1_the_ledger_puts_every_id_into_the_piece_that_the_domain_does_down_to_the_last_cut() {
    let messages = crowded();
    let stage = recorded(&messages).await;
    let odd = TimeRange::new(
        instant("2026-01-01T12:00:00.000123Z"),
        instant("2026-01-01T12:59:59.5Z"),
    )
    .unwrap();
    let mut parts = vec![Part::of(odd), Part::of(Hour::of(odd.from()).range())];
    let mut cuts = 0;
    while let Some(part) = parts.pop() {
        let inside: Vec<_> = messages
            .iter()
            .filter(|message| part.contains(message.event_time, hash(message)))
            .collect();
        let mut whole = IdDigest::default();
        inside.iter().for_each(|message| whole.add_hash(hash(message)));
        let digests = stage.ledger.digests_of_part(&part).await.unwrap();
        assert_eq!(
            digests.get(&Standing::Open).copied().unwrap_or_default(),
            whole,
            "{part:?}"
        );
        let mut ids = stage.ledger.ids_of_part(&part, 10_000).await.unwrap();
        ids.sort();
        let mut expected: Vec<(MessageId, Standing)> = inside
            .iter()
            .map(|message| (message.message_id.clone(), Standing::Open))
            .collect();
        expected.sort();
        assert_eq!(ids, expected, "{part:?}");

        let Some(cut) = part.cut().filter(|_| inside.len() > 20) else {
            continue;
        };
        let mut pieces: HashMap<usize, IdDigest> = HashMap::new();
        for message in inside {
            let piece = cut.piece_of(message.event_time, hash(message)).unwrap();
            pieces.entry(piece).or_default().add_hash(hash(message));
        }
        let known = stage.ledger.digests_of_pieces(&cut).await.unwrap();
        let known: HashMap<usize, IdDigest> = known
            .into_iter()
            .map(|(piece, digests)| (piece, digests[&Standing::Open]))
            .collect();
        assert_eq!(known, pieces, "{cut:?}");
        parts.extend(pieces.keys().map(|piece| cut.run(*piece, *piece)));
        cuts += 1;
    }
    assert!(cuts > 5, "{cuts}");
    assert_eq!(stage.ledger.count_messages_in(a_day()).await.unwrap(), 600);
}

#[tokio::test]
async fn h13_twins_are_listed_apart_and_no_more_than_asked_for() {
    let ids = ["a", "A", "a ", "a  ", "á", "ä", "Ä", "🚚", "🚚 "];
    let stage = recorded(&ids.map(seen)).await;
    let part = Part::of(a_day());
    let listed = stage.ledger.ids_of_part(&part, 100).await.unwrap();
    let mut listed: Vec<&str> = listed.iter().map(|(id, _)| id.as_str()).collect();
    listed.sort_unstable();
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    assert_eq!(listed, ids);
    assert_eq!(stage.ledger.ids_of_part(&part, 4).await.unwrap().len(), 4);
}

#[tokio::test]
async fn messages_of_a_batch_that_is_not_there_are_unowned() {
    let stage = Stage::new().await;
    let lost = stage.batch(&["lost"]).await;
    stage
        .database
        .sql(&format!("DELETE FROM batch WHERE id = {lost}"))
        .await;
    let id = MessageId::try_from("lost".to_owned()).unwrap();
    let standings = stage.ledger.standings_of_ids(&[&id]).await.unwrap();
    assert_eq!(standings, [(id, Standing::Released)]);
}
