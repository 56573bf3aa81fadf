//! The jobs there are, and their form in the ledger.

use crate::adopt::AdoptArguments;
use crate::anew::ReExportArguments;
use crate::bulk::BulkArguments;
use crate::objects::AdoptObjectArguments;
use crate::purge::PurgeArguments;
use granary_seeding::SeedArguments;
use granary_sweep::{DiscardArguments, SweepArguments};
use granary_verify::{RebuildArguments, VerifyArguments};
use serde_json::{Value, json};

/// A long job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// Compare source, ledger and archive.
    Verify(VerifyArguments),
    /// Find objects that nobody recorded, and perhaps take them away.
    Sweep(SweepArguments),
    /// Take the rows of hours that have come to their end out of the ledger.
    Purge(PurgeArguments),
    /// Export batches anew.
    ReExport(ReExportArguments),
    /// Record messages that somebody names, or export them anew.
    Bulk(BulkArguments),
    /// Give a batch to messages that nobody owns.
    Adopt(AdoptArguments),
    /// Put on record what only one object holds.
    AdoptObject(AdoptObjectArguments),
    /// Remove one object, whatever it holds.
    DiscardObject(DiscardArguments),
    /// Make a lost ledger from the archive.
    Rebuild(RebuildArguments),
    /// Write test messages.
    Seed(SeedArguments),
    /// Clear all test messages away.
    Clear,
}

impl Job {
    /// What a verification is called in the ledger.
    pub const VERIFY: &str = "verify";
    /// What a sweep is called in the ledger.
    pub const SWEEP: &str = "sweep";
    /// What a purge is called in the ledger.
    pub const PURGE: &str = "purge";
    /// What exporting anew is called in the ledger.
    pub const RE_EXPORT: &str = "re_export";
    /// What becomes of named messages is called so in the ledger.
    pub const BULK: &str = "bulk";
    /// What giving a batch to messages that nobody owns is called in the ledger.
    pub const ADOPT: &str = "adopt";
    /// What adopting an object is called in the ledger.
    pub const ADOPT_OBJECT: &str = "adopt_object";
    /// What discarding an object is called in the ledger.
    pub const DISCARD_OBJECT: &str = "discard_object";
    /// What rebuilding a lost ledger is called in it.
    pub const REBUILD: &str = "rebuild";
    /// What seeding is called in the ledger.
    pub const SEED: &str = "seed";
    /// What clearing is called in the ledger.
    pub const CLEAR: &str = "clear";

