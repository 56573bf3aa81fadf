//! What the routes talk to: the ledger, the source, the archive, the queues.
//!
//! Nothing is connected before a route needs it, so that a ledger that is down at a cold start doesn't take
//! `/health` with it.

use crate::config::Config;
use crate::web::caller::Caller;
use crate::web::edge;
use crate::web::problem::{Kind, Problem};
use anyhow::Context;
use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use granary_alert::Publisher;
use granary_archive::Archive;
use granary_domain::Identity;
use granary_environment::{HarvestSection, Transport, identity_of};
use granary_handoff::{Handoff, QueueUrls};
use granary_ledger::settings::{Audit, Mismatch};
use granary_ledger::{Ledger, LedgerSettings};
use granary_source::{Source, SourceSettings};
use granary_switchboard::{Consumers, Migrator, Schedules};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Requests come one at a time in Lambda, and some ask several things at once.
const LEDGER_CONNECTIONS_MAX: usize = 4;
const AWS_CONNECT_SECS_MAX: u64 = 2;
const AWS_ATTEMPT_SECS_MAX: u64 = 5;
const AWS_OPERATION_SECS_MAX: u64 = 8;
/// Of a request to Elasticsearch, and, with all its tries, of a call to S3. A step of a long job that begins while
/// somebody waits fails in time then, as the platform's fault, and API Gateway, which waits for 30 s, gets its answer.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(8);

/// Changes of this deployment's own switches, and the one that makes the ledger its own: these are possible on any ledger.
const OWN_CHANGES: [&str; 5] = [
    "ledger.adopt",
    "scheduler.start",
    "scheduler.stop",
    "consumers.start",
    "consumers.stop",
];

/// What the routes talk to.
pub(crate) struct Services {
    pub(crate) config: Config,
    /// This deployment's settings of those that identify a ledger.
    pub(crate) identity: Identity,
    pub(crate) source: Source,
    pub(crate) archive: Archive,
    pub(crate) handoff: Handoff,
    /// The dead-letter queues, in the lanes of the queues that they belong to.
    pub(crate) dead_letters: Option<Handoff>,
    /// What starts the harvester and the reaper.
    pub(crate) schedules: Option<Schedules>,
    /// What starts exporters.
    pub(crate) consumers: Option<Consumers>,
    /// What changes the ledger's schema.
    pub(crate) migrator: Option<Migrator>,
    /// Where the reaper alerts people; looked at, never published to.
    pub(crate) topic: Option<Publisher>,
    ledger: Ledger,
}

impl Services {
    /// Clients for everything, none of them connected.
    pub(crate) fn new(config: Config, aws: &SdkConfig) -> anyhow::Result<Self> {
        let identity = identity_of(&config.archive, &config.source, &config.queues, aws);
        let settings = SourceSettings {
            request_timeout: REQUEST_TIMEOUT,
            ..config.source.clone().into()
        };
        let source = Source::new(settings).context("the source can't be asked")?;
        let ledger = Ledger::new(&LedgerSettings {
            url: config.ledger.url.clone(),
            connections_max: LEDGER_CONNECTIONS_MAX,
        })?;
        let queues = &config.queues;
        let archive =
            Archive::new(aws, &config.archive.bucket, config.archive.layout.clone()).within(REQUEST_TIMEOUT);
        let aws = &impatient(aws);
        let handoff = Handoff::new(
            aws,
            QueueUrls {
                normal: queues.queue_url.clone(),
                priority: queues.priority_queue_url.clone(),
            },
        );
        let dead_letters = &config.dead_letters;
        let dead_letters = dead_letters
            .dlq_url
            .clone()
            .zip(dead_letters.priority_dlq_url.clone());
        let dead_letters =
            dead_letters.map(|(normal, priority)| Handoff::new(aws, QueueUrls { normal, priority }));
        Ok(Self {
            source,
            archive,
            handoff,
            dead_letters,
            schedules: config.schedules.clone().map(|names| Schedules::new(aws, names)),
            consumers: config
                .exporter_function
                .clone()
                .map(|function| Consumers::new(aws, function)),
            migrator: config
                .migrator_function
                .clone()
                .map(|function| Migrator::new(aws, function)),
            topic: config
                .alert_topic_arn
                .clone()
                .map(|topic| Publisher::new(aws, topic)),
            ledger: ledger.impatient(),
            identity,
            config,
        })
    }

