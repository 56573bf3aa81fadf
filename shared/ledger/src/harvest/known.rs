//! What of a page the ledger knows already, found without looking its messages up.
//!
//! The page's ids between its first and its last event time are digested, and so is what the ledger owns of that stretch: by what
//! batch rows say where a batch lies in it as a whole, by message rows where it reaches over an edge. Equal digests are equal
//! sets, so a page that was recorded before costs one question. Where they differ the stretch is cut into pieces, whose message rows are
//! read; what lies in a piece that is equal is known as well.
//!
//! What lies at the edges and in pieces that differ is looked up by its ids (`account.rs`).

use crate::LedgerError;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::row::{Columns, at};
use crate::harvest::LeasedWindow;
use crate::harvest::plan::PlannedRow;
use crate::integrity::evidence::digest_of;
use granary_domain::{Hour, IdDigest, Tally};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Params, Row, Value};
use std::collections::{HashMap, HashSet};

const OPERATION: &str = Step::RecordPage.operation();
/// Messages of a piece, about. Smaller ones would leave less to look up, and have more sums made.
const PIECE: usize = 500;

/// What the rest of a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing of the page's time is in the ledger: most of it is new.
    ProbablyNew,
    /// It has to be looked up.
    PerhapsKnown,
}

/// Takes from `rows` what the ledger knows, and counts it.
pub(crate) async fn take_known(
    transaction: &mut Transaction,
    window: &LeasedWindow,
    rows: &mut Vec<PlannedRow<'_>>,
    tally: &mut Tally,
) -> Result<Rest, LedgerError> {
    let Some(stretch) = Stretch::of(rows) else {
        return Ok(Rest::PerhapsKnown);
    };
    let ledgers = Owned::in_stretch(transaction, window, stretch).await?;
    if ledgers.is_empty() {
        return Ok(Rest::ProbablyNew);
    }
    let is_within = |row: &PlannedRow<'_>| stretch.holds(micros_of(row));
    if ledgers.all() == digest(rows.iter().filter(|row| is_within(row))) {
        ledgers.count_in(tally);
        rows.retain(|row| !is_within(row));
        return Ok(Rest::PerhapsKnown);
    }
    let begins = stretch.cut(rows);
    let pieces = Owned::in_pieces(transaction, window, stretch, &begins).await?;
    let mut shown: HashMap<usize, IdDigest> = HashMap::new();
    for row in rows.iter().filter(|row| is_within(row)) {
        let piece = piece_of(&begins, micros_of(row));
        shown.entry(piece).or_default().add_hash(row.hash);
    }
    let mut known = HashSet::new();
    for (piece, owned) in pieces {
        if shown.get(&piece) == Some(&owned.all()) {
            owned.count_in(tally);
            known.insert(piece);
        }
    }
    rows.retain(|row| !(is_within(row) && known.contains(&piece_of(&begins, micros_of(row)))));
    Ok(Rest::PerhapsKnown)
}

fn digest<'a>(rows: impl Iterator<Item = &'a PlannedRow<'a>>) -> IdDigest {
    let mut digest = IdDigest::default();
    rows.for_each(|row| digest.add_hash(row.hash));
    digest
}

/// The event time as the ledger keeps it, in microseconds.
fn micros_of(row: &PlannedRow<'_>) -> i64 {
    row.message.event_time.as_microsecond()
}

/// The number of the piece that a time of the stretch lies in.
fn piece_of(begins: &[i64], time: i64) -> usize {
    begins.partition_point(|begin| *begin <= time)
}

/// From after the first event time of a page to before its last. Other pages may have messages of those two.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    after: i64,
    before: i64,
}

