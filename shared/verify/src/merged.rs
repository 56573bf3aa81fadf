//! Merged ids: documents that are not archived because another document with the same id is.
//!
//! Two documents that one point in time shows in one part are distinguished at once. Where they lie in two hours, the second
//! may as well be the first one with another event time: so it counts only if the document on record still lies where it
//! was seen. Not here: whether an operator accepts them (`exceptions.rs`). An error leaves the part to the next step.

use crate::absent::Named;
use crate::look::Look;
use crate::{FindingKind, Verifier, VerifyError};
use granary_domain::{ExceptionKind, MessageId};
use granary_ledger::integrity::DocumentPlace;
use granary_source::{DocumentRef, Hit};
use std::collections::HashMap;
use std::sync::Arc;

const TEXT: &str = "have the id of another document, which alone is archived";

/// The documents of a part that share their ids, as far as they were read.
#[derive(Default)]
pub(crate) struct Twins {
    by_id: HashMap<MessageId, Twin>,
}

#[derive(Default)]
struct Twin {
    /// Whether one of the documents is the one on record.
    is_on_record: bool,
    /// The index of one that isn't: it stands for the message where none is on record here.
    spare: Option<Arc<str>>,
}

impl Named {
    /// Names a document whose id is another one's.
    pub(crate) fn merged(&mut self, look: &Look<'_>, index: &Arc<str>, id: &MessageId) {
        let finding = (FindingKind::MergedId, TEXT);
        self.except(look, (ExceptionKind::MergedId, index), finding, id);
    }
}

impl Twins {
    /// What is known now of each: all but one of an id's documents are merged.
    pub(crate) fn tell(self, look: &Look<'_>, named: &mut Named) {
        for (id, twin) in self.by_id {
            if let (true, Some(index)) = (twin.is_on_record, twin.spare) {
                named.merged(look, &index, &id);
            }
        }
    }
}

impl Verifier {
    /// Tells documents apart that share their ids with others of the part.
    pub(crate) async fn tell_apart(
        &self,
        look: &Look<'_>,
        hits: Vec<Hit>,
        twins: &mut Twins,
        named: &mut Named,
    ) -> Result<(), VerifyError> {
        let ids: Vec<&MessageId> = hits.iter().filter_map(|hit| hit.message_id.as_ref()).collect();
        let places = self.ledger.places_of_ids(&ids).await?;
        for hit in &hits {
            let Some(id) = &hit.message_id else { continue };
            let twin = twins.by_id.entry(id.clone()).or_default();
            if places.get(id).is_some_and(|place| lies_at(hit, place)) {
                twin.is_on_record = true;
            } else if twin.spare.is_none() {
                twin.spare = Some(hit.index.clone());
            } else {
                named.merged(look, &hit.index, id);
            }
        }
        Ok(())
    }

    /// Names the documents that are on record elsewhere under another document. The others were moved: by their event
    /// time, or to another index.
    pub(crate) async fn name_merged_elsewhere(
        &self,
        look: &Look<'_>,
        hits: &[Hit],
        named: &mut Named,
    ) -> Result<(), VerifyError> {
        let ids: Vec<&MessageId> = hits.iter().filter_map(|hit| hit.message_id.as_ref()).collect();
        let places = self.ledger.places_of_ids(&ids).await?;
        let mut others: Vec<(&Hit, &MessageId, &DocumentPlace)> = Vec::new();
        for hit in hits {
            let Some(id) = &hit.message_id else { continue };
            match places.get(id) {
                Some(place) if !lies_at(hit, place) => others.push((hit, id, place)),
                Some(_) | None => named.elsewhere += 1,
            }
        }
        let on_record: Vec<DocumentRef<'_>> = others
            .iter()
            .map(|(_, id, place)| DocumentRef {
                message_id: id.as_str(),
                index: &place.index,
                doc_id: place.doc_id.as_deref().unwrap_or(id.as_str()),
                routing: place.routing.as_deref(),
            })
            .collect();
        let are_in_place = self.source.are_in_place(&on_record).await?;
        for ((hit, id, _), is_in_place) in others.into_iter().zip(are_in_place) {
            if is_in_place {
                named.counted_twice.add(id.as_str().as_bytes());
                named.merged(look, &hit.index, id);
            } else {
                named.elsewhere += 1;
            }
        }
        Ok(())
    }
}

fn lies_at(hit: &Hit, place: &DocumentPlace) -> bool {
    *hit.index == *place.index && hit.doc_id == place.doc_id
}
