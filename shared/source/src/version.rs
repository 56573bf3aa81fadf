//! Which Elasticsearch it is, and whether that is one that Granary can read.

use crate::Source;
use crate::error::SourceError;
use crate::problem::SourceProblem;
use crate::wire::Call;
use serde::Deserialize;

const OPERATION: &str = "ask for the version";
const VERSION_MIN: (u32, u32) = (7, 17);
const VECTORS_FROM: (u32, u32) = (9, 2);

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
    /// An older one than 7.17 is a problem, and so is another server.
    pub async fn version(&self) -> Result<String, SourceProblem> {
        let version = self.asked_version().await;
        let version = version.map_err(|error| SourceProblem::from_error(error, &self.settings().index))?;
        if is_too_old(&version) {
            return Err(SourceProblem::TooOld { version });
        }
        Ok(version)
    }

    async fn asked_version(&self) -> Result<String, SourceError> {
        let root: Root = self.wire().read(&Call::get(OPERATION, "/", &[])).await?;
        Ok(root.version.number)
    }
}

fn is_too_old(version: &str) -> bool {
    parsed(version).is_some_and(|version| version < VERSION_MIN)
}

/// Whether requests may say that vectors belong to `_source`.
pub(crate) fn has_vectors_parameter(version: &str) -> bool {
    parsed(version).is_some_and(|version| version >= VECTORS_FROM)
}

/// Major and minor.
fn parsed(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_too_old_before_7_17_and_never_where_it_is_unknown() {
        let old = ["6.8.23", "7.16.3", "7.17.0", "8.19.8", "9.1.0", "next"].map(is_too_old);
        assert_eq!(old, [true, true, false, false, false, false]);
        let vectors = ["8.19.21", "9.1.9", "9.2.0", "9.5.3", "10.0.0-SNAPSHOT"].map(has_vectors_parameter);
        assert_eq!(vectors, [false, false, true, true, true]);
    }
}
