//! The database below every other folder: connections and their limits, errors, rows, the schema, batch numbers.
//!
//! Not here: what any row says about the journey of a message (the other folders).

pub(crate) mod connect;
pub(crate) mod connections;
mod limits;
mod tls;
pub(crate) mod error;
pub(crate) mod row;
pub(crate) mod shape;
pub(crate) mod ids;
pub(crate) mod indices;
mod schema;
mod schema_change;
mod numbers;
mod database;
mod rights;

pub use database::{DatabaseInfo, TableSize};
pub use numbers::{NUMBERS_PER_BLOCK, NumberBlock, RestoredLedger};
pub use rights::RIGHTS_NEEDED;
pub use schema::{PendingMigration, Schema, needed_schema};
pub use schema_change::SchemaChange;
