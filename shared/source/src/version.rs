//! Which Elasticsearch it is. For people who look; nothing is decided by it here.

use crate::Source;
use crate::error::SourceError;
use crate::problem::SourceProblem;
use crate::wire::{Call, CallBody};
use elasticsearch::http::Method;
use serde::Deserialize;

const OPERATION: &str = "ask for the version";

#[derive(Deserialize)]
struct Root {
    version: Version,
}

#[derive(Deserialize)]
struct Version {
    number: String,
}

impl Source {
    /// The version as Elasticsearch tells it: `8.19.8`. It needs the cluster privilege `monitor`; where that is lacking,
    /// [`SourceProblem::Denied`] says at least that something answers.
    pub async fn version(&self) -> Result<String, SourceProblem> {
        self.asked_version()
            .await
            .map_err(|error| SourceProblem::from_error(error, &self.settings().index))
    }

    async fn asked_version(&self) -> Result<String, SourceError> {
        let call = Call {
            operation: OPERATION,
            method: Method::Get,
            path: "/",
            query: &[],
            body: CallBody::None,
        };
        let answer = self.wire().ask(&call).await?;
        let root: Root =
            serde_json::from_slice(&answer).map_err(|error| SourceError::malformed(OPERATION, &error))?;
        Ok(root.version.number)
    }
}
