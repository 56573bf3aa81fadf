//! What the operator is told by its environment.

use crate::auth::Tokens;
use aws_config::SdkConfig;
use granary_environment::{
    ArchiveSection, Environment, HarvestSection, InvalidEnvironment, LedgerSection, MetadataSection,
    QueueSection, RescanSection, SecretVariable, SourceSection, Variable,
};
use granary_seeding::SeedingSection;
use granary_sweep::SweepSection;
use std::net::{Ipv4Addr, SocketAddr};

const OPERATOR_TOKEN: SecretVariable = SecretVariable {
    plain: Variable {
        name: "GRANARY_OPERATOR_TOKEN",
        holds: "the bearer token of those who may change things",
    },
    arn: Variable {
        name: "GRANARY_OPERATOR_TOKEN_SECRET_ARN",
        holds: "the ARN of a Secrets Manager secret that is the bearer token of those who may change things",
    },
};
const VIEWER_TOKEN: SecretVariable = SecretVariable {
    plain: Variable {
        name: "GRANARY_VIEWER_TOKEN",
        holds: "the bearer token of those who may only look",
    },
    arn: Variable {
        name: "GRANARY_VIEWER_TOKEN_SECRET_ARN",
        holds: "the ARN of a Secrets Manager secret that is the bearer token of those who may only look",
    },
};
const LISTEN: Variable = Variable {
    name: "GRANARY_LISTEN",
    holds: "the address and port to listen on outside of Lambda, such as 127.0.0.1:8787",
};

/// Messages in a batch that a migration may ask for.
pub(crate) const BATCH_SIZE_MAX: u32 = 10_000;
const LISTEN_PORT_DEFAULT: u16 = 8787;

/// What the operator is told by its environment.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) ledger: LedgerSection,
    pub(crate) source: SourceSection,
    pub(crate) archive: ArchiveSection,
    pub(crate) queues: QueueSection,
    pub(crate) tokens: Tokens,
    pub(crate) metadata: MetadataSection,
    /// `None`: there is no test data here. Never there in production.
    pub(crate) seeding: Option<SeedingSection>,
    pub(crate) harvest: HarvestSection,
    pub(crate) sweep: SweepSection,
    pub(crate) rescan: RescanSection,
    pub(crate) listen: SocketAddr,
}

impl Config {
    /// The settings of this process, or everything that is wrong with them.
    pub(crate) async fn read(aws: &SdkConfig) -> Result<Self, InvalidEnvironment> {
        Self::read_from(Environment::from_process(), aws).await
    }

    pub(crate) async fn read_from(mut env: Environment, aws: &SdkConfig) -> Result<Self, InvalidEnvironment> {
        let ledger = LedgerSection::read(&mut env, aws).await;
        let source = SourceSection::read(&mut env, aws).await;
        let archive = ArchiveSection::read(&mut env);
        let queues = QueueSection::read(&mut env);
        let operator_token = env.optional_secret(OPERATOR_TOKEN, aws).await;
        let viewer_token = env.optional_secret(VIEWER_TOKEN, aws).await;
        let metadata = MetadataSection::read(&mut env);
        let seeding = SeedingSection::read(&mut env, aws).await;
        let harvest = HarvestSection::read(&mut env);
        let sweep = SweepSection::read(&mut env);
        let rescan = RescanSection::read(&mut env);
        let listen = env.optional_parsed(LISTEN, str::parse);
        env.finish(|| {
            Ok(Self {
                ledger: ledger?,
                source: source?,
                archive: archive?,
                queues: queues?,
                tokens: Tokens {
                    operator: operator_token?,
                    viewer: viewer_token?,
                },
                metadata: metadata?,
                seeding: seeding?,
                harvest: harvest?,
                sweep: sweep?,
                rescan: rescan?,
                listen: listen?.unwrap_or((Ipv4Addr::LOCALHOST, LISTEN_PORT_DEFAULT).into()),
            })
        })
    }
}
