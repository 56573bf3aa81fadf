//! Recording pages: every hit gets an owner, or a column in the account that says why not.

use crate::stage::{LEASE, Stage, a_day, many, record_page, seen, seen_at};
use granary_domain::{MESSAGE_ID_BYTES_MAX, Tally};
use granary_ledger::LedgerError;
use granary_ledger::harvest::{PageOfMessages, Recorded, SeenMessage};

fn counted(found: u64) -> Tally {
    Tally {
        found,
        ..Tally::default()
    }
}

async fn messages_and_owned(stage: &Stage) -> (u64, u64) {
    stage
        .database
        .row("SELECT COUNT(*), COUNT(batch_id) FROM message_status")
        .await
}

/// Every owned message is in a batch that is there, and every batch is as large as what it owns.
async fn assert_batches_are_as_large_as_what_they_own(stage: &Stage) {
    let wrong: Vec<(u64, u32, u64)> = stage
        .database
        .rows(
            "SELECT b.id, b.message_count, COUNT(m.message_id) FROM batch b \
             LEFT JOIN message m ON m.batch_id = b.id WHERE b.status <> 'cancelled' GROUP BY b.id, b.message_count \
             HAVING b.message_count <> COUNT(m.message_id)",
        )
        .await;
    assert!(wrong.is_empty(), "(batch, count, owned): {wrong:?}");
    let homeless: u64 = stage
        .database
        .row("SELECT COUNT(*) FROM message WHERE batch_id NOT IN (SELECT id FROM batch)")
        .await;
    assert_eq!(homeless, 0);
}

#[tokio::test]
async fn a_new_page_is_recorded_in_batches_of_the_migrations_size() {
    let stage = Stage::new().await;
    let mut window = stage.window(400).await;
    let tally = stage.record(&mut window, &many("m", 1_000)).await;
    assert_eq!(
        tally,
        Tally {
            recorded: 1_000,
            ..counted(1_000)
        }
    );
    let sizes: Vec<u32> = stage
        .database
        .rows("SELECT message_count FROM batch ORDER BY id")
        .await;
    assert_eq!(sizes, [400, 400, 200]);
    assert_batches_are_as_large_as_what_they_own(&stage).await;
}

#[tokio::test]
async fn a_page_larger_than_a_statement_is_recorded_whole() {
    let stage = Stage::new().await;
    let mut window = stage.window(1).await;
    let tally = stage.record(&mut window, &many("m", 11_000)).await;
    assert_eq!(tally.recorded, 11_000);
    assert_eq!(messages_and_owned(&stage).await, (11_000, 11_000));
    assert_batches_are_as_large_as_what_they_own(&stage).await;
}

#[tokio::test]
async fn an_empty_page_and_hits_without_an_id_are_accounted_for() {
    let stage = Stage::new().await;
    let window = stage.window(400).await;
    let page = PageOfMessages {
        messages: &[],
        without_id: 3,
        tally_before: window.tally,
        bookmark: "b",
    };
    let recorded = stage.ledger.record_page(&window, &page, LEASE).await.unwrap();
    let tally = Tally {
        without_id: 3,
        ..counted(3)
    };
    assert_eq!(recorded, Recorded::Done { tally, batches: 0 });
}

#[tokio::test]
async fn h14_a_page_whose_answer_was_lost_is_found_recorded() {
    let stage = Stage::new().await;
    let window = stage.window(400).await;
    let first = record_page(&stage.ledger, &window, &many("m", 1_000)).await;
    let second = record_page(&stage.ledger, &window, &many("m", 1_000)).await;
    let tally = Tally {
        recorded: 1_000,
        ..counted(1_000)
    };
    assert_eq!(first, Recorded::Done { tally, batches: 3 });
    assert_eq!(second, Recorded::Done { tally, batches: 0 });
    assert_eq!(messages_and_owned(&stage).await, (1_000, 1_000));
}

#[tokio::test]
async fn a_page_that_the_window_is_past_is_a_defect_and_writes_nothing() {
    let stage = Stage::new().await;
    let mut window = stage.window(400).await;
    let stale = window.clone();
    stage.record(&mut window, &many("m", 10)).await;
    stage.record(&mut window, &many("n", 10)).await;
    let page = PageOfMessages {
        messages: &many("o", 10),
        without_id: 0,
        tally_before: stale.tally,
        bookmark: "b",
    };
    let refused = stage.ledger.record_page(&stale, &page, LEASE).await.unwrap_err();
    assert!(matches!(refused, LedgerError::Inconsistent { .. }));
    assert_eq!(messages_and_owned(&stage).await, (20, 20));
}

#[tokio::test]
async fn the_second_hit_with_an_id_on_a_page_is_a_duplicate() {
    let stage = Stage::new().await;
    let mut window = stage.window(400).await;
    let mut page = many("m", 10);
    page.extend(many("m", 4));
    let tally = stage.record(&mut window, &page).await;
    assert_eq!(
        tally,
        Tally {
            recorded: 10,
            duplicate: 4,
            ..counted(14)
        }
    );
    assert_batches_are_as_large_as_what_they_own(&stage).await;
}

