//! The ids that the source shows in a part, under one point in time.
//!
//! Few ids are kept, as their 128-bit hashes in a sorted list; of many only the digests of the part's pieces are, so
//! memory doesn't grow with what is read. A point in time that is lost, or that shows fewer hits than it counts, makes
//! the part be read again from its start, a few times.

use crate::look::Look;
use crate::report::Finding;
use crate::{FindingKind, Verifier, VerifyError};
use granary_domain::{Cut, ExceptionKind, IdDigest, Part, TimeRange};
use granary_source::{Hit, PageRequest, PointInTime, Position, Source, SourceError};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

const PAGE_SIZE: u32 = 10_000;
pub(crate) const TRIES_MAX: u32 = 3;
/// Of the documents of an index without a usable id, so many are named.
const DOC_IDS_MAX: usize = 5;

/// What a scan came to.
pub(crate) struct Scan {
    pub(crate) ids: ScannedIds,
    /// Documents that the part counts.
    pub(crate) counted: u64,
    /// Documents without a usable id.
    pub(crate) without_id: WithoutId,
    /// Whether a document was shown here whose event time lies elsewhere: one that has several.
    pub(crate) has_strays: bool,
}

/// The ids of a part.
pub(crate) enum ScannedIds {
    /// All of them, each once.
    Set(IdSet),
    /// The digests of the part's pieces. An id that two documents have is in there twice.
    Pieces(Cut, Vec<IdDigest>),
}

/// The distinct ids of a part.
#[derive(Default)]
pub(crate) struct IdSet {
    /// Their hashes, sorted.
    pub(crate) hashes: Vec<u128>,
    pub(crate) digest: IdDigest,
    /// The hashes of ids that several documents have, sorted.
    pub(crate) merged: Vec<u128>,
}

impl IdSet {
    /// An id that two documents have is one id.
    fn of(mut hashes: Vec<u128>) -> Self {
        hashes.sort_unstable();
        let mut merged: Vec<u128> = hashes
            .array_windows()
            .filter_map(|[one, next]| (one == next).then_some(*one))
            .collect();
        merged.dedup();
        hashes.dedup();
        let mut digest = IdDigest::default();
        hashes.iter().for_each(|hash| digest.add_hash(*hash));
        Self {
            hashes,
            digest,
            merged,
        }
    }
}

/// Documents without a usable id, by index.
#[derive(Default)]
pub(crate) struct WithoutId(BTreeMap<Arc<str>, Nameless>);

/// How many there are, and the `_id`s of some.
#[derive(Default)]
pub(crate) struct Nameless {
    documents: u64,
    doc_ids: Vec<String>,
}

impl WithoutId {
    pub(crate) fn add(&mut self, hit: &Hit) {
        let nameless = self.0.entry(hit.index.clone()).or_default();
        nameless.documents += 1;
        if nameless.doc_ids.len() < DOC_IDS_MAX {
            nameless.doc_ids.extend(hit.doc_id.clone());
        }
    }

    /// Puts them into the account.
    pub(crate) fn tell(self, look: &mut Look<'_>) {
        for (index, nameless) in self.0 {
            let samples = match nameless.doc_ids.as_slice() {
                [] => String::new(),
                some => format!(", such as _id {}", some.join(", ")),
            };
            let text = format!("documents of index {index} have no usable id{samples}");
            look.find(Finding {
                messages: nameless.documents,
                ..Finding::of_hour(FindingKind::WithoutId, look.hour(), text)
            });
            look.account.counts.without_id += nameless.documents;
            look.account
                .except(ExceptionKind::WithoutId, &index, nameless.documents);
        }
    }
}

impl Verifier {
    /// Reads the ids of a part. `ids` is how many it has, where that is known better than by counting documents. `Err`: it
    /// counts so many documents, more than `messages_max`.
    pub(crate) async fn scan(
        &self,
        part: &Part,
        ids: Option<u64>,
        filter: Option<&Value>,
        messages_max: u64,
    ) -> Result<Result<Scan, u64>, VerifyError> {
        let mut tries = 1;
        loop {
            let mut pages = Pages::open(&self.source, part.range(), filter).await?;
            let counted = pages.counted;
            let scanned = if counted > messages_max {
                Ok(Err(counted))
            } else {
                scan_pages(&mut pages, part, self.cut_of(part, ids.unwrap_or(counted)))
                    .await
                    .map(Ok)
            };
            pages.close().await;
            match scanned {
                Err(error) if tries < TRIES_MAX && is_worth_another_try(&error) => tries += 1,
                scanned => return scanned,
            }
        }
    }
}

