//! Sealing: an hour is sealed if and only if all that is known of it has come to its end.
//!
//! All of this must hold, and is asked in the transaction that seals, by the rows themselves: the hour ended longer ago
//! than the deepest re-scan looks back, and every window over it is settled and lacks no index that isn't accepted; final windows of migrations without a
//! filter cover it without a gap; nothing in it was settled since their verification began; no window and no migration
//! is still to read it; each of its batches is completed or cancelled; each of its messages is owned; and its message
//! rows add up to what its batches say.
//!
//! Sealing has the gate to itself for that moment, so that no page is being recorded; a page that comes later finds the
//! hour closed (`sealed.rs`). Dying in it leaves nothing; done twice, it finds the hour sealed.
//!
//! Not responsible for taking rows away (`purge.rs`), nor for whether the objects are there: whoever purges looks at
//! them first.

use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::row::{Columns, at, unreadable};
use crate::export::superseded::IS_SUPERSEDED;
use crate::harvest::left_out::LACKS_INDEX;
use crate::harvest::over::{is_over, range_and};
use crate::harvest::rescan::SETTLED;
use crate::harvest::unowned::UNOWNED;
use crate::harvest::window::{micros, range_of};
use crate::integrity::evidence::{DIGEST, digest_of};
use crate::integrity::proof::JOINED;
use crate::integrity::sealed::{Gate, come_to_the_gate};
use crate::{Ledger, LedgerError};
use granary_domain::{BatchId, Hour, IdDigest, TimeRange};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Row, params};
use std::time::Duration;

/// Whether an hour is to be sealed, or only to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealIntent {
    /// Nothing is written.
    Look,
    /// It is sealed, if it can be.
    Seal {
        /// Who asked.
        by: String,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seal {
    /// It can be sealed, or is sealed now.
    Sealable {
        /// Its messages.
        messages: u64,
        /// Its batches, cancelled ones as well.
        batches: u64,
        /// Objects that stay.
        objects: u64,
        /// Their bytes.
        bytes_stored: u64,
    },
    /// All its batches are sealed already.
    Already,
    /// It can't be sealed as things stand.
    Refused {
        /// Every reason, for people.
        reasons: Vec<String>,
    },
}

/// Their numbers are kept with the seal, in a column of 64 KiB.
const WINDOWS_MAX: u32 = 3_000;

impl Ledger {
    /// Seals an hour that ended longer than `horizon` ago, or says why not. Done twice, it finds it sealed.
    pub async fn seal_hour(
        &self,
        hour: Hour,
        horizon: Duration,
        intent: &SealIntent,
    ) -> Result<Seal, LedgerError> {
        // Looking asks the same questions, keeps nobody out, and rolls back.
        self.change(Step::SealHour, |doing| {
            self.try_seal_hour(doing, hour, horizon, intent)
        })
        .await
    }

    async fn try_seal_hour(
        &self,
        doing: Doing,
        hour: Hour,
        horizon: Duration,
        intent: &SealIntent,
    ) -> Result<Seal, LedgerError> {
        let mut transaction = self.begin(doing).await?;
        let seal = seal_in(&mut transaction, doing, hour, horizon, intent).await?;
        match (&seal, intent) {
            (Seal::Sealable { .. }, SealIntent::Seal { .. }) => transaction.commit().await.during(doing)?,
            _ => transaction.rollback().await.during(doing)?,
        }
        Ok(seal)
    }
}

async fn seal_in(
    transaction: &mut Transaction,
    doing: Doing,
    hour: Hour,
    horizon: Duration,
    intent: &SealIntent,
) -> Result<Seal, LedgerError> {
    if let SealIntent::Seal { .. } = intent {
        come_to_the_gate(transaction, doing, Gate::Alone).await?;
    }
    let batches = batches_of(transaction, doing, hour).await?;
    let Some(last_batch) = batches.last else {
        return Ok(Seal::Already);
    };
    let windows = windows_over(transaction, doing, hour).await?;
    let mut reasons = batches.reasons();
    reasons.extend(reasons_of_unread(transaction, doing, hour, horizon).await?);
    if !covers(hour, &windows, batches.settled_last) {
        reasons
            .push("no full verification that was COMPLETE covers all of it since it was settled".to_owned());
    }
    reasons.extend(reasons_of_rest(transaction, doing, hour, horizon).await?);
    if !reasons.is_empty() {
        return Ok(Seal::Refused { reasons });
    }
    let rows = rows_of(transaction, doing, hour, last_batch).await?;
    if rows != (batches.exported, batches.missing, batches.quarantined) {
        let reasons = vec![format!(
            "its batches say {} exported, {} missing and {} quarantined, its message rows {}, {} and {}",
            batches.exported,
            batches.missing,
            batches.quarantined,
            rows.exported.count,
            rows.missing,
            rows.quarantined
        )];
        return Ok(Seal::Refused { reasons });
    }
    if let SealIntent::Seal { by } = intent {
        write_seal(
            transaction,
            doing,
            hour,
            (last_batch, by),
            &windows,
            &batches,
            &rows.exported,
        )
        .await?;
    }
    Ok(Seal::Sealable {
        messages: batches.exported + batches.missing + batches.quarantined,
        batches: batches.all,
        objects: batches.objects,
        bytes_stored: batches.bytes_stored,
    })
}

/// The batches of an hour that aren't sealed yet.
struct Batches {
    last: Option<BatchId>,
    all: u64,
    completed: u64,
    open: u64,
    parked: u64,
    exported: u64,
    missing: u64,
    quarantined: u64,
    objects: u64,
    bytes_stored: u64,
    settled_last: Option<Timestamp>,
}

impl Batches {
    fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.open > 0 {
            reasons.push(format!("{} of its batches are not completed", self.open));
        }
        if self.parked > 0 {
            reasons.push(format!("{} of its batches are parked", self.parked));
        }
        if self.quarantined > 0 {
            reasons.push(format!(
                "{} of its messages are quarantined, and only their rows tell which",
                self.quarantined
            ));
        }
        reasons
    }
}