#[tokio::test]
async fn what_another_window_owns_stays_there() {
    let stage = Stage::new().await;
    let mut first = stage.window(400).await;
    stage.record(&mut first, &many("m", 700)).await;
    let mut second = stage.window(400).await;
    let tally = stage.record(&mut second, &many("m", 1_000)).await;
    assert_eq!(
        tally,
        Tally {
            recorded: 300,
            owned_elsewhere: 700,
            ..counted(1_000)
        }
    );
    let query = format!(
        "SELECT message_count FROM batch WHERE window_id = {} ORDER BY id",
        second.id
    );
    let sizes: Vec<u32> = stage.database.rows(&query).await;
    assert_eq!(
        sizes,
        [300],
        "what two batches hardly filled is in one, and none is empty"
    );
    assert_batches_are_as_large_as_what_they_own(&stage).await;
}

#[tokio::test]
async fn h12_an_id_that_another_document_has_is_a_duplicate() {
    let stage = Stage::new().await;
    let mut first = stage.window(400).await;
    stage.record(&mut first, &many("m", 4)).await;
    let mut twins = many("m", 4);
    twins[0].index = "messages-2".into();
    twins[1].doc_id = Some("another".into());
    let mut second = stage.window(400).await;
    let tally = stage.record(&mut second, &twins).await;
    assert_eq!(
        tally,
        Tally {
            owned_elsewhere: 2,
            duplicate: 2,
            ..counted(4)
        }
    );
    let same_window = stage.record(&mut first, &twins).await;
    assert_eq!(
        same_window,
        Tally {
            recorded: 6,
            duplicate: 2,
            ..counted(8)
        }
    );
}

#[tokio::test]
async fn h17_what_nobody_owns_is_adopted_as_the_source_shows_it_now() {
    let stage = Stage::new().await;
    let mut first = stage.window(400).await;
    stage.record(&mut first, &many("m", 5)).await;
    stage.give_up(first.migration_id).await;
    assert_eq!(messages_and_owned(&stage).await, (5, 0));

    let mut page = many("m", 8);
    page[0] = SeenMessage {
        doc_id: Some("d".into()),
        index: "messages-2".into(),
        routing: Some("r".into()),
        ..seen_at("m000000", "2026-01-01T15:00:00Z")
    };
    let mut second = stage.window(400).await;
    let tally = stage.record(&mut second, &page).await;
    assert_eq!(
        tally,
        Tally {
            recorded: 3,
            adopted: 5,
            ..counted(8)
        }
    );
    assert_eq!(messages_and_owned(&stage).await, (8, 8));
    assert_batches_are_as_large_as_what_they_own(&stage).await;
    let adopted: (String, String, String, String) = stage
        .database
        .row(
            "SELECT CAST(doc_id AS CHAR), CAST(i.name AS CHAR), CAST(routing AS CHAR), \
             DATE_FORMAT(b.hour_start, '%H') FROM message m JOIN batch b ON b.id = m.batch_id \
             JOIN source_index i ON i.id = m.index_id \
             WHERE message_id = 'm000000'",
        )
        .await;
    assert_eq!(
        adopted,
        ("d".into(), "messages-2".into(), "r".into(), "15".into())
    );
}

#[tokio::test]
async fn a_page_that_mixes_everything_adds_up() {
    let stage = Stage::new().await;
    let mut cancelled = stage.window(3).await;
    stage.record(&mut cancelled, &many("released", 5)).await;
    stage.give_up(cancelled.migration_id).await;
    let mut other = stage.window(3).await;
    stage.record(&mut other, &many("owned", 5)).await;

    let mut window = stage.window(3).await;
    stage.record(&mut window, &many("mine", 4)).await;
    let page: Vec<_> = ["new", "owned", "released", "mine", "new"]
        .iter()
        .flat_map(|name| many(name, 6))
        .collect();
    let before = window.tally;
    let after = stage.record(&mut window, &page).await;
    let page_alone = Tally {
        found: 30,
        recorded: 6 + 1 + 1 + 6, // new, the sixth `owned` and `released`, all of `mine`
        adopted: 5,
        owned_elsewhere: 5,
        duplicate: 6,
        without_id: 0,
    };
    assert_eq!(after, before + page_alone);
    assert_batches_are_as_large_as_what_they_own(&stage).await;
}

#[tokio::test]
async fn a_batch_never_spans_two_hours() {
    let stage = Stage::new().await;
    let mut window = stage.window(400).await;
    let times = ["10:59:59.999999", "11:00:00", "11:59:59.999999", "12:00:00"];
    let page: Vec<_> = times
        .iter()
        .enumerate()
        .map(|(number, time)| seen_at(&format!("m{number}"), &format!("2026-01-01T{time}Z")))
        .collect();
    stage.record(&mut window, &page).await;
    let outside: u64 = stage
        .database
        .row(
            "SELECT COUNT(*) FROM message m JOIN batch b ON b.id = m.batch_id \
             WHERE m.event_time < b.hour_start OR m.event_time >= b.hour_start + INTERVAL 1 HOUR",
        )
        .await;
    let batches: u64 = stage.database.row("SELECT COUNT(*) FROM batch").await;
    assert_eq!((outside, batches), (0, 3));
}

