//! The documents of given messages, wherever they lie: as a filter for pages, counts and bounds, so that what is
//! read by ids is read the way the harvest reads.

use crate::Source;
use granary_domain::MessageId;
use serde_json::{Value, json};

impl Source {
    /// Query DSL that the documents of these messages match. Elasticsearch takes 65,536 ids at most.
    pub fn filter_of_ids(&self, ids: &[MessageId]) -> Value {
        json!({"terms": {&self.settings().id_field: ids}})
    }
}