async fn batches_of(transaction: &mut Transaction, doing: Doing, hour: Hour) -> Result<Batches, LedgerError> {
    let row: Option<Row> = transaction
        .exec_first(
            "SELECT MAX(b.id) AS last_batch_id, COUNT(*) AS all_batches, \
             CAST(COALESCE(SUM(b.status = 'completed'), 0) AS UNSIGNED) AS completed, \
             CAST(COALESCE(SUM(b.status NOT IN ('completed', 'cancelled') AND b.parked_at IS NULL), 0) AS UNSIGNED) AS open_batches, \
             CAST(COALESCE(SUM(b.parked_at IS NOT NULL), 0) AS UNSIGNED) AS parked, \
             CAST(COALESCE(SUM(IF(b.status = 'completed', b.exported, 0)), 0) AS UNSIGNED) AS exported, \
             CAST(COALESCE(SUM(IF(b.status = 'completed', b.missing, 0)), 0) AS UNSIGNED) AS missing, \
             CAST(COALESCE(SUM(IF(b.status = 'completed', b.quarantined, 0)), 0) AS UNSIGNED) AS quarantined, \
             CAST(COALESCE(SUM(b.status = 'completed' AND b.object_key IS NOT NULL), 0) AS UNSIGNED) AS objects, \
             CAST(COALESCE(SUM(IF(b.status = 'completed', b.bytes_stored, 0)), 0) AS UNSIGNED) AS bytes_stored, \
             MAX(b.settled_at) AS settled_last FROM batch b WHERE b.hour_start = :hour AND b.id > \
             (SELECT COALESCE(MAX(s.last_batch_id), 0) FROM sealed_range s WHERE s.range_from = :hour)",
            params! { "hour" => at(hour.start()) },
        )
        .await
        .during(doing)?;
    let mut row = row.ok_or_else(|| LedgerError::inconsistent(doing, "no answer"))?;
    Ok(Batches {
        last: row.column::<Option<u64>>("last_batch_id")?.map(BatchId),
        all: row.column("all_batches")?,
        completed: row.column("completed")?,
        open: row.column("open_batches")?,
        parked: row.column("parked")?,
        exported: row.column("exported")?,
        missing: row.column("missing")?,
        quarantined: row.column("quarantined")?,
        objects: row.column("objects")?,
        bytes_stored: row.column("bytes_stored")?,
        settled_last: row.instant_or_null("settled_last")?,
    })
}

/// A final window over the hour, of a migration without a filter.
struct WindowOver {
    id: u64,
    range: TimeRange,
    /// When a full verification of it began that was COMPLETE.
    verified_at: Timestamp,
}

