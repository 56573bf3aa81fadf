//! Asking for vectors: from 9.2 on Elasticsearch leaves them out of `_source` unless a request says otherwise.
//!
//! Earlier versions refuse the parameter. Where the version isn't known (the credentials lack `monitor`), it is sent, and left
//! out once it was refused. The version is asked for again every 15 minutes as long as the parameter is left out.

use crate::Source;
use crate::error::SourceError;
use crate::version::has_vectors_parameter;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const PARAMETER: (&str, &str) = ("_source_exclude_vectors", "false");
/// A cluster may be upgraded under a process that lives on.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(900);

/// Whether this Elasticsearch is to be asked for vectors, as far as the process knows.
#[derive(Debug, Default)]
pub(crate) struct Vectors {
    known: Mutex<Known>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Known {
    #[default]
    Nothing,
    AskedFor,
    NeverLeftOut {
        since: Instant,
    },
}

impl Vectors {
    /// Whether a request was refused for the parameter, and is to be sent without it.
    pub(crate) fn are_refused_by(&self, error: &SourceError) -> bool {
        let is_refused = matches!(
            error,
            SourceError::Refused { status: 400, reason, .. }
                if reason.contains("unrecognized parameter") && reason.contains(PARAMETER.0)
        );
        if is_refused {
            *self.known() = Known::NeverLeftOut {
                since: Instant::now(),
            };
        }
        is_refused
    }

    fn parameter(&self) -> Option<(&'static str, &'static str)> {
        match *self.known() {
            Known::Nothing | Known::AskedFor => Some(PARAMETER),
            Known::NeverLeftOut { .. } => None,
        }
    }

    fn is_version_wanted(&self) -> bool {
        match *self.known() {
            Known::Nothing => true,
            Known::AskedFor => false,
            Known::NeverLeftOut { since } => since.elapsed() >= ASK_AGAIN_AFTER,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    /// The parameter that brings vectors, where there is one.
    pub(crate) async fn vectors_parameter(&self) -> Option<(&'static str, &'static str)> {
        let vectors = self.vectors();
        if vectors.is_version_wanted()
            && let Ok(version) = self.version().await
        {
            *vectors.known() = if has_vectors_parameter(&version) {
                Known::AskedFor
            } else {
                Known::NeverLeftOut {
                    since: Instant::now(),
                }
            };
        }
        vectors.parameter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e6_a_parameter_that_was_refused_is_not_sent_again_and_another_refusal_says_nothing() {
        let refused = |reason: &str| SourceError::Refused {
            operation: "read documents",
            status: 400,
            reason: reason.to_owned(),
        };
        let vectors = Vectors::default();
        assert!(!vectors.are_refused_by(&refused("illegal_argument_exception: no")));
        assert!(vectors.parameter().is_some());
        let unknown = "illegal_argument_exception: request [/_mget] contains unrecognized parameter: [_source_exclude_vectors]";
        assert!(vectors.are_refused_by(&refused(unknown)));
        assert_eq!(vectors.parameter(), None);
    }
}
