//! The ids that the source shows against the ids on record, by bisection: where the digests of a part differ, it is cut,
//! by event time and in the end by hash, and only the pieces that differ are looked at again, until one has so few ids
//! that they can be compared as sets. Equal digests are enough.
//!
//! Within each part the source is read first and the ledger after it, so what arrives meanwhile is on record by the time
//! it is looked for; a part that was settled since it differed is equal when its pieces are looked at.

use crate::absent::{Named, Which};
use crate::look::Look;
use crate::scan::{IdSet, ScannedIds};
use crate::{FindingKind, Verifier, VerifyError};
use granary_domain::{Cut, IdDigest, MessageId, Part, TimeRange};
use granary_ledger::integrity::{Digests, Standing};
use std::collections::HashMap;

/// What the ledger says of a part: as a whole, and piece by piece where it was asked so.
struct Recorded {
    whole: Digests,
    pieces: HashMap<usize, Digests>,
}

impl Verifier {
    /// Compares what the source shows in a range with what is on record. Says how many messages were looked at. `Err`: the source
    /// counts so many documents, more than `messages_max`.
    pub(crate) async fn compare(
        &self,
        look: &mut Look<'_>,
        range: TimeRange,
        messages_max: u64,
    ) -> Result<Result<u64, u64>, VerifyError> {
        let whole = Part::of(range);
        let mut messages = 0;
        let mut named = Named::default();
        let mut parts = vec![(whole, None)];
        let mut is_whole = true;
        while let Some((part, ids)) = parts.pop() {
            let at_most = if is_whole { messages_max } else { u64::MAX };
            let filter = look.scope.filter.as_ref();
            let scan = match self.scan(&part, ids, filter, at_most).await? {
                Ok(scan) => scan,
                Err(counted) => return Ok(Err(counted)),
            };
            let recorded = self.recorded(&part, &scan.ids).await?;
            if is_whole {
                messages = scan.counted.max(total(&recorded.whole));
                count(look, &recorded.whole);
                scan.without_id.tell(look);
                if scan.has_strays {
                    self.name_shown(look, &part, Which::Strays, &mut named).await?;
                }
                is_whole = false;
            }
            match scan.ids {
                ScannedIds::Set(ids) => {
                    let smaller = self.compare_sets(look, &part, ids, &recorded, &mut named).await?;
                    parts.extend(smaller.into_iter().flatten().map(|piece| (piece, None)));
                }
                ScannedIds::Pieces(cut, shown) => {
                    parts.extend(self.differing(look, &cut, &shown, &recorded));
                }
            }
        }
        named.with_remedies(look).tell(look);
        Ok(Ok(messages))
    }

    /// Counts what is on record in a range, where the source isn't asked. Says how many messages those are.
    pub(crate) async fn count_recorded(
        &self,
        look: &mut Look<'_>,
        range: TimeRange,
    ) -> Result<u64, VerifyError> {
        let digests = self.ledger.digests_of_part(&Part::of(range)).await?;
        count(look, &digests);
        Ok(total(&digests))
    }

    async fn recorded(&self, part: &Part, ids: &ScannedIds) -> Result<Recorded, VerifyError> {
        let ScannedIds::Pieces(cut, _) = ids else {
            return Ok(Recorded {
                whole: self.ledger.digests_of_part(part).await?,
                pieces: HashMap::new(),
            });
        };
        let pieces = self.ledger.digests_of_pieces(cut).await?;
        let mut whole = Digests::new();
        for (standing, digest) in pieces.values().flatten() {
            whole.entry(*standing).or_default().merge(digest);
        }
        Ok(Recorded { whole, pieces })
    }

    /// The pieces of a part that differ, neighbours as one part as long as their ids can be compared as sets, and how
    /// many ids these have.
    fn differing(
        &self,
        look: &mut Look<'_>,
        cut: &Cut,
        shown: &[IdDigest],
        recorded: &Recorded,
    ) -> Vec<(Part, Option<u64>)> {
        let nothing = Digests::new();
        let mut runs: Vec<(usize, usize, u64)> = Vec::new();
        let equal = sum(shown) == on_record(&recorded.whole);
        for (piece, shown) in shown.iter().enumerate() {
            let known = recorded.pieces.get(&piece).unwrap_or(&nothing);
            if equal || *shown == on_record(known) {
                show(look, shown);
                continue;
            }
            let ids = shown.count.max(total(known));
            match runs.last_mut() {
                Some((_, last, together))
                    if *last + 1 == piece && *together + ids <= self.limits.set_ids_max =>
                {
                    *last = piece;
                    *together += ids;
                }
                Some(_) | None => runs.push((piece, piece, ids)),
            }
        }
        let parts = runs.into_iter();
        parts
            .map(|(first, last, ids)| (cut.run(first, last), Some(ids)))
            .collect()
    }