    /// The ledger. The first caller sees whether its schema is this program's; where it isn't, the next one looks again.
    pub(crate) async fn ledger(&self) -> Result<&Ledger, Problem> {
        self.ledger.ready().await?;
        Ok(&self.ledger)
    }

    /// The ledger, whatever its schema is: for those who look at that.
    pub(crate) fn any_ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How connections to the ledger are protected.
    pub(crate) fn ledger_transport(&self) -> Transport {
        self.config.ledger.url.current().0.transport()
    }

    /// How connections to Elasticsearch are protected.
    pub(crate) fn source_transport(&self) -> Transport {
        Transport::of_http(&self.config.source.url)
    }

    /// Writes down what somebody does, before it is done where that can be said. It is part of the doing: where it fails,
    /// the request fails. A `reason` among the arguments is why. On the ledger of another deployment it fails, so nothing is done.
    pub(crate) async fn record(&self, done: Done) -> Result<(), Problem> {
        self.write_down(&done.by, done.action, &done.arguments, done.effect)
            .await
    }

    /// Writes down that somebody begins what shows its effect only when it is done, with what was found before. `record`,
    /// with the same arguments, says the effect then; where nobody comes to that, the beginning stands.
    pub(crate) async fn record_begun(
        &self,
        by: &Caller,
        action: &'static str,
        arguments: &Value,
        found: &impl Serialize,
    ) -> Result<(), Problem> {
        let effect = json!({ Audit::BEGUN: found });
        self.write_down(by, action, arguments, effect).await
    }

    /// Refuses to change the ledger of another deployment.
    async fn refuse_elsewhere(&self, action: &str) -> Result<(), Problem> {
        if OWN_CHANGES.contains(&action) {
            return Ok(());
        }
        let mismatches = self.ledger().await?.mismatches(&self.identity).await?;
        if mismatches.is_empty() {
            return Ok(());
        }
        let detail = format!("Nothing was changed: {}.", Mismatch::told(&mismatches));
        Err(Problem::new(Kind::NotPossible, detail).remedy(
            "Restore the setting, or give this deployment a ledger of its own. If the change is meant: granary ledger adopt.",
        ))
    }

    async fn write_down(
        &self,
        by: &Caller,
        action: &'static str,
        arguments: &Value,
        effect: Value,
    ) -> Result<(), Problem> {
        self.refuse_elsewhere(action).await?;
        let reason = arguments.get("reason").and_then(Value::as_str);
        let audit = Audit {
            request_id: edge::request_id(),
            reason: reason.map(str::to_owned),
            who: by.to_string(),
            address: by.address().map(|address| address.to_string()),
            action,
            arguments: arguments.clone(),
            effect: Some(effect),
        };
        Ok(self.ledger().await?.record_audit(&audit).await?)
    }

    /// How the source is cut now: as the environment says, where no operator tuned it.
    pub(crate) async fn harvest(&self) -> Result<HarvestSection, Problem> {
        let tuning = self.ledger().await?.tuning().await?;
        Ok(self.config.harvest.tuned(&tuning))
    }

    /// The instant before which messages have settled at the source, by the database's clock, on a whole second.
    pub(crate) async fn horizon(&self) -> Result<Timestamp, Problem> {
        let settled = self.ledger().await?.now().await? - self.harvest().await?.lag;
        Ok(Timestamp::from_second(settled.as_second()).unwrap_or(settled))
    }
}

/// For queues, schedules and consumers: whoever asks for them waits for the answer, and nothing that they do takes long.
fn impatient(aws: &SdkConfig) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(AWS_CONNECT_SECS_MAX))
        .operation_attempt_timeout(Duration::from_secs(AWS_ATTEMPT_SECS_MAX))
        .operation_timeout(Duration::from_secs(AWS_OPERATION_SECS_MAX))
        .build();
    aws.to_builder().timeout_config(timeouts).build()
}

/// Something that somebody did, for the audit.
pub(crate) struct Done {
    pub(crate) by: Caller,
    pub(crate) action: &'static str,
    pub(crate) arguments: Value,
    pub(crate) effect: Value,
}
