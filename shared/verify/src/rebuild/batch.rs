//! One batch of the archive: its manifests, newest generation first, until one and its object agree.

use super::{Contradiction, RebuildArguments};
use crate::in_object::{InLine, InObject};
use crate::objects::{unreadable_manifest, unreadable_object};
use crate::{Verifier, VerifyError};
use granary_archive::{Contents, StoredObject};
use granary_domain::{BatchId, Generation, Hour, Layout, Manifest, MessageId, ObjectKey, Place};
use granary_ledger::harvest::SeenMessage;
use granary_ledger::integrity::{ArchivedBatch, ArchivedObject, RebuiltBatch};
use jiff::Timestamp;
use std::collections::HashMap;

/// That the source is asked for at once.
const IDS_PER_LOOK_MAX: usize = 10_000;

/// The manifests of one batch, in the order of their keys; or one key that is no manifest's.
#[derive(Debug)]
pub(super) struct Generations {
    batch: Option<BatchId>,
    manifests: Vec<(Option<Generation>, StoredObject)>,
}

/// What was read of a batch.
pub(super) struct Read {
    pub(super) contradictions: Vec<Contradiction>,
    pub(super) sound: Option<Sound>,
}

/// A batch whose manifest and object agree.
pub(super) struct Sound {
    pub(super) batch: ArchivedBatch,
    /// The key of its object, or of its manifest where it has none.
    pub(super) key: ObjectKey,
    /// Messages of its object.
    pub(super) exported: u64,
    pub(super) bytes_stored: u64,
    /// They were read, unless it only looked or the batch is on record.
    pub(super) lines: Vec<InLine>,
    /// It is on record already.
    pub(super) known: Option<RebuiltBatch>,
}

impl Generations {
    /// A page of manifests, by batch. Those of one batch follow each other in a listing.
    pub(super) fn of_page(layout: &Layout, page: Vec<StoredObject>) -> Vec<Self> {
        let mut batches: Vec<Self> = Vec::new();
        for object in page {
            let (batch, generation) = match layout.place_of(&object.key) {
                Some(Place::Manifest {
                    batch, generation, ..
                }) => (Some(batch), Some(generation)),
                Some(Place::Object { .. } | Place::Quarantine | Place::NumberMark) | None => (None, None),
            };
            match batches
                .last_mut()
                .filter(|last| last.batch.is_some() && last.batch == batch)
            {
                Some(last) => last.manifests.push((generation, object)),
                None => batches.push(Self {
                    batch,
                    manifests: vec![(generation, object)],
                }),
            }
        }
        batches
    }

    pub(super) fn batch(&self) -> Option<BatchId> {
        self.batch
    }

    pub(super) fn count(&self) -> usize {
        self.manifests.len()
    }

    /// The key after which the listing continues.
    pub(super) fn last_key(&self) -> Option<ObjectKey> {
        self.manifests.last().map(|(_, object)| object.key.clone())
    }

    fn newest_first(&self) -> Vec<&(Option<Generation>, StoredObject)> {
        let mut manifests: Vec<_> = self.manifests.iter().collect();
        manifests.sort_by_key(|(generation, _)| std::cmp::Reverse(*generation));
        manifests
    }
}

impl Verifier {
    /// Reads a batch: the newest generation that is sound. What is wrong with newer ones is named.
    pub(super) async fn read_batch(
        &self,
        arguments: &RebuildArguments,
        generations: &Generations,
        known: Option<RebuiltBatch>,
    ) -> Result<Read, VerifyError> {
        let mut contradictions = Vec::new();
        for (_, stored) in generations.newest_first() {
            match self.read_generation(arguments, stored, known).await? {
                Ok(sound) => {
                    let sound = Some(sound);
                    return Ok(Read {
                        contradictions,
                        sound,
                    });
                }
                Err(text) => contradictions.push(Contradiction {
                    key: stored.key.clone(),
                    text,
                }),
            }
        }
        Ok(Read {
            contradictions,
            sound: None,
        })
    }

    /// Reads one generation. `Err`: what contradicts it.
    async fn read_generation(
        &self,
        arguments: &RebuildArguments,
        stored: &StoredObject,
        known: Option<RebuiltBatch>,
    ) -> Result<Result<Sound, String>, VerifyError> {
        let manifest = match self.archive.manifest(&stored.key).await {
            Ok(Some(manifest)) => manifest,
            Ok(None) => return Ok(Err("it is gone".to_owned())),
            Err(error) => return Ok(Err(unreadable_manifest(error)?.1)),
        };
        if let Some(text) = flaw_of(self.archive.layout(), &stored.key, &manifest) {
            return Ok(Err(text.to_owned()));
        }
        if let Some(known) = known.filter(|known| known.generation != manifest.generation) {
            let text = format!(
                "generation {} of its batch is on record already",
                known.generation
            );
            return Ok(Err(text));
        }
        let mut sound = Sound {
            batch: archived(&manifest, stored.last_modified),
            key: manifest.object.clone().unwrap_or_else(|| stored.key.clone()),
            exported: manifest.exported,
            bytes_stored: manifest.bytes_stored,
            lines: Vec::new(),
            known,
        };
        let Some(key) = manifest.object.as_ref().filter(|_| known.is_none()) else {
            return Ok(Ok(sound));
        };
        if arguments.dry_run {
            let flaw = self.look_at_object(key, &manifest).await?;
            return Ok(flaw.map_or(Ok(sound), Err));
        }
        Ok(match self.read_object(key, &manifest).await? {
            Ok(InObject { contents, lines, .. }) => {
                sound.lines = lines;
                sound.batch.object = Some(ArchivedObject {
                    key: key.clone(),
                    sha256: contents.sha256.0,
                    bytes_raw: contents.bytes_raw,
                    bytes_stored: contents.bytes_stored,
                });
                Ok(sound)
            }
            Err(text) => Err(text),
        })
    }

