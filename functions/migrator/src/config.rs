//! The migrator's settings, from its environment: where the ledger is, and nothing else.

use aws_config::SdkConfig;
use granary_environment::{Environment, InvalidEnvironment, LedgerSection};

/// The migrator's settings.
pub(crate) struct Config {
    pub(crate) ledger: LedgerSection,
}

impl Config {
    pub(crate) async fn read(aws: &SdkConfig) -> Result<Self, InvalidEnvironment> {
        let mut env = Environment::from_process();
        let ledger = LedgerSection::read(&mut env, aws).await;
        env.finish(|| Ok(Self { ledger: ledger? }))
    }
}
