//! What a verification found: numbers, digests, findings, and the verdict that follows from them.

use crate::{ContentCounts, Exceptions, Scope};
use granary_domain::{BatchId, ExceptionKind, Hour, IdDigest, MessageId, ObjectKey};
use granary_ledger::harvest::OutsideCounts;
use granary_ledger::integrity::Difference;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Findings that are kept with their text; the others are only counted.
const FINDINGS_MAX: usize = 100;
/// Ids that a finding names.
const SAMPLE_IDS_MAX: usize = 20;

/// The result of a verification. Of the first four the later one takes precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// The three sets of ids are equal, and every object and manifest is what the ledger says.
    Complete,
    /// Nothing is missing, but the archive has ids that the source no longer shows there.
    Drifted,
    /// Nothing is lost, but batches are pending, in progress, failed or parked.
    Pending,
    /// The source shows an id that no completed or waiting batch has, or the archive isn't what the ledger says.
    Incomplete,
    /// Quick: counts and manifests agree.
    Consistent,
    /// Quick: they don't.
    Inconsistent,
}

impl Verdict {
    /// The name in the ledger, in the API and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "COMPLETE",
            Self::Drifted => "DRIFTED",
            Self::Pending => "PENDING",
            Self::Incomplete => "INCOMPLETE",
            Self::Consistent => "CONSISTENT",
            Self::Inconsistent => "INCONSISTENT",
        }
    }
}

/// One thing that isn't as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The source shows ids that the ledger doesn't have, or that nobody owns, or that count as gone.
    MissingFromArchive,
    /// The source shows ids whose batch isn't completed.
    NotYetExported,
    /// The source shows ids that couldn't be exported.
    Quarantined,
    /// The source shows documents without a usable id.
    WithoutId,
    /// The source shows documents whose ids are other documents' as well.
    MergedId,
    /// An index behind the source's name can't be read.
    IndexLeftOut,
    /// An object on record isn't there.
    ObjectMissing,
    /// An object on record can't be read to its end: torn, damaged, foreign.
    ObjectCorrupt,
    /// S3 refuses to give an object on record: a permission, a disabled key, cold storage. What it holds is unknown.
    ObjectUnreadable,
    /// An object on record is sound, but not the one that was recorded.
    ObjectDiffers,
    /// An object holds other content than the source has in the same state.
    ContentDiffers,
    /// A batch on record has no manifest.
    ManifestMissing,
    /// What stands in a manifest's place is none.
    ManifestCorrupt,
    /// S3 refuses to give a manifest.
    ManifestUnreadable,
    /// A manifest says something else than the ledger.
    ManifestDiffers,
    /// The ids of an hour's objects are not the ids that the ledger has on record.
    ArchiveDiffers,
    /// Quick: the source counts more or fewer messages than are on record.
    CountDiffers,
    /// Ids on record that the source no longer shows there.
    Drifted,
    /// An object that no batch names. Queries over the bucket show its messages twice.
    Orphan,
    /// An object that was replaced and that holds messages which are on record nowhere else. Queries show what its
    /// replacement holds as well twice.
    Kept,
    /// The ledger contradicts itself: one of the invariants doesn't hold.
    InvariantViolated,
}

impl FindingKind {
    /// What the time line shows of it. What is on its way shows there by itself.
    fn difference(self) -> Option<Difference> {
        match self.verdict()? {
            Verdict::Incomplete => Some(Difference::Incomplete),
            Verdict::Drifted => Some(Difference::Drifted),
            Verdict::Complete | Verdict::Pending | Verdict::Consistent | Verdict::Inconsistent => None,
        }
    }

    /// The verdict that it leads to by itself; an orphan leads to none, and a ledger that contradicts itself proves nothing. Of exceptions an operator may
    /// accept some ([`Exceptions`]).
    fn verdict(self) -> Option<Verdict> {
        match self {
            Self::MissingFromArchive
            | Self::ObjectMissing
            | Self::ObjectCorrupt
            | Self::ObjectUnreadable
            | Self::ManifestUnreadable
            | Self::ObjectDiffers
            | Self::ContentDiffers
            | Self::ManifestMissing
            | Self::ManifestCorrupt
            | Self::ManifestDiffers
            | Self::ArchiveDiffers
            | Self::Kept
            | Self::CountDiffers
            | Self::InvariantViolated => Some(Verdict::Incomplete),
            Self::NotYetExported => Some(Verdict::Pending),
            Self::Drifted => Some(Verdict::Drifted),
            Self::Quarantined | Self::WithoutId | Self::MergedId | Self::IndexLeftOut | Self::Orphan => None,
        }
    }

