//! Pages of ids that the ledger knows, as every re-scan asks them all night: what looking them up reads, and whom it waits for.

use super::asking::{Asking, ask};
use super::{LOGGED, SYNTHETIC};
use crate::stage::{LEASE, a_day, seen_at};
use crate::synthetic::{Synthetic, window_of};
use granary_domain::{BatchId, MessageId, Outcome};
use granary_ledger::Ledger;
use granary_ledger::export::{Claim, ClaimedBatch, Exception};
use granary_ledger::harvest::{LeasedWindow, PageOfMessages, Recorded, SeenMessage};
use granary_test_database::LedgerServer;
use mysql_async::prelude::Queryable;

const PAGE: u64 = 10_000;
/// A prime: places far apart, and in no order.
const STEP: u64 = 7_919;
const ROUNDS: u64 = 5;

/// Ids that the ledger knows: of a hundred thousand, every one whose place leaves `rest`, as the source shows them.
fn known(rest: u64, parts: u64) -> Vec<MessageId> {
    let places = (0..SYNTHETIC.messages()).map(|number| 1 + (number * STEP) % SYNTHETIC.messages());
    let mine = places.filter(|place| place % parts == rest).take(PAGE as usize);
    mine.map(|place| Synthetic::id(place).try_into().unwrap())
        .collect()
}

fn page(ids: &[MessageId]) -> Vec<SeenMessage> {
    let seen = |id: &MessageId| seen_at(id.as_str(), "2026-01-01T12:00:00Z");
    ids.iter().map(seen).collect()
}

fn first_page<'a>(window: &LeasedWindow, messages: &'a [SeenMessage]) -> PageOfMessages<'a> {
    PageOfMessages {
        messages,
        without_id: 0,
        tally_before: window.tally,
        bookmark: "next",
    }
}

async fn server_with_messages() -> (LedgerServer, Ledger) {
    let server = LedgerServer::start_with(&LOGGED).await;
    let ledger = server.ledger().await;
    crate::stage::with_numbers(&ledger).await;
    SYNTHETIC.fill(&mut server.connection().await).await;
    (server, ledger)
}

#[tokio::test]
async fn a_look_up_of_10_000_known_ids_reads_at_most_four_rows_an_id() {
    let (server, ledger) = server_with_messages().await;
    let mut asking = Asking::new(&server).await;
    let ids = known(3, 9);
    assert_eq!(ids.len() as u64, PAGE);
    let borrowed: Vec<&MessageId> = ids.iter().collect();
    assert_eq!(
        ask!(asking, ledger.standings_of_ids(&borrowed)).len() as u64,
        PAGE
    );
    assert_eq!(ask!(asking, ledger.places_of_ids(&borrowed)).len() as u64, PAGE);
    assert_eq!(
        ask!(asking, ledger.owners_on_record(&borrowed)).len() as u64,
        PAGE
    );
    ask!(asking, ledger.owners_of(&ids));
    ask!(asking, ledger.completed_owners_of(&ids));
    ask!(asking, ledger.forget_unowned(&ids));

    let window = window_of(&ledger, a_day(), "look-ups", LEASE).await;
    let messages = page(&ids);
    let recorded = ask!(
        asking,
        ledger.record_page(&window, &first_page(&window, &messages), LEASE)
    );
    let Recorded::Done { tally, batches } = recorded else {
        panic!("the window is somebody else's")
    };
    assert_eq!((tally.recorded, batches), (0, 0), "all of them are known");

    // Every message of a large batch is an exception: an index that is gone.
    let batch = batch_of(&server, &ledger, &ids).await;
    let exceptions: Vec<Exception> = ids
        .iter()
        .map(|id| Exception {
            message_id: id.clone(),
            outcome: Outcome::Missing,
            reason: "its index is gone".into(),
        })
        .collect();
    ask!(asking, ledger.record_exceptions(&batch, &exceptions));

    // The entry of the index, the row and its batch; a page asks for the row and for the batch apart.
    let excesses = asking
        .excesses(|function| {
            if function == "forget_unowned" {
                8 * PAGE
            } else {
                4 * PAGE
            }
        })
        .await;
    assert!(excesses.is_empty(), "{excesses:#?}");
    assert_eq!(asking.ranges_without_memory().await, 0);
}

/// A batch of all these messages, in a worker's hands.
async fn batch_of(server: &LedgerServer, ledger: &Ledger, ids: &[MessageId]) -> ClaimedBatch {
    let id = SYNTHETIC.first_pending() + 30;
    for chunk in ids.chunks(1_000) {
        let list: Vec<String> = chunk.iter().map(|id| format!("'{}'", id.as_str())).collect();
        let list = list.join(",");
        server
            .administer(&format!(
                "UPDATE message SET batch_id = {id}, outcome = NULL WHERE message_id IN ({list})"
            ))
            .await;
    }
    match ledger.claim(BatchId(id), "worker", LEASE).await.unwrap() {
        Claim::Won(claimed) => *claimed,
        Claim::Lost(why) => panic!("batch {id} was not claimed: {why:?}"),
    }
}

/// A transaction that waited for another one's rows while that one waits for its own would be broken off, and a page of ten
/// thousand is never short enough to come through by luck.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_two_harvesters_whose_pages_have_no_id_in_common_never_deadlock() {
    let (server, ledger) = server_with_messages().await;
    let mut windows = [
        window_of(&ledger, a_day(), "one", LEASE).await,
        window_of(&ledger, a_day(), "another", LEASE).await,
    ];
    for round in 0..ROUNDS {
        let pages = [0, 1].map(|rest| {
            let new = (0..1_000).map(|number| {
                seen_at(
                    &format!("{:08X}-new-{round}-{rest}", number * 97),
                    "2026-01-01T12:00:00Z",
                )
            });
            page(&known(rest, 2)).into_iter().chain(new).collect::<Vec<_>>()
        });
        let [one, other] = &windows;
        let (first, second) = tokio::join!(
            recorded(&ledger, one, &pages[0]),
            recorded(&ledger, other, &pages[1]),
        );
        for (window, tally) in windows.iter_mut().zip([first, second]) {
            assert_eq!(tally.recorded, 1_000 * (round + 1));
            window.tally = tally;
            window.pages += 1;
        }
    }
    let broken = server.deadlocks().await;
    assert!(
        broken == 0,
        "{broken} deadlocks: {}",
        last_deadlock(&server).await
    );
}

async fn recorded(ledger: &Ledger, window: &LeasedWindow, messages: &[SeenMessage]) -> granary_domain::Tally {
    let (ledger, window, messages) = (ledger.clone(), window.clone(), messages.to_vec());
    let recording = async move {
        ledger
            .record_page(&window, &first_page(&window, &messages), LEASE)
            .await
    };
    match tokio::spawn(recording).await.unwrap().unwrap() {
        Recorded::Done { tally, .. } => tally,
        Recorded::Refused => panic!("the window is somebody else's"),
    }
}

/// What the engine says of the last one.
async fn last_deadlock(server: &LedgerServer) -> String {
    let mut conn = server.connection().await;
    let status: Option<(String, String, String)> =
        conn.query_first("SHOW ENGINE INNODB STATUS").await.unwrap();
    let (_, _, text) = status.unwrap();
    let begins = text.find("LATEST DETECTED DEADLOCK").unwrap_or(0);
    text[begins..].chars().take(8_000).collect()
}
