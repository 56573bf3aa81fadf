//! What a repair does to what it found, for people who say themselves what it is about: messages by their ids, and
//! batches that are to be exported anew.
//!
//! The rules are the repair's: nothing is written in S3 here, asking twice is asking once, and a batch whose sound object
//! holds messages that the source no longer has is named and left alone, since a new object would hold less.
//!
//! **When it fails**, what was asked for before stays asked for, and asking again finds it.

use crate::repair::seen_message;
use crate::scan::{Pages, TRIES_MAX, is_worth_another_try};
use crate::{Verifier, VerifyError};
use granary_domain::{MessageId, TimeRange};
use granary_ledger::export::{ReExport, ReExported};
use granary_ledger::harvest::SeenMessage;
use jiff::Timestamp;

/// What the source shows of given messages.
#[derive(Debug, Clone, Default)]
pub struct ShownMessages {
    /// Those that have settled, by event time. One of which there are two documents is there twice.
    pub settled: Vec<SeenMessage>,
    /// Those that are too young: the harvest comes to them when they have settled.
    pub too_young: Vec<MessageId>,
}

/// Whether something is to be done, or only to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Nothing is written.
    Look,
    /// It is done.
    Do,
}

/// What became of a batch that is to be exported anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportedAnew {
    /// It waits to be sent, under its next generation; or it would.
    Asked,
    /// The same was asked before, and isn't over yet.
    UnderWay,
    /// It isn't what it was seen as any more.
    Changed,
    /// Nothing: a new object would lack messages that the source no longer has.
    WouldLose {
        /// How many.
        messages: u64,
    },
}

impl Verifier {
    /// Looks at the source for given messages, at most 10,000.
    pub async fn look_for(&self, ids: &[MessageId]) -> Result<ShownMessages, VerifyError> {
        let newest = self.newest().await?;
        let mut tries = 1;
        loop {
            match self.read_by_id(ids, newest).await {
                Err(error) if tries < TRIES_MAX && is_worth_another_try(&error) => tries += 1,
                shown => return shown,
            }
        }
    }

    async fn read_by_id(&self, ids: &[MessageId], newest: Timestamp) -> Result<ShownMessages, VerifyError> {
        let filter = self.source.filter_of_ids(ids);
        let mut pages = Pages::open(&self.source, TimeRange::EVER, Some(&filter)).await?;
        let shown = read_all(&mut pages, newest).await;
        pages.close().await;
        shown
    }

    /// Has a completed or parked batch exported anew, unless its object is sound and holds messages that the source no
    /// longer has.
    pub async fn export_anew(
        &self,
        wanted: &ReExport<'_>,
        intent: Intent,
    ) -> Result<ExportedAnew, VerifyError> {
        let objects = self.ledger.objects_of_batches(&[wanted.batch]).await?;
        let object = objects
            .get(&wanted.batch)
            .and_then(|objects| objects.named.as_ref());
        let only_archived = self.only_archived(wanted.batch, object).await?;
        if !only_archived.is_empty() {
            let messages = only_archived.len() as u64;
            return Ok(ExportedAnew::WouldLose { messages });
        }
        if intent == Intent::Look {
            return Ok(ExportedAnew::Asked);
        }
        Ok(match self.ledger.re_export(wanted).await? {
            ReExported::Asked => ExportedAnew::Asked,
            ReExported::UnderWay => ExportedAnew::UnderWay,
            ReExported::Changed => ExportedAnew::Changed,
        })
    }
}

async fn read_all(pages: &mut Pages<'_>, newest: Timestamp) -> Result<ShownMessages, VerifyError> {
    let mut shown = ShownMessages::default();
    while let Some(hits) = pages.next().await? {
        for message in hits.into_iter().filter_map(seen_message) {
            if message.event_time < newest {
                shown.settled.push(message);
            } else {
                shown.too_young.push(message.message_id);
            }
        }
    }
    Ok(shown)
}