    /// Whether access is what is lacking. A new export mends nothing then: a person gives access, and the next
    /// verification tells what the object holds.
    pub(crate) fn waits_for_access(self) -> bool {
        matches!(self, Self::ObjectUnreadable | Self::ManifestUnreadable)
    }

    /// Why an object's batch is exported again.
    pub(crate) fn complaint(self) -> &'static str {
        match self {
            Self::ObjectMissing => "its object isn't there",
            Self::ObjectCorrupt => "its object is torn or damaged",
            Self::ObjectUnreadable => "S3 refuses to give its object",
            Self::ManifestUnreadable => "S3 refuses to give its manifest",
            Self::ObjectDiffers => "its object isn't what the ledger says",
            Self::ContentDiffers => "its object holds other content than the source has in the same state",
            Self::ManifestMissing => "its manifest isn't there",
            Self::ManifestCorrupt => "its manifest is damaged",
            Self::ManifestDiffers => "its manifest isn't what the ledger says",
            Self::MissingFromArchive
            | Self::NotYetExported
            | Self::Quarantined
            | Self::WithoutId
            | Self::MergedId
            | Self::IndexLeftOut
            | Self::ArchiveDiffers
            | Self::CountDiffers
            | Self::Drifted
            | Self::Orphan
            | Self::Kept
            | Self::InvariantViolated => "a verification asked for it",
        }
    }
}

/// A finding, with enough to look at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What kind of thing.
    pub kind: FindingKind,
    /// In which hour.
    pub hour: Hour,
    /// Which batch, where it is one's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub batch: Option<BatchId>,
    /// Which object or manifest, where it is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<ObjectKey>,
    /// Messages concerned.
    pub messages: u64,
    /// For people.
    pub text: String,
    /// Some of the messages' ids: 20 at most.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub sample_ids: Vec<MessageId>,
    /// What is done about it, or would be; `None`: nothing, or nobody asked for a repair.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remedy: Option<Remedy>,
}

/// What a repair does about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// The messages are recorded, and will be exported.
    Harvest,
    /// The batch is exported again, under its next generation.
    ReExport,
    /// The batch is being exported again already.
    UnderWay,
    /// Another run's: this one has done as much as it may, or found the batch changed.
    Later,
}

/// What a verification had done, or would have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Repairs {
    /// Messages that are harvested again.
    pub harvested: u64,
    /// Batches that are exported again.
    pub re_exported: u64,
    /// Batches that were being exported again already.
    pub under_way: u64,
    /// Messages that are left to another run.
    pub left_messages: u64,
    /// Batches that are left to another run.
    pub left_batches: u64,
}

impl Finding {
    pub(crate) fn of_hour(kind: FindingKind, hour: Hour, text: impl Into<String>) -> Self {
        Self {
            kind,
            hour,
            batch: None,
            key: None,
            messages: 0,
            text: text.into(),
            sample_ids: Vec::new(),
            remedy: None,
        }
    }

    /// Adds another one's messages.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.messages += other.messages;
        let free = SAMPLE_IDS_MAX - self.sample_ids.len().min(SAMPLE_IDS_MAX);
        self.sample_ids
            .extend(other.sample_ids.iter().take(free).cloned());
    }

    /// Says that nothing is done about it, since a new object would lack messages that the source no longer has.
    pub(crate) fn leave_to_people(&mut self, only_archived: &[MessageId]) {
        let lost = only_archived.len();
        self.text = format!(
            "{}; {lost} of its messages are gone at the source, so it is not exported again: people have to decide",
            self.text
        );
        self.sample_ids
            .extend(only_archived.iter().take(SAMPLE_IDS_MAX).cloned());
    }

    /// Counts one message more, and names it as long as there are few.
    pub(crate) fn add(&mut self, id: &MessageId) {
        self.messages += 1;
        if self.sample_ids.len() < SAMPLE_IDS_MAX {
            self.sample_ids.push(id.clone());
        }
    }
}

