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
const OPEN: &str = "open a point in time";
/// How often it is opened anew as its indices have changed.
const OPENINGS_MAX: u32 = 3;

/// A frozen view of the source. Elasticsearch may change its id with every page: always use the newest. It can be
/// put on record and used again by another process, as long as it lives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PointInTime {
    pub(crate) id: String,
    pub(crate) resolution: TimeResolution,
    /// The indices in it that are read; `None`: all.
    #[serde(default)]
    pub(crate) only: Option<Vec<String>>,
    /// The others, and the indices that aren't in it though the source's name matches them.
    #[serde(default)]
    left_out: Vec<String>,
}

impl PointInTime {
    /// The indices of which nothing is read, by name.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// The same view under its newest id.
    pub(crate) fn renamed(&self, id: Option<String>) -> Self {
        let mut same = self.clone();
        same.id = id.unwrap_or(same.id);
        same
    }
}

#[derive(Deserialize)]
struct Opened {
    id: String,
}

impl Source {
    /// Freezes the source as it is now. Close it when done; a forgotten one closes itself after 5 minutes.
    pub async fn open_pit(&self) -> Result<PointInTime, SourceError> {
        for _ in 0..OPENINGS_MAX {
            let survey = self.surveyed().await?;
            let reach = survey.reach();
            let id = open(self.wire(), &reach.name).await?;
            // After it: the indices that are there now are those of the view, unless one came or went since the survey.
            let time_field = &self.settings().time_field;
            let mappings = self.mappings_of(&reach.name, time_field).await?;
            // One that came to an alias since the survey isn't in a view of the others by name.
            let is_changed = reach.differs_from(&mappings)
                || reach.is_by_name(&self.settings().index) && self.has_changed_since(&survey).await?;
            if !is_changed {
                return Ok(PointInTime {
                    id,
                    resolution: reach.resolution(time_field, &mappings),
                    only: reach.only().map(<[String]>::to_vec),
                    left_out: reach.left_out().to_vec(),
                });
            }
            close(self.wire(), &id).await?;
            self.look_anew().await;
        }
        Err(SourceError::Unavailable {
            operation: OPEN,
            status: None,
            retry_after: None,
            reason: "its indices change faster than they can be looked at".to_owned(),
        })
    }

    /// Lets go of a point in time. One that is gone already is fine.
    pub async fn close_pit(&self, pit: PointInTime) -> Result<(), SourceError> {
        close(self.wire(), &pit.id).await
    }
}

/// Opens a point in time over an index, an alias, a pattern or a list.
pub(crate) async fn open(wire: &Wire, index: &str) -> Result<String, SourceError> {
    let operation = OPEN;
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
