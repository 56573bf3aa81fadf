//! What was seeded and what became of it.

use crate::indices::seeded;
use crate::{MESSAGE_ID_PREFIX, SeedError, Seeder, metadata};
use granary_domain::TimeRange;
use granary_source::{DocId, Source, SourceError, SourceSettings};
use serde::Serialize;
use std::collections::BTreeMap;

/// What was seeded and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeedStats {
    /// Seeded documents that the source has, by index.
    pub documents: BTreeMap<String, u64>,
    /// Seeded messages that the ledger has, by status: `pending`, `in_progress`, `completed`, `failed`, `missing` …
    pub ledger: BTreeMap<String, u64>,
}

impl Seeder {
    /// Counts seeded documents, and messages with a seeded id in the ledger.
    pub async fn stats(&self) -> Result<SeedStats, SeedError> {
        let mut documents = BTreeMap::new();
        for index in self.indices() {
            documents.insert(index.to_owned(), self.count(index).await?);
        }
        let ledger = self.ledger.seeded_by_status(MESSAGE_ID_PREFIX).await?;
        Ok(SeedStats { documents, ledger })
    }

    async fn count(&self, index: &str) -> Result<u64, SeedError> {
        let metadata = self.target.metadata.iter().find(|source| source.index == index);
        let source = Source::new(SourceSettings {
            url: self.section.url.clone(),
            credentials: self.section.credentials.clone(),
            ca: self.section.ca.clone(),
            index: index.to_owned(),
            id_field: "_id".to_owned(),
            doc_id_is_message_id: DocId::IsItsOwn,
            time_field: metadata
                .map_or(self.target.time_field.as_str(), metadata::time_field)
                .to_owned(),
            filter: Some(seeded()),
            request_timeout: self.target.request_timeout,
        })?;
        let pit = match source.open_pit().await {
            Err(SourceError::Refused { status: 404, .. }) => return Ok(0),
            pit => pit?,
        };
        let counted = source.count(&pit, TimeRange::EVER, None).await;
        source.close_pit(pit).await?;
        Ok(counted?)
    }
}
