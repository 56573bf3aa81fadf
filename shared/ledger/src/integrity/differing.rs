//! Hours in which a full verification found that source, ledger and archive differ: what the time line shows of verdicts.
//!
//! One row for each such hour, until a verification that began later finds no difference in it. What was found stands in
//! the verification's report, not here. **When it fails**, the time line shows what the verification before said; the step is
//! taken again with the hour.

use crate::db::connect::Reader;
use crate::db::connections::Connection;
use crate::db::error::During;
use crate::db::row::{Columns, at};
use crate::harvest::over::{is_over, range_and};
use crate::integrity::accepted::are_accepted_still;
use crate::integrity::proof::{write_proven, write_unproven};
use crate::integrity::{ProofOutcome, Verification};
use crate::{Ledger, LedgerError};
use granary_domain::{Hour, TimeRange};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Row, params};
use std::collections::BTreeMap;
use std::str::FromStr;

/// Of one question: more than two years of them.
const HOURS_MAX: u32 = 20_000;

/// What is wrong with an hour, the worse one last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// The archive has messages that the source no longer shows there.
    Drifted,
    /// The source shows messages that aren't in the archive, or the archive isn't what the ledger says.
    Incomplete,
}

impl Difference {
    /// The verdict that it leads to by itself.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drifted => "DRIFTED",
            Self::Incomplete => "INCOMPLETE",
        }
    }
}

impl FromStr for Difference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Drifted, Self::Incomplete]
            .into_iter()
            .find(|known| known.as_str() == text)
            .ok_or_else(|| format!("{text:?} is no difference"))
    }
}

/// Takes from a window `w`, with its row `s` of `window_scan` if it has one, that it is verified.
pub(crate) const NOT_VERIFIED: &str = "w.state = IF(w.state = 'verified', 'recorded', w.state), w.verified_at = NULL, \
     s.was_verified = FALSE";

impl Ledger {
    /// Writes down that an hour differs, as found by a full verification that began at `as_of`. An hour that isn't complete is
    /// verified no more, and so isn't purged.
    pub async fn record_difference(
        &self,
        hour: Hour,
        difference: Difference,
        as_of: Timestamp,
    ) -> Result<(), LedgerError> {
        self.change(Step::RecordDifference, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            transaction
                .exec_drop(
                    "INSERT INTO differing_hour (hour_start, verdict, found_at) VALUES (:hour, :verdict, :as_of) \
                     ON DUPLICATE KEY UPDATE verdict = IF(found_at < VALUES(found_at) \
                     OR (found_at = VALUES(found_at) AND verdict = 'DRIFTED'), VALUES(verdict), verdict), \
                     found_at = GREATEST(found_at, VALUES(found_at))",
                    params! {
                        "hour" => at(hour.start()), "verdict" => difference.as_str(), "as_of" => at(as_of),
                    },
                )
                .await
                .during(doing)?;
            if difference == Difference::Incomplete {
                transaction
                    .exec_drop(
                        format!(
                            "UPDATE harvest_window w LEFT JOIN window_scan s ON s.window_id = w.id \
                             SET {NOT_VERIFIED} WHERE {} AND (w.verified_at IS NULL OR w.verified_at <= :as_of)",
                            is_over()
                        ),
                        range_and(hour.range(), [("as_of", at(as_of))]),
                    )
                    .await
                    .during(doing)?;
            }
            transaction.commit().await.during(doing)
        })
        .await
    }

    /// Writes down that a full verification has come to its end and wasn't COMPLETE: of the whole hours in its range, those
    /// alone differ still that it found to, or one that began later; and what it says about the windows.
    pub async fn keep_differences(
        &self,
        verification: &Verification,
        outcome: ProofOutcome,
    ) -> Result<(), LedgerError> {
        let Verification { range, as_of, .. } = *verification;
        self.change(Step::KeepDifferences, |doing| async move {
            let mut transaction = self.begin(doing).await?;
            forget_differences(&mut transaction, range, as_of)
                .await
                .during(doing)?;
            match outcome {
                ProofOutcome::Proven => {
                    if are_accepted_still(&mut transaction, doing, &verification.accepted).await? {
                        write_proven(&mut transaction, doing, verification).await?;
                    }
                }
                ProofOutcome::Waiting | ProofOutcome::Failing => {
                    write_unproven(&mut transaction, doing, verification, outcome).await?;
                }
            }
            transaction.commit().await.during(doing)
        })
        .await
    }
}

/// Takes away what was found of the whole hours in a range before then.
pub(crate) async fn forget_differences(
    queryable: &mut Connection,
    range: TimeRange,
    found_before: Timestamp,
) -> Result<(), mysql_async::Error> {
    queryable
        .exec_drop(
            "DELETE FROM differing_hour WHERE hour_start >= :from AND hour_start <= :to - INTERVAL 1 HOUR \
             AND found_at < :found_before",
            params! { "from" => at(range.from()), "to" => at(range.to()), "found_before" => at(found_before) },
        )
        .await
}

/// The hours that differ, of those that overlap a range.
pub(crate) async fn differing_hours_of(
    reader: &mut Reader,
    range: TimeRange,
) -> Result<BTreeMap<Timestamp, Difference>, LedgerError> {
    let rows: Vec<Row> = reader
        .rows(
            "SELECT hour_start, verdict FROM differing_hour WHERE hour_start >= ? AND hour_start < ? \
             ORDER BY hour_start DESC LIMIT ?",
            (at(Hour::of(range.from()).start()), at(range.to()), HOURS_MAX),
        )
        .await?;
    rows.into_iter()
        .map(|mut row| Ok((row.instant("hour_start")?, row.parsed("verdict")?)))
        .collect()
}
