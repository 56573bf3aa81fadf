//! What the harvester is told by its environment.

use granary_environment::{
    ArchiveSection, Environment, HarvestSection, InvalidEnvironment, LeaseSection, LedgerSection,
    MetadataSection, QueueSection, RescanSection, SourceSection,
};

/// The harvester's settings.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) ledger: LedgerSection,
    pub(crate) source: SourceSection,
    pub(crate) metadata: MetadataSection,
    pub(crate) archive: ArchiveSection,
    pub(crate) queues: QueueSection,
    pub(crate) harvest: HarvestSection,
    pub(crate) rescan: RescanSection,
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
        let harvest = HarvestSection::read(&mut env);
        let rescan = RescanSection::read(&mut env);
        let lease = LeaseSection::read(&mut env);
        env.finish(|| {
            Ok(Self {
                ledger: ledger?,
                source: source?,
                metadata: metadata?,
                archive: archive?,
                queues: queues?,
                harvest: harvest?,
                rescan: rescan?,
                lease: lease?,
            })
        })
    }
}