impl Stretch {
    fn of(rows: &[PlannedRow<'_>]) -> Option<Self> {
        let (first, last) = (rows.first()?, rows.last()?);
        let (after, before) = (micros_of(first), micros_of(last));
        (after < before).then_some(Self { after, before })
    }

    fn holds(&self, time: i64) -> bool {
        self.after < time && time < self.before
    }

    /// Where its pieces begin, but the first: between two event times, so that none is in two pieces.
    fn cut(&self, rows: &[PlannedRow<'_>]) -> Vec<i64> {
        let mut times: Vec<i64> = rows
            .iter()
            .map(micros_of)
            .filter(|time| self.holds(*time))
            .collect();
        times.sort_unstable();
        let mut begins: Vec<i64> = times.iter().skip(PIECE).step_by(PIECE).copied().collect();
        begins.dedup();
        begins
    }

    fn params(&self, window: &LeasedWindow) -> Result<Vec<(Vec<u8>, Value)>, LedgerError> {
        let instant = |micros| {
            Timestamp::from_microsecond(micros)
                .map_err(|error| LedgerError::inconsistent(OPERATION, error.to_string()))
        };
        let after = instant(self.after)?;
        let named = [
            ("after", at(after)),
            ("before", at(instant(self.before)?)),
            ("first_hour", at(Hour::of(after).start())),
            ("window", window.id.0.into()),
        ];
        Ok(named
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect())
    }
}

/// Batches that own messages of the hours of a stretch.
const OF_THE_HOURS: &str =
    "b.hour_start >= :first_hour AND b.hour_start < :before AND b.status <> 'cancelled'";
/// Those that lie in the stretch as a whole.
const WITHIN: &str = "b.time_from > :after AND b.time_to < :before";
/// Those of which a part may.
const TOUCHING: &str = "b.time_from < :before AND b.time_to > :after";

/// What the ledger owns of some stretch: this window's, and others'.
#[derive(Debug, Clone, Copy, Default)]
struct Owned {
    own: IdDigest,
    elsewhere: IdDigest,
}

impl Owned {
    async fn in_stretch(
        transaction: &mut Transaction,
        window: &LeasedWindow,
        stretch: Stretch,
    ) -> Result<Self, LedgerError> {
        let query = format!(
            "SELECT is_own, CAST(SUM(ids) AS UNSIGNED) AS ids, CAST(SUM(high) AS CHAR) AS high, CAST(SUM(low) AS CHAR) AS low FROM \
             (SELECT b.window_id = :window AS is_own, b.message_count AS ids, b.digest_high AS high, b.digest_low AS low \
              FROM batch b WHERE {OF_THE_HOURS} AND {WITHIN} UNION ALL \
              SELECT b.window_id = :window, 1, m.hash_high, m.hash_low FROM batch b STRAIGHT_JOIN message m ON m.batch_id = b.id \
              WHERE {OF_THE_HOURS} AND {TOUCHING} AND NOT ({WITHIN}) AND m.event_time > :after AND m.event_time < :before) owned \
             GROUP BY is_own"
        );
        let rows: Vec<Row> = transaction
            .exec(
                query,
                Params::Named(stretch.params(window)?.into_iter().collect()),
            )
            .await
            .during(OPERATION)?;
        let mut owned = Self::default();
        for mut row in rows {
            owned.add(row.column("is_own")?, digest_of(&mut row)?);
        }
        Ok(owned)
    }

    /// By the number of the piece. One that the ledger has nothing of is left out.
    async fn in_pieces(
        transaction: &mut Transaction,
        window: &LeasedWindow,
        stretch: Stretch,
        begins: &[i64],
    ) -> Result<HashMap<usize, Self>, LedgerError> {
        let mut params = stretch.params(window)?;
        let mut cuts = String::new();
        for (number, begin) in begins.iter().enumerate() {
            let micros = begin - stretch.after;
            cuts.push_str(&format!(", :cut{number}"));
            params.push((format!("cut{number}").into_bytes(), micros.into()));
        }
        let piece = match begins {
            [] => "0".to_owned(),
            _ => format!("INTERVAL(TIMESTAMPDIFF(MICROSECOND, :after, m.event_time){cuts})"),
        };
        let query = format!(
            "SELECT {piece} AS piece, b.window_id = :window AS is_own, COUNT(*) AS ids, \
             CAST(SUM(m.hash_high) AS CHAR) AS high, CAST(SUM(m.hash_low) AS CHAR) AS low \
             FROM batch b STRAIGHT_JOIN message m ON m.batch_id = b.id WHERE {OF_THE_HOURS} AND {TOUCHING} \
             AND m.event_time > :after AND m.event_time < :before GROUP BY piece, is_own"
        );
        let rows: Vec<Row> = transaction
            .exec(query, Params::Named(params.into_iter().collect()))
            .await
            .during(OPERATION)?;
        let mut pieces: HashMap<usize, Self> = HashMap::new();
        for mut row in rows {
            let piece = pieces.entry(row.column("piece")?).or_default();
            piece.add(row.column("is_own")?, digest_of(&mut row)?);
        }
        Ok(pieces)
    }

    fn add(&mut self, is_own: bool, digest: IdDigest) {
        if is_own {
            self.own.merge(&digest);
        } else {
            self.elsewhere.merge(&digest);
        }
    }

    fn all(&self) -> IdDigest {
        let mut all = self.own;
        all.merge(&self.elsewhere);
        all
    }

    fn is_empty(&self) -> bool {
        self.all().count == 0
    }

    /// Read again after a lost point in time, a restart or at night, this window recorded its own before.
    fn count_in(&self, tally: &mut Tally) {
        tally.recorded += self.own.count;
        tally.owned_elsewhere += self.elsewhere.count;
    }
}
