//! Ids that the source shows and that aren't on record where it shows them: each is looked up, named by what is known
//! of it, and, where that is wanted, given to the repair.

use crate::look::Look;
use crate::merged::Twins;
use crate::report::{Finding, Remedy};
use crate::scan::{Pages, TRIES_MAX, is_worth_another_try};
use crate::{FindingKind, Repair, Verifier, VerifyError};
use granary_domain::{ExceptionKind, Hour, IdDigest, MessageId, Part};
use granary_ledger::integrity::Standing;
use granary_source::Hit;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Which of a part's documents are looked up.
#[derive(Clone, Copy)]
pub(crate) enum Which<'a> {
    /// Those of these hashes, which are sorted.
    Hashes(&'a [u128]),
    /// All documents of these hashes, which are sorted: several have one id.
    Merged(&'a [u128]),
    /// Those that are shown here by another of their times than the one that they are filed under.
    Strays,
}

/// What is to be told of a range's ids, in as few findings as there are reasons.
#[derive(Default)]
pub(crate) struct Named {
    /// On record under another event time, or on record by now.
    pub(crate) elsewhere: u64,
    /// Ids of merged documents that were counted as if they were messages of their own.
    pub(crate) counted_twice: IdDigest,
    /// Messages that an operator may accept.
    excepted: BTreeMap<(ExceptionKind, Arc<str>), u64>,
    /// By kind and text.
    findings: BTreeMap<(FindingKind, &'static str), Finding>,
}

impl Named {
    /// Names an exception, and counts it for its index.
    pub(crate) fn except(
        &mut self,
        look: &Look<'_>,
        (exception, index): (ExceptionKind, &Arc<str>),
        (kind, text): (FindingKind, &'static str),
        id: &MessageId,
    ) {
        *self.excepted.entry((exception, index.clone())).or_default() += 1;
        self.add(look, kind, text, id);
    }

    pub(crate) fn add(&mut self, look: &Look<'_>, kind: FindingKind, text: &'static str, id: &MessageId) {
        let new = || Finding::of_hour(kind, look.hour(), text);
        self.findings.entry((kind, text)).or_insert_with(new).add(id);
    }

    fn merge(&mut self, other: Self) {
        self.elsewhere += other.elsewhere;
        self.counted_twice.merge(&other.counted_twice);
        for (key, messages) in other.excepted {
            *self.excepted.entry(key).or_default() += messages;
        }
        for (key, finding) in other.findings {
            match self.findings.get_mut(&key) {
                Some(known) => known.merge(&finding),
                None => drop(self.findings.insert(key, finding)),
            }
        }
    }

    /// Each finding with what a repair does about it, where one is wanted.
    pub(crate) fn with_remedies(mut self, look: &Look<'_>) -> Self {
        if look.repair() != Repair::Off {
            self.findings
                .values_mut()
                .for_each(|finding| finding.remedy = remedy_of(finding));
        }
        self
    }

    /// Puts it into the account.
    pub(crate) fn tell(self, look: &mut Look<'_>) {
        let counts = &mut look.account.counts;
        counts.elsewhere += self.elsewhere;
        counts.source = counts.source.saturating_sub(self.counted_twice.count);
        look.account.digests.source.take_out(&self.counted_twice);
        for finding in self.findings.values() {
            let count = if finding.kind == FindingKind::Drifted {
                &mut counts.drifted
            } else if finding.kind == FindingKind::MergedId {
                &mut counts.merged
            } else {
                &mut counts.missing
            };
            *count += finding.messages;
        }
        for ((kind, index), messages) in self.excepted {
            look.account.except(kind, &index, messages);
        }
        self.findings.into_values().for_each(|finding| look.find(finding));
    }
}

const GONE_AND_BACK: &str = "were gone when they were to be exported, and are there again";

fn remedy_of(finding: &Finding) -> Option<Remedy> {
    if finding.kind == FindingKind::Quarantined || finding.text == GONE_AND_BACK {
        Some(Remedy::ReExport)
    } else if finding.kind == FindingKind::MissingFromArchive {
        Some(Remedy::Harvest)
    } else {
        None
    }
}

impl Verifier {
    /// Reads the source again for the documents that are wanted, and asks the ledger about each: it may be on record
    /// under another event time, or have come on record meanwhile.
    pub(crate) async fn name_shown(
        &self,
        look: &mut Look<'_>,
        part: &Part,
        which: Which<'_>,
        named: &mut Named,
    ) -> Result<(), VerifyError> {
        let mut tries = 1;
        loop {
            let filter = look.scope.filter.as_ref();
            let mut pages = Pages::open(&self.source, part.range(), filter).await?;
            let sorted_out = self.sort_out(look, &mut pages, part, which).await;
            pages.close().await;
            match sorted_out {
                Err(error) if tries < TRIES_MAX && is_worth_another_try(&error) => tries += 1,
                sorted_out => {
                    named.merge(sorted_out?);
                    return Ok(());
                }
            }
        }
    }

    /// As far as the source still shows them. Each id counts once.
    async fn sort_out(
        &self,
        look: &mut Look<'_>,
        pages: &mut Pages<'_>,
        part: &Part,
        which: Which<'_>,
    ) -> Result<Named, VerifyError> {
        let mut named = Named::default();
        let mut is_named = match which {
            Which::Hashes(hashes) => vec![false; hashes.len()],
            Which::Merged(_) | Which::Strays => Vec::new(),
        };
        let mut twins = Twins::default();
        while let Some(hits) = pages.next().await? {
            let wanted: Vec<Hit> = hits
                .into_iter()
                .filter(|hit| is_wanted(hit, part, which, &mut is_named))
                .collect();
            match which {
                _ if wanted.is_empty() => {}
                Which::Merged(_) => self.tell_apart(look, wanted, &mut twins, &mut named).await?,
                Which::Hashes(_) | Which::Strays => self.look_up(look, wanted, &mut named).await?,
            }
        }
        twins.tell(look, &mut named);
        Ok(named)
    }

    async fn look_up(
        &self,
        look: &mut Look<'_>,
        hits: Vec<Hit>,
        named: &mut Named,
    ) -> Result<(), VerifyError> {
        let ids: Vec<&MessageId> = hits.iter().filter_map(|hit| hit.message_id.as_ref()).collect();
        let known: HashMap<MessageId, Standing> =
            self.ledger.standings_of_ids(&ids).await?.into_iter().collect();
        let (mut nobodys, mut excepted): (Vec<Hit>, Vec<MessageId>) = (Vec::new(), Vec::new());
        let mut elsewhere: Vec<Hit> = Vec::new();
        for hit in hits {
            let Some(id) = hit.message_id.clone() else {
                continue;
            };
            let standing = known.get(&id).copied();
            if standing.is_none() && self.is_filed_in_a_sealed_hour(look, &hit).await? {
                named.elsewhere += 1;
                continue;
            }
            match reason_for(standing) {
                // It is shown in the part of its earliest event time as well, and told apart there.
                None if !look.range.contains(hit.event_time) => named.elsewhere += 1,
                None => elsewhere.push(hit.clone()),
                Some((kind @ FindingKind::Quarantined, text)) => {
                    named.except(look, (ExceptionKind::Quarantined, &hit.index), (kind, text), &id);
                }
                Some((kind, text)) => named.add(look, kind, text, &id),
            }
            match standing {
                None | Some(Standing::Released) => nobodys.push(hit),
                Some(Standing::Missing | Standing::Quarantined) => excepted.push(id),
                Some(Standing::OnRecord | Standing::Open) => {}
            }
        }
        self.name_merged_elsewhere(look, &elsewhere, named).await?;
        self.harvest_again(look, nobodys).await?;
        self.recall_exceptions(look, &excepted).await
    }

    /// A document with several event times may be filed under one whose hour is sealed, and so has no row any more.
    async fn is_filed_in_a_sealed_hour(&self, look: &Look<'_>, hit: &Hit) -> Result<bool, VerifyError> {
        if look.range.contains(hit.event_time) {
            return Ok(false);
        }
        Ok(self.ledger.is_sealed(Hour::of(hit.event_time)).await?)
    }
}

fn is_wanted(hit: &Hit, part: &Part, which: Which<'_>, is_named: &mut [bool]) -> bool {
    let Some(id) = &hit.message_id else { return false };
    let is_stray = !part.range().contains(hit.event_time);
    match which {
        Which::Strays => is_stray,
        Which::Hashes(_) | Which::Merged(_) if is_stray => false,
        Which::Merged(hashes) => hashes
            .binary_search(&IdDigest::hash(id.as_str().as_bytes()))
            .is_ok(),
        Which::Hashes(hashes) => match hashes.binary_search(&IdDigest::hash(id.as_str().as_bytes())) {
            Ok(at) => !std::mem::replace(&mut is_named[at], true),
            Err(_) => false,
        },
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
        Some(Standing::Missing) => Some((FindingKind::MissingFromArchive, GONE_AND_BACK)),
        Some(Standing::Released) => Some((FindingKind::MissingFromArchive, "nobody owns them any more")),
        None => Some((FindingKind::MissingFromArchive, "the ledger doesn't know them")),
    }
}
