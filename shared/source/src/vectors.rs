//! Asking for vectors: from 9.2 on Elasticsearch leaves them out of `_source` unless a request says otherwise.
//!
//! Earlier versions refuse the parameter. Where the version isn't known (the credentials lack `monitor`), it is sent, and
//! left out for good once it was refused.

use crate::Source;
use crate::error::SourceError;
use crate::version::has_vectors_parameter;
use std::sync::atomic::{AtomicU8, Ordering};

const PARAMETER: (&str, &str) = ("_source_exclude_vectors", "false");
const UNKNOWN: u8 = 0;
const ASKED_FOR: u8 = 1;
const NEVER_LEFT_OUT: u8 = 2;

/// Whether this Elasticsearch is to be asked for vectors, as far as the process knows.
#[derive(Debug, Default)]
pub(crate) struct Vectors {
    known: AtomicU8,
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
            self.known.store(NEVER_LEFT_OUT, Ordering::Relaxed);
        }
        is_refused
    }

    fn parameter(&self) -> Option<(&'static str, &'static str)> {
        (self.known.load(Ordering::Relaxed) != NEVER_LEFT_OUT).then_some(PARAMETER)
    }
}

impl Source {
    /// The parameter that brings vectors, where there is one.
    pub(crate) async fn vectors_parameter(&self) -> Option<(&'static str, &'static str)> {
        let vectors = self.vectors();
        if vectors.known.load(Ordering::Relaxed) == UNKNOWN
            && let Ok(version) = self.version().await
        {
            let known = if has_vectors_parameter(&version) {
                ASKED_FOR
            } else {
                NEVER_LEFT_OUT
            };
            vectors.known.store(known, Ordering::Relaxed);
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
