//! One round: all messages from the index into an archive of the round's own, and the proof of it.

use super::Library;
use crate::stage::{Addresses, CANARY, Dice, Document, LedgerServer, Node, Stage};
use granary_verify::Verdict;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::RwLock;

const EXPORTERS: usize = 4;
const FROM: &str = "2026-03-01T00:00:00Z";
const TO: &str = "2026-03-03T00:00:00Z";
const SETTINGS: [(&str, &str); 5] = [
    ("GRANARY_BATCH_SIZE", "1000"),
    ("GRANARY_LEASE_SECONDS", "15"),
    ("GRANARY_RETRY_DELAY_MS", ""),
    ("GRANARY_HARVEST_INTERVAL", "3600"),
    ("GRANARY_LOG", "warn"),
];

/// Where the messages of all rounds are.
pub(super) struct IndexNames {
    owner: Stage,
    variables: [(&'static str, String); 2],
}

impl IndexNames {
    pub(super) async fn make(elasticsearch: &Node, ledger_server: &LedgerServer) -> Self {
        let mut owner = Stage::at(addresses(elasticsearch, ledger_server), "library", &[]).await;
        owner.have_metadata().await;
        let variables = ["GRANARY_SOURCE_INDEX", "GRANARY_METADATA_SOURCES"];
        let variables = variables.map(|name| (name, owner.setting(name).to_owned()));
        Self { owner, variables }
    }

    /// Every tenth message has a status.
    pub(super) async fn write(&self, messages: &[Document]) {
        self.owner.index_messages(messages).await;
        let status = |message: &Document| {
            let body = format!(r#"{{"message_id":"{}","state":"{CANARY}"}}"#, message.doc_id);
            Document::raw(&message.doc_id, body)
        };
        let statuses: Vec<_> = messages.iter().step_by(10).map(status).collect();
        self.owner
            .indices
            .write(&self.owner.indices.status, &statuses)
            .await;
    }
}

fn addresses(elasticsearch: &Node, ledger_server: &LedgerServer) -> Addresses {
    Addresses::from_environment()
        .with_node(elasticsearch)
        .with_ledger_server(ledger_server)
}

/// A round that is to be played.
pub(super) struct Round {
    is_under_fire: bool,
    dice: Dice,
}

impl Round {
    pub(super) fn in_peace() -> Self {
        Self {
            is_under_fire: false,
            dice: Dice::new(0),
        }
    }

    pub(super) fn under_fire(seed: u64) -> Self {
        Self {
            is_under_fire: true,
            dice: Dice::new(seed),
        }
    }

    pub(super) async fn play(self, library: &Library) -> Outcome {
        let mut settings = SETTINGS.to_vec();
        let indices = &library.indices.variables;
        settings.extend(indices.iter().map(|(name, value)| (*name, value.as_str())));
        let (elasticsearch, ledger_server) = (
            library.elasticsearch.lock().await,
            library.ledger_server.lock().await,
        );
        let mut stage = Stage::at(addresses(&elasticsearch, &ledger_server), "soak", &settings).await;
        drop((elasticsearch, ledger_server));
        stage.have_exporters(EXPORTERS);
        stage.backfill(FROM, TO).await;
        let play = Play {
            stage: &stage,
            exporters: EXPORTERS,
            is_under_fire: self.is_under_fire,
            dice: self.dice,
            is_over: AtomicBool::new(false),
            looking: RwLock::new(()),
            deliveries: AtomicU64::new(0),
            killed: Killed::default(),
        };
        let deliveries = futures::future::join_all((0..EXPORTERS).map(|number| play.deliver(number)));
        if self.is_under_fire {
            tokio::join!(play.tick(), deliveries, play.kill(), play.restart(library));
        } else {
            tokio::join!(play.tick(), deliveries);
        }
        let outcome = play.outcome().await;
        assert_archived(&stage, &library.messages).await;
        stage.finish().await;
        outcome
    }
}

/// A round that is being played.
pub(super) struct Play<'a> {
    pub(super) stage: &'a Stage,
    pub(super) exporters: usize,
    pub(super) is_under_fire: bool,
    pub(super) dice: Dice,
    pub(super) is_over: AtomicBool,
    /// Held for writing while the ledger's server is down: then the test itself doesn't look.
    pub(super) looking: RwLock<()>,
    pub(super) deliveries: AtomicU64,
    pub(super) killed: Killed,
}

#[derive(Default)]
pub(super) struct Killed {
    pub(super) exporters: AtomicU64,
    pub(super) harvesters: AtomicU64,
    pub(super) reapers: AtomicU64,
    pub(super) ledger_servers: AtomicU64,
    pub(super) elasticsearches: AtomicU64,
}

impl Play<'_> {
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub(super) async fn is_quiet(&self) -> bool {
        let _ledger_is_up = self.looking.read().await;
        self.stage.is_quiet().await
    }

    async fn outcome(&self) -> Outcome {
        let (micros, messages, batches): (u64, u64, u64) = self
            .stage
            .row(
                "SELECT TIMESTAMPDIFF(MICROSECOND, (SELECT MIN(created_at) FROM harvest_window), MAX(settled_at)), \
                 CAST(SUM(exported) AS UNSIGNED), COUNT(*) FROM batch WHERE status = 'completed'",
            )
            .await;
        let count = |outcome: &str| format!("SELECT COUNT(*) FROM attempt WHERE outcome = '{outcome}'");
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Outcome {
            messages,
            batches,
            time: Duration::from_micros(micros),
            deliveries: get(&self.deliveries),
            killed: [
                &self.killed.exporters,
                &self.killed.harvesters,
                &self.killed.reapers,
            ]
            .map(get),
            restarts: [&self.killed.ledger_servers, &self.killed.elasticsearches].map(get),
            reaped: self.stage.row(&count("reaped")).await,
            deferred: self.stage.row(&count("deferred")).await,
            attempts_max: self.stage.row("SELECT MAX(attempts) FROM batch").await,
        }
    }
}

/// Nothing lost, nothing twice, nothing parked: by the product's own verification, and by the ids read back here.
async fn assert_archived(stage: &Stage, messages: &[Document]) {
    let report = stage.verify(FROM, TO).await;
    assert_eq!(report.verdict, Verdict::Complete, "{:?}", report.account.findings);
    let parked: u64 = stage
        .row("SELECT COUNT(*) FROM batch WHERE parked_at IS NOT NULL")
        .await;
    assert_eq!(parked, 0, "parked");
    let lines = stage.bucket.lines().await;
    let ids: BTreeSet<&str> = lines.iter().map(|line| line.message_id.as_str()).collect();
    assert_eq!(lines.len(), ids.len(), "twice");
    let lost: Vec<&str> = messages
        .iter()
        .map(|message| message.doc_id.as_str())
        .filter(|id| !ids.contains(id))
        .take(10)
        .collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert_eq!(ids.len(), messages.len());
}

/// What one or more rounds came to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outcome {
    messages: u64,
    batches: u64,
    time: Duration,
    deliveries: u64,
    killed: [u64; 3],
    restarts: [u64; 2],
    reaped: u64,
    deferred: u64,
    attempts_max: u64,
}

