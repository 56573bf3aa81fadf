//! Points in time: what the source showed when they were opened, however long it is read.

use crate::Source;
use crate::error::SourceError;
use crate::fields::TimeResolution;
use crate::wire::{Call, CallBody, Wire};
use elasticsearch::OpenPointInTimeParts;
use elasticsearch::http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How long a point in time outlives the last request that named it. Each page begins this time anew.
pub(crate) const KEEP_ALIVE: &str = "5m";
pub(crate) const KEEP_ALIVE_SECS: u64 = 300;

/// A frozen view of the source. Elasticsearch may change its id with every page: always use the newest. It can be
/// put on record and used again by another process, as long as it lives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PointInTime {
    pub(crate) id: String,
    pub(crate) resolution: TimeResolution,
}

#[derive(Deserialize)]
struct Opened {
    id: String,
}

impl Source {
    /// Freezes the source as it is now. Close it when done; a forgotten one closes itself after 5 minutes.
    pub async fn open_pit(&self) -> Result<PointInTime, SourceError> {
        let id = open(self.wire(), &self.settings().index).await?;
        // In this order: an index that comes between the two isn't in the view, and does no harm.
        let resolution = self.time_resolution().await?;
        Ok(PointInTime { id, resolution })
    }

    /// Lets go of a point in time. One that is gone already is fine.
    pub async fn close_pit(&self, pit: PointInTime) -> Result<(), SourceError> {
        close(self.wire(), &pit.id).await
    }
}

/// Opens a point in time over an index, an alias, a pattern or a list.
pub(crate) async fn open(wire: &Wire, index: &str) -> Result<String, SourceError> {
    let operation = "open a point in time";
    let path = OpenPointInTimeParts::Index(&[index]).url();
    let query = [("keep_alive", KEEP_ALIVE)];
    let call = Call {
        operation,
        method: Method::Post,
        path: &path,
        query: &query,
        body: CallBody::None,
    };
    let opened: Opened = wire.read(&call).await?;
    Ok(opened.id)
}

/// Closes one. 404 says that it is closed.
pub(crate) async fn close(wire: &Wire, id: &str) -> Result<(), SourceError> {
    let operation = "close a point in time";
    let body = CallBody::json(operation, &json!({ "id": id }))?;
    let call = Call {
        operation,
        method: Method::Delete,
        path: "/_pit",
        query: &[],
        body,
    };
    match wire.ask(&call).await {
        Ok(_) | Err(SourceError::PitLost | SourceError::Refused { status: 404, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
