//! What the operator is told by its environment.

use crate::auth::Tokens;
use aws_config::SdkConfig;
use granary_environment::{
    ArchiveSection, Environment, InvalidEnvironment, LedgerSection, QueueSection, Reading, SecretVariable,
    SourceSection, Variable,
};
use jiff::SignedDuration;
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
const ENVIRONMENT: Variable = Variable {
    name: "GRANARY_ENVIRONMENT",
    holds: "the environment that this is, such as local, staging or production",
};
const ALLOW_SEEDING: Variable = Variable {
    name: "GRANARY_ALLOW_SEEDING",
    holds: "true to allow test data, or false; never true in production",
};
const HARVEST_LAG_SECONDS: Variable = Variable {
    name: "GRANARY_HARVEST_LAG_SECONDS",
    holds: "how many seconds before now the youngest message is that is harvested",
};
const BATCH_SIZE: Variable = Variable {
    name: "GRANARY_BATCH_SIZE",
    holds: "how many messages a batch has at most",
};
const LISTEN: Variable = Variable {
    name: "GRANARY_LISTEN",
    holds: "the address and port to listen on outside of Lambda, such as 127.0.0.1:8787",
};

/// A migration may ask for no more, whatever the default is.
pub(crate) const BATCH_SIZE_MAX: u32 = 10_000;
const BATCH_SIZE_DEFAULT: u32 = 500;
const HARVEST_LAG_SECS_DEFAULT: u32 = 120;
const HARVEST_LAG_SECS_MAX: u32 = 86_400;
const LISTEN_PORT_DEFAULT: u16 = 8787;

/// Whether test data may be written and cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeedingRule {
    Allowed,
    Refused,
}

/// What the operator is told by its environment.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) ledger: LedgerSection,
    pub(crate) source: SourceSection,
    pub(crate) archive: ArchiveSection,
    pub(crate) queues: QueueSection,
    pub(crate) tokens: Tokens,
    pub(crate) seeding: SeedingRule,
    /// Messages younger than this are left to settle at the source.
    pub(crate) harvest_lag: SignedDuration,
    /// Messages in a batch of a migration that doesn't say.
    pub(crate) batch_size: u32,
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
        let seeding = read_seeding_rule(&mut env);
        let lag_secs = env.number(HARVEST_LAG_SECONDS, HARVEST_LAG_SECS_DEFAULT, 0..=HARVEST_LAG_SECS_MAX);
        let batch_size = env.number(BATCH_SIZE, BATCH_SIZE_DEFAULT, 1..=BATCH_SIZE_MAX);
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
                seeding: seeding?,
                harvest_lag: SignedDuration::from_secs(lag_secs?.into()),
                batch_size: batch_size?,
                listen: listen?.unwrap_or((Ipv4Addr::LOCALHOST, LISTEN_PORT_DEFAULT).into()),
            })
        })
    }
}

/// Seeding in production is a mistake of whoever deploys, so it stops the deployment rather than a request.
fn read_seeding_rule(env: &mut Environment) -> Reading<SeedingRule> {
    let is_production = env.optional(ENVIRONMENT).as_deref() == Some("production");
    match (env.switch(ALLOW_SEEDING)?, is_production) {
        (true, true) => Err(env.refuse(ALLOW_SEEDING, "GRANARY_ENVIRONMENT is production")),
        (true, false) => Ok(SeedingRule::Allowed),
        (false, _) => Ok(SeedingRule::Refused),
    }
}
