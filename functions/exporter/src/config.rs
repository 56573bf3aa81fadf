//! What the exporter is told by its environment.

use granary_environment::{
    ArchiveSection, Environment, InvalidEnvironment, LeaseSection, LedgerSection, MetadataSection,
    QueueSection, RetrySection, SourceSection,
};

/// The exporter's settings.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) ledger: LedgerSection,
    pub(crate) source: SourceSection,
    pub(crate) metadata: MetadataSection,
    pub(crate) archive: ArchiveSection,
    pub(crate) queues: QueueSection,
    pub(crate) retry: RetrySection,
    pub(crate) lease: LeaseSection,
}

impl Config {
    pub(crate) async fn read(aws: &aws_config::SdkConfig) -> Result<Self, InvalidEnvironment> {
        let mut env = Environment::from_process();
        let ledger = LedgerSection::read(&mut env, aws).await;
        let source = SourceSection::read(&mut env, aws).await;
        let metadata = MetadataSection::read(&mut env);
        let archive = ArchiveSection::read(&mut env);
        let queues = QueueSection::read(&mut env);
        let retry = RetrySection::read(&mut env);
        let lease = LeaseSection::read(&mut env);
        env.finish(|| {
            Ok(Self {
                ledger: ledger?,
                source: source?,
                metadata: metadata?,
                archive: archive?,
                queues: queues?,
                retry: retry?,
                lease: lease?,
            })
        })
    }
}
