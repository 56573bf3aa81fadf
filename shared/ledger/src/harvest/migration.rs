//! Migrations: what was asked for.

use crate::db::connect::Doing;
use crate::db::error::During;
use crate::db::row::{Columns, at, unreadable, uuid};
use crate::{Ledger, LedgerError};
use granary_domain::{MigrationId, MigrationKind, MigrationState, Priority, TimeRange};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Row, Value, params};
use serde::Serialize;

/// A migration to be made.
#[derive(Debug, Clone)]
pub struct NewMigration {
    /// Its id, chosen by the caller: making it twice makes it once.
    pub id: MigrationId,
    /// Why it exists.
    pub kind: MigrationKind,
    /// How urgent it is.
    pub priority: Priority,
    /// Messages in a batch at most.
    pub batch_size: u32,
    /// A query DSL object that its messages must match.
    pub filter: Option<serde_json::Value>,
    /// From when on.
    pub from: Timestamp,
    /// Up to when; `None`: without an end.
    pub to: Option<Timestamp>,
    /// Who asked.
    pub requested_by: String,
}

/// A migration as it stands.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Migration {
    /// Its id.
    pub id: MigrationId,
    /// Why it exists.
    pub kind: MigrationKind,
    /// How far it is.
    pub state: MigrationState,
    /// Since when it has been paused.
    pub paused_at: Option<Timestamp>,
    /// How urgent it is.
    pub priority: Priority,
    /// Messages in a batch at most.
    pub batch_size: u32,
    /// A query DSL object that its messages must match.
    pub filter: Option<serde_json::Value>,
    /// From when on.
    pub from: Timestamp,
    /// Up to when; `None`: without an end.
    pub to: Option<Timestamp>,
    /// Every instant of its range before this one is in a window.
    pub harvested_to: Timestamp,
    /// Who asked.
    pub requested_by: String,
    /// The newest verdict of a verification of its range.
    pub verdict: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was completed or cancelled.
    pub finished_at: Option<Timestamp>,
}

/// Which migrations to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct MigrationFilter {
    /// Only those in this state.
    pub state: Option<MigrationState>,
    /// Only those of this kind.
    pub kind: Option<MigrationKind>,
    /// Only those whose range doesn't end before this instant, nor at it.
    pub from: Option<Timestamp>,
    /// Only those whose range begins before this instant.
    pub to: Option<Timestamp>,
    /// Only those made before this one (the list is newest first): the cursor.
    pub before: Option<MigrationId>,
    /// How many at most.
    pub limit: u32,
}

const COLUMNS: &str = "id, kind, state, paused_at, priority, batch_size, source_filter, range_from, range_to, \
                       harvested_to, requested_by, verdict, created_at, finished_at";

/// A migration that is open although its whole range is in windows, all of them recorded.
pub(crate) const HAS_NOTHING_LEFT_TO_READ: &str = "m.state = 'open' AND m.range_to IS NOT NULL \
     AND m.harvested_to = m.range_to AND NOT EXISTS (SELECT 1 FROM harvest_window w FORCE INDEX (harvest_window_state) \
     WHERE w.migration_id = m.id AND w.state IN ('open', 'harvesting') AND w.recorded_at IS NULL)";

impl Ledger {
    /// Makes a migration. One that exists already is left as it is; a second continuous one isn't made.
    pub async fn make_migration(&self, new: &NewMigration) -> Result<(), LedgerError> {
        self.change(Step::MakeMigration, |doing| self.try_make_migration(doing, new))
            .await
    }

    async fn try_make_migration(&self, doing: Doing, new: &NewMigration) -> Result<(), LedgerError> {
        let only_one = (new.kind == MigrationKind::Continuous).then_some(new.kind.as_str());
        let mut conn = self.conn(doing).await?;
        conn.exec_drop(
            "INSERT INTO migration (id, kind, state, priority, batch_size, source_filter, range_from, range_to, \
             harvested_to, requested_by, only_one, created_at) \
             VALUES (:id, :kind, 'open', :priority, :batch_size, :filter, :from, :to, :from, :by, :only_one, \
             UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE id = id",
            params! {
                "id" => uuid(new.id),
                "kind" => new.kind.as_str(),
                "priority" => u8::from(new.priority),
                "batch_size" => new.batch_size,
                "filter" => new.filter.as_ref().map(ToString::to_string),
                "from" => at(new.from),
                "to" => new.to.map_or(Value::NULL, at),
                "by" => &new.requested_by,
                "only_one" => only_one,
            },
        )
        .await
        .during(doing)
    }

    /// One migration.
    pub async fn migration(&self, id: MigrationId) -> Result<Option<Migration>, LedgerError> {
        self.read("read a migration", |mut reader| async move {
            let query = &format!("SELECT {COLUMNS} FROM migration WHERE id = ?");
            let row: Option<Row> = reader.first(query, (uuid(id),)).await?;
            row.map(migration_of).transpose()
        })
        .await
    }