    /// Whether the object seems to be the one of the manifest, without reading it.
    async fn look_at_object(
        &self,
        key: &ObjectKey,
        manifest: &Manifest,
    ) -> Result<Option<String>, VerifyError> {
        Ok(match self.archive.look_at(key).await {
            Ok(None) => Some(format!("its object {key} is not there")),
            Ok(Some(seen)) => {
                let is_other_sum = seen.sha256_noted.is_some() && seen.sha256_noted != manifest.sha256;
                let is_other = seen.bytes != manifest.bytes_stored || is_other_sum;
                is_other.then(|| format!("its object {key} has another size or SHA-256"))
            }
            Err(error) => Some(format!("its object {key}: {}", unreadable_object(error)?.1)),
        })
    }

    async fn read_object(
        &self,
        key: &ObjectKey,
        manifest: &Manifest,
    ) -> Result<Result<InObject, String>, VerifyError> {
        let text = match self.messages_in(key, manifest.hour).await {
            Ok(Some(object)) => match (object.excess(), difference(&object.contents, manifest)) {
                (None, None) => return Ok(Ok(object)),
                (Some(excess), _) => format!("its object {key} {excess}"),
                (None, Some(field)) => format!("its object {key} has another {field}"),
            },
            Ok(None) => format!("its object {key} is not there"),
            Err(error) => format!("its object {key}: {}", unreadable_object(error)?.1),
        };
        Ok(Err(text))
    }

    /// The messages with their event times. Where a line doesn't tell it, the source is asked; where that doesn't either, it is
    /// the hour's first instant. Also says of how many.
    pub(super) async fn with_times(
        &self,
        hour: Hour,
        lines: &[InLine],
    ) -> Result<(Vec<SeenMessage>, u64), VerifyError> {
        let without: Vec<MessageId> = lines
            .iter()
            .filter(|line| !line.has_time)
            .map(|line| line.message.message_id.clone())
            .collect();
        let mut times: HashMap<MessageId, Timestamp> = HashMap::new();
        for ids in without.chunks(IDS_PER_LOOK_MAX) {
            let shown = self.look_for(ids).await?.settled.into_iter();
            let shown = shown.filter(|shown| Hour::of(shown.event_time) == hour);
            times.extend(shown.map(|shown| (shown.message_id, shown.event_time)));
        }
        let messages = lines.iter().map(|line| {
            let mut message = line.message.clone();
            if let Some(time) = times.get(&message.message_id).filter(|_| !line.has_time) {
                message.event_time = *time;
            }
            message
        });
        let unknown = without.len().saturating_sub(times.len());
        Ok((messages.collect(), unknown as u64))
    }
}

fn archived(manifest: &Manifest, settled_at: Timestamp) -> ArchivedBatch {
    ArchivedBatch {
        id: manifest.batch_id,
        hour: manifest.hour,
        generation: manifest.generation,
        attempt: manifest.attempt,
        settled_at,
        object: None,
        exceptions: u32::try_from(manifest.exceptions.len()).unwrap_or(u32::MAX),
    }
}

/// What a manifest says that its own key or its other fields deny.
fn flaw_of(layout: &Layout, key: &ObjectKey, manifest: &Manifest) -> Option<&'static str> {
    let (batch, generation, hour) = (manifest.batch_id, manifest.generation, manifest.hour);
    let is_its_object = |object: &ObjectKey| {
        let place = Place::Object {
            hour,
            batch,
            generation,
        };
        layout.place_of(object) == Some(place)
    };
    if layout.manifest(hour, batch, generation) != *key {
        Some("its batch, generation or hour is not the one that its key names")
    } else if !manifest.object.as_ref().is_none_or(is_its_object) {
        Some("its object is not one of its batch in this archive")
    } else if manifest.object.is_some() != (manifest.exported > 0) {
        Some("it counts messages and has no object, or has an object and counts none")
    } else if manifest.messages != manifest.exported + manifest.exceptions.len() as u64 {
        Some("its exported messages and exceptions are not all of its messages")
    } else {
        None
    }
}

/// The first field in which an object isn't what its manifest says.
fn difference(contents: &Contents, manifest: &Manifest) -> Option<&'static str> {
    let agreements = [
        ("count of messages", contents.exported == manifest.exported),
        ("id digest", contents.id_digest == manifest.id_digest),
        (
            "SHA-256",
            manifest.sha256.as_ref() == Some(&contents.sha256.to_string()),
        ),
        ("size", contents.bytes_stored == manifest.bytes_stored),
    ];
    let mut agreements = agreements.into_iter();
    agreements.find_map(|(field, agrees)| (!agrees).then_some(field))
}
