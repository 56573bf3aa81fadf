//! The archive: the form of an object, writing it locally, putting it to S3 exactly once, and reading it back.
//!
//! A batch goes through here in this order: its messages become [`Line`]s of a [`Spool`] in the temp directory;
//! the [`SealedSpool`] knows its counts, digest and checksum; [`Archive::put`] makes an object of it, unless one
//! stands at that key; [`Archive::put_manifest`] accounts for it. [`Archive::read_back`] recounts any object.
//!
//! Not responsible for: which object is on record (the ledger is), what to do with an object that doesn't verify
//! (the exporter decides), the bucket's lifecycle rules. Every failure is an [`ArchiveError`] that says whose
//! fault it is; whatever failed can be done again as a whole.

mod line;
mod archived;
mod contents;
mod exported;
mod pack;
mod spool;
mod store;
mod put;
mod multipart;
mod unpack;
mod lines;
mod read;
mod find;
mod manifest;
mod number_mark;
mod quarantine;
mod listing;
mod look;
mod remove;
mod refusal;
mod error;

pub use archived::ArchivedDocument;
pub use contents::{Contents, Sha256Sum};
pub use error::{ArchiveError, SpoolError};
pub use find::FoundLine;
pub use line::{Line, MetadataValue, sha256_in_line};
pub use listing::{ObjectPage, StoredObject, UnfinishedUpload};
pub use look::Seen;
pub use number_mark::{FoundMark, Raised};
pub use put::{PutOutcome, PutSettings};
pub use quarantine::{Kept, QUARANTINE_BYTES_MAX};
pub use refusal::{ObjectFault, Refusal};
pub use remove::Removal;
pub use spool::{SealedSpool, Spool, sweep_leftovers};
pub use store::Archive;
