//! Everything Granary asks of Elasticsearch, 7.17 and later: the ids of a window, full documents, related
//! metadata, and whether the source is fit to be harvested at all.
//!
//! It is the only crate that speaks to Elasticsearch. It decides nothing about messages: what is recorded, retried
//! later or given up is its callers' business, and they branch on [`SourceError`].
//!
//! **When it fails.** Whatever may pass by itself (429, 5xx, a lost connection, a stalled answer) is tried again for
//! a few seconds by the call itself and then comes back as [`SourceError::Unavailable`], or as
//! [`SourceError::BrokeOff`] where a document may be the reason. All reads may be repeated.
//! No error text holds an address, a credential or a message.

mod settings;
mod trouble;
mod error;
mod allowance;
mod authorization;
mod wire;
mod fields;
mod problem;
mod version;
mod vectors;
mod survey;
mod reach;
mod stretch;
mod query;
mod hits_max;
mod search;
mod pit;
mod hit_fields;
mod page;
mod bounds;
mod over_time;
mod by_id;
mod outside;
mod documents;
mod answered;
mod identity;
mod elsewhere;
mod lookup;
mod metadata_key;
mod metadata;
mod write_block;
mod write;

pub use allowance::ByteAllowance;
pub use answered::State;
pub use documents::{Absence, Document, DocumentRef};
pub use elsewhere::Place;
pub use error::{RawAnswer, SourceError};
pub use lookup::{ShownMessage, ShownTime};
pub use metadata::Metadata;
pub use outside::Outside;
pub use over_time::{CountedSpan, Span};
pub use page::{Hit, IdPage, PageRequest, Position, SortValues};
pub use pit::PointInTime;
pub use problem::{FieldRole, Flaw, Kept, LeftOut, Role, Severity, SourceProblem};
pub use settings::{DocId, SourceSettings};
pub use survey::{LeftOutIndex, Survey};
pub use write::{BulkFailure, BulkSummary, IndexWriter};
pub use write_block::WriteBlock;

use hits_max::HitsMax;
use metadata_key::Lookup;
use reach::Surveyed;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use vectors::Vectors;
use wire::Wire;

/// The source of one deployment. Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub struct Source {
    inner: Arc<Inner>,
}

struct Inner {
    settings: SourceSettings,
    wire: Wire,
    hits_max: HitsMax,
    vectors: Vectors,
    last_survey: tokio::sync::Mutex<Option<Surveyed>>,
    /// How metadata sources are looked up, and when that was asked.
    lookups: Mutex<Lookups>,
}

/// By index, key and sort field.
type Lookups = HashMap<String, (Instant, Lookup)>;

impl Source {
    /// A source that connects when it is first asked something. Fails only on settings that can't be used at all.
    pub fn new(settings: SourceSettings) -> Result<Self, SourceError> {
        let wire = Wire::new(
            &settings.url,
            settings.credentials.clone(),
            settings.ca.as_ref(),
            settings.request_timeout,
        )?;
        Ok(Self {
            inner: Arc::new(Inner {
                settings,
                wire,
                hits_max: HitsMax::default(),
                vectors: Vectors::default(),
                last_survey: tokio::sync::Mutex::default(),
                lookups: Mutex::default(),
            }),
        })
    }

    /// The field of the event time.
    pub fn time_field(&self) -> &str {
        &self.settings().time_field
    }

    fn settings(&self) -> &SourceSettings {
        &self.inner.settings
    }

    fn hits_max(&self) -> &HitsMax {
        &self.inner.hits_max
    }

    fn vectors(&self) -> &Vectors {
        &self.inner.vectors
    }

    fn last_survey(&self) -> &tokio::sync::Mutex<Option<Surveyed>> {
        &self.inner.last_survey
    }

    fn wire(&self) -> &Wire {
        &self.inner.wire
    }

    fn lookups(&self) -> MutexGuard<'_, Lookups> {
        self.inner.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