/// In order of their beginning. Where there are more than the list holds, the hour counts as not covered.
async fn windows_over(
    transaction: &mut Transaction,
    doing: Doing,
    hour: Hour,
) -> Result<Vec<WindowOver>, LedgerError> {
    let query = format!(
        "SELECT w.id, w.range_from, w.range_to, w.verified_at FROM {JOINED} WHERE {} \
         AND m.state <> 'cancelled' AND w.state = 'verified' AND w.verified_at IS NOT NULL AND m.source_filter IS NULL AND p.final_at IS NOT NULL \
         ORDER BY w.range_from LIMIT :most",
        is_over()
    );
    let rows: Vec<Row> = transaction
        .exec(query, range_and(hour.range(), [("most", WINDOWS_MAX.into())]))
        .await
        .during(doing)?;
    rows.into_iter()
        .map(|mut row| {
            Ok(WindowOver {
                id: row.column("id")?,
                range: range_of(&mut row)?,
                verified_at: row.instant("verified_at")?,
            })
        })
        .collect()
}

/// Whether a window over the hour is still to be read, or was read without an index that isn't accepted. However many
/// windows there are: none may be left out of this.
async fn reasons_of_unread(
    transaction: &mut Transaction,
    doing: Doing,
    hour: Hour,
    horizon: Duration,
) -> Result<Vec<String>, LedgerError> {
    let over_the_hour = format!("{} AND m.state <> 'cancelled'", is_over());
    let row: Option<(bool, bool)> = transaction
        .exec_first(
            format!(
                "SELECT EXISTS (SELECT 1 FROM {JOINED} WHERE {over_the_hour} \
                  AND NOT (w.state IN ('recorded', 'verified') AND {SETTLED})), \
                 EXISTS (SELECT 1 FROM {JOINED} WHERE {over_the_hour} AND m.kind <> 'selection' AND {LACKS_INDEX})"
            ),
            range_and(hour.range(), [("horizon", micros(horizon).into())]),
        )
        .await
        .during(doing)?;
    let (is_unread, lacks_index) = row.ok_or_else(|| LedgerError::inconsistent(doing, "no answer"))?;
    let reasons = [
        (is_unread, "a window over it is still to be read"),
        (
            lacks_index,
            "a window over it was read without an index: repair the index, or accept that it is left out",
        ),
    ];
    Ok(those_that_hold(&reasons))
}

fn those_that_hold(reasons: &[(bool, &str)]) -> Vec<String> {
    let hold = reasons.iter().filter(|(holds, _)| *holds);
    hold.map(|(_, reason)| (*reason).to_owned()).collect()
}

/// Whether verified windows cover an hour without a gap. They come in order of their beginning.
fn covers(hour: Hour, windows: &[WindowOver], settled_last: Option<Timestamp>) -> bool {
    let mut covered_to = hour.start();
    for window in windows {
        let counts = settled_last.is_none_or(|settled| settled <= window.verified_at);
        if counts && window.range.from() <= covered_to {
            covered_to = covered_to.max(window.range.to());
        }
    }
    covered_to >= hour.next().start()
}

async fn reasons_of_rest(
    transaction: &mut Transaction,
    doing: Doing,
    hour: Hour,
    horizon: Duration,
) -> Result<Vec<String>, LedgerError> {
    let row: Option<(bool, bool, bool, bool)> = transaction
        .exec_first(
            format!(
            "SELECT :to > UTC_TIMESTAMP(6) - INTERVAL :horizon MICROSECOND, \
             EXISTS (SELECT 1 FROM migration WHERE state = 'open' AND range_from < :to AND harvested_to < :to \
                     AND (range_to IS NULL OR range_to > :from)), \
             EXISTS (SELECT 1 FROM batch WHERE hour_start = :from AND {UNOWNED}), \
             EXISTS (SELECT 1 FROM superseded_object s JOIN batch b ON b.id = s.batch_id \
                     WHERE s.hour_start = :from AND {IS_SUPERSEDED})"
            ),
            params! {
                "from" => at(hour.start()), "to" => at(hour.next().start()), "horizon" => micros(horizon),
            },
        )
        .await
        .during(doing)?;
    let (is_young, is_awaited, has_unowned, has_replaced) =
        row.ok_or_else(|| LedgerError::inconsistent(doing, "no answer"))?;
    let reasons = [
        (is_young, "it is younger than the deepest re-scan looks back"),
        (is_awaited, "a migration that is open has yet to read it"),
        (has_unowned, "it has unowned messages"),
        (has_replaced, "an object that was replaced isn't removed"),
    ];
    Ok(those_that_hold(&reasons))
}