impl Outcome {
    pub(super) fn per_second(&self) -> f64 {
        self.messages as f64 / self.time.as_secs_f64()
    }

    pub(super) fn killed(&self) -> u64 {
        self.killed.iter().sum()
    }

    pub(super) fn restarts(&self) -> u64 {
        self.restarts.iter().sum()
    }
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.batches += other.batches;
        self.time += other.time;
        self.deliveries += other.deliveries;
        std::iter::zip(&mut self.killed, other.killed).for_each(|(sum, more)| *sum += more);
        std::iter::zip(&mut self.restarts, other.restarts).for_each(|(sum, more)| *sum += more);
        self.reaped += other.reaped;
        self.deferred += other.deferred;
        self.attempts_max = self.attempts_max.max(other.attempts_max);
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [exporters, harvesters, reapers] = self.killed;
        let [ledger_server, elasticsearch] = self.restarts;
        write!(
            f,
            "{} messages in {:.1} s = {:.0}/s | {} batches, {} deliveries | killed: {exporters} exporters, {harvesters} \
             harvesters, {reapers} reapers, ledger server {ledger_server}, Elasticsearch {elasticsearch} | {} reaped, {} deferred, \
             {} attempts at most | COMPLETE",
            self.messages,
            self.time.as_secs_f64(),
            self.per_second(),
            self.batches,
            self.deliveries,
            self.reaped,
            self.deferred,
            self.attempts_max
        )
    }
}
