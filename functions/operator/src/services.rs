//! What the routes talk to: the ledger, the source, the archive, the queues.
//!
//! Nothing is connected before a route needs it, so that a ledger that is down at a cold start doesn't take
//! `/health` with it.

use crate::auth::Role;
use crate::config::Config;
use crate::problem::Problem;
use anyhow::Context;
use aws_config::SdkConfig;
use granary_archive::Archive;
use granary_handoff::{Handoff, QueueUrls};
use granary_ledger::{Audit, Ledger, LedgerSettings};
use granary_source::Source;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::OnceCell;

/// Requests come one at a time in Lambda; the second connection is for a heartbeat, the others for local use.
const LEDGER_CONNECTIONS_MAX: usize = 4;

/// What the routes talk to.
pub(crate) struct Services {
    pub(crate) config: Config,
    pub(crate) source: Source,
    pub(crate) archive: Archive,
    pub(crate) handoff: Handoff,
    /// The dead-letter queues, in the lanes of the queues that they belong to.
    pub(crate) dead_letters: Option<Handoff>,
    ledger: OnceCell<Ledger>,
}

impl Services {
    /// Clients for everything, none of them connected.
    pub(crate) fn new(config: Config, aws: &SdkConfig) -> anyhow::Result<Self> {
        let source = Source::new(config.source.clone().into()).context("the source can't be asked")?;
        let queues = &config.queues;
        let handoff = Handoff::new(
            aws,
            QueueUrls {
                normal: queues.queue_url.clone(),
                priority: queues.priority_queue_url.clone(),
            },
        );
        let dead_letters = queues.dlq_url.clone().zip(queues.priority_dlq_url.clone());
        let dead_letters =
            dead_letters.map(|(normal, priority)| Handoff::new(aws, QueueUrls { normal, priority }));
        Ok(Self {
            source,
            archive: Archive::new(aws, &config.archive.bucket, config.archive.layout.clone()),
            handoff,
            dead_letters,
            ledger: OnceCell::new(),
            config,
        })
    }

    /// The ledger. The first caller connects; where that fails, the next one tries again.
    pub(crate) async fn ledger(&self) -> Result<&Ledger, Problem> {
        let settings = || LedgerSettings {
            url: self.config.ledger.url.clone(),
            connections_max: LEDGER_CONNECTIONS_MAX,
        };
        let connected = self
            .ledger
            .get_or_try_init(|| async { Ledger::connect(&settings()).await });
        Ok(connected.await?)
    }

    /// Writes down what somebody did. It is part of the doing: where it fails, the request fails.
    pub(crate) async fn record(&self, done: Done) -> Result<(), Problem> {
        let audit = Audit {
            who: done.by.to_string(),
            action: done.action,
            arguments: done.arguments,
            effect: Some(done.effect),
        };
        Ok(self.ledger().await?.record_audit(&audit).await?)
    }

    /// The instant before which messages have settled at the source, on a whole second.
    pub(crate) fn horizon(&self) -> Timestamp {
        let settled = Timestamp::now() - self.config.harvest.lag;
        Timestamp::from_second(settled.as_second()).unwrap_or(settled)
    }
}

/// Something that somebody did, for the audit.
pub(crate) struct Done {
    pub(crate) by: Role,
    pub(crate) action: &'static str,
    pub(crate) arguments: Value,
    pub(crate) effect: Value,
}