    /// Its name in the ledger and in the API.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Verify(_) => Self::VERIFY,
            Self::Sweep(_) => Self::SWEEP,
            Self::Purge(_) => Self::PURGE,
            Self::ReExport(_) => Self::RE_EXPORT,
            Self::Bulk(_) => Self::BULK,
            Self::Adopt(_) => Self::ADOPT,
            Self::AdoptObject(_) => Self::ADOPT_OBJECT,
            Self::DiscardObject(_) => Self::DISCARD_OBJECT,
            Self::Rebuild(_) => Self::REBUILD,
            Self::Seed(_) => Self::SEED,
            Self::Clear => Self::CLEAR,
        }
    }

    /// Whether it deletes objects that aren't test messages'. The reaper alone may.
    pub fn deletes_objects(&self) -> bool {
        match self {
            Self::Sweep(arguments) => arguments.apply,
            Self::DiscardObject(arguments) => !arguments.dry_run,
            Self::Verify(_)
            | Self::Purge(_)
            | Self::ReExport(_)
            | Self::Bulk(_)
            | Self::Adopt(_)
            | Self::AdoptObject(_)
            | Self::Rebuild(_)
            | Self::Seed(_)
            | Self::Clear => false,
        }
    }

    /// Its arguments in the ledger.
    pub fn arguments(&self) -> Result<Value, serde_json::Error> {
        match self {
            Self::Verify(arguments) => serde_json::to_value(arguments),
            Self::Sweep(arguments) => serde_json::to_value(arguments),
            Self::Purge(arguments) => serde_json::to_value(arguments),
            Self::ReExport(arguments) => serde_json::to_value(arguments),
            Self::Bulk(arguments) => serde_json::to_value(arguments),
            Self::Adopt(arguments) => serde_json::to_value(arguments),
            Self::AdoptObject(arguments) => serde_json::to_value(arguments),
            Self::DiscardObject(arguments) => serde_json::to_value(arguments),
            Self::Rebuild(arguments) => serde_json::to_value(arguments),
            Self::Seed(arguments) => serde_json::to_value(arguments),
            Self::Clear => Ok(json!({})),
        }
    }

    /// A job as the ledger has it. Another version of this program may have asked for it, so it may be unknown here.
    pub fn parse(kind: &str, arguments: Value) -> Result<Self, String> {
        let job = match kind {
            Self::VERIFY => serde_json::from_value(arguments).map(Self::Verify),
            Self::SWEEP => serde_json::from_value(arguments).map(Self::Sweep),
            Self::PURGE => serde_json::from_value(arguments).map(Self::Purge),
            Self::RE_EXPORT => serde_json::from_value(arguments).map(Self::ReExport),
            Self::BULK => serde_json::from_value(arguments).map(Self::Bulk),
            Self::ADOPT => serde_json::from_value(arguments).map(Self::Adopt),
            Self::ADOPT_OBJECT => serde_json::from_value(arguments).map(Self::AdoptObject),
            Self::DISCARD_OBJECT => serde_json::from_value(arguments).map(Self::DiscardObject),
            Self::REBUILD => serde_json::from_value(arguments).map(Self::Rebuild),
            Self::SEED => serde_json::from_value(arguments).map(Self::Seed),
            Self::CLEAR => Ok(Self::Clear),
            other => return Err(format!("this version knows no operation {other:?}")),
        };
        job.map_err(|error| format!("the arguments of this operation ({kind}) can't be read: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::KnownMessages;
    use granary_domain::{BatchId, MessageId, ObjectKey, Priority};
    use granary_ledger::export::ReExportSelection;

    fn rebuild() -> Job {
        Job::Rebuild(RebuildArguments {
            dry_run: false,
            batch_size: 10,
            reason: Some("the database is lost".to_owned()),
            requested_by: "operator".to_owned(),
        })
    }

    #[test]
    fn a_job_survives_the_ledger() {
        let base = "2026-11-22T10:00:00Z".parse().unwrap();
        let jobs = [
            Job::Verify(VerifyArguments {
                quick: true,
                from: Some(base),
                ..VerifyArguments::default()
            }),
            Job::Seed(SeedArguments {
                count: 10,
                seed: 7,
                base,
                hours: 6,
                batch_size: Some(5),
            }),
            Job::Sweep(SweepArguments {
                apply: true,
                older_than_secs: Some(7_200),
                ..SweepArguments::default()
            }),
            Job::Purge(PurgeArguments {
                before: base,
                dry_run: false,
                horizon_secs: 604_800,
                requested_by: "operator".to_owned(),
            }),
            Job::ReExport(ReExportArguments {
                selection: ReExportSelection::Batches(vec![BatchId(7)]),
                limit: 10,
                dry_run: false,
                reason: "a test".to_owned(),
                requested_by: "operator".to_owned(),
            }),
            Job::Bulk(BulkArguments {
                ids: vec![MessageId::try_from("m-1".to_owned()).unwrap()],
                known: KnownMessages::ReExport,
                batch_size: 10,
                priority: Priority::NORMAL,
                dry_run: true,
                reason: None,
                requested_by: "operator".to_owned(),
            }),
            Job::Adopt(AdoptArguments {
                from: Some(base),
                to: None,
                batch_size: 10,
                limit: 100,
                dry_run: true,
                reason: None,
                requested_by: "operator".to_owned(),
            }),
            Job::AdoptObject(AdoptObjectArguments {
                key: ObjectKey::from_record("a/batch-1-g1.ndjson".to_owned()),
                batch_size: 10,
                dry_run: false,
                reason: None,
                requested_by: "operator".to_owned(),
            }),
            Job::DiscardObject(DiscardArguments {
                key: ObjectKey::from_record("a/batch-1-g1.ndjson".to_owned()),
                etag: Some("\"e\"".to_owned()),
                dry_run: false,
                reason: "a test".to_owned(),
                requested_by: "operator".to_owned(),
            }),
            rebuild(),
            Job::Clear,
        ];
        for job in jobs {
            assert_eq!(Job::parse(job.kind(), job.arguments().unwrap()), Ok(job));
        }
    }

    #[test]
    fn an_unknown_kind_and_unreadable_arguments_are_named() {
        assert!(Job::parse("paint", json!({})).unwrap_err().contains("paint"));
        assert!(
            Job::parse("verify", json!({"speed": 1}))
                .unwrap_err()
                .contains("speed")
        );
    }
}