    /// Compares a part's ids as sets and names those that only one side has. `Some`: the ledger has too many for that,
    /// these are the part's pieces.
    async fn compare_sets(
        &self,
        look: &mut Look<'_>,
        part: &Part,
        ids: IdSet,
        recorded: &Recorded,
        named: &mut Named,
    ) -> Result<Option<Vec<Part>>, VerifyError> {
        if ids.digest == on_record(&recorded.whole) {
            show(look, &ids.digest);
            self.name_merged(look, part, &ids, named).await?;
            return Ok(None);
        }
        let limit = self.limits.set_ids_max.max(ids.digest.count) * 2;
        if let Some(cut) = part.cut().filter(|_| total(&recorded.whole) > limit) {
            return Ok(Some(
                (0..cut.pieces()).map(|piece| cut.run(piece, piece)).collect(),
            ));
        }
        let known = self.ledger.ids_of_part(part, limit.saturating_mul(2)).await?;
        show(look, &ids.digest);
        let absent = self.difference(look, &ids, &known, named);
        self.name_merged(look, part, &ids, named).await?;
        drop((ids, known));
        if !absent.is_empty() {
            self.name_shown(look, part, Which::Hashes(&absent), named).await?;
        }
        Ok(None)
    }

    async fn name_merged(
        &self,
        look: &mut Look<'_>,
        part: &Part,
        ids: &IdSet,
        named: &mut Named,
    ) -> Result<(), VerifyError> {
        if ids.merged.is_empty() {
            return Ok(());
        }
        self.name_shown(look, part, Which::Merged(&ids.merged), named)
            .await
    }

    /// The hashes of ids that the source shows and that aren't on record in this part, sorted. Ids on record that the
    /// source didn't show are named; with a filter the record may well have more.
    fn difference(
        &self,
        look: &Look<'_>,
        ids: &IdSet,
        known: &[(MessageId, Standing)],
        named: &mut Named,
    ) -> Vec<u128> {
        let mut is_on_record = vec![false; ids.hashes.len()];
        for (id, standing) in known {
            let shown = ids.hashes.binary_search(&IdDigest::hash(id.as_str().as_bytes()));
            match (standing, shown) {
                (Standing::OnRecord, Ok(at)) => is_on_record[at] = true,
                (Standing::OnRecord, Err(_)) if look.scope.filter.is_none() => {
                    let text = "on record, and the source no longer shows them here";
                    named.add(look, FindingKind::Drifted, text, id);
                }
                (
                    Standing::OnRecord
                    | Standing::Missing
                    | Standing::Quarantined
                    | Standing::Open
                    | Standing::Released,
                    _,
                ) => {}
            }
        }
        let absent = ids.hashes.iter().zip(is_on_record);
        let absent = absent.filter_map(|(hash, is_on_record)| (!is_on_record).then_some(*hash));
        absent.collect()
    }
}

/// Ids of the source count where they were compared, each part once.
fn show(look: &mut Look<'_>, digest: &IdDigest) {
    look.account.counts.source += digest.count;
    look.account.digests.source.merge(digest);
}

fn sum(digests: &[IdDigest]) -> IdDigest {
    let mut sum = IdDigest::default();
    digests.iter().for_each(|digest| sum.merge(digest));
    sum
}

fn on_record(digests: &Digests) -> IdDigest {
    digests.get(&Standing::OnRecord).copied().unwrap_or_default()
}

fn total(digests: &Digests) -> u64 {
    digests.values().map(|digest| digest.count).sum()
}

fn count(look: &mut Look<'_>, digests: &Digests) {
    let of = |standing| digests.get(&standing).map_or(0, |digest| digest.count);
    let counts = &mut look.account.counts;
    counts.ledger += of(Standing::OnRecord);
    counts.tombstones += of(Standing::Missing);
    counts.quarantined += of(Standing::Quarantined);
    counts.open += of(Standing::Open);
    counts.released += of(Standing::Released);
    look.account.digests.ledger.merge(&on_record(digests));
}
