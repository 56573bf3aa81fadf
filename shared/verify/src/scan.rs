//! The ids that the source shows in a range, under one point in time.
//!
//! Ids are kept as their 128-bit hashes in a sorted list: 16 bytes each, 128 MB for the largest range that is taken.
//! A point in time that is lost, or that shows fewer hits than it counts, makes the range be read again from its
//! start, a few times.

use crate::{Verifier, VerifyError};
use granary_domain::{IdDigest, TimeRange};
use granary_source::{Hit, PageRequest, PointInTime, Position, Source, SourceError};
use serde_json::Value;

const PAGE_SIZE: u32 = 10_000;
const IDS_MAX: u64 = 8_000_000;
const TRIES_MAX: u32 = 3;

/// What a scan came to.
pub(crate) enum Scan {
    Ids(SourceIds),
    /// The source counts more than the caller has time for.
    TooLarge {
        messages: u64,
    },
}

/// The distinct ids of a range.
#[derive(Default)]
pub(crate) struct SourceIds {
    /// Their hashes, sorted.
    pub(crate) hashes: Vec<u128>,
    pub(crate) digest: IdDigest,
    /// Documents without a usable id.
    pub(crate) without_id: u64,
}

impl SourceIds {
    fn add(&mut self, hits: &[Hit]) {
        for hit in hits {
            match &hit.message_id {
                Some(id) => self.hashes.push(IdDigest::hash(id.as_str().as_bytes())),
                None => self.without_id += 1,
            }
        }
    }

    /// An id that two documents have is one id.
    fn distinct(mut self) -> Self {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        self.digest = IdDigest::default();
        self.hashes.iter().for_each(|hash| self.digest.add_hash(*hash));
        self
    }
}

impl Verifier {
    /// Reads the ids of a range, unless there are more than `messages_max`.
    pub(crate) async fn scan(
        &self,
        range: TimeRange,
        filter: Option<&Value>,
        messages_max: u64,
    ) -> Result<Scan, VerifyError> {
        let mut tries = 1;
        loop {
            let mut pages = Pages::open(&self.source, range, filter).await?;
            let scanned = scan_pages(&mut pages, messages_max).await;
            pages.close().await;
            match scanned {
                Err(error) if tries < TRIES_MAX && is_worth_another_try(&error) => tries += 1,
                scanned => return scanned,
            }
        }
    }
}

/// Whether reading the range again, in a new point in time, may help.
pub(crate) fn is_worth_another_try(error: &VerifyError) -> bool {
    matches!(
        error,
        VerifyError::Source(SourceError::PitLost) | VerifyError::ShortScan { .. }
    )
}

async fn scan_pages(pages: &mut Pages<'_>, messages_max: u64) -> Result<Scan, VerifyError> {
    if pages.counted > messages_max {
        return Ok(Scan::TooLarge {
            messages: pages.counted,
        });
    }
    if pages.counted > IDS_MAX {
        return Err(VerifyError::TooManyIds {
            range: pages.range,
            messages: pages.counted,
            messages_max: IDS_MAX,
        });
    }
    let mut ids = SourceIds::default();
    ids.hashes
        .reserve_exact(usize::try_from(pages.counted).unwrap_or_default());
    while let Some(hits) = pages.next().await? {
        ids.add(&hits);
    }
    Ok(Scan::Ids(ids.distinct()))
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

    /// The event times that are read.
    pub(crate) fn range(&self) -> TimeRange {
        self.range
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