#[tokio::test]
async fn h13_ids_are_bytes_and_come_back_as_they_were() {
    let stage = Stage::new().await;
    let longest = "é".repeat(MESSAGE_ID_BYTES_MAX / 2);
    let mut ids = vec![
        "a",
        "A",
        "a ",
        "a  ",
        " a",
        "á",
        "a\u{301}",
        "ß",
        "ss",
        "🚚",
        "🚚🚚",
        "'; DROP TABLE message; --",
        "\"\\%_",
        "\u{1}\t\n",
        "NULL",
        "0",
        "00",
        &longest,
    ];
    let batch = stage.batch(&ids).await;
    let mut owned: Vec<_> = stage.ledger.messages_of(batch).await.unwrap();
    owned.sort_by(|left, right| left.message_id.cmp(&right.message_id));
    ids.sort_unstable();
    let found: Vec<_> = owned.iter().map(|message| message.message_id.as_str()).collect();
    assert_eq!(found, ids);

    let mut again = stage.window(400).await;
    let page: Vec<_> = ids.iter().map(|id| seen(id)).collect();
    assert_eq!(
        stage.record(&mut again, &page).await.owned_elsewhere,
        ids.len() as u64
    );
}

#[tokio::test]
async fn document_ids_indices_and_routings_come_back_as_they_were() {
    let stage = Stage::new().await;
    let mut window = stage.window(400).await;
    let message = SeenMessage {
        doc_id: Some("ä 🚚 ".repeat(40)),
        index: "ö".repeat(127).into(),
        routing: Some("ü/🚚 ".into()),
        ..seen("m")
    };
    stage.record(&mut window, std::slice::from_ref(&message)).await;
    let batch = granary_domain::BatchId(stage.database.row("SELECT id FROM batch").await);
    let owned = stage.ledger.messages_of(batch).await.unwrap().pop().unwrap();
    assert_eq!(
        (owned.doc_id, owned.index, owned.routing, owned.exception),
        (message.doc_id, message.index.to_string(), message.routing, None)
    );
}

#[tokio::test]
async fn what_insert_ignore_would_cut_is_an_error_and_writes_nothing() {
    let stage = Stage::new().await;
    let window = stage.window(400).await;
    let mut page = many("m", 10);
    page[5].index = "x".repeat(256).into();
    let page = PageOfMessages {
        messages: &page,
        without_id: 0,
        tally_before: window.tally,
        bookmark: "b",
    };
    let refused = stage.ledger.record_page(&window, &page, LEASE).await.unwrap_err();
    assert!(matches!(refused, LedgerError::Inconsistent { .. }), "{refused}");
    assert_eq!(messages_and_owned(&stage).await, (0, 0));
}

#[tokio::test]
async fn instants_are_kept_to_the_microsecond() {
    let stage = Stage::new().await;
    let mut window = stage.window(400).await;
    stage
        .record(&mut window, &[seen_at("m", "2026-01-01T23:59:59.999999999Z")])
        .await;
    let time: String = stage
        .database
        .row("SELECT CAST(event_time AS CHAR) FROM message")
        .await;
    assert_eq!(time, "2026-01-01 23:59:59.999999");
    assert_eq!(stage.ledger.progress_of(a_day()).await.unwrap().known, 1);
}

/// Two harvesters over one range, whose pages overlap in different ways and meet in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h17_harvesters_that_record_the_same_ids_at_once_lose_and_double_nothing() {
    const PAGES: usize = 6;
    const PAGE: usize = 700;
    let stage = Stage::new().await;
    let ids = many("m", PAGES * PAGE);
    let mut forwards = stage.window(250).await;
    let mut backwards = stage.window(300).await;
    let read = async |pages: Vec<&[SeenMessage]>, window: &mut granary_ledger::harvest::LeasedWindow| {
        for page in pages {
            stage.record(window, page).await;
        }
        window.tally
    };
    let reversed: Vec<_> = ids.rchunks(PAGE - 150).collect();
    let (one, another) = tokio::join!(
        read(ids.chunks(PAGE).collect(), &mut forwards),
        read(reversed, &mut backwards)
    );
    let all = ids.len() as u64;
    assert_eq!((one.found, another.found), (all, all));
    assert_eq!((one.duplicate, another.duplicate), (0, 0));
    assert_eq!(one.recorded + another.recorded, all);
    assert_eq!(
        (one.owned_elsewhere, another.owned_elsewhere),
        (another.recorded, one.recorded)
    );
    assert_eq!(messages_and_owned(&stage).await, (all, all));
    assert_batches_are_as_large_as_what_they_own(&stage).await;
}
