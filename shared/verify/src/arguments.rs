//! What is to be verified: what somebody asked for, and the range that it comes to.

use crate::{Verifier, VerifyError};
use granary_domain::{Hour, MigrationId, MigrationState, TimeRange};
use granary_ledger::harvest::{Migration, MigrationFilter};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What somebody asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerifyArguments {
    /// A migration's range and filter; `None`: everything that the source or the ledger has.
    #[serde(default)]
    pub migration: Option<MigrationId>,
    /// From when on, in place of the migration's or the earliest message's.
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// Up to when, in place of the migration's or of where the harvest has come to.
    #[serde(default)]
    pub to: Option<Timestamp>,
    /// Counts and manifests only.
    #[serde(default)]
    pub quick: bool,
    /// Compare the content of every message with the source, not of some of each object.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub content: bool,
    /// Compare the ledger with the archive alone. The source isn't read: it may be cleaned up, or gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub archive_only: bool,
    /// Whether what is found is repaired.
    #[serde(default, skip_serializing_if = "Repair::is_off")]
    pub repair: Repair,
}

/// Whether a verification repairs what it finds. Its verdict is about what it found, in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// It only looks.
    #[default]
    Off,
    /// It says what would be done.
    DryRun,
    /// It has left-out messages harvested and broken objects exported again.
    On,
}

impl Repair {
    fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

/// What is verified: fixed when the verification begins, the same for all of its steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Scope {
    /// The migration that was asked for.
    pub migration: Option<MigrationId>,
    /// The event times.
    pub range: TimeRange,
    /// The migration's filter: only what matches is looked for, and nothing can be said about drift.
    pub filter: Option<Value>,
    /// Counts and manifests only.
    pub quick: bool,
    /// The content of every message is compared, not of some of each object.
    #[serde(default)]
    pub content: bool,
    /// The ledger is compared with the archive alone.
    #[serde(default)]
    pub archive_only: bool,
    /// Whether it is the whole of the migration, so that the verdict is the migration's.
    pub is_whole_migration: bool,
    /// Whether what is found is repaired.
    #[serde(default)]
    pub repair: Repair,
}

impl Scope {
    /// Whether a look at a part of an hour shows all exceptions of the hour.
    pub(crate) fn shows_exceptions_of(&self, range: TimeRange) -> bool {
        let is_full = !self.quick && !self.archive_only && self.filter.is_none();
        is_full && range == Hour::of(range.from()).range()
    }
}

const MIGRATIONS_MAX: u32 = 1_000;
const HOUR: SignedDuration = SignedDuration::from_hours(1);

impl Verifier {
    /// Refuses what has nothing between its two ends, before anybody works on it. The source isn't asked.
    pub async fn refuse_empty(&self, arguments: &VerifyArguments) -> Result<(), VerifyError> {
        if arguments.migration.is_some() || arguments.from.is_some() {
            self.scope_of(arguments).await?;
        }
        Ok(())
    }

    /// Fixes the scope. It never reaches beyond closed windows: what no harvest has come to yet isn't missing.
    pub(crate) async fn scope_of(&self, arguments: &VerifyArguments) -> Result<Scope, VerifyError> {
        let newest = self.newest().await?;
        match arguments.migration {
            Some(id) => {
                let migration = self.ledger.migration(id).await?;
                let migration = migration.ok_or(VerifyError::UnknownMigration(id))?;
                scope_of_migration(migration, arguments, newest)
            }
            None => self.scope_of_all(arguments, newest).await,
        }
    }

    /// The instant before which messages have settled at the source.
    pub(crate) async fn newest(&self) -> Result<Timestamp, VerifyError> {
        let newest = self.ledger.settled_up_to(self.visibility.lag).await?;
        // The source compares whole milliseconds: cut within one, it would leave out what the ledger counts.
        Ok(Timestamp::from_millisecond(newest.as_millisecond()).unwrap_or(newest))
    }

    async fn scope_of_all(
        &self,
        arguments: &VerifyArguments,
        newest: Timestamp,
    ) -> Result<Scope, VerifyError> {
        let harvested_to = self.harvested_to().await?.unwrap_or(newest).min(newest);
        let to = match (arguments.to, arguments.repair) {
            (Some(to), Repair::Off) => to.min(newest),
            // What no harvest has come to yet will be harvested anyway.
            (Some(to), Repair::DryRun | Repair::On) => to.min(harvested_to),
            (None, _) => harvested_to,
        };
        let range = match arguments.from {
            Some(from) => TimeRange::new(from, to)?,
            None => {
                let hour_before = TimeRange::new(to - HOUR, to)?;
                let first = self.first_known(to).await?.unwrap_or(to);
                TimeRange::new(first, to).unwrap_or(hour_before)
            }
        };
        Ok(Scope {
            migration: None,
            range,
            filter: None,
            quick: arguments.quick,
            content: arguments.content,
            archive_only: arguments.archive_only,
            is_whole_migration: false,
            repair: arguments.repair,
        })
    }

    /// The end of the latest window. Where nothing was harvested yet, everything is still to be shown.
    async fn harvested_to(&self) -> Result<Option<Timestamp>, VerifyError> {
        let filter = MigrationFilter {
            limit: MIGRATIONS_MAX,
            ..MigrationFilter::default()
        };
        let migrations = self.ledger.migrations(filter).await?;
        Ok(migrations.iter().filter_map(windows_end).max())
    }

    /// The earliest message before `to` that the source or the ledger has.
    async fn first_known(&self, to: Timestamp) -> Result<Option<Timestamp>, VerifyError> {
        let ever = TimeRange::new(TimeRange::EVER.from(), to)?;
        let at_source = self.source.first_event(ever, None).await?;
        let in_ledger = self.ledger.first_hour_of(ever).await?.map(|hour| hour.start());
        let sealed = self
            .ledger
            .first_sealed_hour_of(ever)
            .await?
            .map(|hour| hour.start());
        Ok([at_source, in_ledger, sealed]
            .into_iter()
            .flatten()
            .min()
            .map(|first| Hour::of(first).start()))
    }
}

fn windows_end(migration: &Migration) -> Option<Timestamp> {
    let is_harvested =
        migration.state != MigrationState::Cancelled && migration.harvested_to > migration.from;
    is_harvested.then_some(migration.harvested_to)
}

fn scope_of_migration(
    migration: Migration,
    arguments: &VerifyArguments,
    newest: Timestamp,
) -> Result<Scope, VerifyError> {
    let asked_to = arguments.to.or(migration.to);
    let to = asked_to
        .or_else(|| windows_end(&migration))
        .unwrap_or(newest)
        .min(newest);
    let to = match arguments.repair {
        Repair::Off => to,
        Repair::DryRun | Repair::On => to.min(migration.harvested_to),
    };
    let from = arguments.from.unwrap_or(migration.from);
    let reaches_its_end = arguments.to.is_none() && migration.to.is_none_or(|end| end <= newest && end <= to);
    Ok(Scope {
        migration: Some(migration.id),
        range: TimeRange::new(from, to)?,
        filter: migration.filter,
        quick: arguments.quick,
        content: arguments.content,
        archive_only: arguments.archive_only,
        is_whole_migration: arguments.from.is_none() && reaches_its_end,
        repair: arguments.repair,
    })
}
