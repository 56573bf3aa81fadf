//! The ids that the source shows against the ids on record: equal digests are enough, differing ones are taken apart.

use crate::report::Finding;
use crate::scan::{Pages, SourceIds, is_worth_another_try};
use crate::{Account, FindingKind, Scope, Verifier, VerifyError};
use granary_domain::{Hour, IdDigest, MessageId, TimeRange};
use granary_ledger::Standing;
use std::collections::{BTreeMap, HashMap};

const STANDINGS_PAGE: u32 = 5_000;
const TRIES_MAX: u32 = 3;

impl Verifier {
    /// Compares what the source shows with what is on record. With a filter the record may well have more.
    pub(crate) async fn compare_ids(
        &self,
        scope: &Scope,
        part: TimeRange,
        ids: &SourceIds,
        on_record: IdDigest,
        account: &mut Account,
    ) -> Result<(), VerifyError> {
        if ids.digest == on_record {
            return Ok(());
        }
        let (absent, drifted) = self.difference(part, ids).await?;
        if scope.filter.is_none() && drifted.messages > 0 {
            account.counts.drifted += drifted.messages;
            account.find(drifted);
        }
        if !absent.is_empty() {
            self.name_absent(scope, part, &absent, account).await?;
        }
        Ok(())
    }

    /// The hashes of ids that the source shows and that aren't on record in this range, sorted; and the ids on record
    /// that the source didn't show.
    async fn difference(
        &self,
        part: TimeRange,
        ids: &SourceIds,
    ) -> Result<(Vec<u128>, Finding), VerifyError> {
        let text = "on record, and the source no longer shows them here";
        let mut drifted = Finding::of_hour(FindingKind::Drifted, Hour::of(part.from()), text);
        let mut is_on_record = vec![false; ids.hashes.len()];
        let mut after: Option<MessageId> = None;
        loop {
            let page = self
                .ledger
                .standings_of(part, after.as_ref(), STANDINGS_PAGE)
                .await?;
            for (id, standing) in &page {
                let shown = ids.hashes.binary_search(&IdDigest::hash(id.as_str().as_bytes()));
                match (standing, shown) {
                    (Standing::OnRecord, Ok(at)) => is_on_record[at] = true,
                    (Standing::OnRecord, Err(_)) => drifted.add(id),
                    (Standing::Missing | Standing::Quarantined | Standing::Open | Standing::Released, _) => {}
                }
            }
            match page.into_iter().next_back() {
                Some((last, _)) => after = Some(last),
                None => break,
            }
        }
        let absent = ids.hashes.iter().zip(is_on_record);
        let absent = absent.filter_map(|(hash, is_on_record)| (!is_on_record).then_some(*hash));
        Ok((absent.collect(), drifted))
    }

    /// Reads the source again for the ids behind the hashes, and asks the ledger about each: it may be on record under
    /// another event time, or have come on record meanwhile.
    async fn name_absent(
        &self,
        scope: &Scope,
        part: TimeRange,
        absent: &[u128],
        account: &mut Account,
    ) -> Result<(), VerifyError> {
        let mut tries = 1;
        let named = loop {
            let mut pages = Pages::open(&self.source, part, scope.filter.as_ref()).await?;
            let named = self.sort_out(&mut pages, absent).await;
            pages.close().await;
            match named {
                Err(error) if tries < TRIES_MAX && is_worth_another_try(&error) => tries += 1,
                named => break named?,
            }
        };
        account.counts.elsewhere += named.elsewhere;
        for finding in named.findings.into_values() {
            account.counts.missing += finding.messages;
            account.find(finding);
        }
        Ok(())
    }

    /// Sorts the ids behind the hashes, as far as the source still shows them, by how they stand. Each counts once.
    async fn sort_out(&self, pages: &mut Pages<'_>, absent: &[u128]) -> Result<Named, VerifyError> {
        let mut named = Named::default();
        let mut is_named = vec![false; absent.len()];
        while let Some(hits) = pages.next().await? {
            let mut ids: Vec<MessageId> = Vec::new();
            for id in hits.into_iter().filter_map(|hit| hit.message_id) {
                let at = absent.binary_search(&IdDigest::hash(id.as_str().as_bytes()));
                if let Ok(at) = at
                    && !std::mem::replace(&mut is_named[at], true)
                {
                    ids.push(id);
                }
            }
            let asked: Vec<&MessageId> = ids.iter().collect();
            let known: HashMap<MessageId, Standing> =
                self.ledger.standings_of_ids(&asked).await?.into_iter().collect();
            let hour = Hour::of(pages.range().from());
            ids.iter()
                .for_each(|id| named.add(hour, id, known.get(id).copied()));
        }
        Ok(named)
    }
}

/// Ids that the source shows and that aren't on record where it shows them.
#[derive(Default)]
struct Named {
    /// On record under another event time, or on record by now.
    elsewhere: u64,
    /// By kind and text.
    findings: BTreeMap<(FindingKind, &'static str), Finding>,
}

impl Named {
    /// `None`: the ledger doesn't know the id.
    fn add(&mut self, hour: Hour, id: &MessageId, standing: Option<Standing>) {
        match reason_for(standing) {
            None => self.elsewhere += 1,
            Some((kind, text)) => {
                let new = || Finding::of_hour(kind, hour, text);
                self.findings.entry((kind, text)).or_insert_with(new).add(id);
            }
        }
    }
}

/// Why an id that the source shows can't be read from the archive; `None`: it can.
fn reason_for(standing: Option<Standing>) -> Option<(FindingKind, &'static str)> {
    match standing {
        Some(Standing::OnRecord) => None,
        Some(Standing::Open) => Some((
            FindingKind::NotYetExported,
            "recorded, but their batches aren't completed",
        )),
        Some(Standing::Quarantined) => Some((FindingKind::Quarantined, "could not be exported")),
        Some(Standing::Missing) => Some((
            FindingKind::MissingFromArchive,
            "were gone when they were to be exported, and are there again",
        )),
        Some(Standing::Released) => Some((FindingKind::MissingFromArchive, "nobody owns them any more")),
        None => Some((FindingKind::MissingFromArchive, "the ledger doesn't know them")),
    }
}
