//! The ids of a part of the messages: digests of its pieces, and the ids themselves.
//!
//! What a verification compares with the source, piece by piece, until it comes to the ids. The ledger cuts as
//! [`Cut::piece_of`](granary_domain::Cut::piece_of) does.

use crate::db::row::Columns;
use crate::harvest::span::{IS_IN, TOUCHING, WITHIN, span};
use crate::integrity::Standing;
use crate::integrity::evidence::{STANDING, digest_of, id_and_standing_of, standing_of};
use crate::{Ledger, LedgerError};
use granary_domain::{Cut, CutBy, IdDigest, MessageId, Part, TimeRange};
use mysql_async::Row;
use std::collections::HashMap;

/// The digests of a piece's ids, by standing.
pub type Digests = HashMap<Standing, IdDigest>;

impl Ledger {
    /// How many messages of a range the ledger has, whether they are owned or not.
    pub async fn count_messages_in(&self, range: TimeRange) -> Result<u64, LedgerError> {
        let query = &format!(
            "SELECT CAST(COALESCE(SUM(ids), 0) AS UNSIGNED) FROM ({}) part",
            rows_of("1 AS one", &Part::of(range))
        );
        self.read("count a range's messages", |mut reader| async move {
            let count: Option<u64> = reader.first(query, span(range, [])).await?;
            Ok(count.unwrap_or(0))
        })
        .await
    }

    /// The digest of a part's message ids, by standing.
    pub async fn digests_of_part(&self, part: &Part) -> Result<Digests, LedgerError> {
        let query = &format!(
            "SELECT standing, {SUMS} FROM ({}) part GROUP BY standing",
            rows_of("1 AS one", part)
        );
        self.read("digest a part", |mut reader| async move {
            let rows: Vec<Row> = reader.rows(query, span(part.range(), [])).await?;
            rows.into_iter()
                .map(|mut row| Ok((standing_of(&mut row)?, digest_of(&mut row)?)))
                .collect()
        })
        .await
    }

    /// The digests of a part's pieces, by number and by standing. A piece that the ledger has nothing in is left out.
    pub async fn digests_of_pieces(&self, cut: &Cut) -> Result<HashMap<usize, Digests>, LedgerError> {
        let part = &cut.part();
        let query = &format!(
            "SELECT piece, standing, {SUMS} FROM ({}) part GROUP BY piece, standing",
            rows_of_pieces(cut)
        );
        self.read("digest the pieces of a part", |mut reader| async move {
            let rows: Vec<Row> = reader.rows(query, span(part.range(), [])).await?;
            let mut pieces: HashMap<usize, Digests> = HashMap::new();
            for mut row in rows {
                let digests = pieces.entry(row.column("piece")?).or_default();
                digests.insert(standing_of(&mut row)?, digest_of(&mut row)?);
            }
            Ok(pieces)
        })
        .await
    }

    /// Up to `limit` ids of a part with their standing, in no order.
    pub async fn ids_of_part(
        &self,
        part: &Part,
        limit: u64,
    ) -> Result<Vec<(MessageId, Standing)>, LedgerError> {
        let query = &format!(
            "SELECT m.message_id, {STANDING} AS standing FROM batch b STRAIGHT_JOIN message m ON m.batch_id = b.id \
             WHERE {TOUCHING} AND {} LIMIT {limit}",
            is_in(part)
        );
        self.read("list the ids of a part", |mut reader| async move {
            let rows: Vec<Row> = reader.rows(query, span(part.range(), [])).await?;
            rows.into_iter().map(id_and_standing_of).collect()
        })
        .await
    }
}

/// The sums of a digest over the rows of [`rows_of`].
const SUMS: &str =
    "CAST(SUM(ids) AS UNSIGNED) AS ids, CAST(SUM(high) AS CHAR) AS high, CAST(SUM(low) AS CHAR) AS low";
/// One standing is that of all messages of a batch.
const HAS_ONE_STANDING: &str = "(b.settled_at IS NULL OR b.status = 'cancelled' \
     OR (b.status = 'completed' AND b.missing = 0 AND b.quarantined = 0))";
/// Of the messages of a batch all of which have one.
const STANDING_OF_BATCH: &str = "CASE WHEN b.status = 'cancelled' THEN 'released' WHEN b.settled_at IS NULL THEN 'open' \
     ELSE 'on_record' END";

/// What sums are made of: the row of a batch where it says it all, message rows otherwise. `also` names one more column.
fn rows_of(also: &str, part: &Part) -> String {
    let says_it_all = format!("{WITHIN} AND {HAS_ONE_STANDING}");
    match part.hashes() {
        None => format!(
            "{} UNION ALL {}",
            of_batches(also, &says_it_all),
            of_messages(also, &says_it_all, part)
        ),
        Some(_) => of_messages(also, "FALSE", part),
    }
}

/// The same by pieces. A batch that lies in one piece says it all.
fn rows_of_pieces(cut: &Cut) -> String {
    let part = &cut.part();
    let of_time = |column: &str| format!("{} AS piece", piece_of(cut, column));
    match cut.by() {
        CutBy::Time { .. } => {
            let says_it_all = format!(
                "{WITHIN} AND {HAS_ONE_STANDING} AND {} = {}",
                piece_of(cut, "b.time_from"),
                piece_of(cut, "b.time_to")
            );
            format!(
                "{} UNION ALL {}",
                of_batches(&of_time("b.time_from"), &says_it_all),
                of_messages(&of_time("m.event_time"), &says_it_all, part)
            )
        }
        CutBy::Hash { .. } => of_messages(&of_time("m.event_time"), "FALSE", part),
    }
}

fn of_batches(also: &str, says_it_all: &str) -> String {
    format!(
        "SELECT {also}, {STANDING_OF_BATCH} AS standing, b.message_count AS ids, b.digest_high AS high, b.digest_low AS low \
         FROM batch b WHERE {TOUCHING} AND {says_it_all}"
    )
}

fn of_messages(also: &str, says_it_all: &str, part: &Part) -> String {
    format!(
        "SELECT {also}, {STANDING} AS standing, 1 AS ids, m.hash_high AS high, m.hash_low AS low \
         FROM batch b STRAIGHT_JOIN message m ON m.batch_id = b.id WHERE {TOUCHING} AND NOT ({says_it_all}) AND {}",
        is_in(part)
    )
}

fn is_in(part: &Part) -> String {
    match part.hashes() {
        Some((first, last)) => format!("{IS_IN} AND m.hash_high BETWEEN {first} AND {last}"),
        None => IS_IN.to_owned(),
    }
}

/// The number of the piece that an event time, or a row's hash, is in. `DIV` cuts whole numbers as the domain does: none of them is
/// negative.
fn piece_of(cut: &Cut, time: &str) -> String {
    let part = cut.part();
    match cut.by() {
        CutBy::Time { begins, width_micros } => {
            let before = part.range().from().as_microsecond() - begins;
            format!("(TIMESTAMPDIFF(MICROSECOND, :from, {time}) + {before}) DIV {width_micros}")
        }
        CutBy::Hash { width } => {
            let first = part.hashes().map_or(0, |(first, _)| first);
            format!("(m.hash_high - {first}) DIV {width}")
        }
    }
}
