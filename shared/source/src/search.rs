//! One search of the source's index whose answer is small: every shard of it answers, or it fails.
//!
//! Not for pages of ids (`page.rs`), documents and metadata (`documents.rs`, `metadata.rs`), whose answers are large. What an answer
//! has to be complete in, whoever asks says.

use crate::Source;
use crate::error::SourceError;
use crate::reach::Reach;
use crate::stretch::Zone;
use crate::wire::{Call, CallBody};
use bytes::Bytes;
use elasticsearch::SearchParts;
use elasticsearch::http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How often a search that failed by chance is sent.
const TRIES_MAX: u32 = 10;

impl Source {
    /// What a search answers. `operation` is a verb, for errors.
    pub(crate) async fn search<A: DeserializeOwned>(
        &self,
        operation: &'static str,
        body: &impl Serialize,
    ) -> Result<A, SourceError> {
        let survey = self.surveyed().await?;
        self.search_in(survey.reach(), Zone::Everywhere, operation, body)
            .await
    }

    /// What a search of some indices in a stretch of event time answers.
    pub(crate) async fn search_in<A: DeserializeOwned>(
        &self,
        reach: &Reach,
        zone: Zone,
        operation: &'static str,
        body: &impl Serialize,
    ) -> Result<A, SourceError> {
        let path = SearchParts::Index(&[&reach.name]).url();
        let call = Call {
            operation,
            method: Method::Post,
            path: &path,
            query: &zone.shards(reach.only()),
            body: CallBody::json(operation, body)?,
        };
        let answer = self.ask_in(zone, &call).await?;
        serde_json::from_slice(&answer).map_err(|error| SourceError::malformed(operation, &error))
    }

    /// A search in a stretch of event time, sent again as long as it fails by chance.
    pub(crate) async fn ask_in(&self, zone: Zone, call: &Call<'_>) -> Result<Bytes, SourceError> {
        let mut tries = 1;
        loop {
            match self.wire().ask(call).await {
                Err(error) if zone.failed_by_chance(&error) && tries < TRIES_MAX => tries += 1,
                answer => return answer,
            }
        }
    }
}
