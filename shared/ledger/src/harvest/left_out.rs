//! Indices that the reading of a window has left out, since their mapping or settings keep them from being read.
//!
//! They are written with the end of the window's reading, in its transaction, in place of what was written before. As soon
//! as one can be read, or is gone, its windows are due for another reading, whatever their age (`rescan.rs`). Which indices
//! can be read is the source's to say.

use crate::LedgerError;
use crate::db::connect::Doing;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::shape::{in_sizes, row_placeholders};
use crate::harvest::LeasedWindow;
use mysql_async::{Params, Value};

/// Whether one of the indices that a window `w` has left out isn't in `:left_out`, a JSON array of names.
pub(crate) const CAN_BE_READ: &str = "EXISTS (SELECT 1 FROM window_left_out l WHERE l.window_id = w.id \
     AND NOT JSON_CONTAINS(:left_out, JSON_QUOTE(CONVERT(l.index_name USING utf8mb4))))";

/// Whether a window `w` has left out an index, and no operator accepts that.
pub(crate) const LACKS_INDEX: &str = "EXISTS (SELECT 1 FROM window_left_out l WHERE l.window_id = w.id \
     AND NOT EXISTS (SELECT 1 FROM accepted_exception a WHERE a.kind = 'left_out' AND a.index_name = l.index_name))";

/// The names as [`CAN_BE_READ`] takes them.
pub(crate) fn names(indices: &[String]) -> String {
    serde_json::json!(indices).to_string()
}

/// What a reading has left out, in place of what the one before has.
pub(crate) async fn write_left_out(
    transaction: &mut Transaction,
    window: &LeasedWindow,
    doing: Doing,
) -> Result<(), LedgerError> {
    // The first time it is taken it has none.
    if window.attempts > 1 {
        transaction
            .exec_drop("DELETE FROM window_left_out WHERE window_id = ?", (window.id.0,))
            .await
            .during(doing)?;
        if transaction.affected_rows() > 0 {
            // Whatever proved it did not see the index: the next verification is due now, and reads the source.
            transaction
                .exec_drop(
                    "UPDATE window_proof SET asked = 0, proven_at = NULL, final_at = NULL WHERE window_id = ?",
                    (window.id.0,),
                )
                .await
                .during(doing)?;
        }
    }
    for indices in in_sizes(&window.left_out) {
        let rows = row_placeholders(indices.len(), 2);
        let values = indices
            .iter()
            .flat_map(|index| [Value::from(window.id.0), Value::from(index.as_str())])
            .collect();
        transaction
            .exec_drop(
                format!("INSERT INTO window_left_out (window_id, index_name) VALUES {rows}"),
                Params::Positional(values),
            )
            .await
            .during(doing)?;
    }
    Ok(())
}
