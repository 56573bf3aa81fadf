//! What the operator is told by its environment.

use crate::web::access::{Access, Mode};
use aws_config::SdkConfig;
use granary_environment::{
    ArchiveSection, DeadLetterSection, Environment, HarvestSection, InvalidEnvironment, LedgerSection,
    MetadataSection, QueueSection, Reading, Reread, RescanSection, RetrySection, SecretVariable,
    SourceSection, Variable,
};
use granary_seeding::SeedingSection;
use granary_sweep::SweepSection;
use granary_switchboard::ScheduleNames;
use granary_tokens::TokenList;
use granary_verify::VerifySection;
use std::net::{Ipv4Addr, SocketAddr};

const TOKENS: SecretVariable = SecretVariable {
    plain: Variable {
        name: "GRANARY_TOKENS",
        holds: "the list of tokens as `granary token create --print` writes its entries, for the emulator",
    },
    arn: Variable {
        name: "GRANARY_TOKENS_SECRET_ARN",
        holds: "the ARN of the Secrets Manager secret that `granary token` keeps the list of tokens in",
    },
};
const API_ACCESS: Variable = Variable {
    name: "GRANARY_API_ACCESS",
    holds: "how callers prove who they are: token (which it is if unset), iam, jwt or none",
};
const JWT_ROLE_CLAIM: Variable = Variable {
    name: "GRANARY_JWT_ROLE_CLAIM",
    holds: "the claim of a JWT that names the role, granary-operator or granary-viewer; role if unset",
};
const LISTEN: Variable = Variable {
    name: "GRANARY_LISTEN",
    holds: "the address and port to listen on outside of Lambda, such as 127.0.0.1:8787",
};

const EXPORTER_FUNCTION: Variable = Variable {
    name: "GRANARY_EXPORTER_FUNCTION",
    holds: "the name of the exporter, whose consumers are switched",
};
const HARVESTER_SCHEDULE: Variable = Variable {
    name: "GRANARY_HARVESTER_SCHEDULE",
    holds: "group/name of the schedule that starts the harvester, together with GRANARY_REAPER_SCHEDULE",
};
const ONE_SCHEDULE: &str = "it is not set, and the other schedule's name is";
const REAPER_SCHEDULE: Variable = Variable {
    name: "GRANARY_REAPER_SCHEDULE",
    holds: "group/name of the schedule that starts the reaper, together with GRANARY_HARVESTER_SCHEDULE",
};

const MIGRATOR_FUNCTION: Variable = Variable {
    name: "GRANARY_MIGRATOR_FUNCTION",
    holds: "the name of the migrator, which is invoked where a person has the schema brought up to date",
};

const ALERT_TOPIC: Variable = Variable {
    name: "GRANARY_ALERT_TOPIC_ARN",
    holds: "the ARN of the topic that the reaper alerts people by, to look whether it is there",
};

/// Messages in a batch that a migration may ask for.
pub(crate) const BATCH_SIZE_MAX: u32 = 10_000;
const ROLE_CLAIM_DEFAULT: &str = "role";
const LISTEN_PORT_DEFAULT: u16 = 8787;

/// What the operator is told by its environment.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) ledger: LedgerSection,
    pub(crate) source: SourceSection,
    pub(crate) archive: ArchiveSection,
    pub(crate) queues: QueueSection,
    pub(crate) dead_letters: DeadLetterSection,
    /// How callers prove who they are.
    pub(crate) access: Access,
    pub(crate) metadata: MetadataSection,
    /// `None`: there is no test data here. Never there in production.
    pub(crate) seeding: Option<SeedingSection>,
    pub(crate) harvest: HarvestSection,
    pub(crate) sweep: SweepSection,
    pub(crate) verify: VerifySection,
    pub(crate) rescan: RescanSection,
    pub(crate) retry: RetrySection,
    /// `None`: there are no consumers to be switched.
    pub(crate) exporter_function: Option<String>,
    /// `None`: `POST /schema/migrate` is refused.
    pub(crate) migrator_function: Option<String>,
    /// `None`: the topic isn't looked at.
    pub(crate) alert_topic_arn: Option<String>,
    /// `None`: there are no schedules to be switched.
    pub(crate) schedules: Option<ScheduleNames>,
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
        let dead_letters = DeadLetterSection::read(&mut env);
        let access = access(&mut env, aws).await;
        let metadata = MetadataSection::read(&mut env);
        let seeding = SeedingSection::read(&mut env, aws).await;
        let harvest = HarvestSection::read(&mut env);
        let sweep = SweepSection::read(&mut env);
        let verify = VerifySection::read(&mut env);
        let rescan = RescanSection::read(&mut env);
        let retry = RetrySection::read(&mut env);
        let exporter_function = env.optional(EXPORTER_FUNCTION);
        let migrator_function = env.optional(MIGRATOR_FUNCTION);
        let alert_topic_arn = env.optional(ALERT_TOPIC);
        let schedules = schedules(&mut env);
        let listen = env.optional_parsed(LISTEN, str::parse);
        env.finish(|| {
            Ok(Self {
                ledger: ledger?,
                source: source?,
                archive: archive?,
                queues: queues?,
                dead_letters: dead_letters?,
                access: access?,
                metadata: metadata?,
                seeding: seeding?,
                harvest: harvest?,
                sweep: sweep?,
                verify: verify?,
                rescan: rescan?,
                retry: retry?,
                exporter_function,
                migrator_function,
                alert_topic_arn,
                schedules: schedules?,
                listen: listen?.unwrap_or((Ipv4Addr::LOCALHOST, LISTEN_PORT_DEFAULT).into()),
            })
        })
    }
}

/// The mode, with what it needs. The tokens are not fetched where another mode would never look at them. Where the mode can't be
/// read, they are, so that their faults are named along with it.
async fn access(env: &mut Environment, aws: &SdkConfig) -> Reading<Access> {
    let mode = env.optional_parsed(API_ACCESS, Mode::parse);
    let mode = mode.map(|mode| mode.unwrap_or(Mode::Token));
    match mode {
        Ok(Mode::Token) | Err(_) => {
            let tokens = Reread::read(env, TOKENS, parse_tokens, aws).await;
            mode?;
            Ok(Access::Token(tokens?))
        }
        Ok(Mode::Iam) => Ok(Access::Iam),
        Ok(Mode::Jwt) => {
            let role_claim = env.optional(JWT_ROLE_CLAIM);
            Ok(Access::Jwt {
                role_claim: role_claim.unwrap_or_else(|| ROLE_CLAIM_DEFAULT.to_owned()),
            })
        }
        Ok(Mode::None) => Ok(Access::Invoke),
    }
}

fn parse_tokens(text: &str) -> Result<TokenList, String> {
    TokenList::parse(text).map_err(|error| error.to_string())
}

/// Both names, or neither of them.
fn schedules(env: &mut Environment) -> Reading<Option<ScheduleNames>> {
    let harvester = env.optional_parsed(HARVESTER_SCHEDULE, str::parse);
    let reaper = env.optional_parsed(REAPER_SCHEDULE, str::parse);
    match (harvester?, reaper?) {
        (Some(harvester), Some(reaper)) => Ok(Some(ScheduleNames { harvester, reaper })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(env.refuse(REAPER_SCHEDULE, ONE_SCHEDULE)),
        (None, Some(_)) => Err(env.refuse(HARVESTER_SCHEDULE, ONE_SCHEDULE)),
    }
}
