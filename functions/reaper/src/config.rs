//! What the reaper is told by its environment.

use granary_alert::Sender;
use granary_environment::{
    ArchiveSection, Deployment, Environment, HarvestSection, InvalidEnvironment, LedgerSection,
    MetadataSection, ProofSection, QueueSection, Reading, RescanSection, RetrySection, SourceSection,
    Variable,
};
use granary_seeding::SeedingSection;
use granary_sweep::SweepSection;
use granary_verify::VerifySection;
use std::time::Duration;

const ALERT_TOPIC_ARN: Variable = Variable {
    name: "GRANARY_ALERT_TOPIC_ARN",
    holds: "the ARN of the SNS topic that people are told through",
};
const API_URL: Variable = Variable {
    name: "GRANARY_API_URL",
    holds: "the address of the operator, https://…, that alerts link to; without it they have no links",
};
const FAILURE_RATE_THRESHOLD: Variable = Variable {
    name: "GRANARY_FAILURE_RATE_THRESHOLD",
    holds: "the share of failed attempts above which people are told, 0.0 to 1.0, or leave it out for 0.1",
};
const FAILURE_RATE_THRESHOLD_DEFAULT: f64 = 0.1;

const EXPORTER_FUNCTION: Variable = Variable {
    name: "GRANARY_EXPORTER_FUNCTION",
    holds: "the name of the exporter, whose triggers are looked at where nothing is exported",
};
const HISTORY_DAYS: Variable = Variable {
    name: "GRANARY_HISTORY_DAYS",
    holds: "the days after which alerts, audit entries and finished operations are forgotten; 0 means never",
};
const HISTORY_DAYS_DEFAULT: u64 = 400;
const SECONDS_PER_DAY: u64 = 86_400;
const REAPER_CONCURRENCY: Variable = Variable {
    name: "GRANARY_REAPER_CONCURRENCY",
    holds: "1 (which it is if unset) where Lambda starts one reaper at a time; 0 where it may start several",
};

/// The reaper's settings.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) ledger: LedgerSection,
    pub(crate) queues: QueueSection,
    pub(crate) retry: RetrySection,
    pub(crate) proof: ProofSection,
    pub(crate) operations: OperationsConfig,
    pub(crate) alert_topic_arn: String,
    /// Whose alerts they are.
    pub(crate) sender: Sender,
    pub(crate) failure_rate_threshold: f64,
    /// `None`: its triggers can't be looked at.
    pub(crate) exporter_function: Option<String>,
    /// How long alerts, audit entries and finished operations are kept. `None`: for ever.
    pub(crate) history: Option<Duration>,
    /// Whether Lambda starts one reaper at a time. Otherwise ticks take turns.
    pub(crate) is_alone: bool,
}

/// What the work on operations needs.
#[derive(Debug, Clone)]
pub(crate) struct OperationsConfig {
    pub(crate) source: SourceSection,
    pub(crate) metadata: MetadataSection,
    pub(crate) archive: ArchiveSection,
    pub(crate) harvest: HarvestSection,
    pub(crate) rescan: RescanSection,
    pub(crate) sweep: SweepSection,
    pub(crate) verify: VerifySection,
    /// `None`: there is no test data here. Never there in production.
    pub(crate) seeding: Option<SeedingSection>,
}

impl Config {
    pub(crate) async fn read(aws: &aws_config::SdkConfig) -> Result<Self, InvalidEnvironment> {
        let mut env = Environment::from_process();
        let ledger = LedgerSection::read(&mut env, aws).await;
        let queues = QueueSection::read(&mut env);
        let retry = RetrySection::read(&mut env);
        let proof = ProofSection::read(&mut env);
        let source = SourceSection::read(&mut env, aws).await;
        let metadata = MetadataSection::read(&mut env);
        let archive = ArchiveSection::read(&mut env);
        let harvest = HarvestSection::read(&mut env);
        let rescan = RescanSection::read(&mut env);
        let sweep = SweepSection::read(&mut env);
        let verify = VerifySection::read(&mut env);
        let seeding = SeedingSection::read(&mut env, aws).await;
        let alert_topic_arn = env.required(ALERT_TOPIC_ARN);
        let deployment = Deployment::read(&mut env);
        let api_url = env.optional_parsed(API_URL, parse_api_url);
        let failure_rate_threshold = read_threshold(&mut env);
        let exporter_function = env.optional(EXPORTER_FUNCTION);
        let history_days = env.number(HISTORY_DAYS, HISTORY_DAYS_DEFAULT, 0..=36_500);
        let concurrency = env.number(REAPER_CONCURRENCY, 1_u32, 0..=1);
        env.finish(|| {
            let (history_days, archive) = (history_days?, archive?);
            let sender = Sender {
                environment: deployment?.as_str(),
                source: archive.source_name.clone(),
                api_url: api_url?,
            };
            Ok(Self {
                ledger: ledger?,
                queues: queues?,
                retry: retry?,
                proof: proof?,
                operations: OperationsConfig {
                    source: source?,
                    metadata: metadata?,
                    archive,
                    harvest: harvest?,
                    rescan: rescan?,
                    sweep: sweep?,
                    verify: verify?,
                    seeding: seeding?,
                },
                alert_topic_arn: alert_topic_arn?,
                sender,
                failure_rate_threshold: failure_rate_threshold?,
                exporter_function,
                history: (history_days > 0).then(|| Duration::from_secs(history_days * SECONDS_PER_DAY)),
                is_alone: concurrency? == 1,
            })
        })
    }
}

fn parse_api_url(text: &str) -> Result<String, &'static str> {
    match text.starts_with("https://") || text.starts_with("http://") {
        true => Ok(text.trim_end_matches('/').to_owned()),
        false => Err("it doesn't begin with https://"),
    }
}

fn read_threshold(env: &mut Environment) -> Reading<f64> {
    let threshold = env.optional_parsed(FAILURE_RATE_THRESHOLD, |text| match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        Ok(_) | Err(_) => Err("it is not a number from 0.0 to 1.0"),
    })?;
    Ok(threshold.unwrap_or(FAILURE_RATE_THRESHOLD_DEFAULT))
}