/// The messages of completed batches, counted and digested from their rows.
struct Rows {
    exported: IdDigest,
    missing: u64,
    quarantined: u64,
}

impl PartialEq<(u64, u64, u64)> for Rows {
    fn eq(&self, other: &(u64, u64, u64)) -> bool {
        (self.exported.count, self.missing, self.quarantined) == *other
    }
}

async fn rows_of(
    transaction: &mut Transaction,
    doing: Doing,
    hour: Hour,
    last_batch: BatchId,
) -> Result<Rows, LedgerError> {
    let query = format!(
        "SELECT COALESCE(m.outcome, 'exported') AS outcome, {DIGEST} FROM batch b JOIN message m ON m.batch_id = b.id \
         WHERE b.hour_start = :hour AND b.status = 'completed' AND b.id <= :last AND b.id > \
         (SELECT COALESCE(MAX(s.last_batch_id), 0) FROM sealed_range s WHERE s.range_from = :hour) GROUP BY m.outcome"
    );
    let found: Vec<Row> = transaction
        .exec(
            query,
            params! { "hour" => at(hour.start()), "last" => last_batch.0 },
        )
        .await
        .during(doing)?;
    let mut rows = Rows {
        exported: IdDigest::default(),
        missing: 0,
        quarantined: 0,
    };
    for mut row in found {
        let outcome: String = row.column("outcome")?;
        let digest = digest_of(&mut row)?;
        match outcome.as_str() {
            "exported" => rows.exported = digest,
            "missing" => rows.missing = digest.count,
            "quarantined" => rows.quarantined = digest.count,
            other => return Err(unreadable("outcome", &other)),
        }
    }
    Ok(rows)
}

async fn write_seal(
    transaction: &mut Transaction,
    doing: Doing,
    hour: Hour,
    (last_batch, by): (BatchId, &str),
    windows: &[WindowOver],
    batches: &Batches,
    digest: &IdDigest,
) -> Result<(), LedgerError> {
    let covering = windows.iter().map(|window| window.id.to_string());
    let covering = format!("[{}]", covering.collect::<Vec<_>>().join(","));
    let (high, low) = digest.sums();
    transaction
        .exec_drop(
            "INSERT INTO sealed_range (range_from, range_to, last_batch_id, windows, messages, exported, missing, \
             quarantined, batches, objects, bytes_stored, digest_high, digest_low, sealed_at, sealed_by) \
             VALUES (:from, :to, :last, :windows, :exported + :missing + :quarantined, :exported, :missing, \
             :quarantined, :batches, :objects, :bytes_stored, :high, :low, UTC_TIMESTAMP(6), :by)",
            params! {
                "from" => at(hour.start()), "to" => at(hour.next().start()), "last" => last_batch.0,
                "windows" => covering, "exported" => batches.exported, "missing" => batches.missing,
                "quarantined" => batches.quarantined, "batches" => batches.completed, "objects" => batches.objects,
                "bytes_stored" => batches.bytes_stored, "high" => high, "low" => low, "by" => by,
            },
        )
        .await
        .during(doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> Timestamp {
        format!("2026-01-01T{text}Z").parse().unwrap()
    }

    fn window(from: &str, to: &str) -> WindowOver {
        WindowOver {
            id: 1,
            range: TimeRange::new(instant(from), instant(to)).unwrap(),
            verified_at: instant("20:00:00"),
        }
    }

    fn is_covered(windows: &[WindowOver], settled_last: Option<&str>) -> bool {
        covers(Hour::of(instant("10:00:00")), windows, settled_last.map(instant))
    }

    #[test]
    fn verified_windows_must_cover_an_hour_without_a_gap() {
        assert!(!is_covered(&[], None));
        assert!(is_covered(&[window("10:00:00", "11:00:00")], None));
        let second = || window("10:30:00", "11:30:00");
        assert!(is_covered(&[window("09:30:00", "10:30:00"), second()], None));
        assert!(!is_covered(&[window("09:30:00", "10:29:59"), second()], None));
        assert!(!is_covered(&[second()], None));
    }

    #[test]
    fn what_was_settled_since_the_verification_began_is_not_verified() {
        let windows = [window("10:00:00", "11:00:00")];
        assert!(is_covered(&windows, Some("20:00:00")));
        assert!(!is_covered(&windows, Some("20:00:01")));
    }
}
