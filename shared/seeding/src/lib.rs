//! Test messages: written into the source with their metadata, counted, and cleared away again.
//!
//! Nothing here works unless the environment allows it: a [`Seeder`] is made from a [`SeedingSection`], and that is
//! made by the environment alone. It writes with a credential of its own; the source that Granary reads stays
//! read-only to everything else. Every document carries the field [`SEED_FIELD`], and nothing without it is ever
//! deleted, neither a document nor what became of it.
//!
//! Not responsible for exporting what was seeded: it is harvested like any other message. Seeding and clearing go in
//! steps; each may be repeated, and one that failed is taken again from its beginning.

mod section;
mod error;
mod message;
mod metadata;
mod indices;
mod bulk;
mod seed;
mod clear;
mod stats;

pub use clear::{ClearProgress, ClearReport, ClearStep};
pub use error::SeedError;
pub use message::MESSAGE_ID_PREFIX;
pub use section::SeedingSection;
pub use seed::{SeedArguments, SeedProgress, SeedReport, SeedStep};
pub use stats::SeedStats;

use granary_archive::Archive;
use granary_domain::MetadataSource;
use granary_environment::{HarvestSection, MetadataSection, SourceSection};
use granary_ledger::Ledger;
use granary_source::{IndexWriter, SourceSettings};
use std::sync::Arc;
use std::time::Duration;

/// The field that says of a document that it was seeded. It holds the seed number.
pub const SEED_FIELD: &str = "granary_seed";

/// Where seeded messages go, and in which form.
#[derive(Debug, Clone, PartialEq)]
pub struct SeedingTarget {
    /// The index of the messages, or an alias that can be written to; no pattern, no list.
    pub index: String,
    /// `GRANARY_SOURCE_ID_FIELD`.
    pub id_field: String,
    /// `GRANARY_SOURCE_TIME_FIELD`.
    pub time_field: String,
    /// The related documents.
    pub metadata: Vec<MetadataSource>,
    /// `GRANARY_HARVEST_LAG_SECONDS`: event times end before it, so that what is seeded is harvested at once.
    pub lag: Duration,
    /// How long one request may take.
    pub request_timeout: Duration,
}

impl SeedingTarget {
    /// Where a deployment with these settings is harvested.
    pub fn of(source: &SourceSection, metadata: &MetadataSection, harvest: &HarvestSection) -> Self {
        Self {
            index: source.index.clone(),
            id_field: source.id_field.clone(),
            time_field: source.time_field.clone(),
            metadata: metadata.sources.clone(),
            lag: harvest.lag,
            request_timeout: SourceSettings::REQUEST_TIMEOUT,
        }
    }
}

/// Writes test messages, and clears them away. Cheap to clone.
#[derive(Clone)]
pub struct Seeder {
    writer: Arc<IndexWriter>,
    section: SeedingSection,
    target: SeedingTarget,
    ledger: Ledger,
    archive: Archive,
}

impl Seeder {
    /// A seeder that connects when it is first used. Refuses a target that isn't one index.
    pub fn new(
        section: SeedingSection,
        target: SeedingTarget,
        ledger: Ledger,
        archive: Archive,
    ) -> Result<Self, SeedError> {
        if target.index.contains(['*', ',']) {
            return Err(SeedError::NotOneIndex { index: target.index });
        }
        let writer = IndexWriter::new(
            &section.url,
            section.credentials.clone(),
            section.ca.as_ref(),
            target.request_timeout,
        )?;
        Ok(Self {
            writer: Arc::new(writer),
            section,
            target,
            ledger,
            archive,
        })
    }
}