/// Messages, by what is known of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counts {
    /// Distinct ids that the source shows. Quick: documents.
    pub source: u64,
    /// Documents without a usable id: they can't be archived.
    pub without_id: u64,
    /// Documents whose ids are other documents' as well: one of each is archived.
    pub merged: u64,
    /// Ids on record in the ledger.
    pub ledger: u64,
    /// Ids read back from sound objects of the hours that were looked at, also where only a part of an hour is in the
    /// range. Quick: as their manifests say.
    pub archive: u64,
    /// Ids that the source shows and the archive doesn't have, for whatever reason.
    pub missing: u64,
    /// Ids on record that the source doesn't show there.
    pub drifted: u64,
    /// Ids that the source shows here and that are on record under another event time.
    pub elsewhere: u64,
    /// In the ledger, gone at the source before they could be exported.
    pub tombstones: u64,
    /// In the ledger, can't be exported.
    pub quarantined: u64,
    /// In the ledger, not yet exported.
    pub open: u64,
    /// In the ledger, owned by nobody.
    pub released: u64,
    /// Messages of objects on record that are missing or don't verify.
    pub unreadable: u64,
}

/// The digests of the three sets of ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Digests {
    /// What the source shows.
    pub source: IdDigest,
    /// What the ledger has on record.
    pub ledger: IdDigest,
    /// What was read back from the objects.
    pub archive: IdDigest,
}

/// What was found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Account {
    /// Hours that were looked at; empty ones are skipped.
    pub hours: u64,
    /// Of these, the ones whose rows were taken away: objects, manifests and the source were compared with what was sealed.
    pub sealed_hours: u64,
    /// Messages.
    pub counts: Counts,
    /// Of their ids. Quick: of nothing.
    pub digests: Digests,
    /// Batches on record that were looked at.
    pub batches_checked: u64,
    /// Objects that were read back.
    pub objects_checked: u64,
    /// Bytes that were read from S3.
    pub bytes_read: u64,
    /// Messages that the source shows and the archive doesn't hold, and that an operator may accept.
    pub exceptions: Exceptions,
    /// Messages whose content was compared with the source.
    pub content: ContentCounts,
    /// How many findings there are of each kind.
    pub findings_by_kind: BTreeMap<FindingKind, u64>,
    /// The first 100 findings.
    pub findings: Vec<Finding>,
    /// What was done about them, or would be.
    #[serde(default)]
    pub repairs: Repairs,
    /// Milliseconds of work, over all steps.
    pub worked_ms: u64,
    /// The worst of what was found in the step at hand.
    #[serde(skip)]
    difference: Option<Difference>,
}

impl Account {
    pub(crate) fn find(&mut self, finding: Finding) {
        *self.findings_by_kind.entry(finding.kind).or_default() += 1;
        self.difference = self.difference.max(finding.kind.difference());
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    /// Counts exceptions. As many as an operator accepts make no difference.
    pub(crate) fn except(&mut self, kind: ExceptionKind, index: &str, messages: u64) {
        if !self.exceptions.add(kind, index, messages) {
            self.difference = self.difference.max(Some(Difference::Incomplete));
        }
    }

    /// The worst of what was found since the last call. An index that isn't read may have messages of every hour.
    pub(crate) fn take_difference(&mut self) -> Option<Difference> {
        let left_out = self.exceptions.are_left_out().then_some(Difference::Incomplete);
        self.difference.take().max(left_out)
    }

    /// Messages that only changed their event time are on record: as long as source and ledger hold the same ids in the
    /// scope as a whole, nothing has drifted out of it. Waiting messages count whether or not the source still shows them;
    /// behind a filter only those that it shows are known to match.
    fn verdict(&self, scope: &Scope) -> Verdict {
        let same_ids = self.digests.source == self.digests.ledger;
        let counts = |kind: &&FindingKind| !(same_ids && **kind == FindingKind::Drifted);
        let found = self
            .findings_by_kind
            .keys()
            .filter(counts)
            .filter_map(|kind| kind.verdict());
        let waits = scope.filter.is_none() && self.counts.open > 0;
        let excepted = self.exceptions.are_open().then_some(Verdict::Incomplete);
        let verdicts = found.chain(waits.then_some(Verdict::Pending)).chain(excepted);
        let worst = verdicts.max().unwrap_or(Verdict::Complete);
        match (scope.quick, worst) {
            (false, worst) => worst,
            (true, Verdict::Complete) => Verdict::Consistent,
            (true, _) => Verdict::Inconsistent,
        }
    }
}

/// Documents that no window covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outside {
    /// How many, by reason.
    #[serde(flatten)]
    pub counts: OutsideCounts,
    /// When they were counted.
    pub counted_at: Timestamp,
}