impl Verifier {
    /// How a part of so many ids is read: cut into pieces; `None`: as a set.
    fn cut_of(&self, part: &Part, ids: u64) -> Option<Cut> {
        part.cut().filter(|_| ids > self.limits.set_ids_max)
    }
}

/// Whether reading a part again, in a new point in time, may help.
pub(crate) fn is_worth_another_try(error: &VerifyError) -> bool {
    matches!(
        error,
        VerifyError::Source(SourceError::PitLost) | VerifyError::ShortScan { .. }
    )
}

async fn scan_pages(pages: &mut Pages<'_>, part: &Part, cut: Option<Cut>) -> Result<Scan, VerifyError> {
    let mut scan = Scan {
        ids: ScannedIds::Set(IdSet::default()),
        counted: pages.counted,
        without_id: WithoutId::default(),
        has_strays: false,
    };
    match cut {
        None => {
            let mut hashes: Vec<u128> = Vec::new();
            while let Some(hits) = pages.next().await? {
                hashes.extend(scan.hashes_of(&hits, part).into_iter().map(|(_, hash)| hash));
            }
            scan.ids = ScannedIds::Set(IdSet::of(hashes));
        }
        Some(cut) => {
            let mut digests = vec![IdDigest::default(); cut.pieces()];
            while let Some(hits) = pages.next().await? {
                for (hit, hash) in scan.hashes_of(&hits, part) {
                    if let Some(piece) = cut.piece_of(hit.event_time, hash) {
                        digests[piece].add_hash(hash);
                    }
                }
            }
            scan.ids = ScannedIds::Pieces(cut, digests);
        }
    }
    Ok(scan)
}

impl Scan {
    /// The hits that are in the part, with their hashes.
    fn hashes_of<'h>(&mut self, hits: &'h [Hit], part: &Part) -> Vec<(&'h Hit, u128)> {
        let mut inside = Vec::with_capacity(hits.len());
        for hit in hits {
            let is_here = part.range().contains(hit.event_time);
            match &hit.message_id {
                _ if !is_here => self.has_strays = true,
                None => self.without_id.add(hit),
                Some(id) => {
                    let hash = IdDigest::hash(id.as_str().as_bytes());
                    if part.contains(hit.event_time, hash) {
                        inside.push((hit, hash));
                    }
                }
            }
        }
        inside
    }
}

/// The pages of a range. Close it when done, also after an error.
pub(crate) struct Pages<'a> {
    source: &'a Source,
    range: TimeRange,
    filter: Option<&'a Value>,
    pit: PointInTime,
    position: Position,
    counted: u64,
    shown: u64,
}

impl<'a> Pages<'a> {
    pub(crate) async fn open(
        source: &'a Source,
        range: TimeRange,
        filter: Option<&'a Value>,
    ) -> Result<Self, VerifyError> {
        let pit = source.open_pit().await?;
        let counted = source.count(&pit, range, filter).await?;
        Ok(Self {
            source,
            range,
            filter,
            pit,
            position: Position::Start,
            counted,
            shown: 0,
        })
    }

    /// Hits that the point in time counts.
    pub(crate) fn counted(&self) -> u64 {
        self.counted
    }

    /// The next page; `None` when as many hits were shown as are counted.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Hit>>, VerifyError> {
        if self.shown == self.counted {
            return Ok(None);
        }
        let request = PageRequest {
            pit: &self.pit,
            range: self.range,
            filter: self.filter,
            position: &self.position,
            size: PAGE_SIZE,
        };
        let page = self.source.page(&request).await?;
        self.pit = page.pit;
        self.shown += page.hits.len() as u64;
        match page.next {
            Some(next) if self.shown <= self.counted => self.position = Position::After(next),
            _ => {
                let (range, shown, counted) = (self.range, self.shown, self.counted);
                return Err(VerifyError::ShortScan {
                    range,
                    shown,
                    counted,
                });
            }
        }
        Ok(Some(page.hits))
    }

    /// Lets go of the point in time. One that can't be closed closes itself after some minutes.
    pub(crate) async fn close(self) {
        let _ = self.source.close_pit(self.pit).await;
    }
}
