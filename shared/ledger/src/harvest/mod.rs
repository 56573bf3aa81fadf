//! Harvest: migrations, the windows that they read, and the messages that are recorded from a page.
//!
//! Not here: how the source is read (`granary-source`, the harvester), and how batches are sent (`handoff`).

pub(crate) mod migration;
pub(crate) mod window;
pub(crate) mod over;
pub(crate) mod span;
pub(crate) mod left_out;
pub(crate) mod rescan;
mod lateness;
mod lag;
mod outside;
mod record;
pub(crate) mod account;
mod known;
mod batches;
pub(crate) mod messages;
pub(crate) mod plan;
pub(crate) mod recount;
mod cancel;
pub(crate) mod unowned;

pub use cancel::Cancelled;
pub use lag::Lag;
pub use lateness::Lateness;
pub use migration::{Migration, MigrationFilter, NewMigration};
pub use outside::OutsideCounts;
pub use record::{PageOfMessages, Recorded, SeenMessage};
pub use rescan::{DueRescan, RescanRules, Scan};
pub use unowned::UnownedMessage;
pub use window::{LeasedWindow, Window, WindowCounts};