/// The end of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What it comes to.
    pub verdict: Verdict,
    /// Exceptions that an operator accepts: COMPLETE holds but for these.
    #[serde(default)]
    pub accepted_exceptions: u64,
    /// What was verified.
    pub scope: Scope,
    /// Documents of the source that no window covers, and so no verification: as they were counted last. They don't change the
    /// verdict. `None`: they were not counted yet.
    #[serde(default)]
    pub outside: Option<Outside>,
    /// What was found.
    #[serde(flatten)]
    pub account: Account,
}

impl Report {
    pub(crate) fn new(scope: Scope, mut account: Account) -> Self {
        account.exceptions.end_step();
        Self {
            verdict: account.verdict(&scope),
            accepted_exceptions: account.exceptions.accepted_messages(),
            scope,
            outside: None,
            account,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use granary_domain::TimeRange;

    fn verdict_of(kinds: &[FindingKind], quick: bool) -> Verdict {
        let hour = Hour::of("2026-01-01T00:00:00Z".parse().unwrap());
        let mut account = Account::default();
        account.digests.source.add(b"only at the source");
        kinds
            .iter()
            .for_each(|kind| account.find(Finding::of_hour(*kind, hour, "")));
        let range = TimeRange::new(hour.start(), hour.next().start()).unwrap();
        let scope = Scope {
            migration: None,
            range,
            filter: None,
            quick,
            content: false,
            archive_only: false,
            is_whole_migration: false,
            repair: crate::Repair::Off,
        };
        Report::new(scope, account).verdict
    }

    #[test]
    fn missing_outweighs_waiting_outweighs_drift_and_an_orphan_weighs_nothing() {
        use FindingKind::{Drifted, ManifestMissing, MissingFromArchive, NotYetExported, Orphan};
        assert_eq!(
            verdict_of(&[NotYetExported, MissingFromArchive, Drifted], false),
            Verdict::Incomplete
        );
        assert_eq!(
            verdict_of(&[Drifted, Orphan, NotYetExported], false),
            Verdict::Pending
        );
        assert_eq!(
            verdict_of(&[Drifted, MissingFromArchive, Orphan], false),
            Verdict::Incomplete
        );
        assert_eq!(
            verdict_of(&[MissingFromArchive, Drifted], false),
            Verdict::Incomplete
        );
        assert_eq!(verdict_of(&[Orphan, Drifted], false), Verdict::Drifted);
        assert_eq!(verdict_of(&[Orphan], false), Verdict::Complete);
        assert_eq!(verdict_of(&[], true), Verdict::Consistent);
        assert_eq!(verdict_of(&[ManifestMissing], true), Verdict::Inconsistent);
    }

    #[test]
    fn findings_are_bounded_and_their_counts_are_exact() {
        let hour = Hour::of("2026-01-01T00:00:00Z".parse().unwrap());
        let mut account = Account::default();
        let mut finding = Finding::of_hour(FindingKind::Drifted, hour, "");
        (0..50).for_each(|number| finding.add(&MessageId::try_from(format!("m{number}")).unwrap()));
        (0..150).for_each(|_| account.find(finding.clone()));
        assert_eq!((finding.messages, finding.sample_ids.len()), (50, SAMPLE_IDS_MAX));
        assert_eq!(account.findings.len(), FINDINGS_MAX);
        assert_eq!(account.findings_by_kind[&FindingKind::Drifted], 150);
    }
}
