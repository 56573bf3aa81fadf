//! The indices that test messages are written to: made where they are absent; where they exist,
//! the one field that test messages are told by is added.
//!
//! Only what is searched or sorted by is mapped; everything else stands in `_source` alone, which is what an export
//! reads, and costs nothing to index.

use crate::metadata::time_field;
use crate::{SEED_FIELD, SeedError, Seeder};
use granary_source::SourceError;
use serde_json::{Value, json};

impl Seeder {
    /// The messages' index, then those of the metadata.
    pub(crate) fn indices(&self) -> Vec<&str> {
        let metadata = self.target.metadata.iter().map(|source| source.index.as_str());
        let mut indices: Vec<&str> = std::iter::once(self.target.index.as_str()).collect();
        for index in metadata {
            if !indices.contains(&index) {
                indices.push(index);
            }
        }
        indices
    }

    pub(crate) async fn make_indices(&self) -> Result<(), SeedError> {
        let target = &self.target;
        let mut fields = json!({
            &target.time_field: {"type": "date"},
            "kind": {"type": "keyword"},
            "channel": {"type": "keyword"},
            "priority": {"type": "byte"},
        });
        if target.id_field != "_id" {
            fields[&target.id_field] = json!({"type": "keyword"});
        }
        self.make_index(&target.index, fields).await?;
        for source in &target.metadata {
            let fields = json!({
                &source.key: {"type": "keyword"},
                time_field(source): {"type": "date"},
            });
            self.make_index(&source.index, fields).await?;
        }
        Ok(())
    }

    async fn make_index(&self, index: &str, mut fields: Value) -> Result<(), SeedError> {
        fields[SEED_FIELD] = json!({"type": "long"});
        let body = json!({
            "settings": {"number_of_replicas": 0},
            "mappings": {"dynamic": false, "properties": fields},
        });
        match self.writer.create_index(index, &body).await {
            Err(SourceError::Refused { reason, .. }) if reason.contains("already exists as alias") => {}
            made => made?,
        }
        // An index that was there before may not map new fields by itself, and what isn't mapped is never found again.
        let seed_field = json!({"properties": {SEED_FIELD: {"type": "long"}}});
        Ok(self.writer.add_fields(index, &seed_field).await?)
    }

    /// Makes what was written visible. An index that isn't there has nothing to show.
    pub(crate) async fn refresh(&self, index: &str) -> Result<(), SeedError> {
        match self.writer.refresh(&[index]).await {
            Err(SourceError::Refused { status: 404, .. }) => Ok(()),
            refreshed => Ok(refreshed?),
        }
    }
}

/// Seeded documents, and no others.
pub(crate) fn seeded() -> Value {
    json!({"exists": {"field": SEED_FIELD}})
}