    /// Migrations, the newest first.
    pub async fn migrations(&self, filter: MigrationFilter) -> Result<Vec<Migration>, LedgerError> {
        self.read("list migrations", |mut reader| async move {
            let query = &format!(
                "SELECT {COLUMNS} FROM migration WHERE (:state IS NULL OR state = :state) \
                 AND (:kind IS NULL OR kind = :kind) AND (:before IS NULL OR id < :before) \
                 AND (:from IS NULL OR range_to IS NULL OR range_to > :from) \
                 AND (:to IS NULL OR range_from < :to) ORDER BY id DESC LIMIT :limit"
            );
            let rows: Vec<Row> = reader
                .rows(
                    query,
                    params! {
                        "state" => filter.state.map(MigrationState::as_str),
                        "kind" => filter.kind.map(MigrationKind::as_str),
                        "from" => filter.from.map_or(Value::NULL, at),
                        "to" => filter.to.map_or(Value::NULL, at),
                        "before" => filter.before.map_or(Value::NULL, uuid),
                        "limit" => filter.limit,
                    },
                )
                .await?;
            rows.into_iter().map(migration_of).collect()
        })
        .await
    }

    /// Migrations whose ids are still to be read, the most urgent first, then the oldest. At most 1,000.
    pub async fn migrations_to_harvest(&self) -> Result<Vec<Migration>, LedgerError> {
        self.read("list migrations to harvest", |mut reader| async move {
            let query = &format!(
                "SELECT {COLUMNS} FROM migration WHERE state = 'open' AND paused_at IS NULL AND NOT dry_run \
                 ORDER BY priority DESC, id LIMIT 1000"
            );
            let rows: Vec<Row> = reader.rows(query, ()).await?;
            rows.into_iter().map(migration_of).collect()
        })
        .await
    }

    /// Moves migrations whose whole range is in windows, all of them recorded, from open to draining.
    pub async fn drain_harvested_migrations(&self) -> Result<u64, LedgerError> {
        self.change_migrations(
            Step::DrainMigrations,
            &format!("UPDATE migration m SET m.state = 'draining' WHERE {HAS_NOTHING_LEFT_TO_READ}"),
        )
        .await
    }

    /// Completes a draining migration. Whether nothing of its range is open is the caller's to know.
    pub async fn complete_migration(&self, id: MigrationId) -> Result<bool, LedgerError> {
        self.change(Step::CompleteMigration, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "UPDATE migration SET state = 'completed', finished_at = UTC_TIMESTAMP(6) \
                 WHERE id = ? AND state = 'draining'",
                (uuid(id),),
            )
            .await
            .during(doing)?;
            Ok(conn.affected_rows() > 0)
        })
        .await
    }

    /// Writes down what a verification of a range found of a migration. A COMPLETE one has the windows of that range
    /// verified.
    pub async fn record_verdict(
        &self,
        id: MigrationId,
        verdict: &str,
        range: TimeRange,
    ) -> Result<(), LedgerError> {
        self.change(Step::RecordVerdict, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            transaction
                .exec_drop(
                    "UPDATE migration SET verdict = ?, verdict_at = UTC_TIMESTAMP(6) WHERE id = ?",
                    (verdict, uuid(id)),
                )
                .await
                .during(doing)?;
            if verdict == "COMPLETE" {
                transaction
                    .exec_drop(
                        "UPDATE harvest_window SET state = 'verified' \
                         WHERE migration_id = ? AND state = 'recorded' AND range_to <= ?",
                        (uuid(id), at(range.to())),
                    )
                    .await
                    .during(doing)?;
            }
            transaction.commit().await.during(doing)
        })
        .await
    }

    async fn change_migrations(&self, step: Step, statement: &str) -> Result<u64, LedgerError> {
        self.change(step, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.query_drop(statement).await.during(doing)?;
            Ok(conn.affected_rows())
        })
        .await
    }
}

fn migration_of(mut row: Row) -> Result<Migration, LedgerError> {
    let filter: Option<String> = row.column("source_filter")?;
    let filter = filter.map(|text| serde_json::from_str(&text)).transpose();
    Ok(Migration {
        id: row.migration_id("id")?,
        kind: row.parsed("kind")?,
        state: row.parsed("state")?,
        paused_at: row.instant_or_null("paused_at")?,
        priority: priority_of(&mut row)?,
        batch_size: row.column("batch_size")?,
        filter: filter.map_err(|error| unreadable("source_filter", &error))?,
        from: row.instant("range_from")?,
        to: row.instant_or_null("range_to")?,
        harvested_to: row.instant("harvested_to")?,
        requested_by: row.column("requested_by")?,
        verdict: row.column("verdict")?,
        created_at: row.instant("created_at")?,
        finished_at: row.instant_or_null("finished_at")?,
    })
}

pub(crate) fn priority_of(row: &mut Row) -> Result<Priority, LedgerError> {
    let number: u8 = row.column("priority")?;
    Priority::try_from(number).map_err(|error| unreadable("priority", &error))
}
