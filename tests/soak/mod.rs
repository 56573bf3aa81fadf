//! The soak test (`make soak`): round after round, messages are archived while workers are killed every few seconds, the
//! ledger's server and Elasticsearch are killed and restarted, and every queue message is delivered at least twice.
//!
//! The first round is left in peace: it says what this machine can do. Each round has a ledger, queues and a bucket of its
//! own over one and the same index; at its end a verification in full must say COMPLETE, every id must be in the
//! archive once, and nothing may be parked. All rounds under fire together must reach half the throughput of the first.
//!
//! The clock runs faster than in the real thing: the harvester and the reaper tick every two seconds instead of every
//! minute, and a lease lasts 15 s instead of 90. Everything else is as deployed.

#![allow(clippy::print_stdout, reason = "people watch it for half an hour")]

mod peace;
mod fire;
mod round;
mod settings;

use crate::stage::{CANARY, Document, LedgerServer, Node};
use round::{Outcome, Round};
use settings::Settings;
use std::time::{Duration, Instant};

/// What is left when every worker may die at any moment.
const THROUGHPUT_SHARE_MIN: f64 = 0.5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_is_twice_whatever_dies() {
    let settings = Settings::from_environment();
    println!(
        "soak: {} messages a round, for {} min, seed {}",
        settings.messages,
        settings.duration.as_secs() / 60,
        settings.seed
    );
    let library = Library::open(settings.messages).await;
    let in_peace = library.round(Round::in_peace()).await;
    println!("in peace  {in_peace}");

    let started = Instant::now();
    let mut under_fire = Outcome::default();
    for number in 1.. {
        let round = library.round(Round::under_fire(settings.seed + number)).await;
        println!("{:>6} s  {round}", started.elapsed().as_secs());
        under_fire += round;
        if started.elapsed() >= settings.duration {
            break;
        }
    }
    let share = under_fire.per_second() / in_peace.per_second();
    println!("in all    {under_fire}");
    println!(
        "0 lost, 0 twice, 0 parked; {:.0} messages/s under fire, {:.0} in peace: {:.0} %",
        under_fire.per_second(),
        in_peace.per_second(),
        share * 100.0
    );
    assert!(
        under_fire.killed() > 0 && under_fire.restarts() > 0,
        "{under_fire}"
    );
    assert!(share >= THROUGHPUT_SHARE_MIN, "{share:.2}");
}

/// The services of all rounds, and the messages.
struct Library {
    /// Removed before the services that they are in.
    indices: round::IndexNames,
    messages: Vec<Document>,
    elasticsearch: tokio::sync::Mutex<Node>,
    ledger_server: tokio::sync::Mutex<LedgerServer>,
    restarts: tokio::sync::Mutex<fire::Restarts>,
}

const HOURS: usize = 30;
const TEXT_BYTES: usize = 1_200;
const INDEXED_AT_ONCE_MAX: usize = 50_000;

impl Library {
    async fn open(messages: usize) -> Self {
        let elasticsearch = Node::start().await;
        let ledger_server = LedgerServer::start().await;
        let messages: Vec<Document> = (0..messages).map(message).collect();
        let indices = round::IndexNames::make(&elasticsearch, &ledger_server).await;
        let started = Instant::now();
        for some in messages.chunks(INDEXED_AT_ONCE_MAX) {
            indices.write(some).await;
            println!("indexed {} s: {} more", started.elapsed().as_secs(), some.len());
        }
        Self {
            indices,
            messages,
            elasticsearch: elasticsearch.into(),
            ledger_server: ledger_server.into(),
            restarts: fire::Restarts::default().into(),
        }
    }

    async fn round(&self, round: Round) -> Outcome {
        tokio::time::timeout(ROUND_MAX, round.play(self))
            .await
            .expect("a round ends")
    }
}

/// A round that takes longer hangs.
const ROUND_MAX: Duration = Duration::from_secs(1_800);

fn message(number: usize) -> Document {
    let (hour, second) = (number % HOURS, number / HOURS % 3_600);
    let created_at = format!(
        "2026-03-{:02}T{:02}:{:02}:{:02}Z",
        1 + hour / 24,
        hour % 24,
        second / 60,
        second % 60
    );
    let text = format!("{CANARY} {number} ").repeat(TEXT_BYTES / 20);
    let body = format!(r#"{{"message_id":"m-{number:07}","created_at":"{created_at}","text":"{text}"}}"#);
    Document::raw(&format!("m-{number:07}"), body)
}
