//! Where the reading of a window goes on: kept in the ledger, so that the next harvester finds it.

use granary_source::{PointInTime, Position};
use serde::{Deserialize, Serialize};

/// The view that is being read, and how far it was read. Both end together: a cursor means nothing in another view.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bookmark {
    pub(crate) pit: PointInTime,
    pub(crate) position: Position,
}
