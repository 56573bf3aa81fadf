//! The mark: how far batch numbers were reserved and used, whatever became of the ledger since.
//!
//! One small object beside the source's data, written under the condition that it still is the one that was read, so two
//! writers never go back behind each other. Its writers only ever raise it.

use crate::error::{ArchiveError, status_of};
use crate::store::Archive;
use aws_sdk_s3::primitives::ByteStream;
use granary_domain::NumberMark;
use granary_steps::{Step, perform};

/// The mark as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundMark {
    /// What it says; nothing, where there is none.
    pub mark: NumberMark,
    /// S3's name for these very bytes; `None`: there is no mark yet.
    etag: Option<String>,
}

/// Whether the mark was raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raised {
    /// It says this now.
    Done,
    /// Somebody else raised it after it was read, or this very request did before its answer was lost.
    Overtaken,
}

impl Archive {
    /// Reads the mark.
    pub async fn number_mark(&self) -> Result<FoundMark, ArchiveError> {
        let key = self.layout.number_mark();
        let operation = "read the mark of batch numbers";
        let get = self.client.get_object().bucket(&self.bucket).key(key.as_str());
        let answer = match get.send().await {
            Ok(answer) => answer,
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|error| error.is_no_such_key()) =>
            {
                return Ok(FoundMark {
                    mark: NumberMark::default(),
                    etag: None,
                });
            }
            Err(error) => return Err(ArchiveError::of(operation, key.as_str(), error)),
        };
        let etag = answer.e_tag;
        let text = answer
            .body
            .collect()
            .await
            .map_err(|error| ArchiveError::Unavailable {
                operation,
                name: key.to_string(),
                source: error.into(),
            })?;
        let mark = serde_json::from_slice(&text.into_bytes())
            .map_err(|_| ArchiveError::corrupt(&key, "it is no mark of batch numbers"))?;
        Ok(FoundMark { mark, etag })
    }

    /// Raises the mark, unless it isn't the one that was found any more.
    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    pub async fn raise_number_mark(
        &self,
        mark: NumberMark,
        found: &FoundMark,
    ) -> Result<Raised, ArchiveError> {
        let key = self.layout.number_mark();
        let text = serde_json::to_vec(&mark).map_err(|error| {
            ArchiveError::corrupt(&key, format!("the mark can't be written down: {error}"))
        })?;
        let answer = perform(Step::RaiseNumberMark, || {
            let put = self.client.put_object().bucket(&self.bucket).key(key.as_str());
            let put = match &found.etag {
                Some(etag) => put.if_match(etag),
                None => put.if_none_match("*"),
            };
            put.content_type("application/json")
                .body(ByteStream::from(text.clone()))
                .send()
        })
        .await;
        match answer {
            Ok(_) => Ok(Raised::Done),
            Err(error) if matches!(status_of(&error), Some(404 | 409 | 412)) => Ok(Raised::Overtaken),
            Err(error) => Err(ArchiveError::of(
                Step::RaiseNumberMark.operation(),
                key.as_str(),
                error,
            )),
        }
    }
}
